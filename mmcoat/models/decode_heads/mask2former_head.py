"""MMSegmentation's Mask2Former head, changed so that it also works with sliding windows."""

from typing import Any

from mmseg.models.decode_heads import Mask2FormerHead as _Mask2FormerHead
from torch import Tensor


class Mask2FormerHead(_Mask2FormerHead):
    """MMSegmentation's head with another ``predict``; arguments and weights are the same.

    MMSegmentation's ``predict`` enlarges the masks to the image's ``pad_shape``. With sliding windows the
    input is a crop, whose size is in ``img_shape``, so larger images fail there.
    """

    def predict(self, x: tuple[Tensor, ...], batch_img_metas: list[dict], test_cfg: Any) -> Tensor:
        """Maps of the backbone -> class scores (B, num_classes, H, W) of the image or of the window."""
        if test_cfg is not None and test_cfg.get('mode') == 'slide':
            batch_img_metas = [
                {key: value for key, value in metas.items() if key != 'pad_shape'}
                for metas in batch_img_metas
            ]
        return super().predict(x, batch_img_metas, test_cfg)
