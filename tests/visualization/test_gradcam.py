"""Grad-CAM for every kind of model, and for maps that the score does not depend on."""

import pytest
import torch
from torch import nn

from mmcoat import CoaT, create_model
from mmcoat.apis import models as apis_models
from mmcoat.errors import UsageError
from mmcoat.visualization import grad_cam
from mmcoat.visualization.gradcam import target_map
from tests.helpers import load


@pytest.fixture
def image():
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


class Segmentor(nn.Module):
    """The plainest one: a linear layer on the last map."""

    def __init__(self, backbone: CoaT, classes: int = 5):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.out_channels[-1], classes, 1)

    def forward(self, x):
        return self.head(self.backbone(x)[-1])


def test_against_the_formula(image):
    """Behind a linear head the gradients are its weights: the map is known without autograd."""
    torch.manual_seed(0)
    model = Segmentor(CoaT('lite_tiny')).eval()
    found = grad_cam(model, image, class_index=3)
    with torch.no_grad():
        features = model.backbone(image)[-1][0]
        labels = model(image)[0].argmax(0)
        weights = model.head.weight[3, :, 0, 0]
        expected = torch.einsum('chw,c->hw', features, weights).relu()
        score = model(image)[0, 3]
    assert (found.stage, found.name, found.class_index) == (3, 'stages.3', 3)
    torch.testing.assert_close(found.heat, expected / expected.max())
    chosen = score[labels == 3] if (labels == 3).any() else score
    assert found.score == pytest.approx(chosen.mean().item(), rel=1e-5)
    at = grad_cam(model, image, class_index=3, pixel=(95, 63))
    assert at.score == pytest.approx(score[1, 2].item(), rel=1e-5)
    assert grad_cam(model, image, pixel=(95, 63)).class_index == labels[1, 2]


def test_padding_is_no_pixel(image):
    """Without the padding on the right, its classes do not count."""
    model = Segmentor(CoaT('lite_tiny')).eval()
    found = grad_cam(model, image, size=(64, 64))
    with torch.no_grad():
        labels = model(image)[0, :, :, :2].argmax(0)
    assert found.region == f'{(labels == found.class_index).sum()} predicted pixels'
    with pytest.raises(UsageError, match='from 0,0 to 63,63'):
        grad_cam(model, image, pixel=(64, 0), size=(64, 64))


@pytest.mark.parametrize(
    'name, target',
    [('coat_lite_tiny', 'stages.3.blocks.0'), ('coat_tiny', 'parallel_blocks.4.branches.3')],
)
def test_classifiers(image, name, target):
    torch.manual_seed(0)
    model = create_model(name, num_classes=7).eval()
    found = grad_cam(model, image)
    assert found.name == target
    assert found.class_index == model(image).argmax()
    assert found.score == pytest.approx(model(image).max().item(), rel=1e-4)
    # each class speaks for itself somewhere, or the map says that nothing does
    peaks = {grad_cam(model, image, index).heat.max().item() for index in range(4)}
    assert 1.0 in peaks <= {0.0, 1.0}
    last = dict(stage=3, block='1' if 'lite' in name else 'p5')
    with pytest.raises(UsageError, match='does not depend on the map of'):
        grad_cam(model, image, **last)
    with pytest.raises(UsageError, match='class must be from 0 to 6 in this model, got 7'):
        grad_cam(model, image, 7)
    with pytest.raises(UsageError, match='no score of a pixel'):
        grad_cam(model, image, pixel=(0, 0))


@pytest.mark.parametrize('depth', [1, 2])
@pytest.mark.parametrize('parallel', [0, 1, 2])
def test_default_maps_of_classifiers_have_influence(image, depth, parallel):
    arch = dict(
        embed_dims=[16, 16, 16],
        serial_depths=[1, depth, depth],
        mlp_ratios=[2, 2, 2],
        num_heads=8,
        parallel_depth=parallel,
        parallel_stages=[1, 2] if parallel else [],
    )
    torch.manual_seed(0)
    backbone = CoaT(arch, out_type='cls_token', out_indices=(0, 1, 2))
    model = nn.Sequential()
    model.backbone = backbone.eval()
    model.forward = lambda x: backbone(x)[0]
    for stage in range(3):
        assert grad_cam(model, image, stage=stage).name == target_map(backbone, stage)[1]


@pytest.mark.parametrize('name', ['fpn_coat_lite_t_ade20k', 'mask2former_coat_lite_s_ade20k'])
def test_segmentors_of_mmsegmentation(image, name):
    pytest.importorskip('mmseg')
    if name.startswith('mask2former'):
        pytest.importorskip('mmdet.models')
    torch.manual_seed(0)
    cfg = load(f'{name}.py')
    cfg.model.backbone.arch = 'lite_tiny' if 'lite_t' in name else cfg.model.backbone.arch
    model, _ = apis_models.build(cfg, None)
    found = grad_cam(model, image, class_index=4, pixel=(5, 60), stage=2)
    assert found.heat.shape == (4, 6)
    assert found.region == 'the pixel'
    with pytest.raises(UsageError, match='class must be from 0 to 149'):
        grad_cam(model, image, 150)


@pytest.mark.parametrize(
    'name',
    [
        'mask_rcnn_coat_lite_t_1x_coco',
        'retinanet_coat_lite_s_1x_coco',
        'deformable_detr_coat_lite_s_coco',
    ],
)
def test_detectors_of_mmdetection(image, name):
    pytest.importorskip('mmdet.models')
    torch.manual_seed(0)
    model, _ = apis_models.build(load(f'{name}.py'), None)
    # else RetinaNet's scores are exactly 1, where no gradient is, and Deformable DETR's level_embed is
    # whatever was in its memory
    model.init_weights()
    _find_all(model.test_cfg)
    found = grad_cam(model, image)
    assert found.score > 0
    assert found.heat.max() in (0, 1)  # with random weights all may speak against the class
    assert found.region.endswith('boxes')
    with pytest.raises(UsageError, match='no box of class 80'):
        grad_cam(model, image, 80)


def _find_all(settings) -> None:
    """Let an untrained model find something."""
    for part in (settings, settings.get('rcnn', {})):
        if 'score_thr' in part:
            part.score_thr, part.max_per_img = 0.0, 5
