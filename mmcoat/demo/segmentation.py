"""The segmentation demo: ADE20K's layout, UperNet, the mean IoU over the classes present."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from mmcoat import runs
from mmcoat.datasets.synthetic import colour_baseline_miou, make_ade20k

from .common import Demo, DemoOptions, say
from .pictures import draw_label_maps


@dataclass
class SegmentationOptions(DemoOptions):
    """The segmentation demo's options.

    Args:
        crop: Side of the training crops in pixels.
        image_size: Width and height of the scenes in pixels.
    """

    work_dir: str = 'work_dirs/demo'
    iterations: int = 430
    batch_size: int = 4
    train_images: int = 1000
    val_images: int = 30
    lr: float = 1.2e-3
    crop: int = 96
    image_size: tuple[int, int] = (160, 128)


class SegmentationDemo(Demo):
    """UperNet with CoaT-Lite Small on drawn streets."""

    config_name = 'upernet_coat_lite_s_ade20k.py'
    warmup_part = 20
    draw_scenes = staticmethod(draw_label_maps)
    options: SegmentationOptions

    def draw_data(self) -> None:
        make_ade20k(
            self.data_root,
            train=self.options.train_images,
            val=self.options.val_images,
            size=self.options.image_size,
            seed=self.options.seed,
            overwrite=True,
        )

    def adapt(self, cfg: Config) -> None:
        crop, short = self.options.crop, min(self.options.image_size)
        for dataset in runs.datasets(cfg):
            for step in dataset.pipeline:
                if step.type in ('RandomResize', 'Resize'):
                    step.scale = (short * 4, short)
                elif step.type == 'RandomCrop':
                    step.crop_size = (crop, crop)
        cfg.model.data_preprocessor.size = (crop, crop)
        cfg.train_cfg.max_iters = self.options.iterations
        cfg.train_cfg.val_interval = max(1, self.options.iterations // 4)
        for name in ('val_evaluator', 'test_evaluator'):
            cfg[name].type = 'mmcoat.PresentClassIoU'

    def evaluate(self, runner: Runner) -> dict[str, float]:
        """Return the IoU of every class, as the evaluation after the last step found it."""
        scores = runner.val_evaluator.metrics[0].class_scores
        scores = dict(sorted(scores.items(), key=lambda item: -item[1]))
        for name, score in scores.items():
            say(f'      {name:<12} IoU {score:.3f}')
        return {'mIoU': float(np.mean(list(scores.values()))), **scores}

    def summary(self, scores: dict[str, float]) -> str:
        colour = colour_baseline_miou(self.data_root)
        return (
            f'mIoU over the {len(scores) - 1} classes present: {scores["mIoU"]:.3f} '
            f'(colour alone gives {colour:.3f})'
        )

    def example(self) -> Path:
        return self.data_root / 'images' / 'validation' / 'ADE_val_00000001.jpg'
