"""Compare outputs with the reference; only contenders with equal outputs are timed."""

from dataclasses import asdict, dataclass

from torch import Tensor

from .steps import Outcome

# Limits: largest difference and root mean square difference, both divided by the map's standard deviation,
# and relative difference of the gradients' norm. The reference is always float32, so the limits for bf16
# allow the rounding to eight bits in up to 27 blocks.
LIMITS = {
    'fp32': dict(largest=1e-3, rms=1e-4, gradient=1e-3),
    'bf16': dict(largest=2.0, rms=0.05, gradient=0.02),
}


class MismatchError(Exception):
    """The outputs differ from the reference."""


@dataclass(frozen=True)
class Difference:
    """Differences of a contender from the float32 reference; the worst of its maps counts.

    Attributes:
        largest: Largest absolute difference over the standard deviation of the map.
        rms: Root mean square difference over the standard deviation.
        gradient: Relative difference of the norm of all gradients, None in inference.
    """

    largest: float
    rms: float
    gradient: float | None = None

    def check(self, dtype: str) -> None:
        """Raise a MismatchError if a limit of the precision is exceeded; NaN exceeds every limit."""
        limits = LIMITS[dtype]
        for name, value in asdict(self).items():
            if value is not None and not value <= limits[name]:
                raise MismatchError(
                    f'outputs differ from the reference: {name} difference {value:.2g} '
                    f'(over the standard deviation), allowed are {limits[name]:g} in {dtype}'
                )


def difference(found: Outcome, reference: Outcome) -> Difference:
    """Compare all maps and, in training, the gradients' norm.

    Raises:
        MismatchError: The number of maps or a shape is different.
    """
    shapes, wanted = ([tuple(m.shape) for m in o.maps] for o in (found, reference))
    if shapes != wanted:
        raise MismatchError(f'maps of shape {shapes}, the reference has {wanted}')
    pairs = [_map_difference(a, b) for a, b in zip(found.maps, reference.maps, strict=True)]
    gradient = None
    if reference.gradient_norm is not None:
        gradient = abs(found.gradient_norm / reference.gradient_norm - 1.0)
    # Python's max() would lose a NaN
    largest, rms = (max(column, key=lambda v: (v != v, v)) for column in zip(*pairs, strict=True))
    return Difference(largest, rms, gradient)


def _map_difference(found: Tensor, reference: Tensor) -> tuple[float, float]:
    off = (found.float() - reference.to(found.device)).abs()
    std = reference.std()
    return float(off.max() / std), float(off.square().mean().sqrt() / std)
