"""Sigmoid focal loss: https://arxiv.org/abs/1708.02002, section 3."""

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Compute the loss of every score; the signature is that of ``mmcv._ext``.

    Args:
        logits: Scores before the sigmoid, (N, C).
        target: Class of each row, (N,), long; C means no class.
        weight: Weight of each class, (C,), or empty; rows without a class have weight 1.
        output: Receives the losses, (N, C).
        gamma, alpha: As in the paper.
    """
    right = _one_hot(target, logits.shape[1])
    if logits.dtype in (torch.half, torch.bfloat16):
        logits = logits.float()
    p = logits.sigmoid()
    positive = -alpha * (1 - p) ** gamma * F.logsigmoid(logits)
    negative = -(1 - alpha) * p**gamma * F.logsigmoid(-logits)
    output.copy_(torch.where(right, positive, negative) * _row_weights(weight, target, logits))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Compute the losses' derivatives into ``grad_input``, (N, C); the rest as in the forward."""
    right = _one_hot(target, logits.shape[1])
    if logits.dtype in (torch.half, torch.bfloat16):
        logits = logits.float()
    p = logits.sigmoid()
    q = 1 - p
    positive = -alpha * q**gamma * (q - gamma * p * F.logsigmoid(logits))
    negative = (1 - alpha) * p**gamma * (p - gamma * q * F.logsigmoid(-logits))
    grad = torch.where(right, positive, negative)
    grad_input.copy_(grad * _row_weights(weight, target, logits))


def _one_hot(target: Tensor, classes: int) -> Tensor:
    return target[:, None] == torch.arange(classes, device=target.device)


def _row_weights(weight: Tensor, target: Tensor, like: Tensor) -> Tensor:
    """Return the weight of each row, (N, 1)."""
    if not len(weight):
        return like.new_ones(())
    return torch.cat([weight.to(like), like.new_ones(1)])[target][:, None]
