"""Whole models: the real configs with their data preprocessors, around each contender's backbone."""

import warnings
from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mmcoat import runs
from mmcoat.analysis.flops import build_model
from mmcoat.apis.models import SHORT_NAMES
from mmcoat.errors import UsageError

from .cases import SEED, Case, UnavailableError
from .contenders import fill
from .steps import Step

FILES = {
    'upernet': 'upernet_coat_{}_ade20k.py',
    'fpn': 'fpn_coat_{}_ade20k.py',
    'segformer': 'segformer_coat_{}_ade20k.py',
    'mask2former': 'mask2former_coat_{}_ade20k.py',
    'mask_rcnn': 'mask_rcnn_coat_{}_1x_coco.py',
}
SWIN_CHANNELS = [96, 192, 384, 768]
OBJECTS = 8  # in an image of the training batch


def build_around(case: Case, backbone: nn.Module, is_swin: bool) -> nn.Module:
    """Build the config's model around ``backbone``, with the same weights in its heads for all CoaTs.

    Raises:
        UnavailableError: The toolbox is not installed.
    """
    name = FILES[case.model].format(SHORT_NAMES.get(case.arch, case.arch))
    cfg = runs.load_config(str(runs.find_config(name)))
    if is_swin:
        _set_channels(cfg.model, SWIN_CHANNELS)
    if cfg.default_scope == 'mmseg':
        cfg.model.data_preprocessor.size = case.size
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # warnings of the toolbox about its own defaults
            model = build_model(cfg)
    except UsageError as error:
        raise UnavailableError(str(error)) from error
    fill(model)
    if case.model == 'mask_rcnn':
        _steady_detections(model)
    model.backbone = backbone
    return model.train(case.mode == 'train')


def _steady_detections(model: nn.Module) -> None:
    """Make a detector find the same boxes with every backbone, because the work of its heads depends on them.

    All anchors are equally good proposals, and all proposals are objects of the first class. After the
    suppression of overlapping boxes a hundred are left, which is the maximum of the config, as in a picture
    full of objects.
    """
    head = model.roi_head.bbox_head
    with torch.no_grad():
        for layer in (model.rpn_head.rpn_cls, model.rpn_head.rpn_reg, head.fc_cls, head.fc_reg):
            layer.weight.zero_()
            layer.bias.zero_()
        head.fc_cls.bias[0] = 5.0


def _set_channels(model: Config, channels: list[int]) -> None:
    """Let the part behind the backbone take maps of ``channels``."""
    if 'neck' in model:
        model.neck.in_channels = channels
        return
    model.decode_head.in_channels = channels
    if model.get('auxiliary_head'):
        model.auxiliary_head.in_channels = channels[model.auxiliary_head.in_index]


class WholeStep(Step):
    """A step through a whole model, from uint8 images to predictions or gradients.

    Its random choices (dropout, sampled proposals) change with tiny differences, so gradients are not
    compared, only the maps.
    """

    compares_gradients = False

    def __init__(self, model: nn.Module, case: Case, device: torch.device):
        super().__init__(model, case, device)
        self.backbone = model.backbone

    def make_data(self) -> dict[str, list]:
        """Return random uint8 images with random annotations, as a data loader returns them."""
        case, generator = self.case, torch.Generator().manual_seed(SEED)
        shape = case.batch, 3, *case.size
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        make = _detection_sample if case.model == 'mask_rcnn' else _segmentation_sample
        samples = [make(case.size, generator) for _ in range(case.batch)]
        return dict(inputs=list(images), data_samples=samples)

    def forward(self) -> Any:
        """Return the predictions, or the loss."""
        if not self.training:
            return self.model.test_step(self.data)
        data = self.model.data_preprocessor(self.data, True)
        return self.model.parse_losses(self.model(**data, mode='loss'))[0]

    def backward(self, result: Tensor) -> None:
        """Backpropagate the loss."""
        result.backward()


def _segmentation_sample(size: tuple[int, int], generator: torch.Generator) -> Any:
    from mmseg.structures import SegDataSample

    labels = torch.randint(0, 150, (1, *size), generator=generator)
    shapes = dict(img_shape=size, ori_shape=size, pad_shape=size)
    return SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo=shapes)


def _detection_sample(size: tuple[int, int], generator: torch.Generator) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    limit = torch.tensor([size[1], size[0]])
    corners = torch.rand(OBJECTS, 2, generator=generator) * 0.6
    extents = 0.1 + 0.3 * torch.rand(OBJECTS, 2, generator=generator)
    boxes = torch.cat([corners * limit, (corners + extents) * limit], dim=1)
    masks = torch.zeros(OBJECTS, *size, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    instances = InstanceData(
        bboxes=boxes,
        labels=torch.randint(0, 80, (OBJECTS,), generator=generator),
        masks=BitmapMasks(masks.numpy(), *size),
    )
    shapes = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size)
    return DetDataSample(gt_instances=instances, metainfo=shapes | dict(scale_factor=(1.0, 1.0)))
