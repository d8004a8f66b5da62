"""Trace a part with torch.export (the first step of all formats), and write it as ``.pt2``."""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mmcoat.checkpoints.atomic import write_whole
from mmcoat.ops import reference

from .errors import ExportError

AXES = {'batch': 0, 'height': 2, 'width': 3}
EXTRA_FILE = 'mmcoat.json'


def smallest_side(part: nn.Module, image: Tensor) -> int:
    """Return the smallest height and width of a program with dynamic sizes.

    The coarsest map must then have at least two positions along a side, because torch.export makes a
    different program for sizes of 0 and 1.
    """
    with torch.inference_mode():
        maps = part(image)
    maps = maps if isinstance(maps, tuple) else (maps,)
    coarsest = min((m.shape[2] for m in maps if m.dim() == 4), default=image.shape[2])
    stages = getattr(getattr(part, 'backbone', None), 'num_stages', 4)
    return max(2 * -(-image.shape[2] // coarsest), 2 * 4 * 2 ** (stages - 1))


def trace(
    part: nn.Module, image: Tensor, dynamic: tuple[str, ...], smallest: int
) -> ExportedProgram:
    """Return the program of a part. Tracing uses mmcoat's reference operations.

    Args:
        part: Takes one tensor.
        image: An example, (B, C, H, W); its fixed sizes are the program's.
        dynamic: Names of the axes of any size, from ``AXES``.
        smallest: Smallest height and width.

    Raises:
        ExportError: The part fixes a size that should be dynamic.
    """
    lowest = dict(batch=1, height=smallest, width=smallest)
    dims = {AXES[name]: Dim(name, min=lowest[name]) for name in dynamic}
    try:
        with torch.no_grad(), _resize_without_asking():
            program = torch.export.export(part, (image,), dynamic_shapes=(dims or None,))
    except torch._dynamo.exc.UserError as error:
        lines = [line.strip(' -') for line in str(error).splitlines() if line.strip()]
        raise ExportError(
            f'{", ".join(dynamic)} cannot all stay open: {" ".join(lines[:2])[:300]}; take fewer axes in '
            '--dynamic'
        ) from None
    namespaces = foreign_operators(program)
    if namespaces:
        raise ExportError(f'the program would need operators of {", ".join(sorted(namespaces))}')
    return program


@contextlib.contextmanager
def _resize_without_asking() -> Iterator[None]:
    """Make the exchange of scales always resize, so that tracing does not decide whether two sizes are equal.

    A map that already has the size is resized to the same size.
    """

    def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
        # (B, H, W, C) -> (B, C, H, W) -> (B, h, w, C)
        out = F.interpolate(x.permute(0, 3, 1, 2), size=size, mode='bilinear', align_corners=False)
        return out.permute(0, 2, 3, 1)

    kept, reference.resize = reference.resize, resize
    try:
        yield
    finally:
        reference.resize = kept


def foreign_operators(program: ExportedProgram) -> set[str]:
    """Return the libraries, other than PyTorch's own, whose operators a program calls."""
    graphs = [m.graph for m in program.graph_module.modules() if hasattr(m, 'graph')]
    nodes = [n.target for g in graphs for n in g.nodes]
    called = {t.namespace for t in nodes if isinstance(t, torch._ops.OpOverload)}
    return called - {'aten', 'prims'}


def write(program: ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the program with its metadata; ``torch.export.load`` reads it without mmcoat."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={EXTRA_FILE: json.dumps(metadata)})
    write_whole(buffer.getvalue(), path)
