"""The whole export: build, load, trace, translate, write, verify."""

import contextlib
import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.export import ExportedProgram

from mmcoat.analysis.flops import SHAPES
from mmcoat.apis import models
from mmcoat.version import __version__

from . import calibrate, onnx, openvino, torch_export, verify
from .dynamic import make_dynamic
from .errors import ExportError
from .parts import Labels, Preprocessing, WithPreprocessing, build_part, threshold_of

FORMATS = ('onnx', 'torch-export', 'openvino')
ENDINGS = dict(zip(FORMATS, ('.onnx', '.pt2', '.xml'), strict=True))
PARTS = ('model', 'neck', 'backbone')
PRECISIONS = ('fp32', 'fp16', 'int8')
OUTPUTS = ('logits', 'labels')
SCOPES = dict(segmentation='mmseg', detection='mmdet', classification='mmpretrain')


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Attributes:
        format: ``'onnx'``, ``'torch-export'`` or ``'openvino'``.
        part: ``'model'`` (segmentors and classifiers), ``'neck'`` (backbone and neck) or ``'backbone'``.
        dynamic: Axes of any size: ``'batch'``, ``'height'``, ``'width'``. With height or width the batch is
            dynamic too, because a trace with a batch of 1 fixes conditions on sizes.
        precision: ``'fp32'``, ``'fp16'`` or ``'int8'``.
        output: Output of a whole model, ``'logits'`` or ``'labels'``.
        preprocess: Take RGB images, uint8, and normalise them inside.
        shape: Height and width if they are not dynamic; None for the usual size of the task.
        calibration: Folder of images, for int8.
        verify: Compare with PyTorch afterwards.
    """

    format: str = 'onnx'
    part: str = 'model'
    dynamic: tuple[str, ...] = ()
    precision: str = 'fp32'
    output: str = 'logits'
    preprocess: bool = False
    shape: tuple[int, int] | None = None
    calibration: str | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        for name, value, choices in (
            ('format', self.format, FORMATS),
            ('part', self.part, PARTS),
            ('precision', self.precision, PRECISIONS),
            ('output', self.output, OUTPUTS),
        ):
            if value not in choices:
                raise ExportError(f'{name} must be one of {choices}, got {value!r}')
        if not set(self.dynamic) <= set(torch_export.AXES):
            raise ExportError(
                f'dynamic takes {", ".join(torch_export.AXES)}, got {",".join(self.dynamic)}'
            )
        if {'height', 'width'} & set(self.dynamic):
            object.__setattr__(self, 'dynamic', tuple(dict.fromkeys(('batch', *self.dynamic))))
        if self.format == 'torch-export' and self.precision != 'fp32':
            raise ExportError(
                'torch-export keeps fp32: run the program under torch.autocast, or take onnx or openvino'
            )
        if (self.precision == 'int8') != (self.calibration is not None):
            raise ExportError('int8 needs --calibration, a folder of images; nothing else takes it')


def export_model(
    config: str | Path | Config,
    checkpoint: str | None,
    path: str | Path,
    options: ExportOptions,
) -> list[verify.Comparison]:
    """Write a program to ``path``.

    Args:
        config: As :class:`mmcoat.apis.Inferencer` takes it.
        checkpoint: Loaded strictly. None leaves random weights: for tests and timing.
        path: Its ending is the format's.
        options: What and how.

    Returns:
        The results of the verification, one entry per shape; empty without verification.

    Raises:
        ExportError: The request cannot be exported.
        VerificationError: The program was written, but differs from PyTorch.
    """
    path = Path(path)
    if path.suffix != ENDINGS[options.format]:
        raise ExportError(f'{path} must end in {ENDINGS[options.format]} for {options.format}')
    cfg, checkpoint = models.find(config, checkpoint)
    task = models.task_of(cfg)
    model, meta = models.build(cfg, checkpoint)
    part, labels = _parts(model, task, cfg, options)
    image = _example(options, task)
    smallest = torch_export.smallest_side(part, image)
    traced = copy.deepcopy(labels if labels and options.output == 'labels' else part)
    if {'height', 'width'} & set(options.dynamic):
        make_dynamic(traced)
    program = torch_export.trace(traced, image, options.dynamic, smallest)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = _metadata(cfg, meta, task, options, smallest)
    metadata['threshold'] = labels.threshold if labels else None
    photos = _calibration_images(cfg, options, image)
    _write(program, path, options, metadata, photos)
    if not options.verify:
        return []
    traced_shape = tuple(image.shape)
    shapes = verify.other_shapes(traced_shape, options.dynamic, smallest)
    images = [verify.draw_images(s, options.preprocess, i + 1) for i, s in enumerate(shapes)]
    if photos:  # ranges of int8 were measured on photos, not on noise
        images = [torch.from_numpy(x) for x in photos[:3]]
    tolerance = verify.TOLERANCES.get(options.precision, 0.0)
    run = verify.load(path)
    found = [verify.compare(run, part, labels, x, tolerance) for x in images]
    verify.check(found, options.precision)
    return found


def _calibration_images(cfg: Config, options: ExportOptions, image: Tensor) -> list[np.ndarray]:
    if options.calibration is None:
        return []
    fixed = {name: image.shape[axis] for name, axis in torch_export.AXES.items()}
    height, width = (None if n in options.dynamic else fixed[n] for n in ('height', 'width'))
    return calibrate.read_images(options.calibration, cfg, (height, width), options.preprocess)


def _parts(
    model: nn.Module, task: str, cfg: Config, options: ExportOptions
) -> tuple[nn.Module, Labels | None]:
    """Return the part with scores or maps as output, and for whole models also the part with labels."""
    part = build_part(model, task, options.part)
    if options.preprocess:
        part = WithPreprocessing(part, Preprocessing.of(cfg))
    whole = options.part == 'model'
    if options.output == 'labels' and not whole:
        raise ExportError(f'labels come out of --part model, not of --part {options.part}')
    return part, Labels(part, threshold_of(model)) if whole else None


def _example(options: ExportOptions, task: str) -> Tensor:
    """Return the batch for tracing; dynamic axes get sizes that differ from each other and from 1."""
    height, width = options.shape or SHAPES[SCOPES[task]]
    if 'width' in options.dynamic and height == width:
        width += 64
    shape = (2 if 'batch' in options.dynamic else 1, 3, height, width)
    return verify.draw_images(shape, options.preprocess, seed=0)


def _metadata(
    cfg: Config, meta: dict[str, Any], task: str, options: ExportOptions, smallest: int
) -> dict[str, Any]:
    """Return the metadata with which a program can be used without its config: JSON values only."""
    entry = dict(
        mmcoat=__version__,
        task=task,
        part=options.part,
        output=options.output,
        precision=options.precision,
        dynamic=list(options.dynamic),
        smallest=smallest,
        preprocess=options.preprocess,
        classes=list(meta.get('classes') or ()),
        palette=[list(map(int, colour)) for colour in meta.get('palette') or ()],
    )
    with contextlib.suppress(ExportError):  # the config may have no normalisation
        entry['preprocessing'] = asdict(Preprocessing.of(cfg))
    return entry


def _write(
    program: ExportedProgram,
    path: Path,
    options: ExportOptions,
    metadata: dict[str, Any],
    photos: list[np.ndarray],
) -> None:
    if options.format == 'torch-export':
        torch_export.write(program, path, metadata)
        return
    count = len(program.graph_signature.user_outputs)
    names = [options.output] if options.part == 'model' else [f'map{i}' for i in range(count)]
    model = onnx.translate(program, names, options.dynamic)
    if photos:
        model = calibrate.quantise(model, photos)
    if options.format == 'openvino':
        openvino.write(openvino.convert(model), path, metadata, options.precision == 'fp16')
    else:
        onnx.write(onnx.to_half(model) if options.precision == 'fp16' else model, path, metadata)
