"""The learning rate of the official ImageNet runs."""

import math

from mmengine.optim import OptimWrapper, _ParamScheduler
from torch.optim import Optimizer

from mmcoat.errors import UsageError
from mmcoat.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class TimmCosineLR(_ParamScheduler):
    """Warm up linearly, then follow a cosine, as timm 0.3.2 does under DeiT's and CoaT's ``main.py``.

    Two things differ from MMEngine's LinearLR followed by CosineAnnealingLR:

    - The cosine starts at epoch 0 and includes the warm-up, so after the warm-up the rate is just below the
    base rate.
    - ``main.py`` calls ``step(epoch)`` after that epoch, so every epoch except the first has the rate of the
    epoch before.

    With t = max(epoch - 1, 0), the rate is ``warmup_lr + t * (base - warmup_lr) / warmup`` while t is below
    ``warmup``, then ``eta_min + (base - eta_min) * (1 + cos(pi * t / end)) / 2``. ``base`` is the optimizer's
    rate. The rate is set, not multiplied, so use no other learning-rate scheduler beside this one.
    As in timm 0.3.2, ``warmup_lr`` and ``eta_min`` are rates, the same for every parameter group.

    Args:
        optimizer: The optimizer or its wrapper.
        end: Total number of epochs; in a config the default is the runner's number of epochs.
        warmup: Epochs of warm-up; 0 for none.
        warmup_lr: Rate at the start of the warm-up.
        eta_min: Rate at the end of the cosine. If the base rate is lower, the rate rises to this value.
        by_epoch: Only True: the rate is constant during an epoch.
        last_step: Number of epochs that the scheduler has seen, minus one; for resuming without its state.
        verbose: Whether to log every change.

    Raises:
        UsageError: A setting is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        end: int,
        warmup: int = 0,
        warmup_lr: float = 1e-6,
        eta_min: float = 1e-5,
        by_epoch: bool = True,
        last_step: int = -1,
        verbose: bool = False,
    ) -> None:
        if by_epoch is not True:
            raise UsageError(f'TimmCosineLR changes the rate by epoch; by_epoch={by_epoch!r}')
        if not 0 <= warmup < end:
            raise UsageError(f'warmup must be in 0..{end - 1}, below end={end}; got {warmup!r}')
        for name, rate in (('warmup_lr', warmup_lr), ('eta_min', eta_min)):
            if rate < 0:
                raise UsageError(f'{name} must not be negative; got {rate!r}')
        self.warmup = warmup
        self.warmup_lr = warmup_lr
        self.eta_min = eta_min
        super().__init__(optimizer, 'lr', end=end, last_step=last_step, verbose=verbose)

    def _get_value(self) -> list[float]:
        """Return the rate of each parameter group in epoch ``last_step``."""
        # NOTE: differs from MMEngine: the official loop steps after the epoch, with that epoch's number.
        t = max(self.last_step - 1, 0)
        return [self._rate(t, base) for base in self.base_values]

    def _rate(self, t: int, base: float) -> float:
        if t < self.warmup:
            return self.warmup_lr + t * (base - self.warmup_lr) / self.warmup
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.end)) / 2
