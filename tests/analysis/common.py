"""What the tests of analyses share: models whose answers differ, and detectors that know the truth."""

from pathlib import Path

import torch
from mmengine.config import Config

from mmcoat import runs
from mmcoat.apis import models
from mmcoat.datasets.synthetic import make_coco
from tests.helpers import ROOT

SMALL = 'test_dataloader.dataset.pipeline.1.scale'


def save_random(cfg: Config, path: Path, seed: int = 0) -> Path:
    """Save a segmentor with random weights; the last layer's are large, so that all classes occur."""
    torch.manual_seed(seed)
    model, _ = models.build(cfg, None)
    head = model.decode_head.conv_seg
    torch.nn.init.normal_(head.weight, std=5.0)
    torch.nn.init.zeros_(head.bias)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


def detector(folder: Path) -> tuple[Path, Path]:
    """Write drawn COCO images, a config of a small detector with few boxes, and random weights."""
    make_coco(folder / 'coco', train=1, val=4, size=(96, 64), seed=0, overwrite=True)
    path, weights = folder / 'mydet.py', folder / 'weights.pth'
    path.write_text(f"""
_base_ = {str(ROOT / 'configs' / 'mask_rcnn_coat_lite_t_1x_coco.py')!r}
data_root = {str(folder / 'coco')!r}
test_dataloader = dict(num_workers=0, persistent_workers=False)
model = dict(
    backbone=dict(init_cfg=None),
    test_cfg=dict(rpn=dict(max_per_img=12), rcnn=dict(max_per_img=5, score_thr=0.0)),
)
""")
    torch.manual_seed(0)
    model, _ = models.build(load_small(path), None)
    torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
    return path, weights


def load_small(path: Path) -> Config:
    """Return a detector's config with test images of 96 x 64 pixels, as ``SMALL`` sets it for a tool."""
    return runs.load_config(str(path), {SMALL: (96, 64)})


def answer_the_truth(monkeypatch, shift: float = 0.0, false: bool = False) -> None:
    """Let Mask R-CNN find every object, ``shift`` pixels to the right, and one that is not there."""
    from mmdet.models import MaskRCNN
    from mmengine.structures import InstanceData

    def find(self, data):
        for sample in data['data_samples']:
            real = sample.gt_instances
            boxes = getattr(real.bboxes, 'tensor', real.bboxes)
            boxes = boxes + boxes.new_tensor([shift, 0, shift, 0])
            labels, scores = real.labels, torch.full((len(boxes),), 0.9)
            if false:
                boxes = torch.cat([boxes, boxes.new_tensor([[0.0, 0.0, 3.0, 3.0]])])
                labels = torch.cat([labels, labels.new_tensor([0])])
                scores = torch.cat([scores, torch.tensor([0.4])])
            sample.pred_instances = InstanceData(bboxes=boxes, labels=labels, scores=scores)
        return data['data_samples']

    monkeypatch.setattr(MaskRCNN, 'test_step', find)
