"""Detectors up to their neck, at sizes that were not traced."""

import pytest
import torch

from mmcoat.export import ExportOptions, export_model
from tests.helpers import load

pytest.importorskip('mmdet.models')
from tests.export.common import ARCH, DIMS, weights

NECKS = dict(mask_rcnn_coat_lite_s_1x_coco=DIMS, retinanet_coat_lite_s_1x_coco=DIMS[1:])


def detector(name: str):
    """Return a real config with a small backbone and few channels up to the neck."""
    cfg = load(f'{name}.py')
    cfg.model.backbone.update(arch=dict(ARCH), init_cfg=None)
    cfg.model.neck.update(in_channels=NECKS[name], out_channels=256)
    return cfg


@pytest.mark.parametrize('name', NECKS)
def test_necks_with_open_sizes(name, tmp_path):
    """The whole way: five maps, equal to PyTorch's at three other sizes, odd ones among them."""
    cfg = detector(name)
    options = ExportOptions(
        format='torch-export',
        part='neck',
        dynamic=('height', 'width'),
        shape=(256, 320),
        verify=True,
    )
    checkpoint = weights(cfg, tmp_path / 'a.pth')
    found = export_model(cfg, checkpoint, tmp_path / 'a.pt2', options)
    assert len({one.shape for one in found}) == 3
    assert (2, 3, 256, 320) not in {one.shape for one in found}
    assert all(one.error < 1e-4 for one in found)
    program = torch.export.load(str(tmp_path / 'a.pt2')).module()
    assert len(program(torch.zeros(1, 3, 300, 290))) == 5
