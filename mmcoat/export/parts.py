"""The parts of a model that become programs: tensors in, tensors out, nothing of OpenMMLab in between."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from .errors import ExportError


class Features(nn.Module):
    """A backbone, optionally with its neck.

    Args:
        backbone: Gives a tuple of maps.
        neck: Takes them.
    """

    def __init__(self, backbone: nn.Module, neck: nn.Module | None = None):
        super().__init__()
        self.backbone, self.neck = backbone, neck

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> maps (B, C, h, w), finest first."""
        maps = self.backbone(image)
        return tuple(maps if self.neck is None else self.neck(maps))


class Segmentor(nn.Module):
    """Backbone, neck and decode head, with scores at the size of the image.

    Args:
        model: MMSegmentation's EncoderDecoder.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.features = Features(model.backbone, model.neck if model.with_neck else None)
        self.decode_head = model.decode_head

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> scores (B, classes, H, W)."""
        scores = self.decode_head(self.features(image))
        align = self.decode_head.align_corners
        return F.interpolate(scores, size=image.shape[2:], mode='bilinear', align_corners=align)


class Classifier(nn.Module):
    """MMPretrain's classifier up to its logits.

    Args:
        model: MMPretrain's ImageClassifier.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.features = Features(model.backbone, model.neck)
        self.head = model.head

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, classes)."""
        return self.head(self.features(image))


class Labels(nn.Module):
    """The class with the highest score, instead of the scores.

    Args:
        part: Gives scores (B, classes, ...).
        threshold: Probability above which a single class is present; mmseg's heads with one channel have it.
    """

    def __init__(self, part: nn.Module, threshold: float | None):
        super().__init__()
        self.part, self.threshold = part, threshold

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> labels (B, ...), int64."""
        return self.of(self.part(image))

    def of(self, scores: Tensor) -> Tensor:
        """(B, classes, ...) -> (B, ...), int64."""
        if self.threshold is None:
            return scores.argmax(1)
        return (scores[:, 0].sigmoid() > self.threshold).long()


@dataclass(frozen=True)
class Preprocessing:
    """The config's preprocessing of an RGB image.

    Attributes:
        mean: Mean of each channel, in the order of the network.
        std: Standard deviation of each channel, in the same order.
        rgb: Whether the network takes RGB; else BGR.
        divisor: In tests, height and width are padded to a multiple of it, at the bottom and right. Programs
            accept any size; pad the image to get the same numbers.
        pad_value: Value of that border, after normalisation.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    rgb: bool
    divisor: int
    pad_value: float

    @classmethod
    def of(cls, cfg: Config) -> 'Preprocessing':
        """Read it from a config.

        Raises:
            ExportError: The config does not normalise, or not with three channels.
        """
        given: Mapping[str, Any] = (
            cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
        )
        mean, std = given.get('mean'), given.get('std')
        if not mean or not std or len(mean) != 3 or len(std) != 3:
            raise ExportError(
                f'the data_preprocessor of the config must have a mean and a std of three channels, '
                f'got {mean} and {std}'
            )
        test = given.get('test_cfg') or {}
        divisor = test.get('size_divisor') or given.get('pad_size_divisor') or 1
        rgb = bool(given.get('bgr_to_rgb') or given.get('to_rgb'))
        pad_value = given.get('pad_val', given.get('pad_value', 0))
        return cls(tuple(mean), tuple(std), rgb, int(divisor), float(pad_value or 0))

    def apply(self, image: Tensor) -> Tensor:
        """RGB (B, 3, H, W) of 0 to 255, any dtype -> normalised, float32."""
        mean, std = (image.new_tensor(x, dtype=torch.float32) for x in (self.mean, self.std))
        x = image.float() if self.rgb else image.float().flip(1)
        return (x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)


class WithPreprocessing(nn.Module):
    """Normalise inside the program, so that it takes unchanged RGB images, uint8.

    Args:
        part: Takes normalised images.
        preprocessing: What to do.
    """

    def __init__(self, part: nn.Module, preprocessing: Preprocessing):
        super().__init__()
        self.part, self.preprocessing = part, preprocessing

    def forward(self, image: Tensor) -> Any:
        """RGB (B, 3, H, W), uint8 -> the output of the part."""
        return self.part(self.preprocessing.apply(image))


def build_part(model: nn.Module, task: str, part: str) -> nn.Module:
    """Return the part in evaluation mode, with its own copy of the weights.

    Args:
        model: Of one of the three toolboxes.
        task: ``'segmentation'``, ``'detection'`` or ``'classification'``.
        part: ``'backbone'``, ``'neck'`` (backbone and neck), or ``'model'``.

    Raises:
        ExportError: The model has no such part, or it cannot become a program.
    """
    makers: dict[str, Callable[[], nn.Module]] = {
        'backbone': lambda: Features(model.backbone),
        'neck': lambda: Features(model.backbone, _neck(model)),
        'model': lambda: _whole(model, task),
    }
    return copy.deepcopy(makers[part]()).eval().requires_grad_(False)


def _neck(model: nn.Module) -> nn.Module:
    if not getattr(model, 'with_neck', False):
        raise ExportError(f'this {type(model).__name__} has no neck; take --part backbone')
    return model.neck


def _whole(model: nn.Module, task: str) -> nn.Module:
    if task == 'detection':
        raise ExportError(
            'detectors are exported up to their neck: proposals, NMS and RoIAlign are not standard '
            'operators; '
            'take --part neck or --part backbone'
        )
    if task == 'classification':
        return Classifier(model)
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

    head = type(model.decode_head)
    # a head with its own predict returns queries or refines points; its forward does not return scores
    if getattr(head, 'predict', None) is not BaseDecodeHead.predict:
        raise ExportError(
            f'{head.__name__} gives something other than scores per pixel; take --part backbone'
        )
    return Segmentor(model)


def threshold_of(model: nn.Module) -> float | None:
    """Return the threshold of a segmentor with one channel of scores; None for any other model."""
    head: Any = getattr(model, 'decode_head', None)
    return head.threshold if getattr(head, 'out_channels', 0) == 1 else None
