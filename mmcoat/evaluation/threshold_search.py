"""Find the probability threshold with the best Dice, separately for each mask."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch import Tensor

from mmcoat.models.losses.mask_loss import mask_targets
from mmcoat.registry import METRICS

STEPS = 200  # tried thresholds, 1/200 apart


@METRICS.register_module()
class ThresholdSearch(BaseMetric):
    """Dice and IoU of each mask over all images, at threshold 0.5 and at each mask's best threshold.

    Each image gives two histograms of probabilities: of pixels inside and outside the mask. From these all
    thresholds are evaluated at once, in steps of 1/200. Search only on the validation set, and set
    ``model.decode_head.threshold`` to the result for a test.

    Args:
        labels: Kind of label maps: ``'index'``, ``'bits'`` or ``'soft'`` (see ``mmcoat.MaskLoss``; soft
            labels count as inside from 0.5).
        ignore_index: Label of the ignored pixels.
        **settings: Settings of MMEngine's ``BaseMetric``.
    """

    default_prefix = 'mask'

    def __init__(self, labels: str = 'index', ignore_index: int = 255, **settings: Any):
        super().__init__(**settings)
        self.labels, self.ignore_index = labels, ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep two histograms (2, masks, STEPS + 1) per image."""
        for sample in data_samples:
            label = sample['gt_sem_seg']['data'].squeeze()
            scores: Tensor = sample['seg_logits']['data']
            # MMSegmentation has already applied the sigmoid if there is one channel
            chances = scores if len(scores) == 1 else scores.sigmoid()
            inside = mask_targets(label[None], len(chances), self.labels)[0] >= 0.5
            valid = (label != self.ignore_index).cpu().numpy()
            bins = (chances.float().cpu().numpy() * STEPS).astype(np.int64).clip(0, STEPS)
            sides = inside.cpu().numpy()
            pairs = [
                [
                    np.bincount(b[valid & (s == side)], minlength=STEPS + 1)
                    for b, s in zip(bins, sides, strict=True)
                ]
                for side in (True, False)
            ]
            self.results.append(np.array(pairs))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return Dice and IoU at the best thresholds and Dice at 0.5, in percent, and the best thresholds."""
        inside, outside = sum(results)  # (masks, STEPS + 1)
        # pixels whose probability is at least k / STEPS, for k = 0...STEPS
        hit = inside[:, ::-1].cumsum(1)[:, ::-1]
        false = outside[:, ::-1].cumsum(1)[:, ::-1]
        truth = inside.sum(1, keepdims=True)
        dice = 2 * hit / np.maximum(hit + false + truth, 1)
        best = dice.argmax(1)
        rows = np.arange(len(best))
        iou = hit[rows, best] / np.maximum(truth[:, 0] + false[rows, best], 1)
        for mask, k in enumerate(best):
            MMLogger.get_current_instance().info(
                f'mask {mask}: Dice {100 * dice[mask, k]:.2f} at threshold {k / STEPS:.3f}, '
                f'{100 * dice[mask, STEPS // 2]:.2f} at 0.5'
            )
        metrics = dict(
            dice=100 * dice[rows, best].mean(),
            iou=100 * iou.mean(),
            dice_at_half=100 * dice[:, STEPS // 2].mean(),
        )
        metrics |= {f'threshold_{mask}': k / STEPS for mask, k in enumerate(best)}
        return {name: float(value) for name, value in metrics.items()}
