"""What the command-line tools share: configs, device and data checks, runners, loading, clear errors."""

import argparse
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from mmcoat import checkpoints
from mmcoat.layout import LayoutError, check_dataset


class UsageError(ValueError):
    """The user's arguments, config or files cannot work; the message is one line for the terminal."""


# ---------------------------------------------------------------------- command line


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add CONFIG and ``--cfg-options``."""
    parser.add_argument(
        'config', help='config file, for example configs/upernet_coat_lite_s_ade20k.py'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, for example data_root=data/mine or '
        'train_dataloader.batch_size=4; lists as key="[a,b]" or key=a,b',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--compile`` and the launcher's arguments."""
    parser.add_argument('--work-dir', help='where logs and results go (work_dirs/<config name>)')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='translate the backbone with torch.compile: the first steps take minutes, the others less',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher; tools/dist_train.sh and the slurm scripts set it',
    )
    # torch.distributed.launch passes --local-rank, older ones --local_rank
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def command(main: Callable[[], Any]) -> Callable[[], int]:
    """Turn the errors that a user can mend into one line and exit status 2."""

    @functools.wraps(main)
    def run() -> int:
        try:
            return main() or 0
        except (UsageError, LayoutError, checkpoints.CheckpointError) as error:
            print(f'{Path(sys.argv[0]).name}: error: {error}', file=sys.stderr)
            return 2

    return run


# ---------------------------------------------------------------------- configs


def load_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and merge ``--cfg-options`` into it.

    Raises:
        UsageError: The file is missing, needs a package that is, or an option does not fit the config.
    """
    if not Path(path).is_file():
        raise UsageError(f'config {path} does not exist')
    try:
        cfg = Config.fromfile(path)
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f'config {path} needs a toolbox that is not installed: {reason}') from None
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError) as error:
        raise UsageError(f'--cfg-options does not fit {path}: {error}') from None
    if options and 'data_root' in options:
        set_data_root(cfg, options['data_root'])
    return cfg


def find_config(name: str) -> Path:
    """Return the path of a config of this package, in the checkout or in an installed copy.

    Raises:
        UsageError: There is no such config.
    """
    package = Path(__file__).parent
    for folder in (package.parent / 'configs', package / '.mim' / 'configs'):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f'mmcoat has no config {name}')


def set_data_root(cfg: Config, data_root: str) -> None:
    """Set ``data_root`` of every dataset: inside a config the variable was copied when it was read.

    Annotation files of evaluators that lie under the old root move along.
    """
    old = None
    for dataset in datasets(cfg):
        if 'data_root' in dataset:
            old = dataset.data_root
            dataset.data_root = data_root
    for name in ('val_evaluator', 'test_evaluator'):
        evaluators = cfg.get(name) or []
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            ann_file = evaluator.get('ann_file')
            if ann_file and old and ann_file.startswith(old):
                evaluator.ann_file = os.path.join(data_root, ann_file[len(old) :].lstrip('/'))
    cfg.data_root = data_root


def datasets(
    cfg: Config, names: tuple[str, ...] = ('train', 'val', 'test')
) -> Iterator[ConfigDict]:
    """Yield the innermost dataset configs of the dataloaders ``<name>_dataloader``."""
    for name in names:
        loader = cfg.get(f'{name}_dataloader')
        pending = [loader.dataset] if loader and 'dataset' in loader else []
        while pending:
            dataset = pending.pop()
            inner = dataset.get('dataset') or dataset.get('datasets')
            if inner is None:
                yield dataset
            else:
                pending += inner if isinstance(inner, list) else [inner]


def set_run(cfg: Config, args: argparse.Namespace, stages: tuple[str, ...]) -> None:
    """Set work dir and launcher, fit the config to the devices at hand, and check the data sets.

    Raises:
        LayoutError: A data set is missing or laid out otherwise than its class expects.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    fit_to_devices(cfg)
    for dataset in datasets(cfg, stages):
        check_dataset(dataset)


def fit_to_devices(cfg: Config) -> None:
    """Take gloo without a GPU, and BN for SyncBN where there is no group of GPUs to synchronise."""
    if not torch.cuda.is_available():
        cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
    if cfg.get('launcher', 'none') == 'none' or not torch.cuda.is_available():
        _replace_sync_bn(cfg._cfg_dict)


def _replace_sync_bn(node: Any) -> None:
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            _replace_sync_bn(child)


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision.

    Raises:
        UsageError: There is no GPU, or the optimizer wrapper is a special one.
    """
    if not torch.cuda.is_available():
        raise UsageError('--amp needs a GPU: MMEngine supports mixed precision only there')
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UsageError(f'--amp works with OptimWrapper, this config has {wrapper}')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate linearly from the batch that it was chosen for to the actual one.

    Raises:
        UsageError: The config does not say for which batch its learning rate is.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise UsageError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    cfg.auto_scale_lr.enable = True


def only_train(cfg: Config, iterations: int) -> None:
    """Train for a few iterations, and neither evaluate nor save anything."""
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations)
    for name in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[name] = None
    cfg.merge_from_dict({'default_hooks.checkpoint': None, 'log_processor.by_epoch': False})


# ---------------------------------------------------------------------- runners and weights


def build_runner(cfg: Config) -> Runner:
    """Build MMEngine's Runner, or the one that the config names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def bare_model(runner: Runner) -> nn.Module:
    """Return the runner's model without what distributes it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def compile_backbone(runner: Runner) -> None:
    """Let ``torch.compile`` translate the backbone at its first forward pass; weights keep their names.

    The heads stay as they are: their sampling and post-processing depend on the data, and would be
    translated in many small pieces, again and again.

    Raises:
        UsageError: The model has no backbone.
    """
    model = bare_model(runner)
    if not isinstance(getattr(model, 'backbone', None), nn.Module):
        raise UsageError(
            f'--compile needs a model with a backbone; {type(model).__name__} has none'
        )
    model.backbone.compile()


def load_strictly(runner: Runner, checkpoint: str) -> None:
    """Load a whole model's weights; unlike MMEngine's default, anything that does not fit is an error.

    Raises:
        CheckpointError: Unreadable, unsafe, or not this model's weights.
    """
    path = checkpoints.ensure_safe(checkpoint)
    model = bare_model(runner)
    try:
        # Not runner.load_checkpoint: hooks such as EMAHook are not ready before the run, and take what is
        # in the model when it begins. 'state_dict' of a checkpoint holds the average.
        load_checkpoint(model, path, map_location='cpu', strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = '; '.join(lines)[:600]
        raise checkpoints.CheckpointError(
            f'{checkpoint} does not fit the model of this config: {reason}'
        ) from None
    print_log(f'Weights of {checkpoint} fit exactly.', logger='current', level=logging.INFO)


# ---------------------------------------------------------------------- options of test.py


def enable_drawing(
    cfg: Config, show: bool, show_dir: str | None, wait_time: float, interval: int
) -> None:
    """Make the toolbox's visualization hook draw the predictions.

    Raises:
        UsageError: The config has no such hook.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UsageError('--show and --show-dir need default_hooks.visualization in the config')
    options = dict(show=show, wait_time=wait_time, interval=interval)
    scope = cfg.get('default_scope')
    if scope == 'mmseg':
        options['draw'] = True
        if show_dir:
            cfg.visualizer.save_dir = show_dir
    elif scope == 'mmdet':
        options |= dict(draw=True, test_out_dir=show_dir)
    else:
        options |= dict(enable=True, out_dir=show_dir)
    hook.update(options)


def enable_tta(cfg: Config) -> None:
    """Test with the config's augmentations, averaged.

    Raises:
        UsageError: The config defines none.
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
        UsageError: ``out`` is neither, or the evaluator is a list already.
    """
    if cfg.get('default_scope') == 'mmseg' and not out.endswith('.pkl'):
        if isinstance(cfg.test_evaluator, list):
            raise UsageError('--out FOLDER needs a single test_evaluator')
        cfg.test_evaluator.output_dir = out
        cfg.test_evaluator.keep_results = True
        return
    if not out.endswith(('.pkl', '.pickle')):
        raise UsageError(f'--out must be a .pkl file here, got {out}')
    evaluators = cfg.test_evaluator
    evaluators = list(evaluators) if isinstance(evaluators, list) else [evaluators]
    kind = 'DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
    cfg.test_evaluator = [*evaluators, dict(type=kind, out_file_path=out)]
