"""Compare outputs with the reference; only contenders with equal outputs are timed."""

import torch

from .steps import Outcome

# Largest absolute difference and root mean square difference, both over the map's standard deviation, and
# relative difference of the gradients' norm. The reference is always float32, so the limits for bf16 allow
# the rounding to eight bits in up to 27 blocks.
LIMITS = {
    'fp32': dict(largest=1e-3, rms=1e-4, gradient=1e-3),
    'bf16': dict(largest=2.0, rms=0.05, gradient=0.02),
}


class MismatchError(Exception):
    """The outputs differ from the reference."""

    status = 'mismatch'


def difference(found: Outcome, reference: Outcome) -> dict[str, float | None]:
    """Return the values that :data:`LIMITS` names; the worst map counts, ``gradient`` is None in inference.

    Raises:
        MismatchError: The number of maps or a shape is different.
    """
    shapes, wanted = ([tuple(m.shape) for m in o.maps] for o in (found, reference))
    if shapes != wanted:
        raise MismatchError(f'maps of shape {shapes}, the reference has {wanted}')
    pairs = zip(found.maps, reference.maps, strict=True)
    off = [(a.float() - b.to(a.device)).abs() / b.std().to(a.device) for a, b in pairs]
    gradient = None
    if reference.gradient_norm is not None:
        gradient = abs(found.gradient_norm / reference.gradient_norm - 1.0)
    return dict(
        largest=float(torch.stack([o.max() for o in off]).max()),
        rms=float(torch.stack([o.square().mean().sqrt() for o in off]).max()),
        gradient=gradient,
    )


def check(found: dict[str, float | None], dtype: str) -> None:
    """Raise a MismatchError if a limit of the precision is exceeded; NaN exceeds every limit."""
    for name, limit in LIMITS[dtype].items():
        value = found[name]
        if value is not None and not value <= limit:
            raise MismatchError(
                f'outputs differ from the reference: {name} difference {value:.2g} '
                f'(over the standard deviation), allowed are {limit:g} in {dtype}'
            )
