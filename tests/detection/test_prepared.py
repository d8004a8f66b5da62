"""A detector, prepared: the boxes and masks that it finds without."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmcoat import prepare_for_inference
from tests.helpers import load

pytest.importorskip('mmdet')


def test_mask_rcnn():
    from mmdet.structures import DetDataSample

    cfg = load('mask_rcnn_coat_lite_s_1x_coco.py')
    cfg.model.backbone.init_cfg = None
    cfg.model.backbone.arch = 'lite_tiny'
    cfg.model.neck.in_channels = [64, 128, 256, 320]
    cfg.model.test_cfg.rpn.max_per_img = 20
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    cfg.model.test_cfg.rcnn.max_per_img = 5
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval().requires_grad_(False)
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    sizes = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0))

    def run(one):
        data = dict(inputs=[image], data_samples=[DetDataSample(metainfo=sizes)])
        with torch.no_grad():
            return one.test_step(data)[0].pred_instances

    expected, found = run(model), run(prepare_for_inference(model))
    assert len(found) == len(expected) == 5
    torch.testing.assert_close(found.scores, expected.scores)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=0, atol=1e-3)
    assert torch.equal(found.masks, expected.masks)
    # in bfloat16 the backbone's maps are rounded, and the heads compute in float32
    prepared = prepare_for_inference(model, torch.bfloat16)
    assert run(prepared).bboxes.dtype == torch.float32
    dtypes = {p.dtype for p in prepared.prepared().roi_head.parameters()}
    assert dtypes == {torch.float32}
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16):
            right = model.backbone(x)
        for ours, theirs in zip(prepared.prepared().backbone(x), right, strict=True):
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours, theirs.float())
