"""A run: its config, the options that change it, and the runner built from it."""

from mmcoat.compat import use_pytorch_ops

from .checks import named_datasets, require_trainable
from .config import (
    datasets,
    find_config,
    find_model,
    load_config,
    save_config,
    set_data_root,
)
from .failures import one_line_faults
from .memory import bound_kernel_caches
from .options import (
    enable_amp,
    enable_auto_scale_lr,
    enable_debug_nan,
    enable_drawing,
    enable_tta,
    fit_to_devices,
    keep_predictions,
    only_train,
    set_run,
)
from .resume import protect, set_resume
from .runner import bare_model, build_runner, compile_backbone, load_model, load_strictly
from .workdir import locked

__all__ = [
    'bare_model',
    'bound_kernel_caches',
    'build_runner',
    'compile_backbone',
    'datasets',
    'enable_amp',
    'enable_auto_scale_lr',
    'enable_debug_nan',
    'enable_drawing',
    'enable_tta',
    'find_config',
    'find_model',
    'fit_to_devices',
    'keep_predictions',
    'load_config',
    'load_model',
    'load_strictly',
    'locked',
    'named_datasets',
    'one_line_faults',
    'only_train',
    'protect',
    'require_trainable',
    'save_config',
    'set_data_root',
    'set_resume',
    'set_run',
]

# Before MMDetection is imported, because it cannot be imported without MMCV's operators.
use_pytorch_ops()
