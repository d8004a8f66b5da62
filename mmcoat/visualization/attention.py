"""The explicit attention that the factorised form never builds: the weights of a pixel or of the class token.

CoaT computes ``scale * Q (softmax(K)^T V)`` from right to left, with the softmax over tokens. So no matrix of
tokens by tokens is built (paper section 3.1). Row i of that matrix would be ``scale * q_i softmax(K)^T``. Its
entries may be negative, and their sum is not constant. In addition, the relative position encoding gives each
channel the filter of its window, times ``q_i``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcoat.models.backbones.coat import CoaT
from mmcoat.models.backbones.taps import calls_seen
from mmcoat.ops import reference

from .subject import backbone_of, check_pixel, find_block, run, stride_of


@dataclass(frozen=True)
class Attention:
    """Weights with which one token's result depends on the values of all tokens, for each head.

    Attributes:
        stage: Stage, from 0.
        block: Serial block (``'0'``) or parallel block (``'p0'``).
        query: Row and column of the token; None for the class token.
        image: Weights of the image tokens' values, (heads, h, w).
        class_token: Weight of the class token's value, (heads,).
        filters: Additional weights of the relative position encoding, for each channel of a head and each
            position of a window around the query, (heads, C / heads, K, K); windows smaller than K are padded
            with zeros. Zero for the class token.
        bias: Term of the relative position encoding that does not depend on values, (heads, C / heads).
        windows: Side of each head's window, (heads,).
        values: Values of the image tokens, (heads, h, w, C / heads).
        class_value: Value of the class token, (heads, C / heads).
    """

    stage: int
    block: str
    query: tuple[int, int] | None
    image: Tensor
    class_token: Tensor
    filters: Tensor
    bias: Tensor
    windows: tuple[int, ...]
    values: Tensor
    class_value: Tensor

    @property
    def stride(self) -> int:
        """Side in pixels of the area of one image token."""
        return stride_of(self.stage)

    def mean_filter(self) -> Tensor:
        """Return the filters averaged over channels, (heads, K, K).

        The mean is the single weight per position that is closest to those of the channels.
        """
        return self.filters.mean(1)

    def output(self) -> Tensor:
        """Return weights times values, (C,): the operation's result for the token, before the projection."""
        out = torch.einsum('nhw,nhwc->nc', self.image, self.values)
        out = out + self.class_token[:, None] * self.class_value + self.bias
        if self.query is not None:
            out = out + (self.filters * self._window_of_values()).sum((-2, -1))
        return out.flatten()

    def _window_of_values(self) -> Tensor:
        """Return the values around the query, zero beyond the border, (heads, C / heads, K, K)."""
        assert self.query is not None
        side, (row, column) = self.filters.shape[-1], self.query
        values = self.values.permute(0, 3, 1, 2)  # (heads, h, w, Ch) -> (heads, Ch, h, w)
        framed = F.pad(values, [side // 2] * 4)
        return framed[..., row : row + side, column : column + side]


def explicit_attention(q: Tensor, k: Tensor, num_heads: int, scale: float) -> Tensor:
    """Return rows of the matrix that is equivalent to factorised attention, (heads, R, N).

    Multiplied by the values (heads, N, C / heads), they give the result of
    ``reference.factorized_attention``.

    Args:
        q: Queries of R tokens, (R, C).
        k: Keys of all N tokens including the class token, (N, C).
        num_heads: Number of heads.
        scale: Factor of the attention.
    """
    weights = k.softmax(0)  # over tokens, separately for each channel
    q, weights = (x.unflatten(-1, (num_heads, -1)).transpose(0, 1) for x in (q, weights))
    return scale * q @ weights.transpose(-1, -2)


def pixel_attention(
    model: nn.Module,
    inputs: Tensor,
    pixel: Sequence[int],
    stage: int | None = None,
    block: int | str | None = None,
) -> Attention:
    """Return the attention of a pixel's token.

    Args:
        model: A model with a CoaT backbone, or the backbone.
        inputs: One image as the backbone takes it, (1, C, H, W).
        pixel: x and y in ``inputs``.
        stage: From 0; None for the last with an output.
        block: ``0``, ``1``... for serial blocks, ``'p0'``, ``'p1'``... for parallel ones; None for the last.

    Raises:
        UsageError: There is no such stage, block or pixel; the message names the choices.
    """
    x, y = check_pixel(pixel, (inputs.shape[-1], inputs.shape[-2]))
    return _attention(backbone_of(model), inputs, (x, y), stage, block)


def class_token_attention(
    model: nn.Module,
    inputs: Tensor,
    stage: int | None = None,
    block: int | str | None = None,
) -> Attention:
    """Return the attention of a stage's class token; see :func:`pixel_attention`."""
    return _attention(backbone_of(model), inputs, None, stage, block)


def _attention(
    backbone: CoaT,
    inputs: Tensor,
    pixel: tuple[int, int] | None,
    stage: int | None,
    block: int | str | None,
) -> Attention:
    stage, block, name = find_block(backbone, stage, block)
    attn = backbone.get_submodule(f'{name}.attn')
    heads, scale = attn.num_heads, attn.scale
    qkv_cls, qkv = _queries_keys_values(backbone, attn, inputs)
    (q_cls, k_cls, v_cls), (q, k, v) = qkv_cls[0].unbind(-2), qkv[0].unbind(-2)
    height, width = q.shape[:2]
    query = None if pixel is None else _position(pixel, stage, (height, width))
    own = q_cls if query is None else q[query][None]  # (1, C)
    keys = torch.cat([k_cls, k.flatten(0, 1)])  # (1 + h w, C)
    weights = explicit_attention(own, keys, heads, scale)[:, 0]  # (heads, 1 + h w)
    filters, bias, windows = _filters(backbone.stages[stage].crpe)
    used = own[0] if query is not None else torch.zeros_like(own[0])  # none for the class token
    return Attention(
        stage=stage,
        block=block,
        query=query,
        image=weights[:, 1:].unflatten(1, (height, width)),
        class_token=weights[:, 0],
        # (C, K, K) -> (heads, Ch, K, K)
        filters=(used[:, None, None] * filters).unflatten(0, (heads, -1)),
        bias=(used * bias).unflatten(0, (heads, -1)),
        windows=windows,
        values=v.unflatten(-1, (heads, -1)).permute(2, 0, 1, 3),  # (h, w, C) -> (heads, h, w, Ch)
        class_value=v_cls[0].unflatten(0, (heads, -1)),
    )


def _position(pixel: tuple[int, int], stage: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return row and column of a pixel's token; pixels in the remainder belong to the last token."""
    stride = stride_of(stage)
    return min(pixel[1] // stride, size[0] - 1), min(pixel[0] // stride, size[1] - 1)


def _queries_keys_values(backbone: CoaT, attn: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return (1, 1, 3, C) of the class token and (1, h, w, 3, C) of the image tokens."""
    seen: list[tuple] = []
    with calls_seen(backbone):
        handle = attn.register_forward_pre_hook(lambda module, args: seen.append(args))
        try:
            run(backbone, inputs)
        finally:
            handle.remove()
    tokens, norm = seen[0][:2]
    with torch.no_grad():
        qkv = reference.norm_qkv(
            tokens, norm.weight, norm.bias, norm.eps, attn.qkv.weight, attn.qkv.bias
        )
    return qkv[0], qkv[1]


def _filters(crpe: nn.Module) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Return the filters in frames of one size, (C, K, K), the biases, (C,), and the heads' windows."""
    sides = [conv.kernel_size[0] for conv in crpe.convs]
    framed = [
        F.pad(conv.weight.detach()[:, 0], [(max(sides) - side) // 2] * 4)
        for conv, side in zip(crpe.convs, sides, strict=True)
    ]
    filters, bias = torch.cat(framed), torch.cat([conv.bias.detach() for conv in crpe.convs])
    width = len(bias) // crpe.num_heads  # channels of a head
    windows = [
        side
        for conv, side in zip(crpe.convs, sides, strict=True)
        for _ in range(conv.out_channels // width)
    ]
    return filters, bias, tuple(windows)
