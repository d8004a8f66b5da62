"""Find and build the model of a config, ready for inference."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS, init_default_scope
from torch import nn

from mmcoat import checkpoints, runs
from mmcoat.errors import UsageError
from mmcoat.ops import processor
from mmcoat.runs.walk import type_name

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)
PRECISIONS = ('auto', *DTYPES)
_TASKS = {'mmseg': 'segmentation', 'mmdet': 'detection', 'mmpretrain': 'classification'}
SHORT_NAMES = {
    'lite_tiny': 'lite_t',
    'lite_small': 'lite_s',
    'lite_medium': 'lite_m',
    'tiny': 't',
    'small': 's',
}


def find(config: str | Path | Config, checkpoint: str | None) -> tuple[Config, str | None]:
    """Return the config and the checkpoint for the arguments.

    Args:
        config: A config, its path, the name of one of mmcoat's, or the name of a published file
            (``mask_rcnn_coat_small_3x_coco``), whose config and weights are found together.
        checkpoint: A file, URL or ``mmcoat://NAME``, or None.

    Raises:
        UsageError: There is no such config.
    """
    if isinstance(config, Config):
        return config, checkpoint
    path = Path(config).expanduser()
    if path.suffix == '.py' and path.is_file():
        return runs.load_config(str(path)), checkpoint
    name = path.name.removesuffix('.py')
    published = {entry.name: entry for entry in checkpoints.list()}.get(name)
    if published is not None:
        name = _config_of(published)
        checkpoint = checkpoint or published.url
    try:
        return runs.load_config(str(runs.find_config(f'{name}.py'))), checkpoint
    except UsageError as error:
        if 'has no config' not in str(error):
            raise
        raise UsageError(
            f'{config} is neither a config file, nor the name of a config or of a published file of mmcoat'
        ) from None


def _config_of(published: checkpoints.Published) -> str:
    """Return the name of the config that a published file belongs to."""
    short = SHORT_NAMES.get(published.arch, published.arch)
    if published.task == 'classification':
        return f'coat_{short}{"_384" if published.name.endswith("_384") else ""}_in1k'
    if published.task == 'detection':
        return f'deformable_detr_coat_{short}_coco'
    return published.name.replace(f'coat_{published.arch}_', f'coat_{short}_')


def task_of(cfg: Config) -> str:
    """Return ``'segmentation'``, ``'detection'`` or ``'classification'``.

    Raises:
        UsageError: The config is of another toolbox.
    """
    scope = cfg.get('default_scope')
    if scope not in _TASKS:
        raise UsageError(
            f'default_scope of the config must be one of {list(_TASKS)}, got {scope!r}'
        )
    return _TASKS[scope]


def build(cfg: Config, checkpoint: str | None) -> tuple[nn.Module, dict[str, Any]]:
    """Return the model in evaluation mode, and what is known of its classes.

    Args:
        cfg: A whole config; not changed.
        checkpoint: Loaded strictly. None leaves random weights: for tests and timing.

    Raises:
        CheckpointError: The checkpoint does not fit.
    """
    cfg = cfg.copy()
    runs.fit_to_devices(cfg)
    settings = cfg.model
    inner = settings.get('module', settings)  # the model inside a test-time augmentation
    if inner.get('backbone'):
        inner.backbone.init_cfg = None  # the checkpoint holds the backbone, too
    inner.init_cfg = None
    init_default_scope(cfg.default_scope)
    model = MODELS.build(settings).eval()
    loaded = {}
    if checkpoint is not None:
        loaded = runs.load_model(getattr(model, 'module', model), str(checkpoint))
    saved = (loaded.get('meta') or {}).get('dataset_meta')
    return model, dict(saved or _dataset_meta(cfg))


def _dataset_meta(cfg: Config) -> dict[str, Any]:
    """Return the data set's classes and colours: those in the config, else those of its type."""
    for dataset in runs.datasets(cfg, ('test', 'val', 'train')):
        kind = dataset.type
        if isinstance(kind, str):
            kind = DATASETS.get(kind if '.' in kind else f'{cfg.default_scope}.{kind}')
        return {**getattr(kind, 'METAINFO', {}), **(dataset.get('metainfo') or {})}
    return {}


def pipeline(cfg: Config) -> list[Any]:
    """Return the test pipeline's transforms after reading, without annotations.

    Raises:
        UsageError: The config has no test pipeline.
    """
    return [TRANSFORMS.build(step) for step in _without_loading(_test_steps(cfg))]


def reading_step(cfg: Config) -> dict:
    """Return the settings of the transform that reads images in the test pipeline; empty where none does."""
    first: dict = next(iter(_test_steps(cfg)), {})
    return first if 'LoadAnnotations' not in str(first.get('type', 'LoadAnnotations')) else {}


def _test_steps(cfg: Config) -> list:
    steps = cfg.get('test_pipeline')
    for dataset in runs.datasets(cfg, ('test', 'val')):
        steps = dataset.pipeline
        break
    if not steps:
        raise UsageError('the config has no test_pipeline')
    return steps


def _without_loading(steps: list) -> list:
    kept = []
    for step in steps:
        if isinstance(step, list):  # a group of TestTimeAug, or one of its variants
            step = _without_loading(step)
        elif type_name(step).startswith('Load'):
            continue
        elif step['type'] == 'TestTimeAug':
            step = {**step, 'transforms': _without_loading(step['transforms'])}
        if step:
            kept.append(step)
    return kept


def reads_float(cfg: Config) -> bool:
    """Return whether the config's pipeline converts images to float32 when it reads them."""
    return bool(reading_step(cfg).get('to_float32'))


def choose_device(device: str) -> torch.device:
    """Return the device; ``'auto'`` is a GPU if there is one.

    Raises:
        UsageError: There is no such device.
    """
    if device == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}"
        ) from None
    if chosen.type == 'cuda' and not torch.cuda.is_available():
        raise UsageError(f'device {device} is asked for, but PyTorch sees no GPU')
    return chosen


def choose_precision(precision: str, device: torch.device, task: str) -> str:
    """Return the precision; ``'auto'`` is bf16 if the processor supports it, and fp32 if not.

    Detectors stay in fp32: their boxes are in pixels, for which bf16's eight bits are not precise enough.

    Raises:
        UsageError: Unknown, or fp16 on a CPU.
    """
    if precision not in PRECISIONS:
        raise UsageError(f'precision must be one of {PRECISIONS}, got {precision!r}')
    if precision == 'fp16' and device.type == 'cpu':
        raise UsageError('fp16 needs a GPU; on a CPU take bf16 or fp32')
    if precision == 'bf16':
        processor.warn_of_slow_bf16(device)
    if precision != 'auto':
        return precision
    if task == 'detection':
        return 'fp32'
    if device.type == 'cuda':
        return 'bf16' if torch.cuda.is_bf16_supported() else 'fp16'
    return 'bf16' if processor.HAS_BF16 else 'fp32'


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the context in which a model runs."""
    if precision == 'fp32':
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])
