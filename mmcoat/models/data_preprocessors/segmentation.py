"""MMSegmentation's data preprocessor for any number of channels."""

from mmseg.models import SegDataPreProcessor as Parent

from .channels import AnyChannels


class SegDataPreProcessor(AnyChannels, Parent):
    """MMSegmentation's data preprocessor, with one mean and one std for each channel."""
