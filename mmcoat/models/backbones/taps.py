"""Taps: the maps inside the backbone as (B, C, H, W) tensors, for whoever looks in from outside.

Blocks hand on pairs of class token and map (B, H, W, C), which the hooks of other packages cannot read. A
tap is an ``nn.Identity`` through which such a map passes as (B, C, H, W). Taps exist inside ``with`` only:
the backbone itself is no slower for them, and checkpoints keep their names.
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

Place = tuple[nn.Module, int | None]  # a module, and which scale of its output is meant


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

    Packages that ask for a layer take these as they are: grad-cam's ``target_layers``, Captum's ``layer``.
    What a forward hook of such a layer returns goes on through the backbone.

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
        tensor that the result depends on has its gradient in ``grad``; frozen parameters do not hinder that.

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
    """Return the output of a module with its map sent through ``layer``."""
    if scale is not None:  # a parallel block: one (class token, map) per scale
        through = _pass_map(layer, None, module, inputs, output[scale])
        return [*output[:scale], through, *output[scale + 1 :]]
    if isinstance(output, tuple):
        return output[0], _pass_map(layer, None, module, inputs, output[1])
    return map_to_tokens(layer(tokens_to_map(output)))


@contextmanager
def calls_seen(backbone: nn.Module) -> Iterator[None]:
    """Let hooks see every call of a module, once.

    ``torch.compile`` does not look for hooks that come after it has translated, and ``with_cp`` calls
    blocks a second time in backward: neither is used inside.
    """
    recomputing = [m for m in backbone.modules() if getattr(m, 'with_cp', False)]
    with ExitStack() as stack:
        if (
            'torch._dynamo' in sys.modules
        ):  # else nothing is compiled, and importing it takes a second
            stack.enter_context(torch.compiler.set_stance('force_eager'))
        for module in recomputing:
            stack.callback(setattr, module, 'with_cp', True)
            module.with_cp = False
        yield
