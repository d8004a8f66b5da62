"""Run a written program in its own runtime, and compare it with PyTorch at sizes that were not traced."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import VerificationError, require
from .openvino import EXACT
from .parts import Labels

# Largest difference of scores and maps, divided by their standard deviation
TOLERANCES = {'fp32': 1e-4, 'fp16': 5e-2}
AGREEMENT = 0.95  # share of equal labels that an int8 program needs
Run = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True)
class Comparison:
    """Comparison of the program with PyTorch for one image or batch.

    Attributes:
        shape: Shape of the batch of images.
        error: Largest difference of any output, divided by its standard deviation; None for labels.
        agreement: Share of labels that are equal; None for maps.
        wrong: Number of labels that differ although PyTorch's scores are clear at this precision.
    """

    shape: tuple[int, ...]
    error: float | None
    agreement: float | None
    wrong: int

    def __str__(self) -> str:
        parts = [' x '.join(map(str, self.shape))]
        if self.error is not None:
            parts.append(f'largest error {self.error:.1e} of the spread')
        if self.agreement is not None:
            parts.append(f'{100 * self.agreement:.3f} % of labels equal')
        return ', '.join(parts)


def load(path: Path, exact: bool = True) -> Run:
    """Return a function that runs a written program.

    Args:
        path: ``.onnx``, ``.xml`` or ``.pt2``.
        exact: Compute in float32 even if the runtime would choose a lower precision.
    """
    if path.suffix == '.onnx':
        runtime = require('onnxruntime', 'running ONNX')
        session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        return lambda image: session.run(None, {'image': image})
    if path.suffix == '.xml':
        openvino = require('openvino', 'running OpenVINO')
        compiled = openvino.compile_model(str(path), 'CPU', EXACT if exact else {})
        return lambda image: list(compiled([image]).to_tuple())
    module = torch.export.load(str(path)).module()

    def run(image: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            out = module(torch.from_numpy(image))
        return [x.numpy() for x in (out if isinstance(out, tuple) else (out,))]

    return run


def other_shapes(
    traced: tuple[int, ...], dynamic: tuple[str, ...], smallest: int
) -> list[tuple[int, ...]]:
    """Return three shapes that differ from the traced one in all dynamic axes; sides may be odd."""
    shapes: list[tuple[int, ...]] = []
    for batch, height, width in ((1, 0, 37), (3, 45, 0), (1, 31, 64)):
        shapes.append(
            (
                batch if 'batch' in dynamic else traced[0],
                traced[1],
                smallest + height if 'height' in dynamic else traced[2],
                smallest + width if 'width' in dynamic else traced[3],
            )
        )
    return shapes


def draw_images(shape: tuple[int, ...], uint8: bool, seed: int) -> Tensor:
    """Return smooth random images: normalised, or uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(*shape[:2], 5, 7, generator=generator)
    image = F.interpolate(coarse, size=shape[2:], mode='bicubic', align_corners=False)
    image = image + 0.1 * torch.randn(shape, generator=generator)
    return (127 + 50 * image).clamp(0, 255).to(torch.uint8) if uint8 else image


def compare(
    run: Run, part: nn.Module, labels: Labels | None, image: Tensor, tolerance: float
) -> Comparison:
    """Run one batch in both.

    Args:
        run: The program.
        part: The same in PyTorch; it outputs scores even if the program outputs labels.
        labels: Turns scores into labels; None if the part outputs maps.
        image: A batch.
        tolerance: Difference, divided by the standard deviation, that counts as equal.

    Raises:
        VerificationError: The outputs have other shapes than PyTorch's.
    """
    with torch.inference_mode():
        expected = part(image)
    expected = expected if isinstance(expected, tuple) else (expected,)
    got = [torch.from_numpy(np.asarray(x)) for x in run(image.numpy())]
    scores = [x for x in got if x.is_floating_point()]
    wanted = expected if scores else [labels.of(expected[0])] if labels else []
    shapes = [tuple(tuple(x.shape) for x in outputs) for outputs in (got, wanted)]
    if shapes[0] != shapes[1]:
        raise VerificationError(f'the program gives shapes {shapes[0]}, PyTorch {shapes[1]}')
    errors = [(a - b).abs().max() / b.std() for a, b in zip(scores, expected, strict=False)]
    error = float(torch.stack(errors).max()) if errors else None  # max() keeps a NaN
    if labels is None:
        return Comparison(tuple(image.shape), error, None, 0)
    given = labels.of(got[0]) if scores else got[0]
    return Comparison(
        tuple(image.shape), error, *_compare_labels(given, labels, expected[0], tolerance)
    )


def _compare_labels(
    given: Tensor, labels: Labels, scores: Tensor, tolerance: float
) -> tuple[float, int]:
    """Return the share of equal labels, and the number of differences that no tie explains."""
    equal = given == labels.of(scores)
    wrong = ~equal
    if labels.threshold is None:  # if two classes have equal scores, both are correct
        chosen = scores.gather(1, given.long().unsqueeze(1)).squeeze(1)
        wrong = wrong & (scores.amax(1) - chosen > 2 * tolerance * scores.std())
    return equal.float().mean().item(), int(wrong.sum())


def check(comparisons: list[Comparison], precision: str) -> None:
    """Raise an error if a program is wrong.

    Raises:
        VerificationError: The program is wrong; the message says by how much.
    """
    for one in comparisons:
        if precision == 'int8':
            bad = one.agreement is not None and one.agreement < AGREEMENT
            allowed = f'{100 * AGREEMENT:g} % of labels'
        else:
            tolerance: Any = TOLERANCES[precision]
            # not "error > tolerance", which a NaN would pass
            bad = one.wrong > 0 or (one.error is not None and not one.error <= tolerance)
            allowed = f'{tolerance:g} of the spread, no label'
        if bad:
            raise VerificationError(
                f'the program is not PyTorch: {one}, {one.wrong} labels wrong (allowed: {allowed})'
            )
