"""One check for each thing that mmcoat depends on; a failed check is a line of the report, never a crash."""

import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

OK, WARNING, ERROR = 'ok', 'warning', 'error'
LINES = {
    'OneDL': tuple(
        f'onedl-{name}'
        for name in ('mmengine', 'mmcv', 'mmsegmentation', 'mmdetection', 'mmpretrain')
    ),
    'upstream OpenMMLab': (
        'mmengine',
        'mmcv',
        'mmcv-lite',
        'mmsegmentation',
        'mmdet',
        'mmpretrain',
    ),
}
INSTALL = 'pip install "mmcoat[onedl]"'
TOOLBOXES = {'mmseg': 'segmentation', 'mmdet': 'detection', 'mmpretrain': 'classification'}


@dataclass
class Check:
    """A line of the report.

    Args:
        name: What was checked.
        status: ``'ok'``, ``'warning'`` or ``'error'``: mmcoat does not run without it.
        found: What was found.
        remedy: The command or the sentence that fixes it; empty if nothing is broken.
    """

    name: str
    status: str
    found: str
    remedy: str = ''


def examine() -> list[Check]:
    """Run all checks; an exception in a check becomes its line."""
    checks: list[Check] = []
    for name, look in CHECKS:
        try:
            result = look()
            checks += [result] if isinstance(result, Check) else result
        except BaseException as error:  # a broken extension may even raise SystemExit
            if isinstance(error, KeyboardInterrupt):
                raise
            missing = isinstance(error, ImportError)
            remedy = INSTALL if missing else 'a broken installation: install it again'
            checks.append(Check(name, ERROR, reason(error), remedy))
    return checks


def reason(error: BaseException) -> str:
    """Return an error in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0]}' if lines else type(error).__name__


def version(*distributions: str) -> str | None:
    """Return the version of the first of several distributions that is installed."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _python() -> Check:
    text = (
        f'{platform.python_version()} ({platform.system()} {platform.machine()}), {sys.executable}'
    )
    return Check('Python', OK, text)


def _mmcoat() -> Check:
    module = import_module('mmcoat')
    if not getattr(module, '__file__', None):
        remedy = 'a folder of that name hides it: start Python elsewhere, or `pip install .`'
        return Check('mmcoat', ERROR, 'an empty namespace package', remedy)
    return Check('mmcoat', OK, f'{module.__version__}, {Path(str(module.__file__)).parent}')


def _torch() -> Check:
    found = version('torch')
    if found is None:
        return Check('torch', ERROR, 'not installed', 'pip install torch')
    torch = import_module('torch')
    numbers = tuple(int(part) for part in found.split('+')[0].split('.')[:2])
    threads = f'{torch.get_num_threads()} threads'
    if numbers < (2, 6):
        return Check('torch', ERROR, found, 'pip install --upgrade "torch>=2.6"')
    return Check('torch', OK, f'{torch.__version__}, {threads}')


def _cuda() -> Check:
    torch = import_module('torch')
    built = torch.version.cuda or (torch.version.hip and f'ROCm {torch.version.hip}')
    if not built:
        return Check('CUDA', OK, 'a CPU build of torch')
    if not torch.cuda.is_available():
        remedy = 'look at `nvidia-smi`: the driver, or a torch build for an older CUDA'
        return Check('CUDA', WARNING, f'{built}, but torch finds no usable GPU', remedy)
    return Check('CUDA', OK, f'{built}, cuDNN {torch.backends.cudnn.version()}')


def _processor() -> Check:
    found = import_module('mmcoat.ops.processor')
    if found.HAS_BF16:
        units = 'AMX' if found.HAS_AMX else 'bf16 units'
        return Check('processor', OK, f'{found.CAPABILITY} with {units}: bf16 pays')
    slow = 'does not pay' if found.HAS_AVX512 else 'is many times slower'
    return Check('processor', OK, f'{found.CAPABILITY}: take fp32, bf16 {slow}')


def _gpus() -> Iterable[Check]:
    torch = import_module('torch')
    if not torch.cuda.is_available():
        return [Check('GPU', OK, 'none; everything runs on the CPU')]
    return [
        Check(f'GPU {index}', OK, _gpu(torch.cuda.get_device_properties(index)))
        for index in range(torch.cuda.device_count())
    ]


def _gpu(device: object) -> str:
    memory = device.total_memory / 2**30  # type: ignore[attr-defined]
    capability = f'{device.major}.{device.minor}'  # type: ignore[attr-defined]
    return f'{device.name}, {memory:.0f} GiB, compute capability {capability}'  # type: ignore[attr-defined]


def _triton() -> Check:
    torch = import_module('torch')
    if find_spec('triton') is None:
        if torch.cuda.is_available():
            return Check('triton', WARNING, 'not installed', 'pip install triton')
        return Check('triton', OK, 'not installed; it is for GPUs')
    try:
        return Check('triton', OK, str(import_module('triton').__version__))
    # mmcoat runs without it; torch 2.6's imports setuptools, and does not ask for it
    except Exception as error:
        missing = getattr(error, 'name', None) == 'setuptools'
        remedy = 'pip install setuptools' if missing else 'pip install --force-reinstall triton'
        return Check('triton', WARNING, reason(error), remedy)


def _torchvision() -> Check:
    found = version('torchvision')
    if found is None:
        text = 'not installed; mmcoat.compat does without (classification needs it)'
        return Check('torchvision', OK, text)
    remedy = 'pip uninstall torchvision, or take the one of the same build as torch (pytorch.org)'
    try:
        module = import_module('torchvision')
    except BaseException as error:
        return Check('torchvision', WARNING, f'{found} cannot be imported: {reason(error)}', remedy)
    from mmcoat.compat.vision import torchvision_ops

    if torchvision_ops('cpu') is None:
        return Check(
            'torchvision', WARNING, f'{module.__version__}, its operators do not run', remedy
        )
    return Check('torchvision', OK, f'{module.__version__}, its operators run')


def _lines() -> list[Check]:
    found = {
        line: {name: version(name) for name in names if version(name)}
        for line, names in LINES.items()
    }
    present = {line: names for line, names in found.items() if names}
    text = '; '.join(
        f'{line}: {", ".join(f"{n} {v}" for n, v in names.items())}'
        for line, names in present.items()
    )
    if not present:
        return [Check('OpenMMLab line', ERROR, 'none', INSTALL)]
    if len(present) > 1:
        names = ' '.join(present['upstream OpenMMLab'])
        remedy = (
            f'both own the same modules: pip uninstall {names}, then {INSTALL} --force-reinstall'
        )
        return [Check('OpenMMLab line', ERROR, text, remedy)]
    from mmcoat.versions import check_versions

    try:
        check_versions()
    except ImportError as error:
        return [Check('OpenMMLab line', ERROR, text, reason(error))]
    return [Check('OpenMMLab line', OK, text)]


def _imports() -> list[Check]:
    checks = []
    for name in ('mmengine', 'mmcv'):
        try:
            checks.append(Check(name, OK, f'{import_module(name).__version__}, imports'))
        except BaseException as error:
            checks.append(Check(name, ERROR, reason(error), INSTALL))
    return checks


def _operators() -> Check:
    from mmcoat.compat import OPERATORS, use_pytorch_ops

    if use_pytorch_ops():
        text = f"none compiled: mmcoat.compat's {len(OPERATORS)} in PyTorch"
        return Check('MMCV operators', OK, text)
    try:
        import_module('mmcv._ext')
    except BaseException as error:
        remedy = 'compile them for this torch, or install MMCV without operators: README, Install'
        return Check('MMCV operators', ERROR, f'compiled, but {reason(error)}', remedy)
    return Check('MMCV operators', OK, 'compiled')


def _toolboxes() -> list[Check]:
    checks = []
    for name, task in TOOLBOXES.items():
        if find_spec(name) is None:
            extra = 'classification' if name == 'mmpretrain' else 'onedl'
            text = f'not installed; it is for {task}: pip install "mmcoat[{extra}]"'
            checks.append(Check(name, OK, text))
            continue
        try:
            checks.append(Check(name, OK, f'{import_module(name).__version__}, for {task}'))
        except BaseException as error:
            remedy = f'{INSTALL} --force-reinstall' if name != 'mmpretrain' else 'see torchvision'
            checks.append(Check(name, WARNING, f'no {task}: {reason(error)}', remedy))
    return checks


def _registered() -> Check:
    registry = import_module('mmengine.registry')
    model = registry.MODELS.build(dict(type='mmcoat.CoaT', arch='lite_tiny'))
    torch = import_module('torch')
    with torch.no_grad():
        maps = model.eval()(torch.zeros(1, 3, 64, 64))
    return Check('CoaT', OK, f'builds and runs: {len(maps)} maps of a 64 x 64 image')


def _backend() -> Check:
    torch = import_module('torch')
    from mmcoat.ops import backend

    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if backend.fused_available(device):
        return Check('backend', OK, 'auto runs fused (Triton) on the GPU')
    if device.type == 'cpu':
        return Check('backend', OK, 'auto runs plain: there is no GPU')
    if torch.version.hip:
        return Check('backend', OK, 'auto runs plain: the fused operations are for CUDA, not ROCm')
    if find_spec('triton') is None:
        return Check('backend', WARNING, 'auto runs plain: no triton', 'pip install triton')
    return Check('backend', OK, 'auto runs plain: fused needs compute capability 8.0')


def _numpy() -> Check:
    found = import_module('numpy').__version__
    upstream = version('mmcv') is not None and version('onedl-mmcv') is None
    if upstream and int(found.split('.')[0]) >= 2:
        return Check('numpy', WARNING, found, 'upstream MMCV wants pip install "numpy<2"')
    return Check('numpy', OK, found)


def _opencv() -> Check:
    names = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python')
    present = [f'{name} {version(name)}' for name in names if version(name)]
    module = import_module('cv2')
    if len({p.split()[1] for p in present}) > 1:
        remedy = (
            f'pip uninstall {" ".join(p.split()[0] for p in present)}, then install one of them'
        )
        return Check('OpenCV', WARNING, f'{", ".join(present)}: of different versions', remedy)
    return Check('OpenCV', OK, f'{module.__version__} ({", ".join(present) or "not by pip"})')


def _cache() -> Check:
    from mmcoat.checkpoints.fetch import cache_dir

    folder = cache_dir()
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        remedy = 'export TORCH_HOME=FOLDER with one that can be written'
        return Check('cache', WARNING, f'{folder} cannot be written', remedy)
    return Check('cache', OK, f'{folder} (TORCH_HOME moves it)')


def _weights() -> Check:
    from mmcoat.checkpoints.fetch import cache_dir
    from mmcoat.checkpoints.published import list_published

    entries = list_published()
    names = ('file_name', 'mirror_file_name')
    there = [
        entry.name
        for entry in entries
        if any(
            name and (cache_dir() / name).is_file() for name in (getattr(entry, n) for n in names)
        )
    ]
    if not there:
        text = (
            f'none of {len(entries)} published files is in the cache; each comes with its first use'
        )
        return Check('weights', OK, text)
    return Check(
        'weights', OK, f'{len(there)} of {len(entries)} are in the cache: {", ".join(there)}'
    )


CHECKS: list[tuple[str, Callable[[], Check | Iterable[Check]]]] = [
    ('Python', _python),
    ('mmcoat', _mmcoat),
    ('torch', _torch),
    ('CUDA', _cuda),
    ('processor', _processor),
    ('GPU', _gpus),
    ('triton', _triton),
    ('torchvision', _torchvision),
    ('OpenMMLab line', _lines),
    ('mmengine, mmcv', _imports),
    ('MMCV operators', _operators),
    ('toolboxes', _toolboxes),
    ('backend', _backend),
    ('CoaT', _registered),
    ('numpy', _numpy),
    ('OpenCV', _opencv),
    ('cache', _cache),
    ('weights', _weights),
]
