"""MMPretrain's classifier as a program."""

import json

import pytest
import torch

from mmcoat.export import ExportError, ExportOptions, export_model
from tests.export.common import ARCH, DIMS, weights
from tests.helpers import load


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    cfg = load('coat_lite_t_in1k.py')
    cfg.model.backbone.update(arch=dict(ARCH), init_cfg=None)
    cfg.model.head.in_channels = DIMS[-1]
    return cfg, weights(cfg, tmp_path_factory.mktemp('classifier') / 'a.pth')


@pytest.mark.parametrize(('output', 'shape'), [('logits', (2, 1000)), ('labels', (2,))])
def test_classifier(classifier, tmp_path, output, shape):
    """Open batch and sizes, RGB in uint8; equal to PyTorch at three other sizes."""
    options = ExportOptions(
        format='torch-export',
        dynamic=('batch', 'height', 'width'),
        output=output,
        preprocess=True,
        shape=(96, 128),
        verify=True,
    )
    path = tmp_path / 'program.pt2'
    found = export_model(*classifier, path, options)
    assert len({one.shape for one in found}) == 3
    assert all(one.wrong == 0 for one in found)
    extra = {'mmcoat.json': ''}
    program = torch.export.load(str(path), extra_files=extra)
    out = program.module()(torch.zeros(2, 3, 101, 90, dtype=torch.uint8))
    assert tuple(out.shape) == shape
    facts = json.loads(extra['mmcoat.json'])
    assert facts['task'] == 'classification'
    assert len(facts['classes']) == 1000


def test_classifier_as_onnx(classifier, tmp_path):
    """Equal to PyTorch in onnxruntime at three sizes; the exporter imports torchvision where it finds it."""
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(package)
    options = ExportOptions(
        format='onnx', dynamic=('batch', 'height', 'width'), shape=(96, 128), verify=True
    )
    found = export_model(*classifier, tmp_path / 'program.onnx', options)
    assert len({one.shape for one in found}) == 3
    assert all(one.wrong == 0 for one in found)


def test_classifiers_have_no_neck(classifier, tmp_path):
    options = ExportOptions(format='torch-export', part='neck', shape=(64, 64))
    with pytest.raises(ExportError, match='has no neck; take --part backbone'):
        export_model(*classifier, tmp_path / 'program.pt2', options)
