"""The detection demo: COCO's layout, Mask R-CNN, COCO's metric."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmcoat import runs
from mmcoat.datasets.synthetic import make_coco

from .common import Demo, DemoOptions
from .pictures import draw_detections

METRICS = {'box AP50': 'coco/bbox_mAP_50', 'mask AP50': 'coco/segm_mAP_50'}


@dataclass
class DetectionOptions(DemoOptions):
    """The detection demo's options.

    Args:
        short_side: Height of the scenes in pixels; the width is 3 / 2 of it.
    """

    work_dir: str = 'work_dirs/demo_det'
    iterations: int = 1200
    batch_size: int = 1
    train_images: int = 1400
    val_images: int = 60
    lr: float = 4e-4
    short_side: int = 64


class DetectionDemo(Demo):
    """Mask R-CNN with CoaT-Lite Small on drawn objects."""

    config_name = 'mask_rcnn_coat_lite_s_1x_coco.py'
    warmup_part = 15
    draw_scenes = staticmethod(draw_detections)
    options: DetectionOptions

    def __init__(self, options: DetectionOptions) -> None:
        super().__init__(options)
        self.size = (options.short_side * 3 // 2, options.short_side)

    def draw_data(self) -> None:
        make_coco(
            self.data_root,
            train=self.options.train_images,
            val=self.options.val_images,
            size=self.size,
            seed=self.options.seed,
            overwrite=True,
            max_objects=3,
            object_scale=1.4,
        )

    def adapt(self, cfg: Config) -> None:
        iterations = self.options.iterations
        self._set_scale(cfg)
        cfg.default_hooks.checkpoint.save_best = None
        cfg.default_hooks.logger.log_metric_by_epoch = False
        cfg.log_processor.by_epoch = False
        # Only one validation, after training: on CPU, 60 images cost as much as dozens of steps.
        cfg.train_cfg = dict(
            type='IterBasedTrainLoop', max_iters=iterations, val_begin=iterations + 1
        )

    def _set_scale(self, cfg: Config) -> None:
        """Change all scales from 800 x 1333 to the scenes' size; the steps of the pipelines stay the same."""
        width, height = self.size
        pending = [step for dataset in runs.datasets(cfg) for step in dataset.pipeline]
        while pending:
            step = pending.pop()
            if step.type == 'RandomChoice':
                pending += [inner for branch in step.transforms for inner in branch]
            elif step.type == 'RandomChoiceResize':
                step.scales = [self.size]
            elif step.type == 'RandomCrop':
                step.crop_size = (height * 7 // 8, width)
            elif step.type == 'Resize':
                step.scale = self.size

    def evaluate(self, runner: Runner) -> dict[str, float]:
        """Return the scores in ``METRICS``; pycocotools' tables go to the log file, not to the terminal."""
        with contextlib.redirect_stdout(io.StringIO()) as tables:
            metrics = runner.val()
        runner.logger.info(tables.getvalue())
        return {name: float(metrics.get(key, 0.0)) for name, key in METRICS.items()}  # 0: no box

    def summary(self, scores: dict[str, float]) -> str:
        found = ', '.join(f'{name} {score:.3f}' for name, score in scores.items())
        return f'{found} on {self.options.val_images} unseen scenes'

    def example(self) -> Path:
        return self.data_root / 'val2017' / self._example()[0]['file_name']

    def pixel(self) -> tuple[int, int] | None:
        """Return the middle of an object of the example."""
        boxes = self._example()[1]
        if not boxes:
            return None
        x, y, width, height = boxes[0]
        return int(x + width / 2), int(y + height / 2)

    def _example(self) -> tuple[dict, list]:
        """Return the first image with an object, else the first one, and its boxes (x, y, w, h)."""
        text = (self.data_root / 'annotations' / 'instances_val2017.json').read_text()
        content = json.loads(text)
        shown = {annotation['image_id'] for annotation in content['annotations']}
        image = min(content['images'], key=lambda image: image['id'] not in shown)
        boxes = [a['bbox'] for a in content['annotations'] if a['image_id'] == image['id']]
        return image, boxes
