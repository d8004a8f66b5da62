"""The subject of a view: a backbone, an image as the network receives it, stages, blocks and pixels."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from mmcoat.errors import UsageError
from mmcoat.models.backbones.coat import CoaT

from .overlays import as_picture

STRIDE = (
    4  # pixels of the image per position of the first stage; each further stage has twice as many
)


@dataclass(frozen=True)
class View:
    """An image as the network receives it.

    Attributes:
        inputs: Input of the model, normalised and padded, (1, C, H, W).
        image: The same without padding, for display: (h, w, 3) RGB, uint8.
        sources: Position of each of these pixels in the file: x and y, (h, w, 2).
        size: Width and height of the image in the file.
    """

    inputs: Tensor
    image: np.ndarray
    sources: np.ndarray
    size: tuple[int, int]

    def locate(self, pixel: Sequence[int]) -> tuple[int, int]:
        """Return the pixel (x, y) of ``image`` that shows a pixel of the file.

        Raises:
            UsageError: The pixel is not in the file's image, or the pipeline has cut it off.
        """
        x, y = check_pixel(pixel, self.size)
        away = np.abs(self.sources - (x, y)).max(-1)
        row, column = np.unravel_index(away.argmin(), away.shape)
        step = np.array(self.size) / np.array(away.shape[::-1])
        if away[row, column] > max(2.0, *(2 * step)):
            raise UsageError(
                f'pixel {x},{y} is outside of what the test pipeline keeps of the image'
            )
        return int(column), int(row)


def check_pixel(pixel: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """Check that a pixel lies inside an image, and return it.

    Args:
        pixel: x and y.
        size: Width and height.

    Raises:
        UsageError: It does not, or it is not a pair of whole numbers.
    """
    whole = all(isinstance(n, int | np.integer) for n in pixel)
    if (
        len(pixel) != 2
        or not whole
        or not all(0 <= n < m for n, m in zip(pixel, size, strict=True))
    ):
        shown = ','.join(map(str, pixel))
        raise UsageError(
            f'pixel must be x,y from 0,0 to {size[0] - 1},{size[1] - 1} in this image, got {shown}'
        )
    return int(pixel[0]), int(pixel[1])


def prepare(model: nn.Module, transforms: Sequence[Any], image: np.ndarray) -> View:
    """Send an image through a config's test pipeline and the model's preprocessor.

    Args:
        model: A model of MMSegmentation, MMDetection or MMPretrain.
        transforms: Of the test pipeline, without reading.
        image: (H, W, C), three channels in BGR; uint8, or float32 where the pipeline reads so.
    """
    item = _send(transforms, image)
    data = model.data_preprocessor(pseudo_collate([item]), training=False)
    height, width = image.shape[:2]
    # The file's coordinates go through the same resizes and crops as its colours.
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    sent = _send([_for_floats(t) for t in transforms], np.stack([x, y, x], -1))
    sources = sent['inputs'].permute(1, 2, 0).numpy()  # (3, h, w) -> (h, w, 3)
    shown = item['inputs'].permute(1, 2, 0).numpy()  # (3, h, w) -> (h, w, 3)
    if shown.shape[2] == 3:
        shown = shown[..., ::-1].clip(0, 255).astype(np.uint8)  # BGR -> RGB
    shown = as_picture(shown)
    return View(data['inputs'], shown, sources[..., :2], (width, height))


def _send(transforms: Sequence[Any], image: np.ndarray) -> dict:
    shape = image.shape[:2]
    item = dict(img=image, img_path='', img_id=0, img_shape=shape, ori_shape=shape)
    item.update(height=shape[0], width=shape[1])
    for transform in transforms:
        item = transform(item)
    return item


def _for_floats(transform: Any) -> Any:
    """Return a transform that accepts float32, because Pillow resizes only 8 bits."""
    if getattr(transform, 'backend', None) != 'pillow':
        return transform
    transform = copy.copy(transform)
    transform.backend = 'cv2'
    return transform


def backbone_of(model: nn.Module) -> CoaT:
    """Return the CoaT inside a model of any toolbox, of ``create_model``, or itself.

    Raises:
        UsageError: There is none.
    """
    for inner in (model, getattr(model, 'module', None)):
        for found in (inner, getattr(inner, 'backbone', None)):
            if isinstance(found, CoaT):
                return found
    raise UsageError(f'{type(model).__name__} has no CoaT backbone to look into')


def last_stage(backbone: CoaT) -> int:
    """Return the last stage with an output."""
    return max(backbone.out_indices) if backbone.out_type == 'featmap' else backbone.num_stages - 1


def check_stage(backbone: CoaT, stage: int | None) -> int:
    """Return a stage that runs; None takes the last one with an output.

    Raises:
        UsageError: There is no such stage, or it does not run.
    """
    stage = last_stage(backbone) if stage is None else stage
    count = backbone._last_stage()
    if not isinstance(stage, int) or not 0 <= stage < count:
        raise UsageError(
            f'stage must be one of {", ".join(map(str, range(count)))} in this model, got {stage}'
        )
    return stage


def block_names(backbone: CoaT, stage: int) -> list[str]:
    """Return the blocks that work at a stage: 0, 1... for serial ones, p0, p1... for parallel ones."""
    names = [str(i) for i in range(len(backbone.stages[stage].blocks))]
    if stage in backbone.parallel_stages and backbone._uses_parallel():
        names += [f'p{i}' for i in range(len(backbone.parallel_blocks))]
    return names


def find_block(
    backbone: CoaT, stage: int | None = None, block: int | str | None = None
) -> tuple[int, str, str]:
    """Return a stage, one of its blocks, and the name of the map that the block returns there.

    Args:
        backbone: A CoaT.
        stage: From 0; None for the last with an output.
        block: Of :func:`block_names`; None for the last.

    Raises:
        UsageError: There is no such stage or block.
    """
    stage = check_stage(backbone, stage)
    names = block_names(backbone, stage)
    if not names:
        raise UsageError(f'stage {stage} of this model has no blocks')
    name = names[-1] if block is None else str(block)
    if name not in names:
        raise UsageError(f'block of stage {stage} must be one of {", ".join(names)}, got {block}')
    if name.startswith('p'):
        return stage, name, f'parallel_blocks.{name[1:]}.branches.{stage}'
    return stage, name, f'stages.{stage}.blocks.{name}'


def stride_of(stage: int) -> int:
    """Return the side in pixels of the area of one position of a stage."""
    return STRIDE * 2**stage


@torch.no_grad()
def run(backbone: CoaT, inputs: Tensor) -> None:
    """Run the backbone so that its hooks are called."""
    backbone(inputs)
