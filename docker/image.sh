#!/bin/sh
# Build the images penstock-controller and penstock-agent with buildah, podman or docker.
#
# Environment: BASE, an image that has Debian 12 (localhost/debian:bookworm; docker/base.sh makes it);
# TAG (latest); BUILDER; BUILDER_OPTIONS, such as "--network host".
set -eu
cd "$(dirname "$0")/.."

find_builder() {
    for name in buildah podman docker; do
        if command -v "$name" >/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "image: no buildah, podman or docker here; run: apt-get install buildah" >&2
    exit 1
}

# build TARGET: .dockerignore keeps build folders out of the context
build() {
    case $builder in
    docker) set -- "$1" build ;;
    buildah) set -- "$1" bud --layers --format docker ;; # the OCI format has no health check
    *) set -- "$1" build --format docker ;;
    esac
    target=$1
    shift
    # the options are words
    # shellcheck disable=SC2086
    "$builder" "$@" ${BUILDER_OPTIONS:-} -f docker/Dockerfile --build-arg BASE="$base" \
        --target "$target" -t "penstock-$target:${TAG:-latest}" .
}

builder=${BUILDER:-$(find_builder)}
base=${BASE:-localhost/debian:bookworm}
for target in controller agent; do
    echo "== building penstock-$target with $builder on $base"
    build "$target" || {
        echo "image: $builder failed; if it lacks the base, run docker/base.sh or set BASE" >&2
        exit 1
    }
done
echo "== built penstock-controller and penstock-agent; start them with docker/compose.yaml"
