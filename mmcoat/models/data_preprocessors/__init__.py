"""Data preprocessors for any number of image channels; building one imports its toolbox."""

from typing import Any

from torch import nn

from mmcoat.registry import MODELS

__all__ = ['build_det_data_preprocessor', 'build_seg_data_preprocessor']


# Functions instead of classes, so that mmcoat can be imported without the toolboxes, and quickly.
@MODELS.register_module(name='SegDataPreProcessor')
def build_seg_data_preprocessor(**settings: Any) -> nn.Module:
    """Build MMSegmentation's ``SegDataPreProcessor`` with one mean and one std for each channel.

    Args:
        **settings: MMSegmentation's settings, with any number of means; see :mod:`.channels`.

    Raises:
        ValueError: Means and stds differ in number, or a std is not positive.
    """
    from .segmentation import SegDataPreProcessor

    return SegDataPreProcessor(**settings)


@MODELS.register_module(name='DetDataPreprocessor')
def build_det_data_preprocessor(**settings: Any) -> nn.Module:
    """Build MMDetection's ``DetDataPreprocessor`` with one mean and one std for each channel.

    Args:
        **settings: MMDetection's settings, with any number of means; see :mod:`.channels`.

    Raises:
        ValueError: Means and stds differ in number, or a std is not positive.
    """
    from .detection import DetDataPreprocessor

    return DetDataPreprocessor(**settings)
