"""mmcoat's transforms; importing this package registers them."""

from .loading import LoadChannels
from .skip_broken import SkipBroken

__all__ = ['LoadChannels', 'SkipBroken']
