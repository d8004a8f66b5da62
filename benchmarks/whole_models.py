"""Whole models: the real configs with their data preprocessors, around each contender's backbone."""

import warnings
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mmcoat import runs
from mmcoat.analysis.flops import drop_pretrained
from mmcoat.arch import ARCH_ZOO

from .cases import Case
from .errors import UnavailableError
from .steps import Step
from .weights import SEED, fill

FILES = {
    'upernet': 'upernet_coat_{}_ade20k.py',
    'fpn': 'fpn_coat_{}_ade20k.py',
    'segformer': 'segformer_coat_{}_ade20k.py',
    'mask2former': 'mask2former_coat_{}_ade20k.py',
    'mask_rcnn': 'mask_rcnn_coat_{}_1x_coco.py',
}
SHORT_NAMES = {
    'lite_tiny': 'lite_t',
    'lite_mini': 'lite_mini',
    'lite_small': 'lite_s',
    'lite_medium': 'lite_m',
    'tiny': 't',
    'mini': 'mini',
    'small': 's',
}
SWIN_CHANNELS = [96, 192, 384, 768]
OBJECTS = 8  # in an image of the training batch


class Recorder(nn.Module):
    """A backbone that can keep its last maps, compiled or not.

    Args:
        model: Images -> maps.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.recording = True
        self.maps: tuple[Tensor, ...] = ()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> maps."""
        maps = tuple(self.model(x))
        if self.recording:
            self.maps = maps
        return maps


def build_whole_model(case: Case, backbone: nn.Module, is_swin: bool) -> nn.Module:
    """Build the step's model: :func:`build_around`, with a backbone that records its maps."""
    model = build_around(case, Recorder(backbone), is_swin)
    return model.train(case.mode == 'train')


def build_around(case: Case, backbone: nn.Module, is_swin: bool) -> nn.Module:
    """Build the config's model around ``backbone``, with the same weights in its heads for all CoaTs.

    Raises:
        UnavailableError: The toolbox is not installed.
    """
    cfg = load_config(case)
    if is_swin:
        _set_channels(cfg, SWIN_CHANNELS)
    scope = cfg.default_scope
    init_default_scope(scope)
    try:
        module = __import__(f'{scope}.registry', fromlist=['MODELS'])
        __import__(f'{scope}.models')
    except ImportError as error:
        raise UnavailableError(
            f'{case.model} needs {scope}: {str(error).splitlines()[0]}'
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # warnings of the toolbox about its own defaults
        model = module.MODELS.build(cfg.model)
    fill(model)
    if case.model == 'mask_rcnn':
        _steady_detections(model)
    model.backbone = backbone
    return model


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


def load_config(case: Case) -> Config:
    """Return the case's config without weights to fetch."""
    name = FILES[case.model].format(SHORT_NAMES[case.arch])
    cfg = runs.load_config(str(runs.find_config(name)))
    drop_pretrained(cfg)
    if cfg.default_scope == 'mmseg':
        cfg.model.data_preprocessor.size = case.size
    return cfg


def _set_channels(cfg: Config, channels: list[int]) -> None:
    """Let the part behind the backbone take maps of ``channels``."""
    model = cfg.model
    if 'neck' in model:
        model.neck.in_channels = channels
        return
    model.decode_head.in_channels = channels
    if model.get('auxiliary_head'):
        model.auxiliary_head.in_channels = channels[model.auxiliary_head.in_index]


class WholeStep(Step):
    """A step through a whole model, from uint8 images to predictions or gradients.

    Its random choices (dropout, sampled proposals) change with tiny differences, so gradients are not
    compared. The maps that the heads receive are compared.

    Args:
        model: Result of :func:`build_whole_model`.
        case: Mode and precision.
        device: Where.
    """

    compares_gradients = False

    def __init__(self, model: nn.Module, case: Case, device: torch.device):
        super().__init__(model, case, device)
        self.data = make_batch(case)

    def forward(self) -> Any:
        """Return the predictions, or the loss."""
        with torch.set_grad_enabled(self.training), self.contexts():
            if not self.training:
                return self.model.test_step(self.data)
            data = self.model.data_preprocessor(self.data, True)
            return self.model.parse_losses(self.model(**data, mode='loss'))[0]

    def backward(self, result: Tensor) -> None:
        """Backpropagate the loss."""
        result.backward()

    def maps(self, result: Any) -> tuple[Tensor, ...]:
        """Return the backbone's maps of the last call, and keep no maps from now on."""
        recorder = self.model.backbone
        maps, recorder.maps, recorder.recording = recorder.maps, (), False
        return maps


def make_batch(case: Case) -> dict[str, list]:
    """Return random uint8 images with random annotations, as a data loader returns them."""
    generator = torch.Generator().manual_seed(SEED)
    shape = (3, *case.size)
    inputs = [
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        for _ in range(case.batch)
    ]
    make = _detection_sample if case.model == 'mask_rcnn' else _segmentation_sample
    samples = [make(case.size, generator) for _ in range(case.batch)]
    for sample in samples:
        sample.set_metainfo(dict(img_shape=case.size, ori_shape=case.size, pad_shape=case.size))
    return dict(inputs=inputs, data_samples=samples)


def _segmentation_sample(size: tuple[int, int], generator: torch.Generator) -> Any:
    from mmseg.structures import SegDataSample

    labels = torch.randint(0, 150, (1, *size), generator=generator)
    return SegDataSample(gt_sem_seg=PixelData(data=labels))


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
    sample = DetDataSample(gt_instances=instances)
    sample.set_metainfo(dict(batch_input_shape=size, scale_factor=(1.0, 1.0)))
    return sample


assert set(SHORT_NAMES) == set(ARCH_ZOO), 'an arch without a name in config files'
