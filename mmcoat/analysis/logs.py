"""Read training curves from MMEngine's ``scalars.json``, join those of resumed runs, smooth them."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcoat.errors import UsageError

TIMES = ('time', 'data_time')
NOT_CURVES = ('iter', 'step', 'epoch')
METRICS = (  # the first one that a run has is drawn beside the loss
    'mIoU',
    'coco/segm_mAP',
    'coco/bbox_mAP',
    'accuracy/top1',
)
_LOWER = ('loss', 'time', 'error', 'mae', 'rmse', 'memory')
_NEITHER = ('lr', 'grad_norm', 'momentum')


class LogError(UsageError):
    """There is no log, or the logs lack the requested values."""


@dataclass
class Curve:
    """One logged quantity over the iterations.

    Attributes:
        steps: Iterations in ascending order.
        values: Values as logged; may hold NaN.
        validation: Whether they come from validation, not from training.
        noisy: Whether the values are random, as losses are; a learning rate is not.
    """

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    validation: bool = False
    noisy: bool = True

    def smoothed(self, weight: float | None) -> np.ndarray:
        """Return the running mean of a noisy quantity; validation results and learning rates are not changed.

        Args:
            weight: Weight of the past values, at least 0 (no smoothing) and below 1. None takes 0.9 for 200
                or more values, less for fewer, and 0 for up to 20. The first values are not pulled towards 0.
        """
        values = np.asarray(self.values, float)
        if weight is None:
            weight = min(0.9, max(0.0, 1 - 20 / max(len(values), 1)))
        if self.validation or not self.noisy or not weight:
            return values
        result, mean, mass = np.full(len(values), np.nan), 0.0, 0.0
        for index, value in enumerate(values):
            if math.isfinite(value):
                mean = weight * mean + (1 - weight) * value
                mass = weight * mass + (1 - weight)
            if mass:
                result[index] = mean / mass
        return result


@dataclass
class Run:
    """The logs of one work dir.

    Attributes:
        name: Name of the folder.
        files: The logs that were read, the oldest first.
        curves: Values by name.
        broken: Number of lines that are not a JSON object with a step.
        replaced: Number of lines of earlier logs whose iterations were repeated in a later log.
    """

    name: str
    files: list[Path]
    curves: dict[str, Curve]
    broken: int = 0
    replaced: int = 0

    @property
    def iterations(self) -> int:
        """The last logged iteration."""
        return max((c.steps[-1] for c in self.curves.values()), default=0)

    def seconds_per_iteration(self) -> float | None:
        """Return the median over the training lines, None if no line has the value."""
        curve = self.curves.get('time')
        return float(np.nanmedian(curve.values)) if curve else None


@dataclass
class _Row:
    step: int
    values: dict[str, float]
    validation: bool


def read_run(path: str | Path) -> Run:
    """Read a training's logs.

    A resumed run has a folder with a log for each start. If a later log repeats iterations, the later one
    counts.

    Args:
        path: A work dir, one of its dated folders, or a ``scalars.json``.

    Raises:
        LogError: There is no log, or none of its lines can be read.
    """
    path = Path(path)
    files = _find(path)
    rows: list[_Row] = []
    broken, replaced = 0, 0
    epochs: dict[Any, Any] = {}
    for file in files:
        new, faults = _read_file(file, epochs)
        broken += faults
        if new:
            kept = [row for row in rows if row.step < new[0].step]
            replaced += len(rows) - len(kept)
            rows = kept + new
    if not rows:
        raise LogError(f'{path}: no training or validation line in {len(files)} logs')
    name = path.resolve().name if path.is_dir() else str(path)
    return Run(name, files, _curves(rows), broken, replaced)


def _find(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise LogError(f'{path} does not exist; give a work dir, or a scalars.json')
    patterns = ('*/vis_data/scalars.json', 'vis_data/scalars.json', 'scalars.json')
    for pattern in patterns:
        files = sorted(path.glob(pattern))  # dated folders: by time
        if files:
            return files
    raise LogError(
        f'{path} holds no log (*/vis_data/scalars.json): is it a work dir, and has training started?'
    )


def _read_file(path: Path, epochs: dict[int, int]) -> tuple[list[_Row], int]:
    """Return the rows of a file and the number of broken lines; record where each epoch ends."""
    rows, broken, last = [], 0, 0
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            step = int(entry['step'])
        except (ValueError, KeyError, TypeError):
            broken += 1
            continue
        training = 'iter' in entry
        if training:
            last = step
            if 'epoch' in entry:
                epochs[int(entry['epoch'])] = step
        else:  # the step of a validation may be an epoch, or 0 in a run without epochs
            step = epochs.get(step, step or last)
        rows.append(_Row(step, _numbers(entry), not training))
    return rows, broken


def _numbers(entry: dict[str, Any]) -> dict[str, float]:
    """Return the values of a line, without counters and without what is not a number."""
    return {
        key: float(value)
        for key, value in entry.items()
        if key not in NOT_CURVES and isinstance(value, int | float)
    }


def _curves(rows: Sequence[_Row]) -> dict[str, Curve]:
    trained = {key for row in rows if not row.validation for key in row.values}
    curves: dict[str, Curve] = {}
    for row in rows:
        for key, value in row.values.items():
            if row.validation and key in TIMES:
                continue
            name = f'val/{key}' if row.validation and key in trained else key
            curve = curves.setdefault(
                name, Curve(validation=row.validation, noisy=not _is_set(key))
            )
            curve.steps.append(row.step)
            curve.values.append(value)
    return curves


def _is_set(key: str) -> bool:
    """Return whether a schedule sets this value."""
    return any(word in key.split('/')[-1] for word in ('lr', 'momentum'))


def name_apart(runs: Sequence[Run], paths: Sequence[str]) -> None:
    """Use the whole path as the name of runs whose folders have equal names."""
    names = [run.name for run in runs]
    for run, path in zip(runs, paths, strict=True):
        if names.count(run.name) > 1:
            run.name = str(path)


def choose_keys(runs: Sequence[Run], wanted: Sequence[str] | None) -> list[str]:
    """Return the names of the values to show: ``wanted``, or the loss and the main metric.

    Args:
        runs: The runs.
        wanted: Names, or the last parts of names: ``bbox_mAP`` for ``coco/bbox_mAP``.

    Raises:
        LogError: No run has a value with that name.
    """
    known = list(dict.fromkeys(key for run in runs for key in run.curves))
    if not wanted:
        metric = [key for key in METRICS if key in known][:1]
        return [key for key in ('loss', *metric) if key in known] or known[:1]
    chosen = []
    for name in wanted:
        fitting = [key for key in known if key == name]
        fitting = fitting or [key for key in known if key.split('/')[-1] == name]
        if not fitting:
            raise LogError(f'no run has a value {name!r}; there are {", ".join(sorted(known))}')
        chosen += fitting
    return list(dict.fromkeys(chosen))


def find_best(key: str, curve: Curve, weight: float | None) -> tuple[float, int] | None:
    """Return the best value and its iteration; None if the quantity has no better direction.

    Training values are smoothed first, because the best single batch is a matter of chance.
    """
    word = key.lower()
    values = curve.smoothed(weight)
    if any(part in word for part in _NEITHER) or not np.isfinite(values).any():
        return None
    lower = any(part in word for part in _LOWER)
    index = int(np.nanargmin(values) if lower else np.nanargmax(values))
    return float(values[index]), curve.steps[index]


def summarize(
    runs: Sequence[Run], keys: Sequence[str], weight: float | None
) -> list[dict[str, Any]]:
    """Return the last and the best value of each run and key, ready for JSON."""
    rows = []
    for run in runs:
        for key in keys:
            curve = run.curves.get(key)
            if curve is None:
                continue
            best = find_best(key, curve, weight)
            rows.append(
                dict(
                    run=run.name,
                    key=key,
                    last=_finite(curve.values[-1]),
                    best=best and best[0],
                    best_iteration=best and best[1],
                    iterations=run.iterations,
                    seconds_per_iteration=run.seconds_per_iteration(),
                    broken_lines=run.broken,
                    replaced_lines=run.replaced,
                )
            )
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def format_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows of :func:`summarize` as a table."""
    table = [('run', 'value', 'last', 'best', 'at', 'iterations', 's/iteration')]
    for row in rows:
        cells = (row['last'], row['best'], row['best_iteration'])
        speed = row['seconds_per_iteration']
        table.append(
            (row['run'], row['key'], *map(_cell, cells), str(row['iterations']), _cell(speed))
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for line in table:
        right = [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
        lines.append('  '.join([line[0].ljust(widths[0]), line[1].ljust(widths[1]), *right]))
    return '\n'.join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.4g}'


def find_notes(runs: Sequence[Run], keys: Sequence[str]) -> list[str]:
    """Return the warnings about the logs: broken lines, repeated iterations, values that are not finite."""
    notes = []
    for run in runs:
        if run.broken:
            notes.append(f'{run.name}: {run.broken} broken lines left out')
        if run.replaced:
            notes.append(f'{run.name}: {run.replaced} lines left out, a later start repeated them')
        for key in keys:
            curve = run.curves.get(key)
            if curve is None:
                notes.append(f'{run.name}: no {key}')
            elif not np.isfinite(curve.values).all():
                lost = int((~np.isfinite(curve.values)).sum())
                notes.append(f'{run.name}: {lost} of {len(curve.values)} {key} are not finite')
    return notes
