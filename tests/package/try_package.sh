#!/usr/bin/env bash
# Builds the wheel and the sdist of the files that git knows, looks into both, and uses each where nothing else of
# mmcoat is. Usage: tests/package/try_package.sh PYTHON
# PYTHON belongs to an environment with one of the OpenMMLab lines. It is left as it is: mmcoat goes into throw-away
# environments on top of it. Needs the package index for `build` and `twine`.
set -euo pipefail

python=${1:?python of an environment with one of the lines}
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/throwaway.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
unset PYTHONPATH

step() { echo "[package] $*"; }

quiet() { # quiet COMMAND...: shows what it prints only where it fails
    local out
    out=$("$@" 2>&1) || { echo "$out" | tail -n 20; echo "failed: $*"; exit 1; }
}

copy_source "$work/source"

step 'sdist, and the wheel from it'
"$python" -m venv "$work/tools"
quiet "$work/tools/bin/python" -m pip install -q --disable-pip-version-check build twine
quiet "$work/tools/bin/python" -m build -o "$work/dist" "$work/source"
wheel=$(echo "$work"/dist/mmcoat-*.whl) sdist=$(echo "$work"/dist/mmcoat-*.tar.gz)

step 'metadata and files'
quiet "$work/tools/bin/python" -m twine check --strict "$wheel" "$sdist"
"$work/tools/bin/python" "$work/source/tests/package/check_archives.py" "$work/source" "$wheel" "$sdist"

line=$("$python" - <<'END'
from importlib import metadata
try:
    metadata.version('onedl-mmengine')
    print('onedl')
except metadata.PackageNotFoundError:
    print('openmmlab')
END
)
cp "$work/source/tests/package/check_installed.py" "$work"
cd "$work" # nothing may be found beside the checkout
for archive in "$wheel" "$sdist"; do
    step "${archive##*/} on top of $python"
    rm -rf env
    "$python" -m venv --without-pip env # its setuptools would hide the one below
    stack env "$python"
    # the archive alone; then what its extra asks for must be what is tested
    quiet env/bin/python -m pip install -q --disable-pip-version-check --no-deps --force-reinstall "$archive"
    quiet env/bin/python -m pip install -q --disable-pip-version-check --no-index "mmcoat[$line]"
    quiet env/bin/python check_installed.py env
    out=$(env/bin/python -m mmcoat --json) || { echo "$out" | tail -n 40; echo 'failed: python -m mmcoat --json'; exit 1; }
    grep -q '"ok": true' <<<"$out" || { echo "$out" | tail -n 40; exit 1; }
    grep -qF "$work/env" <<<"$out" || { echo "$out" | tail -n 40; echo 'the doctor looked elsewhere'; exit 1; }
done

step "docs/mim.md: the tools of the wheel, up to the data that are not there"
out=$(PATH=$work/env/bin:$PATH bash -euc "$(block docs/mim.md '.mim")')" 2>&1) && { echo 'trained without data'; exit 1; }
grep -q 'folder data/ade/ADEChallengeData2016 does not exist' <<<"$out" || { echo "$out" | tail -n 20; exit 1; }
step "wheel and sdist work on the $line line"
