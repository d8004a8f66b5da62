"""Measure a checkpoint and compare it with the numbers that were published for it."""

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from mmcoat import checkpoints, runs
from mmcoat.apis import models
from mmcoat.errors import UsageError

from .model_zoo import load_models

TOLERANCE = 0.1  # points: COCO's metric and the published numbers are rounded to 0.1
METRICS = {  # name in a metafile: key of the measured value, and what makes percent of it
    'Top 1 Accuracy': ('accuracy/top1', 1),
    'Top 5 Accuracy': ('accuracy/top5', 1),
    'box AP': ('coco/bbox_mAP', 100),
    'box AP50': ('coco/bbox_mAP_50', 100),
    'box AP75': ('coco/bbox_mAP_75', 100),
    'box APs': ('coco/bbox_mAP_s', 100),
    'box APm': ('coco/bbox_mAP_m', 100),
    'box APl': ('coco/bbox_mAP_l', 100),
    'mask AP': ('coco/segm_mAP', 100),
    'mIoU': ('mIoU', 1),
}
SIZES = {'COCO': 5000, 'ImageNet-1K': 50000, 'ADE20K': 2000}  # images that results are of


class VerificationError(UsageError):
    """There is no published number, or none that was measured."""


@dataclass
class Row:
    """A metric.

    Attributes:
        metric: Its name in the metafile.
        measured: In percent.
        published: In percent.
        agrees: Whether they differ by no more than the tolerance.
    """

    metric: str
    measured: float
    published: float
    agrees: bool

    @property
    def difference(self) -> float:
        """Measured minus published, in points."""
        return self.measured - self.published

    def as_dict(self) -> dict[str, Any]:
        return dict(asdict(self), difference=self.difference)


@dataclass
class Claim:
    """What was published, and what it was published for.

    Attributes:
        name: Of the model in the metafile.
        cfg: The config that belongs to it.
        checkpoint: File, URL or ``mmcoat://NAME``.
        numbers: In percent, by name.
        dataset: That they were measured on.
    """

    name: str
    cfg: Config
    checkpoint: str
    numbers: dict[str, float]
    dataset: str


def find_claim(
    name: str,
    checkpoint: str | None,
    options: dict[str, Any] | None = None,
    metafile: str | Path | None = None,
) -> Claim:
    """Return what was published for a config.

    Args:
        name: Of a published file or of a config, or a config's path.
        checkpoint: What is to be measured; None: the published file.
        options: As ``--cfg-options``.
        metafile: One of OpenMMLab's form, in the place of mmcoat's own.

    Raises:
        UsageError: There is no such config.
        VerificationError: Nothing was published for it, or there is no checkpoint.
    """
    if name in {entry.name for entry in checkpoints.list('detectron2')}:
        raise VerificationError(
            f'{name} is a file of Detectron2: only its backbone loads, so that there is nothing to test'
        )
    cfg, found = models.find(name, checkpoint)
    path = Path(cfg.filename)
    if options:
        cfg = runs.load_config(str(path), options)
    entry = _find_entry(path.name, _read(metafile) if metafile else load_models(_root()))
    numbers, dataset = _numbers(entry)
    source = found or entry.get('Weights')
    if source is None:
        raise VerificationError(f'{entry["Name"]} names no weights: give a checkpoint')
    return Claim(entry['Name'], cfg, str(source), numbers, dataset)


def _find_entry(config: str, known: list[dict[str, Any]]) -> dict[str, Any]:
    for entry in known:
        if Path(entry['Config']).name == config:
            return entry
    there = ', '.join(Path(entry['Config']).stem for entry in known)
    raise VerificationError(f'nothing is published for {config}; there is for {there}')


def _root() -> Path:
    """Return the folder in which model-index.yml and configs/ lie, also of an installed copy."""
    return runs.find_config('coat_t_in1k.py').parent.parent


def _read(metafile: str | Path) -> list[dict[str, Any]]:
    try:
        entries = yaml.safe_load(Path(metafile).read_text(encoding='utf-8'))['Models']
        for entry in entries:
            _ = entry['Name'], entry['Config'], [result['Metrics'] for result in entry['Results']]
        return entries
    except OSError as error:
        raise UsageError(f'--metafile {metafile}: {error.strerror}') from None
    except (yaml.YAMLError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f'--metafile {metafile} must have Models with Name, Config and Results: {reason}'
        ) from None


def _numbers(entry: dict[str, Any]) -> tuple[dict[str, float], str]:
    numbers: dict[str, float] = {}
    for result in entry['Results']:
        numbers |= {k: v for k, v in result['Metrics'].items() if k in METRICS}
    if not numbers:
        raise VerificationError(
            f'{entry["Name"]} has no number that can be compared, of {", ".join(METRICS)}'
        )
    return numbers, str(entry['Results'][0].get('Dataset', ''))


def measure(claim: Claim, work_dir: str | None = None) -> tuple[dict[str, float], int]:
    """Test the checkpoint on the config's test set and return the metrics and the number of images.

    Raises:
        LayoutError: The data set is missing.
        CheckpointError: The checkpoint is missing or does not fit.
    """
    cfg = claim.cfg
    if '://' not in claim.checkpoint and not Path(claim.checkpoint).is_file():
        raise VerificationError(f'checkpoint {claim.checkpoint} does not exist')
    folder = work_dir or f'work_dirs/verify_{Path(cfg.filename).stem}'
    arguments = argparse.Namespace(
        launcher='none', local_rank=0, config=cfg.filename, work_dir=folder
    )
    runs.set_run(cfg, arguments, stages=('test',))
    cfg.load_from, cfg.resume = None, False
    runner = runs.build_runner(cfg)
    runs.load_strictly(runner, claim.checkpoint)
    metrics = runner.test()
    return metrics, len(runner.test_dataloader.dataset)


def compare(
    measured: dict[str, float], published: dict[str, float], tolerance: float = TOLERANCE
) -> list[Row]:
    """Return a row for each published number.

    Args:
        measured: What a test gave, by the toolbox's keys.
        published: In percent, by the metafile's names.
        tolerance: Points that may lie between them.

    Raises:
        VerificationError: A metric was not measured.
    """
    rows = []
    for name, number in published.items():
        key, factor = METRICS[name]
        if key not in measured:
            raise VerificationError(
                f'the test gives no {key} for {name}, only {", ".join(sorted(measured))}'
            )
        value = factor * float(measured[key])
        # both are decimal: 0.1 apart is not further
        agrees = math.isfinite(value) and abs(value - number) <= tolerance + 1e-6
        rows.append(Row(name, value, float(number), agrees))
    return rows


def find_note(claim: Claim, images: int) -> str | None:
    """Return what stands against the comparison: another number of images than results are of."""
    expected = SIZES.get(claim.dataset)
    if expected is None or images == expected:
        return None
    return (
        f'{images} images were tested, results on {claim.dataset} are of {expected}: these numbers '
        'do not compare'
    )


def write(path: str | Path, claim: Claim, images: int, rows: list[Row]) -> None:
    """Write a comparison as JSON.

    Raises:
        UsageError: The file cannot be written.
    """
    told = dict(name=claim.name, checkpoint=claim.checkpoint, images=images)
    try:
        Path(path).write_text(json.dumps(dict(told, metrics=[r.as_dict() for r in rows])) + '\n')
    except OSError as error:
        raise UsageError(f'--json {path}: {error.strerror}') from None
