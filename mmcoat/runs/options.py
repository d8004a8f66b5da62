"""Apply command-line options to a config before the run is built."""

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmcoat.datasets.checks import check_before_training
from mmcoat.datasets.labels import check_labels
from mmcoat.datasets.layout import check_dataset
from mmcoat.errors import UsageError

from .checks import check_channels, check_lengths, check_modes, named_datasets
from .config import datasets
from .distributed import join_processes
from .evaluators import check_evaluators


def set_run(cfg: Config, args: argparse.Namespace, stages: tuple[str, ...]) -> None:
    """Set work dir and launcher, adapt the config to the available devices, and check it and the data sets.

    Raises:
        UsageError: A setting would fail late or silently give wrong results.
        LayoutError: A data set is missing or has another layout than its class expects, or its labels are not
            those of the config's classes.
        DataError: The check of the data sets has found an error.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    fit_to_devices(cfg)
    check_modes(cfg)
    check_channels(cfg)
    if 'train' in stages:
        check_lengths(cfg)
        if (cfg.get('auto_scale_lr') or {}).get('enable'):
            enable_auto_scale_lr(cfg)
    join_processes(cfg)
    for dataset in datasets(cfg, stages):
        check_dataset(dataset)
    check_evaluators(cfg, stages)
    check_labels(datasets(cfg, stages), cfg)
    if getattr(args, 'skip_broken', False):
        _skip_broken(cfg)
    if getattr(args, 'check_data', False):
        there = [stage for stage in stages if cfg.get(f'{stage}_dataloader')]
        check_before_training(named_datasets(cfg, there), cfg, args.config)


def _skip_broken(cfg: Config) -> None:
    for dataset in datasets(cfg, ('train',)):
        dataset.pipeline = [dict(type='mmcoat.SkipBroken'), *dataset.pipeline]


def fit_to_devices(cfg: Config) -> None:
    """Use gloo without a GPU, and in place of SyncBN, which needs several GPUs, BN or a form for CPUs."""
    if not torch.cuda.is_available():
        cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
    if (cfg.get('launcher') or 'none') == 'none':
        _replace_sync_bn(cfg._cfg_dict, 'BN')
    elif not torch.cuda.is_available():
        _replace_sync_bn(cfg._cfg_dict, 'mmcoat.CPUSyncBN')


def _replace_sync_bn(node: Any, by: str) -> None:
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            node['type'] = by
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            _replace_sync_bn(child, by)


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 with loss scaling on a GPU, bfloat16 on a CPU.

    Raises:
        UsageError: The optimizer wrapper is not ``OptimWrapper``.
    """
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UsageError(f'--amp works with OptimWrapper, this config has {wrapper}')
    if not torch.cuda.is_available():
        cfg.optim_wrapper.type = 'mmcoat.CPUAmpOptimWrapper'
        for key in ('loss_scale', 'dtype'):  # settings of MMEngine's wrapper, which needs a GPU
            cfg.optim_wrapper.pop(key, None)
        return
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate linearly with the batch size, from the one it was chosen for to the actual one.

    Raises:
        UsageError: The config does not have the batch size of its learning rate, or the value is invalid.
    """
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if base is None:
        raise UsageError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    if not isinstance(base, int) or base < 1:
        raise UsageError(
            f'auto_scale_lr.base_batch_size must be a whole number from 1, not {base!r}'
        )
    cfg.auto_scale_lr.enable = True


def enable_debug_nan(cfg: Config) -> None:
    """Stop a training at the first module whose output is not finite."""
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmcoat.DebugNanHook')]


def only_train(cfg: Config, iterations: int) -> None:
    """Train for a few iterations without evaluating or saving."""
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations)
    for name in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[name] = None
    cfg.merge_from_dict({'default_hooks.checkpoint': None, 'log_processor.by_epoch': False})


def enable_drawing(
    cfg: Config, show: bool, show_dir: str | None, wait_time: float, interval: int
) -> None:
    """Make the toolbox's visualization hook draw the predictions, if they should be shown or saved.

    Pictures go into ``show_dir`` itself, with every toolbox: MMSegmentation's hook would put them two folders
    deeper, and MMDetection's below the work dir.

    Raises:
        UsageError: The config has no such hook, or the interval is below 1.
    """
    if interval < 1:
        raise UsageError(f'--interval must be 1 or more, not {interval}')
    if not show and not show_dir:
        return
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise UsageError('--show and --show-dir need default_hooks.visualization in the config')
    options: dict[str, Any] = dict(show=show, wait_time=wait_time, interval=interval)
    folder = str(Path(show_dir).expanduser().absolute()) if show_dir else None
    scope = cfg.get('default_scope')
    if scope == 'mmseg':
        options['draw'] = True
        if folder:
            _save_images_in(cfg.visualizer, folder)
    elif scope == 'mmdet':
        options |= dict(draw=True, test_out_dir=folder)
    else:
        options |= dict(enable=True, out_dir=folder)
    hook.update(options)


def _save_images_in(visualizer: dict[str, Any], folder: str) -> None:
    """Let the backend that writes files write images there, and all else where it did."""
    kind = 'LocalVisBackend'
    backends = [dict(backend) for backend in visualizer.get('vis_backends') or []]
    if kind not in (backend['type'] for backend in backends):
        backends.append(dict(type=kind))
    for backend in backends:
        if backend['type'] == kind:
            backend['img_save_dir'] = folder
    visualizer['vis_backends'] = backends


def enable_tta(cfg: Config) -> None:
    """Test with the config's augmentations, averaged.

    Raises:
        UsageError: The config defines no augmentations.
    """
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise UsageError('--tta needs tta_model and tta_pipeline in the config')
    for dataset in datasets(cfg, ('test',)):
        dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def keep_predictions(cfg: Config, out: str) -> None:
    """Write the predictions of a test: label maps into a folder, or one pickle of all results.

    Raises:
        UsageError: ``out`` is not valid for this task, already has results, or the evaluator is already a
            list.
    """
    path = Path(out)
    if path.is_file() or (path.is_dir() and any(path.glob('*.png'))):
        raise UsageError(f'--out {out} holds results already; name another place or remove them')
    if cfg.get('default_scope') == 'mmseg' and not out.endswith('.pkl'):
        if isinstance(cfg.test_evaluator, list):
            raise UsageError('--out FOLDER needs a single test_evaluator')
        cfg.test_evaluator.output_dir = out
        return
    if not out.endswith(('.pkl', '.pickle')):
        raise UsageError(f'--out must be a .pkl file here, got {out}')
    evaluators = cfg.test_evaluator
    evaluators = list(evaluators) if isinstance(evaluators, list) else [evaluators]
    kind = 'DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
    cfg.test_evaluator = [*evaluators, dict(type=kind, out_file_path=out)]
