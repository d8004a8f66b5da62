"""The module that replaces ``mmcv._ext``, tested in separate processes, because imports cannot be undone."""

import importlib.util
import os
import subprocess
import sys

import pytest

from mmcoat.compat.extension import NAME, Extension, _is_there
from tests.helpers import ROOT

pytest.importorskip('mmcv')
# conftest.py has put ours in the place of operators that are not there
COMPILED = _is_there() and not isinstance(sys.modules.get(NAME), Extension)
FORCE = f'from mmcoat.compat import use_pytorch_ops\nassert use_pytorch_ops(force={COMPILED})\n'
needs_mmdet = pytest.mark.skipif(
    importlib.util.find_spec('mmdet') is None, reason='MMDetection is not installed'
)


def run(code: str) -> subprocess.CompletedProcess:
    """Run code in a new process, from the repository's root."""
    env = os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path[1:]])}
    return subprocess.run(
        [sys.executable, '-W', 'default', '-c', code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_mmcv_imports_without_a_warning_and_says_so_once():
    done = run(FORCE + 'use_pytorch_ops()\nimport mmcv.ops, mmcv.cnn.bricks.transformer')
    assert done.returncode == 0, done.stderr
    assert 'Fail to import' not in done.stderr
    assert (done.stdout + done.stderr).count('mmcoat.compat provides') == 1


@pytest.mark.skipif(not COMPILED, reason='MMCV has no compiled operators here')
def test_compiled_operators_stay():
    done = run(
        'from mmcoat.compat import Extension, use_pytorch_ops\n'
        'assert not use_pytorch_ops()\n'
        'import mmcv.ops, mmcv._ext, sys\n'
        'assert not isinstance(sys.modules["mmcv._ext"], Extension)\n'
        'assert not use_pytorch_ops()\n'
        'use_pytorch_ops(force=True)'
    )
    assert done.returncode == 1
    assert 'mmcv.ops has been imported with other operators' in done.stderr
    assert 'mmcoat.compat provides' not in done.stdout + done.stderr


@pytest.mark.skipif(COMPILED, reason='MMCV has compiled operators here')
def test_after_an_import_that_failed():
    done = run(
        'import importlib\n'
        'import mmcv.cnn.bricks.transformer as bricks\n'
        'try:\n    importlib.import_module("mmcv.ops")\nexcept ImportError:\n    pass\n'
        'else:\n    raise SystemExit("mmcv.ops works without operators")\n'
        # OneDL's MMSegmentation imports without operators and keeps None, upstream's does not import
        'try:\n    import mmseg.models.utils.point_sample as early\n'
        'except ImportError:\n    early = None\n'
        'from mmcoat.compat import use_pytorch_ops\n'
        'assert use_pytorch_ops()\n'
        'import mmcv.ops\n'
        'assert bricks.MultiScaleDeformableAttention is mmcv.ops.MultiScaleDeformableAttention\n'
        'assert early is None or early.point_sample is mmcv.ops.point_sample\n'
        'import mmseg.models\n'
    )
    assert done.returncode == 0, done.stderr


def test_another_operator_says_what_is_missing_and_how_to_get_it():
    done = run(
        FORCE + 'import mmcv.ops, torch\n'
        'mmcv.ops.roi_pool(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), 2)'
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "MissingOperatorError: 'roi_pool_forward' of MMCV is not compiled here" in last
    assert 'MMCV_WITH_OPS=1 pip install' in last and 'mmcv==' in last


def test_openmmlab_finds_operators_and_names_them():
    done = run(
        FORCE + 'from mmengine.utils.dl_utils import mmcv_full_available\n'
        'from mmcv.utils import collect_env\n'
        'assert mmcv_full_available()\n'
        'assert collect_env()["MMCV Compiler"] == "none: mmcoat.compat"'
    )
    assert done.returncode == 0, done.stderr


@needs_mmdet
@pytest.mark.skipif(not COMPILED, reason='tests/detection itself runs on our operators here')
@pytest.mark.parametrize(
    'name',
    [
        'mask_rcnn_coat_lite_t_1x_coco.py',
        'cascade_mask_rcnn_coat_lite_s_1x_coco.py',
        'retinanet_coat_lite_s_1x_coco.py',
        'atss_dyhead_coat_lite_s_2x_coco.py',
        'deformable_detr_coat_lite_s_coco.py',
        'dino_4scale_coat_lite_s_12e_coco.py',
        'mask2former_coat_lite_s_coco.py',
        'mask2former_coat_lite_s_ade20k.py',
    ],
)
def test_trains_a_step_and_predicts(name):
    """The tests of the configs, with only our operators."""
    test = f'test_steps_and_predicts[{name}]'
    if 'ade20k' in name:
        test = f'test_mask2former_segmentor[{name}]'
    path = ROOT / 'tests' / 'detection' / 'test_configs.py'
    arguments = [f'{path}::{test}', '-o', 'addopts=', '-p', 'no:cacheprovider']
    done = run(
        f'{FORCE}import pytest, sys\n'
        f'code = pytest.main({arguments!r})\n'
        'from mmcoat.compat import Extension\n'
        'from mmcv.ops import nms\n'
        'assert isinstance(sys.modules[nms.__module__].ext_module, Extension)\n'
        'sys.exit(code)'
    )
    assert done.returncode == 0 and '100%' in done.stdout, done.stdout + done.stderr
