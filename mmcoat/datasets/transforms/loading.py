"""Load images of any number of channels in a pipeline."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmcoat.datasets.images import read_channels
from mmcoat.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadChannels(BaseTransform):
    """Load an image with all its channels; replaces ``LoadImageFromFile``.

    Images of three channels are returned as BGR, as everywhere in OpenMMLab; others keep the file's order.

    Required keys: img_path. Added keys: img, (H, W, C) uint8 or float32; img_shape, ori_shape.

    Args:
        channels: Required number of channels.

    Raises:
        ImageError: A file cannot be read, or has another number of channels.
    """

    def __init__(self, channels: int = 3):
        self.channels = channels

    def transform(self, results: dict) -> dict:
        """Add the image to ``results``."""
        image = read_channels(results['img_path'], self.channels)
        if image.shape[2] == 3:
            image = image[..., ::-1]
        # OpenCV can resize float32 but not int32, and PyTorch has no big-endian numbers
        kind = np.uint8 if image.dtype == np.uint8 else np.float32
        results['img'] = np.ascontiguousarray(image, kind)
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(channels={self.channels})'
