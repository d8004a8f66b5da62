"""CoaT builds from every toolbox's registry; each case in a fresh process, as a user's script is."""

import subprocess
import sys

import pytest

HEADER = "cfg = dict(type='{type}', arch='lite_tiny', out_indices=(0, 1, 2, 3))\n"
# without compiled operators the toolboxes' models do not import by themselves
OPERATORS = 'from mmcoat.compat import use_pytorch_ops; use_pytorch_ops()\n'
CHECK = "\nassert type(model).__name__ == 'CoaT' and len(model.stages) == 4\n"


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ('type_', 'code'),
    [
        ('mmcoat.CoaT', 'from mmengine.registry import MODELS; model = MODELS.build(cfg)'),
        ('mmcoat.CoaT', 'from mmseg.registry import MODELS; model = MODELS.build(cfg)'),
        ('mmcoat.CoaT', 'from mmdet.registry import MODELS; model = MODELS.build(cfg)'),
        (
            'mmcoat.CoaT',
            'from mmengine.registry import init_default_scope; init_default_scope("mmseg");'
            'from mmengine.registry import MODELS; model = MODELS.build(cfg)',
        ),
        (
            'CoaT',
            'import mmcoat.models; from mmengine.registry import MODELS; model = MODELS.build(cfg)',
        ),
        ('CoaT', 'import mmcoat; from mmengine.registry import MODELS; model = MODELS.build(cfg)'),
        ('CoaT', 'import mmcoat; from mmseg.registry import MODELS; model = MODELS.build(cfg)'),
        ('CoaT', 'import mmcoat; from mmdet.registry import MODELS; model = MODELS.build(cfg)'),
    ],
)
def test_builds(type_, code):
    before = OPERATORS if 'mmseg' in code or 'mmdet' in code else ''
    result = run(before + HEADER.format(type=type_) + code + CHECK)
    assert result.returncode == 0, result.stderr[-2000:]


def test_unknown_argument_is_named_through_the_registry():
    code = HEADER.format(type='mmcoat.CoaT').replace('arch=', 'depth=3, arch=')
    result = run(code + 'from mmengine.registry import MODELS; MODELS.build(cfg)')
    assert result.returncode != 0
    assert "no argument ['depth']; it takes arch" in result.stderr


def test_import_is_light():
    """Nothing heavy comes with mmcoat before it is used; PyTorch alone takes seconds."""
    code = (
        'import sys, mmengine; before = set(sys.modules); import mmcoat; '
        'new = {m.split(".")[0] for m in set(sys.modules) - before}; '
        'heavy = {"torch", "numpy", "mmcv", "mmseg", "mmdet", "mmpretrain", "matplotlib", "cv2"}; '
        'assert not new & heavy, new & heavy; '
        'assert mmcoat.ARCH_ZOO and mmcoat.checkpoints.list() and mmcoat.CoaT'
    )
    result = run(code)
    assert result.returncode == 0, result.stderr[-2000:]
