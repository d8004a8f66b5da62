"""MMDetection's data preprocessor for any number of channels."""

from mmdet.models.data_preprocessors import DetDataPreprocessor as Parent

from .channels import AnyChannels


class DetDataPreprocessor(AnyChannels, Parent):
    """MMDetection's data preprocessor, with one mean and one std for each channel."""
