#!/usr/bin/env bash
# Runs a block of README or docs/install.md word for word in a throw-away environment, and asks the doctor.
# Usage: tests/docs/try_install.sh PYTHON readme|onedl|upstream
# Needs the package index. PIP_CONSTRAINT=FILE narrows what pip takes, for example to a CPU build of torch.
# Only `git clone` is another: it brings the files of this checkout.
set -euo pipefail

python=${1:?an interpreter}
what=${2:?readme, onedl or upstream}
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/throwaway.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

case $what in
readme) commands=$(block README.md 'pip install ".[onedl]"') ;;
onedl) commands=$(block docs/install.md 'pip install ".[onedl]"') ;;
upstream) commands=$(block docs/install.md 'pip install ".[openmmlab]"') ;;
*) echo "no $what: readme, onedl or upstream" && exit 2 ;;
esac

"$python" -m venv "$work/env"
copy_source "$work/source"
cat >"$work/env/bin/git" <<END
#!/bin/sh
[ "\$1" = clone ] || { echo "not a clone: git \$*" >&2; exit 1; }
cp -r "$work/source" mmcoat
END
chmod +x "$work/env/bin/git"
export PATH="$work/env/bin:$PATH"
if [ "$what" = onedl ]; then cd "$work"; else cd "$work/source"; fi
echo "[install] $what:"
sed 's/^/    /' <<<"$commands"
start=$SECONDS
set -x
eval "$commands"
{ set +x; } 2>/dev/null
echo "[install] $what took $((SECONDS - start)) s"
cd "$work"
python -m mmcoat --json >report.json || { cat report.json; exit 1; }
python - <<'END'
from mmcoat.compat import use_pytorch_ops
use_pytorch_ops()
import mmdet.apis, mmseg.apis, torch
import mmcoat
mmcoat.CoaT('lite_tiny')(torch.zeros(1, 3, 64, 64))
END
echo "[install] $what works"
