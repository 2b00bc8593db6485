#!/bin/sh
# Proves the two commands of the README in an empty Debian 12: python3, python3-venv, make and git, nothing else.
#
#   tests/empty_root.sh                     a fresh clone of HEAD: make demo EXIT=1, then make test
#   tests/empty_root.sh --worktree          the files as they are now, committed or not
#   tests/empty_root.sh ... -- COMMAND      something else instead (in the clone, by sh -c)
#
# Needs root, debootstrap, and a machine that reaches Debian's packages and PyPI: how it does so (mirrors,
# proxies, certificates) is read from its apt and pip at run time. KEEP=1 leaves the root for a look.
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
source=clone
if [ "${1:-}" = --worktree ]; then source=worktree; shift; fi
if [ "${1:-}" = -- ]; then shift; fi
command=${*:-make demo EXIT=1 && make test}

[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "install it: apt-get install debootstrap" >&2; exit 1; }

root=$(mktemp -d "${TMPDIR:-/tmp}/empty-root.XXXXXX")
chmod 755 "$root"
finish() {
    if [ -n "${KEEP:-}" ]; then echo "kept: $root"; else rm -rf --one-file-system "$root"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- the machine
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)}
[ -n "$mirror" ] || { echo "apt knows no mirror of bookworm; set MIRROR=" >&2; exit 1; }
echo "making an empty Debian 12 in $root"
debootstrap --variant=minbase --include=python3,python3-venv,make,git,ca-certificates bookworm "$root" "$mirror" \
    >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"

# --- its way to the package registries: this machine's own
apt-config dump | grep -iE '^Acquire::(https?|Check|Retries|Proxy)' >"$root/etc/apt/apt.conf.d/99network" || true
for file in /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do
    [ -f "$file" ] && cp "$file" "$root/etc/apt/auth.conf.d/"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
{
    echo "[global]"
    python3 -m pip config list |
        sed -nE "s/^(global|:env:)\.(index-url|proxy|trusted-host|timeout|default-timeout)='(.*)'\$/\2 = \3/p" |
        awk '!seen[$1]++'
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
} >"$root/etc/pip.conf"

# --- the project
if [ "$source" = clone ]; then
    git clone --quiet --no-local "$repo" "$root/root/chartwire"
else
    mkdir "$root/root/chartwire"
    git -C "$repo" ls-files -z --cached --others --exclude-standard |
        (cd "$repo" && xargs -0 ls -d 2>/dev/null | tar -cf - -T -) | tar -xf - -C "$root/root/chartwire"
fi

# --- in it, with an empty environment; its mounts and processes end with this one
cat >"$root/root/go" <<END
set -eu
if command -v gcc cc strace postgres; then echo "this root is not empty" >&2; exit 1; fi
cd /root/chartwire
$command
END
cat >"$root.enter" <<'END'
set -eu
mount --bind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/dev/shm"
exec chroot "$1" /usr/bin/env -i HOME=/root TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh /root/go
END
status=0
unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" sh "$root.enter" "$root" </dev/null || status=$?
rm -f "$root.enter"
echo "empty root: exit status $status"
exit "$status"
