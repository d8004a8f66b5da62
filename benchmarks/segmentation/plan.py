"""The plan of a comparison, and the config of each run: the user's config within the budget."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcoat import runs
from mmcoat.errors import UsageError

BUDGETS = ('iterations', 'minutes')
INITS = ('scratch', 'pretrained')
EVALUATOR = dict(type='mmcoat.BoundaryF1', iou_metrics=['mIoU'])


@dataclass(frozen=True)
class Plan:
    """One comparison.

    Attributes:
        configs: Config files by name.
        data_root: Data set of all.
        seeds: Runs of each config, of seeds 0, 1...
        out: Folder of runs and report.
        budget: One of :data:`BUDGETS`.
        amount: Iterations or minutes; None for the configs' own iterations.
        init: One of :data:`INITS`.
        gpus: Processes of a run.
        validations: Points of a learning curve.
        repeats: Rounds of the latency measurement.
        options: Settings for all configs alike.
        report_only: Whether nothing is trained.
    """

    configs: dict[str, Path]
    data_root: str
    seeds: int
    out: Path
    budget: str = 'iterations'
    amount: float | None = None
    init: str = 'pretrained'
    gpus: int = 1
    validations: int = 10
    repeats: int = 10
    options: dict[str, Any] = field(default_factory=dict)
    report_only: bool = False


def common_config(plan: Plan, name: str) -> Config:
    """Return a config with the plan's data, initialisation, evaluator and options.

    Raises:
        UsageError: It does not train a segmentor by iterations.
    """
    cfg = runs.load_config(
        str(plan.configs[name]), dict(plan.options) | dict(data_root=plan.data_root)
    )
    if cfg.get('default_scope') != 'mmseg' or 'max_iters' not in cfg.get('train_cfg', {}):
        raise UsageError(f'{plan.configs[name]} trains no MMSegmentation model by iterations')
    if plan.init == 'scratch':
        cfg.model.backbone.init_cfg = None
        cfg.model.pretrained = None
    cfg.val_evaluator = cfg.test_evaluator = EVALUATOR
    cfg.default_hooks.pop('visualization', None)
    return cfg


def within(cfg: Config, iterations: int, seed: int, validations: int) -> Config:
    """Set the number of iterations of a config; its schedule keeps its shape, including warm-up."""
    cfg, old = copy.deepcopy(cfg), cfg.train_cfg.max_iters  # Config.copy() is a shallow copy
    schedulers = cfg.param_scheduler
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if scheduler.get('by_epoch', True):
            raise UsageError('schedules by epochs have no place in a budget of iterations')
        for key in ('begin', 'end', 'T_max'):
            if key in scheduler:
                scheduler[key] = round(scheduler[key] * iterations / old)
        for key in ('milestones',):
            if key in scheduler:
                scheduler[key] = [round(step * iterations / old) for step in scheduler[key]]
    # a warm-up of no iterations would divide by zero
    cfg.param_scheduler = [s for s in schedulers if s.get('end', 2) - s.get('begin', 0) >= 2]
    interval = max(1, iterations // validations)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=interval)
    cfg.default_hooks.checkpoint.update(interval=interval, max_keep_ckpts=1, save_best=None)
    cfg.default_hooks.logger.interval = max(1, min(50, iterations // 4))
    cfg.randomness = dict(seed=seed)
    return cfg
