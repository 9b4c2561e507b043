#!/bin/sh
# Make localhost/debian:bookworm from Debian's own packages, with no image registry.
#
#     docker/base.sh [MIRROR]     needs root, debootstrap and podman, docker or buildah
#
# ./dev image does this where no registry answers. MIRROR: the one that apt uses here.
set -eu

readonly IMAGE=localhost/debian:bookworm

find_builder() {
    for name in podman docker buildah; do
        if command -v "$name" >/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "base.sh: no podman, docker or buildah here; run: apt-get install buildah" >&2
    exit 1
}

# import FILE: a root file system, as an image
import() {
    if [ "$builder" = buildah ]; then
        container=$(buildah from scratch)
        buildah add --quiet "$container" "$1" /
        buildah commit --quiet --rm "$container" "$IMAGE"
    else
        "$builder" import "$1" "$IMAGE"
    fi
}

builder=${BUILDER:-$(find_builder)}
command -v debootstrap >/dev/null || {
    echo "base.sh: no debootstrap; run: apt-get install debootstrap" >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck disable=SC2016 # apt-get's own variable
mirror=${1:-$(apt-get indextargets 'Created-By: Packages' --format '$(SITE)' | head -n 1)}
debootstrap --variant=minbase bookworm "$folder/root" "$mirror"
rm -rf "$folder"/root/var/cache/apt/* "$folder"/root/var/lib/apt/lists/* \
    "$folder"/root/usr/share/doc/* "$folder"/root/usr/share/man/* "$folder"/root/usr/share/locale/*
tar -C "$folder/root" -cf "$folder/root.tar" .
import "$folder/root.tar"
