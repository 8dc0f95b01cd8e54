#!/bin/sh
# base-image.sh: makes the image debian:trixie-slim from Debian's packages if it does
# not exist, for machines that reach a Debian mirror but no image registry. Where a
# registry can be reached, it is not needed: `docker build` pulls the image.
#
# The mirror, and the proxy if there is one, are those of this machine's apt. The image
# keeps them, so that apt-get also works in `docker build`. apt checks every signature
# with Debian's keyring (package debian-archive-keyring).
#
#     docker/base-image.sh [--force]
set -eu

IMAGE=debian:trixie-slim
SUITE=trixie

if [ "${1:-}" != --force ] && docker image inspect "$IMAGE" >/dev/null 2>&1; then
    exit 0
fi
command -v mmdebstrap >/dev/null || {
    echo "base-image.sh: there is no mmdebstrap; trying the registry" >&2
    exec docker pull "$IMAGE"
}

# The first address that apt has under this label, without a trailing slash.
mirror()
{
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        sed -n "s#^$1 \(https\{0,1\}://.*[^/]\)/*\$#\1#p" | head -n 1
}

main=$(mirror Debian)
security=$(mirror Debian-Security)
[ -n "$main" ] || {
    # apt was never updated, or is not Debian's: mmdebstrap's default mirror is Debian's
    echo "base-image.sh: apt names no Debian mirror; using the default one" >&2
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

set -- --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --aptopt='Acquire::Languages "none"'
for scheme in http https; do
    eval "$(apt-config shell proxy "Acquire::$scheme::Proxy")"
    [ -z "${proxy:-}" ] || set -- "$@" --aptopt="Acquire::$scheme::Proxy \"$proxy\""
    proxy=
done
case $main$security in
*https:*) set -- "$@" --include=ca-certificates ;;
esac
set -- "$@" "$SUITE" "$work/root.tar"
if [ -n "$main" ]; then
    set -- "$@" "deb $main $SUITE main" "deb $main $SUITE-updates main"
fi
if [ -n "$main" ] && [ -n "$security" ]; then
    set -- "$@" "deb $security $SUITE-security main"
fi

echo "base-image.sh: making $IMAGE from ${main:-Debian's packages}"
mmdebstrap --quiet "$@"
docker import --change 'CMD ["bash"]' --message "mmdebstrap $SUITE" "$work/root.tar" "$IMAGE" \
    >/dev/null
