#!/bin/sh
# Make localhost/debian:bookworm from Debian's own packages, with no image registry.
#
#     docker/base.sh [MIRROR]     needs root, debootstrap and podman or docker
#
# Skip it by naming a base of your own: BASE=debian:bookworm ./dev image
set -eu

if command -v podman >/dev/null; then engine=podman; else engine=docker; fi
command -v debootstrap >/dev/null || {
    echo "base.sh: no debootstrap; run: apt-get install debootstrap" >&2
    exit 1
}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase bookworm "$root" "$@"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
tar -C "$root" -c . | $engine import - localhost/debian:bookworm
