"""Taps: access to the maps inside the backbone, as (B, C, H, W) tensors.

Blocks pass pairs of class token and map (B, H, W, C), which the hooks of other packages cannot read. A tap is
an ``nn.Identity`` through which such a map passes as (B, C, H, W). Taps exist only inside ``with``, so they
do not slow down the backbone and do not change the names in checkpoints.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmcoat.errors import UsageError

from .tokens import map_to_tokens, tokens_to_map

Place = tuple[nn.Module, int | None]  # a module, and the scale of its output


def tap_names(backbone: Any) -> list[str]:
    """Return the maps that can be tapped, in the order in which they are computed.

    They have the names of the modules that return them: ``stages.0.patch_embed``, ``stages.0.blocks.1.attn``
    (after the attention and its residual sum), ``stages.0.blocks.1``, ``stages.0``, and in the full CoaT
    models ``parallel_blocks.2.branches.1.attn`` (before the exchange between scales) and
    ``parallel_blocks.2.branches.1``, where 1 is the stage. Stages that do not run are left out.

    Args:
        backbone: A :class:`CoaT`.
    """
    return list(_places(backbone))


def _places(backbone: Any) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for i, stage in enumerate(backbone.stages[: backbone._last_stage()]):
        places[f'stages.{i}.patch_embed'] = stage.patch_embed, None
        for j, block in enumerate(stage.blocks):
            places[f'stages.{i}.blocks.{j}.attn'] = block.attn, None
            places[f'stages.{i}.blocks.{j}'] = block, None
        places[f'stages.{i}'] = stage, None
    if not backbone._uses_parallel():
        return places
    for j, block in enumerate(backbone.parallel_blocks):
        for i, branch in block.branches.items():
            places[f'parallel_blocks.{j}.branches.{i}.attn'] = branch.attn, None
        for scale, i in enumerate(block.branches):
            places[f'parallel_blocks.{j}.branches.{i}'] = block, scale
    return places


@contextmanager
def taps(backbone: Any, names: str | Sequence[str]) -> Iterator[dict[str, nn.Identity]]:
    """Put an ``nn.Identity`` where each named map is computed, and take them out again at the end.

    Packages that need a layer accept these: grad-cam's ``target_layers``, Captum's ``layer``. If a forward
    hook of such a layer returns a value, the backbone continues with that value.

    Args:
        backbone: A :class:`CoaT`.
        names: One or more of :func:`tap_names`.

    Yields:
        One layer per name.

    Raises:
        UsageError: There is no such map.
    """
    places, names = _places(backbone), [names] if isinstance(names, str) else names
    unknown = [name for name in names if name not in places]
    if unknown:
        raise UsageError(f'this backbone has no map {unknown[0]!r}; it has {", ".join(places)}')
    layers = {name: nn.Identity() for name in names}
    with ExitStack() as stack:
        stack.enter_context(calls_seen(backbone))
        for name, layer in layers.items():
            module, scale = places[name]
            stack.callback(module.register_forward_hook(partial(_pass_map, layer, scale)).remove)
        yield layers


@contextmanager
def capture(backbone: Any, names: str | Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Keep the named maps of each forward pass, with their gradients.

    Args:
        backbone: A :class:`CoaT`.
        names: One or more of :func:`tap_names`.

    Yields:
        A dict that each forward pass fills with a (B, C, H, W) tensor per name. After ``backward()`` each
        tensor that the result depends on has its gradient in ``grad``, even if parameters are frozen.

    Raises:
        UsageError: There is no such map.
    """
    maps: dict[str, Tensor] = {}
    with taps(backbone, names) as layers:
        for name, layer in layers.items():
            layer.register_forward_hook(partial(_keep, maps, name))
        yield maps


def _keep(maps: dict, name: str, layer: nn.Module, inputs: tuple, output: Tensor) -> None:
    if torch.is_grad_enabled():
        output.requires_grad_().retain_grad()
    maps[name] = output


def _pass_map(
    layer: nn.Module, scale: int | None, module: nn.Module, inputs: tuple, output: Any
) -> Any:
    """Return the output of a module, with its map passed through ``layer``."""
    if scale is not None:  # a parallel block: one (class token, map) per scale
        through = _pass_map(layer, None, module, inputs, output[scale])
        return [*output[:scale], through, *output[scale + 1 :]]
    if isinstance(output, tuple):
        return output[0], _pass_map(layer, None, module, inputs, output[1])
    return map_to_tokens(layer(tokens_to_map(output)))


@contextmanager
def calls_seen(backbone: nn.Module) -> Iterator[None]:
    """Make hooks see every call of a module exactly once.

    Inside, ``torch.compile`` and ``with_cp`` are switched off: ``torch.compile`` ignores hooks that are added
    after compilation, and ``with_cp`` calls blocks a second time in backward.
    """
    recomputing = [m for m in backbone.modules() if getattr(m, 'with_cp', False)]
    with ExitStack() as stack:
        # without the module nothing is compiled, and importing it takes a second
        if 'torch._dynamo' in sys.modules:
            stack.enter_context(torch.compiler.set_stance('force_eager'))
        for module in recomputing:
            stack.callback(setattr, module, 'with_cp', True)
            module.with_cp = False
        yield
