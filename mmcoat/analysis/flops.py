"""Parameters and multiply-accumulate operations (MACs), which most papers, CoaT's too, call FLOPs.

The backbone is counted from its modules and map sizes, not from a trace: traces do not see into fused
operations, and would give other numbers for other kernels of the same mathematics. Counted are
convolutions, linear layers, the two matrix products of the factorised attention (both linear in the number of
tokens), the position encodings with CRPE's product, and interpolation (4 per value). As usual norms,
softmax, activations and sums are not.

Neck and heads belong to the toolboxes; they are traced with MMEngine's counter, as the toolboxes' own
tools do.
"""

import functools
import importlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mmcoat.models import CoaT
from mmcoat.models.backbones.conv_attention import (
    ConvPosEnc,
    ConvRelPosEnc,
    FactorizedConvAttention,
)
from mmcoat.models.backbones.stage import Stage

Size = tuple[int, int]
SHAPES = {'mmseg': (512, 512), 'mmdet': (800, 1280), 'mmpretrain': (224, 224)}
BILINEAR_MACS = 4  # per value: four weighted neighbours


@dataclass(frozen=True)
class Row:
    """One part of a model.

    Attributes:
        name: The part.
        parameters: Its own parameters.
        macs: Its multiply-accumulate operations for one image.
        output: What comes out, in words.
    """

    name: str
    parameters: int
    macs: int
    output: str = ''


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters; a shared one counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


# ---------------------------------------------------------------------- the backbone


def count_coat(model: CoaT, shape: Size) -> list[Row]:
    """Count a backbone for one image of ``shape`` (H, W): a row per stage, and the parts after them.

    Raises:
        ValueError: The image is too small for the backbone.
    """
    smallest = 4 * 2 ** (model.num_stages - 1)
    if min(shape) < smallest:
        raise ValueError(f'the shape must be at least {smallest} x {smallest}, got {shape}')
    last = model.num_stages
    if model.out_type == 'featmap' and not model.parallel_stages:
        last = max(model.out_indices) + 1  # later stages do not run
    rows, sizes, size = [], [], shape
    for i, stage in enumerate(model.stages):
        size = tuple(n // stage.patch_embed.proj.stride[0] for n in size)
        sizes.append(size)
        macs = _stage_macs(stage, size) if i < last else 0
        channels = stage.cls_token.shape[-1]
        output = f'{channels} x {size[0]} x {size[1]}'
        rows.append(Row(f'stage {i + 1}', count_parameters(stage), macs, output))
    if model.parallel_stages:
        rows.append(_parallel_row(model, sizes))
    if model.out_type == 'cls_token':
        rows.append(_class_embedding_row(model))
    return rows


def _stage_macs(stage: Stage, size: Size) -> int:
    macs = stage.patch_embed.proj.weight.numel() * size[0] * size[1]
    for block in stage.blocks:
        macs += _conv_attention_macs(block.attn, stage.cpe, stage.crpe, size)
        macs += _mlp_macs(block.mlp, size)
    return macs


def _conv_attention_macs(
    attn: FactorizedConvAttention, cpe: ConvPosEnc, crpe: ConvRelPosEnc, size: Size
) -> int:
    pixels = size[0] * size[1]
    tokens = pixels + 1  # with the class token
    channels = attn.proj.in_features
    linear = (attn.qkv.weight.numel() + attn.proj.weight.numel()) * tokens
    # per head K^T V and Q (K^T V), each tokens x (C / heads)^2
    attention = 2 * tokens * channels * (channels // attn.num_heads)
    convolutions = cpe.proj.weight.numel() + sum(conv.weight.numel() for conv in crpe.convs)
    crpe_product = channels * pixels
    return linear + attention + convolutions * pixels + crpe_product


def _mlp_macs(mlp: nn.Module, size: Size) -> int:
    return (mlp.fc1.weight.numel() + mlp.fc2.weight.numel()) * (size[0] * size[1] + 1)


def _parallel_row(model: CoaT, sizes: list[Size]) -> Row:
    macs = 0
    for block in model.parallel_blocks:
        for stage, branch in zip(model.parallel_stages, block.branches.values(), strict=True):
            size, owner = sizes[stage], model.stages[stage]
            macs += _conv_attention_macs(branch.attn, owner.cpe, owner.crpe, size)
            macs += _mlp_macs(block.mlp, size)
            # every other scale is resized to this one
            others = sum(sizes[other] != size for other in model.parallel_stages)
            macs += others * BILINEAR_MACS * branch.attn.proj.in_features * size[0] * size[1]
    return Row('parallel blocks', count_parameters(model.parallel_blocks), macs, 'as above')


def _class_embedding_row(model: CoaT) -> Row:
    parameters, macs = count_parameters(model.norms), 0
    channels = next(reversed(model.norms.values())).weight.numel()
    if model.parallel_stages:
        parameters += count_parameters(model.aggregate)
        macs = model.aggregate.weight.numel() * channels
    return Row('class embedding', parameters, macs, str(channels))


def count_arch(arch: str, shape: Size = (224, 224), num_classes: int = 1000) -> list[Row]:
    """Count an arch of the zoo with its ImageNet classifier, as the paper does.

    Raises:
        ValueError: The arch is unknown, or the shape too small.
    """
    model = CoaT(arch, out_type='cls_token')
    rows = count_coat(model, shape)
    channels = int(rows[-1].output)
    head = nn.Linear(channels, num_classes)
    return [*rows, Row('head', count_parameters(head), head.weight.numel(), str(num_classes))]


# ---------------------------------------------------------------------- whole models


def count_model(
    model: nn.Module, shape: Size, forward: Callable[[Tensor], object] | None = None
) -> list[Row]:
    """Count a model with a CoaT backbone: the backbone's rows, then one for each other part.

    Args:
        model: A segmentor, detector or classifier; its ``backbone`` is a CoaT.
        shape: Height and width of the image.
        forward: What to run for an image (1, 3, H, W); the model itself when None.

    Raises:
        ValueError: The model has no CoaT backbone.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, CoaT):
        raise ValueError(f'the model has no CoaT backbone, but {type(backbone).__name__}')
    rows = count_coat(backbone, shape)
    image = torch.zeros(1, backbone.in_channels, *shape)
    macs = _traced_macs(model, forward or model, image)
    for name, part in model.named_children():
        parameters = count_parameters(part)
        if name != 'backbone' and (parameters or macs[name]):
            rows.append(Row(name.replace('_', ' '), parameters, macs[name]))
    own = sum(p.numel() for p in model.parameters(recurse=False))
    if own or macs['']:
        rows.append(Row('other', own, macs['']))
    return rows


def count_config(cfg: Config, shape: Size | None = None) -> tuple[Size, list[Row]]:
    """Build the model of a config and count it.

    Args:
        cfg: Config of a segmentor, detector or classifier.
        shape: Height and width; by default the usual one of the task.

    Returns:
        The shape and the rows.

    Raises:
        ValueError: Not a model of a known task, or without CoaT backbone.
    """
    scope = cfg.get('default_scope')
    if scope not in SHAPES:
        raise ValueError(f'default_scope must be one of {sorted(SHAPES)}, got {scope!r}')
    shape = shape or _test_crop(cfg) or SHAPES[scope]
    drop_pretrained(cfg)
    init_default_scope(scope)
    importlib.import_module(f'{scope}.models')
    model = MODELS.build(cfg.model).eval()
    return shape, count_model(model, shape, _forward_function(scope, model, shape))


def drop_pretrained(cfg: Config) -> None:
    """Leave out pretrained weights, which change nothing here, and what needs a group of GPUs."""
    pending = [cfg.model]
    while pending:
        node = pending.pop()
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
        if node.get('type') in ('CoaT', 'mmcoat.CoaT'):
            node.pop('init_cfg', None)
        for child in node.values():
            children = child if isinstance(child, list | tuple) else [child]
            pending += [item for item in children if isinstance(item, dict)]


def _test_crop(cfg: Config) -> Size | None:
    """Return the size that a classifier's test pictures are cropped to."""
    for transform in cfg.get('test_dataloader', {}).get('dataset', {}).get('pipeline', []):
        if transform['type'] == 'CenterCrop':
            size = transform['crop_size']
            return (size, size) if isinstance(size, int) else tuple(size)
    return None


def _forward_function(scope: str, model: nn.Module, shape: Size) -> Callable[[Tensor], object]:
    if scope != 'mmdet':
        return functools.partial(model, mode='tensor')
    from mmdet.structures import DetDataSample

    meta = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape)
    sample = DetDataSample(metainfo=meta | dict(scale_factor=(1.0, 1.0)))
    return functools.partial(model, data_samples=[sample], mode='tensor')


def _traced_macs(
    model: nn.Module, forward: Callable[[Tensor], object], image: Tensor
) -> dict[str, int]:
    """Return the traced MACs of each child of ``model``; those outside of any child under ''."""
    from mmengine.analysis import FlopAnalyzer

    model.eval()
    wrapper = _Forward(model, forward)
    with torch.no_grad(), _quick_backbone(model.backbone, image):
        analyzer = FlopAnalyzer(wrapper, (image,))
        analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analyzer.tracer_warnings('none')
        traced = analyzer.by_module()
    macs = {name: int(traced[f'model.{name}']) for name, _ in model.named_children()}
    macs[''] = int(traced['']) - sum(macs.values())
    return macs


class _Forward(nn.Module):
    """A module around a model whose forward is ``function``."""

    def __init__(self, model: nn.Module, function: Callable[[Tensor], object]):
        super().__init__()
        self.model = model
        self.function = function

    def forward(self, image: Tensor) -> object:
        return self.function(image)


@contextmanager
def _quick_backbone(backbone: CoaT, image: Tensor):
    """Let the backbone return its maps for ``image`` from memory: it is not what is traced."""
    outputs = backbone(image)
    backbone.forward = lambda _: outputs
    try:
        yield
    finally:
        del backbone.forward


# ---------------------------------------------------------------------- the table


def format_rows(rows: list[Row]) -> str:
    """Return a table of the rows and their total, parameters in millions and MACs in billions."""
    total = Row('total', sum(r.parameters for r in rows), sum(r.macs for r in rows))
    width = max(len(row.name) for row in [*rows, total])
    lines = [f'{"part":<{width}}  {"parameters (M)":>14}  {"MACs (G)":>9}  output']
    lines.append('-' * len(lines[0]))
    for row in [*rows, total]:
        numbers = f'{row.parameters / 1e6:>14.3f}  {row.macs / 1e9:>9.3f}'
        lines.append(f'{row.name:<{width}}  {numbers}  {row.output}'.rstrip())
    lines.insert(-1, lines[1])
    return '\n'.join(lines)
