#!/bin/sh
# Installs the Debian packages that the tests need, if they are not there: nothing else, and nothing twice.
# `system.sh demo`: only those that the demo's partners are played with.
set -eu

missing=""
for_what="The tests need"
[ "${1:-}" = demo ] && for_what="The demo plays some partners with"
command -v storescu >/dev/null || missing="$missing dcmtk"
[ -x /usr/sbin/mosquitto ] || command -v mosquitto >/dev/null || missing="$missing mosquitto"
if [ "${1:-}" != demo ]; then
    command -v strace >/dev/null || missing="$missing strace"
    [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] || command -v ip >/dev/null || missing="$missing iproute2"
    command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
    command -v redis-server >/dev/null || missing="$missing redis-server"
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
fi
[ -n "$missing" ] || exit 0

say() {
    echo "$for_what the Debian packages$missing. $1" >&2
    exit 1
}

install="apt-get install --yes --no-install-recommends$missing"
command -v apt-get >/dev/null || say "There is no apt-get here: install what corresponds to them."
as_root="env"
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || say "Run as root: $install"
    as_root="sudo"
    [ -t 0 ] || as_root="sudo -n"
fi

apt() { $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null; }

echo "Installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
{ apt update && apt install --yes --no-install-recommends $missing; } >"$log" 2>&1 ||
    { cat "$log" >&2; say "Installing them failed, as shown above. Run as root: $install"; }
