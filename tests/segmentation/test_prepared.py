"""Whole models, prepared: what they predict under autocast, on weights that are cast once."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmcoat import prepare_for_inference, runs
from mmcoat.apis.fast import set_up_test
from mmcoat.errors import UsageError
from tests.helpers import load

pytest.importorskip('mmseg')


def build(name):
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    cfg.model.backbone.arch = 'lite_tiny'
    runs.fit_to_devices(cfg)
    part = cfg.model.get('neck') or cfg.model.decode_head  # what takes the backbone's maps
    part.in_channels = [64, 128, 256, 320]
    if 'auxiliary_head' in cfg.model:
        cfg.model.auxiliary_head.in_channels = 256
    if 'num_queries' in cfg.model.get('decode_head', {}):
        cfg.model.decode_head.num_queries = 5
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    return MODELS.build(cfg.model).eval().requires_grad_(False)


def batch(model):
    from mmseg.structures import SegDataSample

    sizes = dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64))
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    model.data_preprocessor.size = (64, 64)
    return lambda: dict(inputs=[image], data_samples=[SegDataSample(metainfo=sizes)])


@pytest.mark.parametrize(
    'name',
    [
        'fpn_coat_lite_s_ade20k.py',
        'segformer_coat_lite_s_ade20k.py',
        'mask2former_coat_lite_s_ade20k.py',
    ],
)
def test_segmentors(name):
    if name.startswith('mask2former'):
        pytest.importorskip('mmdet.models')
    model = build(name)
    data = batch(model)
    for dtype in (torch.float32, torch.bfloat16):
        prepared = prepare_for_inference(model, dtype)
        found = prepared.test_step(data())[0].seg_logits.data
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=dtype != torch.float32):
            expected = model.test_step(data())[0].seg_logits.data
        tolerance = (1e-5 if dtype == torch.float32 else 1e-2) * expected.abs().max().item()
        torch.testing.assert_close(found.float(), expected.float(), rtol=0, atol=tolerance)
    layers = [
        m for m in prepared.prepared().decode_head.modules() if isinstance(m, torch.nn.Conv2d)
    ]
    assert layers and all(layer.weight.dtype == torch.bfloat16 for layer in layers)
    with torch.no_grad():
        model.decode_head.load_state_dict(
            {k: v * 1.5 for k, v in model.decode_head.state_dict().items()}
        )
    changed = prepared.test_step(data())[0].seg_logits.data
    assert not torch.equal(changed, found)


class FakeRunner:
    def __init__(self, model):
        self.model = model


def test_a_runner_gets_what_it_is_to_test():
    runner = FakeRunner(build('fpn_coat_lite_s_ade20k.py'))
    model, data = runner.model, batch(runner.model)
    set_up_test(runner, None, False)
    assert runner.model is model
    expected = model.test_step(data())[0].pred_sem_seg.data
    set_up_test(runner, 'fp32', True)
    found = runner.model.eval().test_step(data())[0]
    assert torch.equal(found.pred_sem_seg.data, expected) and 'seg_logits' not in found


def test_a_detector_does_not_spare_memory():
    with pytest.raises(UsageError, match='segmentors'):
        set_up_test(FakeRunner(torch.nn.Linear(2, 2)), None, True)
