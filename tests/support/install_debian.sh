#!/bin/sh
# Unpacks Debian's rsyslog, syslog-ng and Prometheus, with the libraries that this machine lacks, into .venv/debian: the
# tests use real ones. Nothing is installed, so it needs no root. Where all is there already it ends at once.
set -eu

wanted="rsyslog rsyslog-openssl rsyslog-gnutls syslog-ng-core prometheus"
here=$(cd "$(dirname "$0")/../.." && pwd)
root=$here/.venv/debian
ready=$root/ready

# Both halves of a change: other packages, or a newer form of this script.
[ -f "$ready" ] && [ "$(cat "$ready")" = "$wanted" ] && exit 0

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "rsyslog, syslog-ng and Prometheus were not unpacked for the tests: this machine has no apt-get and dpkg-deb." >&2
    exit 1
fi

mkdir -p "$here/.venv"
work=$(mktemp -d "$here/.venv/debian.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/tree"
cd "$work/debs"

download() { # the lists of a new machine are empty or old: then they are fetched, which takes root, and it tries again
    apt-get -qq download "$1" 2>"$work/said" && return
    [ "$(id -u)" = 0 ] && [ -z "${updated-}" ] && updated=yes && apt-get -qq update && apt-get -qq download "$1" && return
    cat "$work/said" >&2
    echo "$1 could not be downloaded for the tests. Run apt-get update as root, then this again." >&2
    exit 1
}

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

libraries_of() { # the first of each set of alternatives, bare of versions
    dpkg-deb -f "$1" Depends Pre-Depends | sed 's/^[A-Za-z-]*: //; s/,/\n/g' | sed 's/[|(].*//; s/:.*//; s/ //g' | grep '^lib' |
        grep -v '^libjs-' || : # those are of Prometheus's own pages
}

seen=" "
todo=$wanted
while [ -n "$todo" ]; do
    next=""
    for package in $todo; do
        case $seen in *" $package "*) continue ;; esac
        seen="$seen$package "
        download "$package"
        for library in $(libraries_of "$package"_*.deb); do
            installed "$library" || next="$next $library"
        done
    done
    todo=$next
done

for deb in *.deb; do
    dpkg-deb -x "$deb" "$work/tree"
done
echo "$wanted" >"$work/tree/ready"
rm -rf "$root"
mv "$work/tree" "$root"
