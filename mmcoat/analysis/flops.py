"""Parameters and multiply-accumulate operations (MACs). Most papers, CoaT's too, call MACs "FLOPs".

PyTorch's FlopCounterMode counts the convolutions and matrix products of backbone and heads as they run; it
counts a MAC as two FLOPs. The backbone runs its reference operations, because the counter cannot see into
some of the faster ones. Norms, softmax, activations, sums, elementwise products (also those of the CRPE),
interpolation and MMCV's own operators (such as RoIAlign and deformable convolution) are not counted.

Models run on the meta device, which computes shapes but no values, so every size is quick. Detectors need
values for their proposals, and Mask2Former for its masks. These run on the CPU, detectors only up to
:data:`MOST_PIXELS`.
"""

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmcoat.errors import UsageError
from mmcoat.models import CoaT

Size = tuple[int, int]
SHAPES = {'mmseg': (512, 512), 'mmdet': (800, 1280), 'mmpretrain': (224, 224)}
PACKAGES = {'mmseg': 'MMSegmentation', 'mmdet': 'MMDetection', 'mmpretrain': 'MMPretrain'}
MOST_PIXELS = 2048 * 2048  # of a detector's image


@dataclass(frozen=True)
class Row:
    """One part of a model.

    Attributes:
        name: The part.
        parameters: Its own parameters.
        macs: Its multiply-accumulate operations for one image.
        output: Description of the output.
    """

    name: str
    parameters: int
    macs: int
    output: str = ''


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters; a shared one counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


# ---------------------------------------------------------------------- counting


def _count(
    parts: Mapping[str, nn.Module], forward: Callable[[Tensor], object], image: Tensor
) -> dict[str, int]:
    """Run ``forward`` and return the MACs of each part; the key '' has those that belong to no part."""
    macs = dict.fromkeys(parts, 0)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        with _watched(parts, counter, macs):
            forward(image)
        macs[''] = counter.get_total_flops() // 2 - sum(macs.values())
    return macs


@contextmanager
def _watched(
    parts: Mapping[str, nn.Module], counter: FlopCounterMode, macs: dict[str, int]
) -> Iterator[None]:
    """Add the MACs of each part's ``forward`` to ``macs``; toolboxes call it directly, past module hooks."""

    def watch(name: str, run: Callable) -> Callable:
        @functools.wraps(run)
        def watched(*args: object, **kwargs: object) -> object:
            before = counter.get_total_flops()
            result = run(*args, **kwargs)
            macs[name] += (counter.get_total_flops() - before) // 2
            return result

        return watched

    for name, part in parts.items():
        part.forward = watch(name, part.forward)
    try:
        yield
    finally:
        for part in parts.values():
            del part.forward


def _countable(model: nn.Module, device: str) -> nn.Module:
    """Return a copy of the model that the counter can look into."""
    # without gradients: the counter's hooks fail on parameters that are passed as arguments
    model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, CoaT):
            module.set_backend('reference')
    return model


# ---------------------------------------------------------------------- models


def count_coat(model: CoaT, shape: Size) -> list[Row]:
    """Count a backbone for one image of ``shape`` (H, W): a row per stage, then a row per later part.

    Raises:
        ValueError: The image is too small for the backbone.
    """
    smallest = 4 * 2 ** (model.num_stages - 1)
    if min(shape) < smallest:
        raise UsageError(f'the shape must be at least {smallest} x {smallest}, got {shape}')
    model = _countable(model, 'meta')
    parts = {f'stage {i}': stage for i, stage in enumerate(model.stages, 1)}
    blocks = {f'block {i}': block for i, block in enumerate(model.parallel_blocks)}
    image = torch.empty(1, model.in_channels, *shape, device='meta')
    macs = _count(parts | blocks, model, image)
    rows, size = [], shape
    for name, stage in parts.items():
        size = tuple(n // stage.patch_embed.proj.stride[0] for n in size)
        output = f'{stage.cls_token.shape[-1]} x {size[0]} x {size[1]}'
        rows.append(Row(name, count_parameters(stage), macs[name], output))
    if blocks:
        total = sum(macs[name] for name in blocks)
        parameters = count_parameters(model.parallel_blocks)
        rows.append(Row('parallel blocks', parameters, total, 'as above'))
    if model.out_type == 'cls_token':
        parameters = count_parameters(model) - sum(row.parameters for row in rows)
        channels = str(model.arch_settings['embed_dims'][-1])
        rows.append(Row('class embedding', parameters, macs[''], channels))
    return rows


def count_arch(arch: str, shape: Size = (224, 224), num_classes: int = 1000) -> list[Row]:
    """Count an arch of the zoo with its ImageNet classifier, as the paper does.

    Raises:
        ValueError: The arch is unknown, or the shape too small.
    """
    rows = count_coat(CoaT(arch, out_type='cls_token'), shape)
    head = nn.Linear(int(rows[-1].output), num_classes)
    return [*rows, Row('head', count_parameters(head), head.weight.numel(), str(num_classes))]


def count_model(
    model: nn.Module,
    shape: Size,
    forward: Callable[[nn.Module, Tensor], object] | None = None,
    device: str = 'meta',
) -> list[Row]:
    """Count a model with a CoaT backbone: the backbone's rows, then a row for each other part.

    Args:
        model: A segmentor, detector or classifier; its ``backbone`` is a CoaT.
        shape: Height and width of the image.
        forward: Function that runs the model on an image (1, 3, H, W); None calls the model itself.
        device: Device; must be ``'cpu'`` for a model whose work depends on values.

    Raises:
        ValueError: The model has no CoaT backbone.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, CoaT):
        raise UsageError(f'the backbone of the model must be a CoaT, got {type(backbone).__name__}')
    rows = count_coat(backbone, shape)
    model = _countable(model, device)
    image = torch.zeros(1, backbone.in_channels, *shape, device=device)
    parts = dict(model.named_children())
    run = functools.partial(forward, model) if forward else model
    macs = _count(parts, run, image)
    for name, part in parts.items():
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
        shape: Height and width; by default those that are usual for the task.

    Returns:
        The shape and the rows.

    Raises:
        ValueError: The task is unknown, or the model has no CoaT backbone.
    """
    scope = _scope(cfg)
    shape = shape or usual_size(cfg)
    if scope == 'mmdet' and shape[0] * shape[1] > MOST_PIXELS:
        raise UsageError(
            f'a detector is counted for images of at most {MOST_PIXELS} pixels '
            f'(2048 x 2048), got {shape[0]} x {shape[1]}'
        )
    model = build_model(cfg)
    forward = forward_function(scope, shape)
    return shape, count_model(model, shape, forward, device_for(model, scope))


def count_whole(model: nn.Module, shape: Size, scope: str) -> int:
    """Return the MACs of a toolbox model, with any backbone, for one RGB image of ``shape``."""
    device = device_for(model, scope)
    model = _countable(model, device)
    forward = functools.partial(forward_function(scope, shape), model)
    return _count({}, forward, torch.zeros(1, 3, *shape, device=device))['']


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config without its pretrained weights.

    Raises:
        UsageError: The task is unknown, or its toolbox cannot be imported.
    """
    scope = _scope(cfg)
    drop_pretrained(cfg)
    init_default_scope(scope)
    try:
        importlib.import_module(f'{scope}.models')
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f'this config needs {PACKAGES[scope]}, which fails: {reason}') from error
    return MODELS.build(cfg.model)


def usual_size(cfg: Config) -> Size:
    """Return height and width of a classifier's test crop; for other tasks, the usual ones."""
    return _test_crop(cfg) or SHAPES[_scope(cfg)]


def _scope(cfg: Config) -> str:
    scope = cfg.get('default_scope')
    if scope not in SHAPES:
        raise UsageError(f'default_scope must be one of {sorted(SHAPES)}, got {scope!r}')
    return scope


def drop_pretrained(cfg: Config) -> None:
    """Remove the settings of pretrained weights, which change no count, and those that need several GPUs."""
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


def device_for(model: nn.Module, scope: str) -> str:
    """Return the device to count on: ``'cpu'`` if the work depends on values (detectors, Mask2Former)."""
    return 'cpu' if scope == 'mmdet' or _reads_samples(model) else 'meta'


def _reads_samples(model: nn.Module) -> bool:
    head = getattr(model, 'decode_head', None)
    return head is not None and 'batch_data_samples' in inspect.signature(head.forward).parameters


def forward_function(scope: str, shape: Size) -> Callable[[nn.Module, Tensor], object]:
    """Return a function that runs a toolbox model on an image up to its scores."""
    meta: dict = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape)
    samples: list | None = None
    if scope == 'mmdet':
        from mmdet.structures import DetDataSample

        samples = [DetDataSample(metainfo=meta | dict(scale_factor=(1.0, 1.0)))]

    def forward(model: nn.Module, image: Tensor) -> object:
        # MMSegmentation's own 'tensor' mode passes no samples
        if scope == 'mmseg' and _reads_samples(model):
            from mmseg.structures import SegDataSample

            return model.decode_head(model.extract_feat(image), [SegDataSample(metainfo=meta)])
        return model(image, samples, mode='tensor')

    return forward


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
