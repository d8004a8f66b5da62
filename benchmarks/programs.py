"""What exported programs cost a segmentor and what they gain: mIoU, labels, errors, time."""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmseg.evaluation import IoUMetric
from torch import Tensor, nn

from mmcoat import export
from mmcoat.apis import models
from mmcoat.errors import UsageError
from mmcoat.export.parts import Labels, Preprocessing, build_part, threshold_of
from mmcoat.export.verify import draw_images, load
from mmcoat.models.prepare import prepare_for_inference

from .environment import describe
from .timing import quartiles, time_steps

REFERENCE = 'torch-fp32'
# name -> (format, precision) of the file that it runs, or None for PyTorch. OpenVINO computes a program in
# float32 in bfloat16 where the processor can.
PROGRAMS: dict[str, tuple[str, str] | None] = {
    REFERENCE: None,
    'torch-bf16': None,
    'prepared-fp32': None,
    'prepared-bf16': None,
    'onnx-fp32': ('onnx', 'fp32'),
    'onnx-fp16': ('onnx', 'fp16'),
    'onnx-int8': ('onnx', 'int8'),
    'openvino-fp32': ('openvino', 'fp32'),
    'openvino-bf16': ('openvino', 'fp32'),
    'openvino-int8': ('openvino', 'int8'),
}
Run = Callable[[np.ndarray], np.ndarray]  # images (B, 3, H, W) -> scores (B, classes, H, W)


@dataclass
class Quality:
    """Results of a program beside those of PyTorch in float32.

    Attributes:
        areas: Of every image: intersection, union, prediction and truth of each class.
        equal: Pixels with the same label.
        pixels: All pixels.
        error: Largest difference of a score, divided by the standard deviation of that image's scores.
    """

    areas: list[tuple[Tensor, ...]] = field(default_factory=list)
    equal: int = 0
    pixels: int = 0
    error: float = 0.0

    def row(self) -> dict[str, float]:
        """Return mIoU (of the classes in the truth) and equal labels in percent, and the largest error."""
        intersection, union, _, truth = (sum(areas) for areas in zip(*self.areas, strict=True))
        score = (intersection / union)[truth > 0].mean().item()
        return dict(miou=100 * score, equal=100 * self.equal / self.pixels, error=self.error)


def run_in_torch(part: nn.Module, name: str) -> Run:
    """Return a function that computes scores in PyTorch."""
    if name.startswith('prepared'):
        part = prepare_for_inference(part, torch.bfloat16 if name.endswith('bf16') else None)
    autocast = name == 'torch-bf16'

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            return part(torch.from_numpy(images)).float().numpy()

    return run


def run_exported(path: Path, exact: bool) -> Run:
    """Return a function that computes scores in the program's own runtime."""
    program = load(path, exact)
    return lambda images: program(images)[0]


def build(
    cfg: Config, part: nn.Module, args: argparse.Namespace, say: Callable[[str], object]
) -> dict[str, Run]:
    """Export what is asked for and return how each program runs; the reference comes first.

    Raises:
        ExportError: A program cannot be exported, or int8 lacks images to measure ranges on.
    """
    found, written = {REFERENCE: run_in_torch(part, REFERENCE)}, set[Path]()
    for name in args.programs:
        source = PROGRAMS[name]
        if source is None:
            found[name] = run_in_torch(part, name)
            continue
        form, precision = source
        path = args.out / f'{form}_{precision}{export.ENDINGS[form]}'
        if path not in written:
            say(f'exporting {path}')
            options = export.ExportOptions(
                format=form,
                dynamic=('batch', 'height', 'width'),
                precision=precision,
                calibration=args.calibration if precision == 'int8' else None,
            )
            export.export_model(cfg, args.checkpoint, path, options)
            written.add(path)
        found[name] = run_exported(path, exact=name != 'openvino-bf16')
    return found


def read(cfg: Config, images: int | None) -> tuple[int, Iterator[tuple[Tensor, Tensor]]]:
    """Return the number of classes, and the test images (1, 3, H, W), normalised, with labels (h, w)."""
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    settings = Preprocessing.of(cfg)

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(min(len(dataset), images or len(dataset))):
            item = dataset[i]
            image = settings.apply(item['inputs'].flip(0).unsqueeze(0))  # BGR -> RGB
            yield image, item['data_samples'].gt_sem_seg.data[0]

    return len(dataset.metainfo['classes']), pairs()


def judge(
    runs: dict[str, Run],
    labels: Labels,
    classes: int,
    pairs: Iterator[tuple[Tensor, Tensor]],
) -> dict[str, Quality]:
    """Run every program on every image; compare labels with the truth, and scores with PyTorch's."""
    found = {name: Quality() for name in runs}
    for image, truth in pairs:
        wanted = torch.from_numpy(runs[REFERENCE](image.numpy()))
        wanted_label = labels.of(_resize(wanted, truth))
        for name, run in runs.items():
            scores = wanted if name == REFERENCE else torch.from_numpy(run(image.numpy()))
            label, quality = labels.of(_resize(scores, truth)), found[name]
            quality.equal += int((label == wanted_label).sum())
            quality.pixels += label.numel()
            error = (scores - wanted).abs().max() / wanted.std()
            quality.error = max(quality.error, error.item())
            areas = IoUMetric.intersect_and_union(label[0], truth, classes, ignore_index=255)
            quality.areas.append(areas)
    return found


def _resize(scores: Tensor, truth: Tensor) -> Tensor:
    return F.interpolate(scores, size=truth.shape, mode='bilinear', align_corners=False)


def measure(
    cfg: Config, args: argparse.Namespace, say: Callable[[str], object]
) -> list[dict[str, Any]]:
    """Return a row for each program: its name, the figures of :meth:`Quality.row`, and milliseconds.

    Raises:
        UsageError: The config is not a segmentor, or a program failed.
    """
    if models.task_of(cfg) != 'segmentation':
        raise UsageError(f'{args.config} is not a config of MMSegmentation')
    model, _ = models.build(cfg, args.checkpoint)
    part = build_part(model, 'segmentation', 'model')
    runs = build(cfg, part, args, say)
    classes, pairs = read(cfg, args.images)
    say(f'{len(runs)} programs, {args.images or "all"} test images')
    found = judge(runs, Labels(part, threshold_of(model)), classes, pairs)
    image = draw_images((1, 3, *args.shape), False, seed=0).numpy()
    steps = {name: lambda run=run: run(image) for name, run in runs.items()}
    say(f'{args.repeats} rounds of one image of {args.shape[0]} x {args.shape[1]}')
    timings = time_steps(steps, torch.device('cpu'), args.repeats, seconds=0, warmup=1)
    rows = []
    for name, timing in timings.items():
        if timing.error is not None:
            raise UsageError(f'{name} failed at {args.shape}: {timing.error}') from timing.error
        milliseconds = 1e3 * quartiles(timing.samples)[1]
        rows.append(dict(program=name, **found[name].row(), ms=milliseconds))
    return rows


def table(rows: list[dict[str, Any]], args: argparse.Namespace) -> str:
    """Return the rows in Markdown."""
    height, width = args.shape
    lines = [
        f'| program | mIoU | labels equal | largest error, of the spread | ms at {height} x {width} |',
        '|---|---|---|---|---|',
    ]
    for row in rows:
        error = '-' if row['program'] == REFERENCE else f'{row["error"]:.1e}'
        lines.append(
            f'| {row["program"]} | {row["miou"]:.2f} | {row["equal"]:.3f} % | {error} | {row["ms"]:.0f} |'
        )
    return '\n'.join(lines)


def run(cfg: Config, args: argparse.Namespace, say: Callable[[str], object]) -> list[Path]:
    """Export, measure, and write ``programs.md`` and ``programs.json``; return their paths."""
    args.out.mkdir(parents=True, exist_ok=True)
    rows = measure(cfg, args, say)
    shown = table(rows, args)
    say(shown)
    environment = describe(torch.device('cpu'))
    report, data = args.out / 'programs.md', args.out / 'programs.json'
    data.write_text(json.dumps(dict(environment=environment, rows=rows), indent=1) + '\n')
    report.write_text(
        f'# Programs of `{args.config}`\n\n`{args.checkpoint}`, {args.images or "all"} test images; '
        f'{environment["cpu"]}, {environment["threads"]} threads of PyTorch, the runtimes as they choose; '
        f'median of {args.repeats} rounds.\n\n{shown}\n',
        encoding='utf-8',
    )
    return [report, data]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes beside config and checkpoint."""
    add = parser.add_argument
    add('--programs', nargs='+', choices=PROGRAMS, default=list(PROGRAMS), metavar='NAME',
        help=f'of {", ".join(PROGRAMS)} (all)')  # fmt: skip
    add('--calibration', metavar='DIR', help='images that the ranges of int8 are measured on')
    add('--images', type=int, help='only the first IMAGES test images')
    add('--shape', type=int, nargs=2, default=(512, 512), metavar=('H', 'W'),
        help='of the timed image (512 512)')  # fmt: skip
    add('--repeats', type=int, default=5, help='rounds of timing (5)')
    add('--out', type=Path, default=Path('work_dirs/programs'), help='folder (work_dirs/programs)')
