"""The score that Grad-CAM differentiates: that of a class, at a pixel or wherever it is predicted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor, nn

from mmcoat.errors import UsageError

from .subject import check_pixel


@dataclass(frozen=True)
class Score:
    """A score to differentiate.

    Attributes:
        value: The number, with its graph.
        class_index: The class.
        region: Description of the region over which it is summed.
    """

    value: Tensor
    class_index: int
    region: str


def score_of(
    model: nn.Module,
    inputs: Tensor,
    class_index: int | None,
    pixel: Sequence[int] | None,
    size: Sequence[int],
) -> Score:
    """Run a model and return the score of a class.

    Args:
        model: Of MMSegmentation, MMDetection or MMPretrain, or a module that returns (1, classes) or
            (1, classes, h, w).
        inputs: One image, (1, C, H, W).
        class_index: None takes the predicted class.
        pixel: x and y in ``inputs``, or None.
        size: Height and width of ``inputs`` without padding.

    Raises:
        UsageError: There is no such class or pixel, or nothing is predicted there.
    """
    height, width = int(size[0]), int(size[1])
    if pixel is not None:
        pixel = check_pixel(pixel, (width, height))
    if len(inputs) != 1:
        raise UsageError(f'one image at a time, got a batch of {len(inputs)}')
    if _finds_boxes(model):
        return _of_boxes(model, inputs, class_index, pixel, (height, width))
    scores = _class_scores(model, inputs, height, width)
    if scores.dim() == 2:
        return _of_image(scores[0], class_index, pixel)
    scale = scores.shape[-2] / inputs.shape[-2], scores.shape[-1] / inputs.shape[-1]
    scores = scores[0, :, : max(1, round(height * scale[0])), : max(1, round(width * scale[1]))]
    if pixel is not None:
        pixel = int(pixel[0] * scale[1]), int(pixel[1] * scale[0])
    return _of_pixels(scores, class_index, pixel)


def _finds_boxes(model: nn.Module) -> bool:
    """Return whether a model is one of MMDetection's."""
    other = hasattr(model, 'encode_decode') or hasattr(model, 'head')
    return hasattr(model, 'predict') and hasattr(model, 'extract_feat') and not other


def _class_scores(model: nn.Module, inputs: Tensor, height: int, width: int) -> Tensor:
    """Return (1, classes) of a classifier or (1, classes, h, w) of a segmentor."""
    if hasattr(model, 'encode_decode'):
        scores = model.encode_decode(inputs, [_sizes(inputs, height, width)])
    elif hasattr(model, 'predict'):
        scores = model(inputs, mode='tensor')  # MMPretrain's logits
    else:
        scores = model(inputs)
    if not isinstance(scores, Tensor) or scores.dim() not in (2, 4):
        raise UsageError(
            'Grad-CAM needs class scores (1, classes) or (1, classes, H, W); '
            f'{type(model).__name__} has none'
        )
    return scores


def _sizes(inputs: Tensor, height: int, width: int) -> dict:
    """Return the metadata that the toolboxes need, for an image that is not scaled and not flipped."""
    padded = tuple(inputs.shape[-2:])
    return dict(
        img_shape=padded,
        ori_shape=(height, width),
        pad_shape=padded,
        batch_input_shape=padded,
        padding_size=[0] * 4,
        scale_factor=(1.0, 1.0),
        flip=False,
    )


def _check_class(index: int | None, predicted: int, count: int) -> int:
    index = predicted if index is None else index
    if not 0 <= index < count:
        raise UsageError(f'class must be from 0 to {count - 1} in this model, got {index}')
    return index


def _of_image(scores: Tensor, index: int | None, pixel: Sequence[int] | None) -> Score:
    """(classes,): a classifier's."""
    if pixel is not None:
        raise UsageError('a classifier has no score of a pixel; leave the pixel out')
    index = _check_class(index, int(scores.argmax()), len(scores))
    return Score(scores[index], index, 'the image')


def _of_pixels(scores: Tensor, index: int | None, pixel: tuple[int, int] | None) -> Score:
    """(classes, h, w): a segmentor's."""
    labels = scores.argmax(0)
    if pixel is not None:
        x, y = pixel
        index = _check_class(index, int(labels[y, x]), len(scores))
        return Score(scores[index, y, x], index, 'the pixel')
    index = _check_class(index, int(labels.flatten().mode().values), len(scores))
    predicted = labels == index
    if not predicted.any():
        return Score(scores[index].mean(), index, 'the whole image: predicted nowhere')
    return Score(scores[index][predicted].mean(), index, f'{int(predicted.sum())} predicted pixels')


@contextmanager
def _scores_attached() -> Iterator[None]:
    """Keep the graph of the scores in MMDetection's one-stage heads, which detach it before they select."""
    from mmdet.models.dense_heads import base_dense_head as heads

    def select(levels: Sequence[Tensor], image: int, detach: bool = True) -> list[Tensor]:
        return [level[image] for level in levels]

    with patch.object(heads, 'select_single_mlvl', select):
        yield


def _of_boxes(
    model: nn.Module,
    inputs: Tensor,
    index: int | None,
    pixel: tuple[int, int] | None,
    size: tuple[int, int],
) -> Score:
    """Return a detector's score: the sum over boxes. Scores are differentiable, the selection is not."""
    from mmdet.structures import DetDataSample

    sizes = dict(_sizes(inputs, *size), img_shape=size)
    with _scores_attached():
        (sample,) = model.predict(inputs, [DetDataSample(metainfo=sizes)], rescale=False)
    if 'pred_instances' not in sample or 'scores' not in sample.pred_instances:
        raise UsageError(f'{type(model).__name__} gives no boxes with scores')
    found = sample.pred_instances
    boxes, scores, labels = (torch.as_tensor(found[key]) for key in ('bboxes', 'scores', 'labels'))
    kept = torch.ones_like(labels, dtype=torch.bool)
    if pixel is not None:
        x, y = pixel
        kept = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
    if index is None and kept.any():
        index = int(labels[kept][scores[kept].argmax()])
    kept = kept & (labels == (-1 if index is None else index))
    if not kept.any():
        what = 'box' if index is None else f'box of class {index}'
        raise UsageError(f'the model finds no {what} {"here" if pixel is None else "at the pixel"}')
    assert index is not None
    return Score(scores[kept].sum(), index, f'{int(kept.sum())} boxes')
