"""Code that both data preprocessors share: means and stds of N channels; MMEngine allows only 1 or 3."""

from collections.abc import Sequence
from typing import Any

import torch


class AnyChannels:
    """Mixin for a data preprocessor of MMEngine: ``mean`` and ``std`` of any length.

    Args:
        mean: One number for each channel, in the order of the channels after ``bgr_to_rgb``.
        std: As many numbers as ``mean``.
        bgr_to_rgb: Reverse the channels, but only if there are three.
        **settings: Settings of the parent class.

    Raises:
        ValueError: ``mean`` and ``std`` differ in length, or a std is not positive.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bgr_to_rgb: bool = False,
        **settings: Any,
    ):
        if (mean is None) != (std is None) or len(mean or ()) != len(std or ()):
            raise ValueError(f'mean and std must be of the same length, got {mean} and {std}')
        if not all(value > 0 for value in std or ()):
            raise ValueError(f'std must be positive, got {std}')
        reverse = bgr_to_rgb and len(mean or ()) in (0, 3)
        super().__init__(bgr_to_rgb=reverse, **settings)  # type: ignore[call-arg]
        if mean:
            self._enable_normalize = True
            for name, values in (('mean', mean), ('std', std)):
                tensor = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
                self.register_buffer(name, tensor, False)  # type: ignore[attr-defined]

    def forward(self, data: dict, training: bool = False) -> Any:
        """Normalise and pad a batch.

        Args:
            data: ``inputs``, a list of (C, H, W) tensors or one (B, C, H, W) tensor, and ``data_samples``.
            training: Whether the batch is for training.

        Raises:
            ValueError: The number of an image's channels is not that of the means.
        """
        if self._enable_normalize and len(self.mean) > 1:  # type: ignore[attr-defined]
            for image in data['inputs']:
                _check(image, len(self.mean))  # type: ignore[attr-defined]
        return super().forward(data, training)


def _check(image: Any, channels: int) -> None:
    if isinstance(image, torch.Tensor) and image.dim() == 3 and image.shape[0] != channels:
        raise ValueError(
            f'an image of shape {tuple(image.shape)} has {image.shape[0]} channels, but '
            f'data_preprocessor.mean has {channels} values'
        )
