"""Label maps without a map of scores at full size: scores are enlarged a few classes at a time.

Enlarging works on each class by itself, so the largest score of a pixel can be found group by group. The
arithmetic is MMSegmentation's own, called once for each group: labels are the same, ties included.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmcoat.errors import UsageError

# Classes that PyTorch enlarges with one instruction in float32, with AVX2 and AVX-512 alike. What does not
# fill one it rounds otherwise, so that groups must not begin in between.
GROUP = 8
# the same in reduced precision; of maps that lie channels-last two such instructions in float32
LARGE_GROUP = 16
# Of fewer, MMSegmentation takes one for the score of two, and PyTorch enlarges two or three in another way.
SMALLEST_GROUP = 4


def spare_memory(model: nn.Module) -> nn.Module:
    """Let a segmentor of MMSegmentation predict label maps group by group, and return it.

    Its predictions have no ``seg_logits`` from now on. Heads with a resize of their own (Mask2Former) and
    slide inference keep one map of all classes, and spare the second one.

    Args:
        model: Changed in place: its ``predict`` is replaced.

    Raises:
        UsageError: It is no segmentor, or averages scores over test-time augmentations.
    """
    if not is_segmentor(model):
        raise UsageError(
            'sparing memory is for segmentors of MMSegmentation without test-time augmentation, '
            f'not for {type(model).__name__}'
        )
    model.predict = partial(predict_labels, model)
    return model


def is_segmentor(model: nn.Module) -> bool:
    """Say whether ``spare_memory`` takes the model."""
    return hasattr(model, 'postprocess_result') and hasattr(model, 'decode_head')


def predict_labels(model: Any, inputs: Tensor, data_samples: list | None = None) -> list:
    """Predict as ``EncoderDecoder.predict`` does, without scores in the samples.

    Args:
        model: The segmentor.
        inputs: Images, (B, C, H, W).
        data_samples: One per image, or None.

    Returns:
        Samples with ``pred_sem_seg``.
    """
    from mmseg.structures import SegDataSample

    shape = tuple(inputs.shape[2:])
    sizes = dict(ori_shape=shape, img_shape=shape, pad_shape=shape, padding_size=[0] * 4)
    samples = data_samples or [SegDataSample(metainfo=sizes) for _ in inputs]
    metas = [sample.metainfo for sample in samples]
    enlarges = _enlarges_scores(model)
    if enlarges:
        scores = model.decode_head.forward(model.extract_feat(inputs))
    else:
        scores = model.inference(inputs, metas)
    del inputs
    best: list[Tensor] = []
    labels: list[Tensor] = []
    start = 0
    for group in _groups(scores):
        if enlarges:
            group = model.decode_head.predict_by_feat(group, metas)
        fresh = [SegDataSample(metainfo=meta) for meta in metas]
        with _Shortcuts():
            found = model.postprocess_result(group, fresh)
        if group.shape[1] == scores.shape[1]:  # all classes at once
            labels = [sample.pred_sem_seg.data for sample in found]
            break
        _keep_best(best, labels, found, start)
        start += group.shape[1]
        del found, fresh, group  # before the next ones are made
    return [_finish(*pair) for pair in zip(samples, labels, strict=True)]


class _Shortcuts(TorchFunctionMode):
    """What MMSegmentation's post-processing calls, with less work and the same results.

    ``argmax`` of a few classes takes four times as long as ``max``, which returns the same index. Enlarging
    to the size that a map has already returns its finite values.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is Tensor.argmax:
            return args[0].max(*args[1:], **kwargs).indices
        if func is F.interpolate:
            size = kwargs.get('size', *args[1:2])
            if isinstance(size, list | tuple) and tuple(size) == args[0].shape[2:]:
                return args[0]
        return func(*args, **kwargs)


def _enlarges_scores(model: Any) -> bool:
    """Say whether the head's scores are small, and nothing but MMSegmentation's resize makes them large."""
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.models.segmentors import EncoderDecoder

    head = type(model.decode_head)
    return (
        model.test_cfg.get('mode', 'whole') == 'whole'
        and type(model).encode_decode is EncoderDecoder.encode_decode
        and getattr(head, 'predict', None) is BaseDecodeHead.predict
        and head.predict_by_feat is BaseDecodeHead.predict_by_feat
    )


def _groups(scores: Tensor) -> Iterator[Tensor]:
    """Yield classes of ``scores`` (B, classes, h, w) in groups that are enlarged as the whole map is."""
    layout = torch.contiguous_format
    if not scores.is_contiguous() and scores.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    count = scores.shape[1]
    exact = scores.dtype in (torch.float32, torch.float64)
    step = GROUP if exact and layout == torch.contiguous_format else LARGE_GROUP
    starts = list(range(0, count, step))
    if len(starts) > 1 and count - starts[-1] < SMALLEST_GROUP:
        starts.pop()
    for first, stop in zip(starts, [*starts[1:], count], strict=True):
        yield scores[:, first:stop].contiguous(memory_format=layout)


def _keep_best(best: list[Tensor], labels: list[Tensor], found: list, start: int) -> None:
    """Let the scores of one more group compete; of equal ones the first stays, as with ``argmax``."""
    for i, sample in enumerate(found):
        label = sample.pred_sem_seg.data  # (1, H, W)
        score = sample.seg_logits.data.gather(0, label)
        label = (label + start).to(torch.int32)
        if start == 0:
            best.append(score)
            labels.append(label)
            continue
        better = score > best[i]
        torch.where(better, score, best[i], out=best[i])
        torch.where(better, label, labels[i], out=labels[i])


def _finish(sample: Any, labels: Tensor) -> Any:
    from mmengine.structures import PixelData

    data = labels.long() if labels.dtype == torch.int32 else labels
    sample.set_data(dict(pred_sem_seg=PixelData(data=data)))
    return sample
