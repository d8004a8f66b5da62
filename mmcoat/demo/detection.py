"""The detection demo: draw a COCO data set, train the real Mask R-CNN config on it from scratch, evaluate."""

import contextlib
import io
import time
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmcoat import runs
from mmcoat.datasets.synthetic import make_coco

from .segmentation import History, build_runner, describe, from_scratch, say

CONFIG = 'mask_rcnn_coat_lite_s_1x_coco.py'
METRICS = {'box AP50': 'coco/bbox_mAP_50', 'mask AP50': 'coco/segm_mAP_50'}


@dataclass
class DetDemoOptions:
    """What the demo may change of the real config, and the size of its data set.

    Args:
        work_dir: Where data, logs, weights and pictures go.
        iterations: Training steps.
        batch_size: Images per step.
        short_side: Height of the scenes in pixels; the width is 3 / 2 of it.
        train_images: Scenes to train on.
        val_images: Scenes to evaluate on; none of them is seen in training.
        lr: Highest learning rate.
        seed: Of scenes and training.
    """

    work_dir: str = 'work_dirs/demo_det'
    iterations: int = 1200
    batch_size: int = 1
    short_side: int = 64
    train_images: int = 1400
    val_images: int = 60
    lr: float = 4e-4
    seed: int = 0


class DetHistory(History):
    """Losses and progress; the scores are asked for at the end."""

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep nothing: there is one evaluation, after training."""


def run_det_demo(options: DetDemoOptions) -> dict[str, float]:
    """Run all steps and return box and mask AP50 on the unseen scenes, in [0, 1]."""
    start = time.monotonic()
    data_root = draw_coco(options, Path(options.work_dir) / 'data')
    runner = build_runner(det_demo_config(options, data_root))
    history = DetHistory(options.iterations)
    runner.register_hook(history, priority='LOWEST')
    say(f'[2/4] Training {CONFIG} from scratch: {describe(runner)}')
    runner.train()
    say('[3/4] Evaluating on scenes that the training has not seen')
    scores = evaluate(runner)
    say('[4/4] Drawing')
    from .detection_pictures import draw_detections, draw_losses

    pictures = Path(options.work_dir) / 'pictures'
    draw_detections(runner, pictures / 'detections.png')
    draw_losses(history.losses, pictures / 'losses.png')
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    found = ', '.join(f'{name} {score:.3f}' for name, score in scores.items())
    say(f'{found} on {options.val_images} unseen scenes; took {minutes} min {seconds} s')
    say(f'Pictures: {pictures / "detections.png"} and {pictures / "losses.png"}')
    return scores


def evaluate(runner: Runner) -> dict[str, float]:
    """Return the scores in ``METRICS``; the log file, not the terminal, gets pycocotools' tables."""
    with contextlib.redirect_stdout(io.StringIO()) as tables:
        metrics = runner.val()
    runner.logger.info(tables.getvalue())
    return {name: float(metrics.get(key, 0.0)) for name, key in METRICS.items()}  # 0: no box found


def draw_coco(options: DetDemoOptions, root: Path) -> Path:
    """Draw the scenes anew and return the folder, in COCO's layout."""
    say(f'[1/4] Drawing {options.train_images} + {options.val_images} scenes in {root}')
    make_coco(
        root,
        train=options.train_images,
        val=options.val_images,
        size=(options.short_side * 3 // 2, options.short_side),
        seed=options.seed,
        overwrite=True,
        max_objects=3,
        object_scale=1.4,
    )
    return root


def det_demo_config(options: DetDemoOptions, data_root: Path) -> Config:
    """Return the real config with data root, image scale, batch, schedule and weights overridden."""
    iterations = options.iterations
    cfg = runs.load_config(str(runs.find_config(CONFIG)))
    runs.set_data_root(cfg, str(data_root))
    _set_scale(cfg, options.short_side)
    cfg.merge_from_dict(
        {
            **from_scratch(options),
            'optim_wrapper.optimizer.lr': options.lr,
            'default_hooks.checkpoint': dict(
                type='CheckpointHook', by_epoch=False, interval=iterations, save_best=None
            ),
            'default_hooks.logger.interval': 10,
            'default_hooks.logger.log_metric_by_epoch': False,
            'log_processor.by_epoch': False,
            'randomness': dict(seed=options.seed),
        }
    )
    # Only one validation, after training: on CPU, 60 images cost as much as dozens of steps.
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_begin=iterations + 1)
    warmup = max(1, iterations // 15)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=warmup),
        dict(type='PolyLR', eta_min=0.0, power=1.0, begin=warmup, end=iterations, by_epoch=False),
    ]
    runs.fit_to_devices(cfg)
    return cfg


def _set_scale(cfg: Config, short: int) -> None:
    """Bring all scales from 800 x 1333 to the scenes' size; the pipelines keep their steps."""
    pending = [step for dataset in runs.datasets(cfg) for step in dataset.pipeline]
    while pending:
        step = pending.pop()
        if step.type == 'RandomChoice':
            pending += [inner for branch in step.transforms for inner in branch]
        elif step.type == 'RandomChoiceResize':
            step.scales = [(3 * short // 2, short)]
        elif step.type == 'RandomCrop':
            step.crop_size = (short * 7 // 8, 3 * short // 2)
        elif step.type == 'Resize':
            step.scale = (3 * short // 2, short)
