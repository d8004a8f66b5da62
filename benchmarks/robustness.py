"""mIoU of a segmentor on corrupted test images, relative to clean ones."""

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from mmcoat import runs
from mmcoat.errors import UsageError

from .corruptions import KINDS, SEVERITIES, Corruption

matplotlib.use('Agg')
import matplotlib.pyplot as plt

# over the classes of the ground truth; wrongly predicted pixels count against their true class
SCORE = 'mIoU_present'
CLEAN = 'clean'


@dataclass
class Scores:
    """The scores: ``found['fog 3']`` is a mIoU in percent, ``found['clean']`` that without corruption.

    Attributes:
        path: The JSON file, which is written after every condition and read by the next call.
        source: Config, checkpoint and number of images that the scores are of.
        found: The scores.
    """

    path: Path
    source: dict[str, Any]
    found: dict[str, float]

    @classmethod
    def open(cls, path: Path, source: dict[str, Any]) -> 'Scores':
        """Read the file of an earlier call with the same config, checkpoint and images.

        Raises:
            UsageError: The file has scores of another config, checkpoint or set of images.
        """
        content = json.loads(path.read_text()) if path.is_file() else dict(source=source, scores={})
        if content['source'] != source:
            raise UsageError(f'{path} holds scores of {content["source"]}; choose another --out')
        return cls(path, source, content['scores'])

    def add(self, name: str, score: float) -> None:
        """Keep one score."""
        self.found[name] = score
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(
            json.dumps(dict(source=self.source, scores=self.found), indent=1) + '\n'
        )

    def row(self, kind: str) -> list[float]:
        """Return the scores of a kind that were measured, by severity."""
        return [self.found[f'{kind} {s}'] for s in SEVERITIES if f'{kind} {s}' in self.found]

    def kinds(self) -> list[str]:
        """Return the kinds that were measured."""
        return [kind for kind in KINDS if self.row(kind)]


def prepare(cfg: Config, args: argparse.Namespace) -> Runner:
    """Return a runner with the checkpoint's weights, ready for many tests.

    Raises:
        UsageError: The config is not a segmentor, or the checkpoint does not fit.
    """
    if cfg.get('default_scope') != 'mmseg':
        raise UsageError(f'{args.config} is not a config of MMSegmentation')
    cfg.test_evaluator = dict(type='mmcoat.PresentClassIoU', iou_metrics=['mIoU'])
    cfg.load_from, cfg.resume = None, False
    cfg.default_hooks.pop('visualization', None)
    runner = runs.build_runner(cfg)
    runs.load_strictly(runner, args.checkpoint)
    if args.compile:
        runs.compile_backbone(runner)
    return runner


def score(runner: Runner, corruption: Corruption | None, images: int | None) -> float:
    """Test under one condition and return the mIoU in percent."""
    loader = copy.deepcopy(runner.cfg.test_dataloader)
    dataset = DATASETS.build(
        loader.pop('dataset') | ({} if images is None else dict(indices=images))
    )
    if corruption is not None:
        dataset.pipeline.transforms.insert(1, corruption)  # after the image is loaded
    # the runner rebuilds both at each test
    runner._test_dataloader = dict(loader, dataset=dataset, persistent_workers=False)
    runner._test_loop = dict(runner.cfg.test_cfg)
    return float(runner.test()[SCORE])


def run(cfg: Config, args: argparse.Namespace, say: Callable[[str], object]) -> list[Path]:
    """Test under all conditions that are not tested yet, and return the report's files."""
    source = dict(config=args.config, checkpoint=args.checkpoint, images=args.images)
    scores = Scores.open(args.out / 'robustness.json', source)
    wanted: list[Corruption | None] = [None]
    wanted += [Corruption(kind, s) for kind in args.kinds for s in args.severities]
    names = [f'{c.kind} {c.severity}' if c else CLEAN for c in wanted]
    missing = [(c, n) for c, n in zip(wanted, names, strict=True) if n not in scores.found]
    runner = prepare(cfg, args) if missing else None
    for corruption, name in missing:
        scores.add(name, score(runner, corruption, args.images))
        say(f'{name}: {scores.found[name]:.2f}')
    report = args.out / 'robustness.md'
    report.write_text(describe(scores), encoding='utf-8')
    return [report, draw(scores, args.out / 'robustness.png'), scores.path]


def describe(scores: Scores) -> str:
    """Return the report in Markdown."""
    clean, kinds = scores.found[CLEAN], scores.kinds()
    images = scores.source['images'] or 'all'
    lines = [
        '# Robustness',
        '',
        f'`{scores.source["config"]}`, `{scores.source["checkpoint"]}`, {images} test images. mIoU over the '
        f"classes of the ground truth; clean: {clean:.2f}. The corruptions are made here after ImageNet-C's.",
        '',
        f'| corruption | {" | ".join(f"severity {s}" for s in SEVERITIES)} | mean | of clean (%) |',
        '|' + ' --- |' * (len(SEVERITIES) + 3),
    ]
    for kind in kinds:
        cells = [
            f'{scores.found[f"{kind} {s}"]:.2f}' if f'{kind} {s}' in scores.found else '-'
            for s in SEVERITIES
        ]
        average = mean(scores.row(kind))
        last = [f'{average:.2f}', _relative(average, clean)]
        lines.append(f'| {" | ".join([kind.replace("_", " "), *cells, *last])} |')
    if kinds:
        average = mean(mean(scores.row(kind)) for kind in kinds)
        empty = ' | '.join('' for _ in SEVERITIES)
        lines.append(f'| **mean** | {empty} | {average:.2f} | {_relative(average, clean)} |')
    return '\n'.join([*lines, '', '![robustness](robustness.png)', ''])


def _relative(value: float, clean: float) -> str:
    return f'{100 * value / clean:.1f}' if clean else '-'


def draw(scores: Scores, path: Path) -> Path:
    """Draw a line for each kind over the severities, clean images at severity 0."""
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout='constrained')
    colours = plt.get_cmap('tab20')
    for i, kind in enumerate(scores.kinds()):
        severities = [s for s in SEVERITIES if f'{kind} {s}' in scores.found]
        values = [scores.found[CLEAN], *scores.row(kind)]
        axes.plot(
            [0, *severities], values, marker='.', color=colours(i), label=kind.replace('_', ' ')
        )
    axes.set(xlabel='severity (0: clean)', ylabel='mIoU of the classes present (%)', ylim=(0, None))
    axes.set_xticks(range(6))
    axes.grid(alpha=0.3)
    axes.legend(fontsize='small', loc='center left', bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes beside config, checkpoint and work dir."""
    parser.add_argument('--out', type=Path, default=Path('work_dirs/robustness'))
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS), metavar='KIND',
                        help=f'corruptions, of {", ".join(KINDS)} (all)')  # fmt: skip
    parser.add_argument('--severities', nargs='+', type=int, choices=SEVERITIES, default=SEVERITIES)
    parser.add_argument('--images', type=int, help='only the first IMAGES test images')
