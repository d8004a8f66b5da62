"""Deformable DETR is equal to the official one, and takes its files as they are."""

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from mmcoat.checkpoints import CheckpointError
from mmcoat.checkpoints.deformable_detr import COCO_IDS
from tests import golden
from tests.helpers import load

pytest.importorskip('mmdet.models')
from mmdet.datasets import CocoDataset
from mmdet.structures import DetDataSample

CONFIG_OF = {
    'coat_lite_small': 'deformable_detr_coat_lite_s_coco.py',
    'coat_small': 'deformable_detr_coat_s_coco.py',
}


def build(name: str, **changes) -> torch.nn.Module:
    init_default_scope('mmdet')
    config = load(CONFIG_OF[name])
    config.model.backbone.init_cfg = None
    config.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    model = ROOT_MODELS.build(config.model)
    model.init_weights()  # the level embedding is unset memory before, which may hold NaN
    return model.eval()


def official(name: str) -> dict[str, torch.Tensor]:
    return golden.state_dict(golden.load('deformable_detr.json')[name]['state_dict'])


@pytest.fixture(scope='module')
def lite_small() -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    return build('coat_lite_small'), official('coat_lite_small')


def raw_outputs(model: torch.nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the last layer's logits (1, 300, 80) and boxes (1, 300, 4), cx cy w h in 0..1."""
    sample = DetDataSample(
        metainfo=dict(img_shape=image.shape[-2:], batch_input_shape=image.shape[-2:])
    )
    with torch.inference_mode():
        logits, boxes = model(image, [sample], mode='tensor')
    return logits[-1], boxes[-1]


@pytest.mark.parametrize('name', CONFIG_OF)
def test_golden(name, tmp_path):
    """Logits of the 80 columns that mean something, and boxes, within the golden tolerance."""
    model, record = build(name), golden.load('deformable_detr.json')[name]
    torch.save({'model': official(name), 'epoch': 49}, tmp_path / 'official.pth')
    load_checkpoint(model, str(tmp_path / 'official.pth'), map_location='cpu', strict=True)
    logits, boxes = raw_outputs(model, golden.image(record['input']))

    golden.assert_matches(boxes, record['pred_boxes'])
    expected = record['pred_logits']
    columns = {coco_id: column for column, coco_id in enumerate(COCO_IDS)}
    compared = 0
    for index, value in zip(expected['index'], expected['value'], strict=True):
        query, coco_id = divmod(index, 91)
        if coco_id in columns:
            found = logits[0, query, columns[coco_id]].item()
            assert abs(found - value) <= 1e-4 * expected['std']
            compared += 1
    assert compared >= 40
    # 11 columns of 256 weights and a bias are dropped, nothing else
    assert sum(p.numel() for p in model.parameters()) == record['parameters'] - 11 * 257


def test_columns_are_mmdetections_classes():
    from mmcoat.datasets.synthetic import coco_categories

    names = {entry['id']: entry['name'] for entry in coco_categories()}
    assert tuple(names[i] for i in COCO_IDS) == tuple(CocoDataset.METAINFO['classes'])


@pytest.mark.parametrize('change', ['missing', 'unexpected', 'shape', 'alias', 'columns'])
def test_what_does_not_fit_is_an_error(lite_small, change):
    """Even if the loader is lenient, like MMEngine's."""
    model, weights = lite_small[0], dict(lite_small[1])
    if change == 'missing':
        del weights['transformer.encoder.layers.3.norm1.bias']
    elif change == 'unexpected':
        weights['transformer.encoder.layers.6.norm1.bias'] = torch.zeros(256)
    elif change == 'shape':
        weights['query_embed.weight'] = torch.zeros(100, 512)
    elif change == 'alias':
        key = 'backbone.0.backbone.serial_blocks3.1.cpe.proj.bias'
        weights[key] = weights[key] + 1
    else:
        weights['class_embed.0.weight'] = torch.zeros(80, 256)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        model.load_state_dict({'model': weights}, strict=False)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_other_backbone_is_an_error(lite_small):
    with pytest.raises(CheckpointError, match='does not fit'):
        lite_small[0].load_state_dict(official('coat_small'), strict=False)


def test_fine_tuning_keeps_its_own_classifier(lite_small):
    model = build('coat_lite_small', **{'bbox_head.num_classes': 3})
    own = model.state_dict()['bbox_head.cls_branches.0.weight'].clone()
    model.load_state_dict(lite_small[1], strict=False)
    state = model.state_dict()
    assert torch.equal(state['bbox_head.cls_branches.0.weight'], own)
    assert torch.equal(state['query_embedding.weight'], lite_small[1]['query_embed.weight'])


def test_own_files_load(lite_small):
    model, weights = lite_small
    model.load_state_dict(weights)
    own = {k: v.clone() for k, v in model.state_dict().items()}
    other = build('coat_lite_small')
    other.load_state_dict(own, strict=True)
    for key, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), own[key].numpy(), err_msg=key)


def test_padded_images(lite_small):
    """An image alone and the same image padded in a batch of mixed sizes find the same boxes."""
    model, weights = lite_small
    model.load_state_dict(weights)
    small, large = golden.image([1, 3, 96, 128]), golden.image([1, 3, 128, 192])
    alone = raw_outputs(model, small)
    batch = torch.zeros(2, 3, 128, 192)
    batch[0, :, :96, :128], batch[1] = small[0], large[0]
    samples = [
        DetDataSample(metainfo=dict(img_shape=shape, batch_input_shape=(128, 192)))
        for shape in ((96, 128), (128, 192))
    ]
    with torch.inference_mode():
        _, boxes = model(batch, samples, mode='tensor')
    # Not equal: the class token attends to the padding too. In the valid part, boxes stay near.
    assert boxes.shape == (6, 2, 300, 4)
    assert torch.isfinite(boxes).all()
    assert (boxes[-1, 0] - alone[1][0]).abs().mean() < 0.05
