"""Non-maximum suppression, plain and soft (https://arxiv.org/abs/1704.04503)."""

import torch
from torch import Tensor

from .vision import torchvision_ops

BLOCK = 512  # boxes that are compared with all others at once
NAIVE, LINEAR, GAUSSIAN = 0, 1, 2


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the kept boxes, by descending score; the signature is that of ``mmcv._ext``.

    The boxes are processed in blocks, by descending score: the kept boxes of a block suppress later boxes.

    Args:
        boxes: x1, y1, x2, y2, (N, 4).
        scores: (N,)
        iou_threshold: Overlap above which the box with the lower score is removed.
        offset: What is added to widths and heights, 0 or 1.

    Returns:
        (K,), long
    """
    if len(boxes) == 0:
        return torch.empty(0, dtype=torch.long, device=boxes.device)
    vision = torchvision_ops(boxes.device.type)
    if vision is not None and offset == 0:
        return vision.nms(boxes, scores.to(boxes.dtype), iou_threshold)
    order = scores.sort(0, descending=True)[1]
    boxes = boxes.float()
    kept = []
    while len(order):
        block, order = order[:BLOCK], order[BLOCK:]
        overlap = _iou(boxes[block], boxes[block], offset) > iou_threshold
        block = block[_greedy(overlap.triu(1))]
        kept.append(block)
        gone = (_iou(boxes[block], boxes[order], offset) > iou_threshold).any(0)
        order = order[~gone]
    return torch.cat(kept)


def _greedy(suppresses: Tensor) -> Tensor:
    """Return a mask of the boxes that greedy suppression keeps.

    Repeat the rule "a box is kept if no kept box suppresses it" until nothing changes. After n rounds the
    first n boxes are settled; in practice all boxes are, after as many rounds as the longest chain of
    suppressions has boxes.

    Args:
        suppresses: Whether the row's box would suppress the column's box, (N, N), only above the diagonal.

    Returns:
        (N,), bool
    """
    keep = suppresses.new_ones(len(suppresses))
    while True:
        update = ~(suppresses & keep[:, None]).any(0)
        if torch.equal(update, keep):
            return keep
        keep = update


def _iou(first: Tensor, second: Tensor, offset: int) -> Tensor:
    """Return the overlaps (IoU) of (N, 4) and (M, 4) boxes, (N, M)."""
    areas, others = (
        (b[:, 2] - b[:, 0] + offset) * (b[:, 3] - b[:, 1] + offset) for b in (first, second)
    )
    corner = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    corner = corner - torch.maximum(first[:, None, :2], second[None, :, :2])
    inner = (corner + offset).clamp(min=0).prod(-1)
    return inner / (areas[:, None] + others - inner)


def _without_gaps(stay: Tensor) -> Tensor:
    """Return the indices of boxes that stay, (K,): each gap among the first K is filled with the last box."""
    count = int(stay.sum())
    order = torch.arange(count, device=stay.device)
    order[~stay[:count]] = count + stay[count:].nonzero()[:, 0].flip(0)
    return order


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Suppress softly: each kept box lowers the scores of others; the signature is that of ``mmcv._ext``.

    NOTE: each kept box changes the order of the remaining ones. So this is a loop over kept boxes, as in the
    compiled operator. Each turn handles all remaining boxes at once. Boxes change places as they do there,
    because of equal scores the first counts.

    Args:
        boxes: x1, y1, x2, y2, (N, 4).
        scores: (N,)
        dets: Its first rows receive the kept boxes and their lowered scores, (N, 5).
        iou_threshold: Overlap from which 'naive' and 'linear' lower a score.
        sigma: Width of 'gaussian'.
        min_score: Boxes with a lower score are removed.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: What is added to widths and heights, 0 or 1.

    Returns:
        Indices of the kept boxes, (K,), long.
    """
    left = torch.arange(len(boxes), device=boxes.device)
    scores, kept = scores.clone(), []
    while len(left):
        best = scores.argmax()
        box = left[best].clone()  # its place is overwritten below
        dets[len(kept), :4] = boxes[box]
        dets[len(kept), 4] = scores[best]
        kept.append(box)
        iou = _iou(boxes[box, None], boxes[left], offset)[0]
        scores = scores * _decay(iou, iou_threshold, sigma, method)
        # the first box takes the place of the best
        left[best], scores[best] = left[0], scores[0]
        left, scores = left[1:], scores[1:]
        order = _without_gaps(scores >= min_score)
        left, scores = left[order], scores[order]
    return torch.stack(kept) if kept else left


def _decay(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == GAUSSIAN:
        return (-(iou * iou) / sigma).exp()
    return torch.where(iou >= iou_threshold, 1 - iou if method == LINEAR else 0.0, 1.0)
