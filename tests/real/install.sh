#!/bin/sh
# Installs the software of others that `make test-real` runs, into .venv/real: two Python environments (Grove needs
# libraries older than the rest) and Node packages. What a machine cannot have is reported, and its tests are skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)/.venv/real
python=${PYTHON:-python3}
mkdir -p "$root"

up_to_date() { [ -e "$root/$1.ready" ] && cmp -s "$root/$1.ready" "$2"; }

environment() { # NAME LOCK
    up_to_date "$1" "$2" && return
    rm -rf "${root:?}/$1"
    "$python" -m venv "$root/$1" &&
        "$root/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$2" &&
        cp "$2" "$root/$1.ready" && return
    echo "$1 was not installed: its tests are skipped." >&2
}

node_packages() {
    command -v npm >/dev/null || { echo "There is no npm: the tests that need Node.js are skipped." >&2; return; }
    up_to_date node "$here/package-lock.json" && return
    rm -rf "$root/node"
    mkdir "$root/node"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$root/node"
    (cd "$root/node" && npm ci --silent) && cp "$here/package-lock.json" "$root/node.ready" && return
    echo "The Node packages were not installed: their tests are skipped." >&2
}

environment python "$here/requirements.lock"
environment grove "$here/grove.lock"
node_packages
exit 0
