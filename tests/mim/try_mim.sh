#!/usr/bin/env bash
# Tries every mim command on mmcoat: a wheel with openmim (upstream line), an editable install with onedl-mim.
# Usage: tests/mim/try_mim.sh upstream|onedl PYTHON
# PYTHON belongs to an environment with that line. It is left as it is: mim and mmcoat go into a throw-away
# environment on top of it. Needs the package index for mim itself.
set -euo pipefail

line=${1:?upstream or onedl}
python=${2:?python of an environment with that line}
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/throwaway.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

step() { echo "[mim] $*"; }

expect() { # expect TEXT COMMAND...: the command succeeds and its output has TEXT
    local text=$1 out
    shift
    # the tool's own message comes first, mim's traceback after it
    show() { head -n 15 <<<"$out"; echo ...; tail -n 5 <<<"$out"; }
    out=$("$@" 2>&1) || { show; echo "failed: $*"; exit 1; }
    grep -qF -- "$text" <<<"$out" || { show; echo "no '$text' from: $*"; exit 1; }
}

step "environment on top of $python"
"$python" -m venv "$work/env"
stack "$work/env" "$python"
PATH="$work/env/bin:$PATH"
copy_source "$work/source"

if [ "$line" = upstream ]; then
    pip install -q openmim 'setuptools<81'
    step 'mim install, from a wheel'
    pip wheel -q --no-deps --no-build-isolation -w "$work" "$work/source"
    expect 'Successfully installed mmcoat' mim install --no-deps "$work"/mmcoat-*.whl
else
    pip install -q onedl-mim
    step 'mim install, editable'
    expect 'Successfully installed mmcoat' mim install --no-deps --no-build-isolation -e "$work/source"
fi
cd "$work" # nothing may be found beside the checkout

step 'mim list'
expect mmcoat mim list
step 'mim search'
expect 'top_1_accuracy  81.9' mim search mmcoat --config coat_lite_s_in1k
expect deformable_detr_coat_s_coco mim search mmcoat --valid-config
step 'mim run'
expect 'stage 4' mim run mmcoat get_flops lite_tiny
expect ADEChallenge mim run mmcoat make_synthetic_dataset ade20k "$work/ADEChallenge" \
    --train 4 --val 2 --size 64 64

step 'mim train'
config=fpn_coat_lite_s_ade20k.py
# onedl-mim finds the bare name twice in an editable install, see docs/mim.md
if [ "$line" = onedl ]; then config=$work/source/configs/$config; fi
options=(data_root="$work/ADEChallenge" model.backbone.init_cfg=None model.backbone.arch=lite_mini
    train_cfg.max_iters=2 train_cfg.val_interval=2 train_dataloader.batch_size=2
    train_dataloader.num_workers=0 train_dataloader.persistent_workers=False
    val_dataloader.num_workers=0 val_dataloader.persistent_workers=False
    test_dataloader.num_workers=0 test_dataloader.persistent_workers=False)
expect 'Training finished successfully' mim train mmcoat $config --gpus 0 --work-dir "$work/run" \
    --cfg-options "${options[@]}"
step 'mim test'
expect 'Testing finished successfully' mim test mmcoat $config --checkpoint "$work/run/iter_2.pth" \
    --gpus 0 --work-dir "$work/run" --cfg-options "${options[@]}"

step 'mim download'
mkdir "$work/weights"
touch "$work/weights/coat_lite_small_8d362f48.pth" # not fetched anew: the authors' site may be out of reach
expect 'Successfully dumped coat_lite_s_in1k.py' \
    mim download mmcoat --config coat_lite_s_in1k --dest "$work/weights"
step "all of mim works on the $line line"
