#!/bin/sh
# Build the images penstock-controller and penstock-agent with buildah, podman or docker.
#
# Environment: BASE, an image that has Debian 12 (debian:bookworm-slim; where no registry answers,
# docker/base.sh makes localhost/debian:bookworm from Debian's packages); TAG (latest); BUILDER;
# BUILDER_OPTIONS, such as "--network host".
set -eu
cd "$(dirname "$0")/.."

readonly KNOWN=debian:bookworm-slim OWN=localhost/debian:bookworm PULL_LIMIT_S=300

find_builder() {
    for name in buildah podman docker; do
        if command -v "$name" >/dev/null; then
            echo "$name"
            return
        fi
    done
    ./dev deps builder >&2
    echo buildah
}

has_image() { "$builder" inspect --type image "$1" >/dev/null 2>&1; }

# choose_base: an image that is here, one that a registry has, or one made now
choose_base() {
    if has_image "$KNOWN"; then
        echo "$KNOWN"
    elif has_image "$OWN"; then
        echo "$OWN"
    elif timeout "$PULL_LIMIT_S" "$builder" pull "$KNOWN" >&2; then
        echo "$KNOWN"
    else
        echo "== no registry gave $KNOWN; making $OWN from Debian's packages" >&2
        ./dev deps base >&2
        BUILDER=$builder docker/base.sh >&2
        echo "$OWN"
    fi
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
base=${BASE:-$(choose_base)}
for target in controller agent; do
    echo "== building penstock-$target with $builder on $base"
    build "$target" || {
        echo "image: $builder failed to build on $base; see above, or name another BASE" >&2
        exit 1
    }
done
echo "== built penstock-controller and penstock-agent; start them with docker/compose.yaml"
