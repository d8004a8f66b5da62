"""The best and the worst images of a labelled data set, as pictures, and the scores of all."""

import csv
import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmcoat.errors import UsageError

from . import detected, panels, segmented
from .panels import Case
from .predictions import Predictions

SORTS = dict(segmentation=segmented.SORTS, detection=detected.SORTS)
KINDS = ('best', 'worst')


@dataclass
class Ranked:
    """An image at an end of the ranking.

    Attributes:
        row: Its scores.
        case: What draws it.
    """

    row: dict[str, Any]
    case: Case


@dataclass
class Ranking:
    """The ``number`` best and worst images, as many kept in memory, and the scores of all.

    Attributes:
        number: How many at each end.
        key: The score that decides.
        more_is_better: Of that score.
        rows: Scores of every image, in the data set's order.
    """

    number: int
    key: str
    more_is_better: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    _ends: dict[str, list] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def add(self, row: dict[str, Any], case: Case) -> None:
        """Keep the scores, and the image where it belongs to an end; one without a score never does."""
        self.rows.append(row)
        value = row[self.key]
        if value is None:
            return
        goodness = value if self.more_is_better else -value
        for kind, sign in zip(KINDS, (1, -1), strict=True):
            # a heap's first is the next to go; of equals the later image
            entry = (sign * goodness, -len(self.rows), Ranked(row, case))
            heap = self._ends[kind]
            if len(heap) < self.number:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)

    def end(self, kind: str) -> list[Ranked]:
        """Return the ``'best'`` images, the best first, or the ``'worst'``, the worst first."""
        return [
            ranked for *_, ranked in sorted(self._ends[kind], key=lambda e: e[:2], reverse=True)
        ]

    @property
    def unranked(self) -> int:
        """How many images have no such score."""
        return sum(row[self.key] is None for row in self.rows)


def choose_sort(predictions: Predictions, key: str | None) -> tuple[str, bool]:
    """Return the score that decides, and whether more of it is better.

    Raises:
        UsageError: The task or the model has no such score.
    """
    choices = SORTS[predictions.task]
    key = key or next(iter(choices))
    if key not in choices:
        raise UsageError(f'--sort of {predictions.task} takes {", ".join(choices)}, got {key}')
    if key == 'loss' and not segmented.has_logits(predictions.model):
        raise UsageError('--sort loss needs logits, which the head of this config does not give')
    return key, choices[key]


def rank(
    predictions: Predictions,
    number: int,
    key: str | None = None,
    score_thr: float = 0.3,
    progress: Callable[[int], None] = lambda done: None,
) -> Ranking:
    """Score every image of a data set.

    Args:
        predictions: Of a segmentor or a detector.
        number: Images to keep at each end.
        key: The score that decides: ``'iou'``, ``'accuracy'``, ``'loss'``, for detectors ``'f1'``.
        score_thr: Boxes with a lower score do not count.
        progress: Called with the number of images done.

    Raises:
        UsageError: There is no such score.
        AnalysisError: A label map does not fit; names the image.
    """
    found = Ranking(number, *choose_sort(predictions, key))
    for seen in predictions:
        if predictions.task == 'segmentation':
            found.add(*segmented.score(seen, predictions))
        else:
            found.add(*detected.score(seen, predictions, score_thr))
        progress(len(found.rows))
    return found


def check_folder(folder: str | Path) -> Path:
    """Return the folder for the results.

    Raises:
        UsageError: It holds some already.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f'--out-dir {folder} is not empty; name another folder or remove it')
    return folder


def write(ranking: Ranking, folder: str | Path) -> None:
    """Write all scores (csv, json), ``best.jpg``, ``worst.jpg``, and each of their images in large."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'scores.json').write_text(json.dumps(ranking.rows, indent=1) + '\n')
    with (folder / 'scores.csv').open('w', newline='') as file:
        names = [name for name in ranking.rows[0] if name != 'classes'] if ranking.rows else []
        writer = csv.DictWriter(file, names, extrasaction='ignore')
        writer.writeheader()
        writer.writerows(ranking.rows)
    for kind in KINDS:
        found = ranking.end(kind)
        if not found:
            continue
        (folder / kind).mkdir(exist_ok=True)
        captions = [caption(one.row, ranking.key, place) for place, one in enumerate(found, 1)]
        for place, (one, text) in enumerate(zip(found, captions, strict=True), 1):
            name = f'{place:02d}_{Path(one.row["image"]).stem}.png'
            _save(panels.draw(one.case, text), folder / kind / name)
        _save(panels.sheet([one.case for one in found], captions), folder / f'{kind}.jpg')


def caption(row: dict[str, Any], key: str, place: int) -> str:
    """Return a line about an image, the score that decides first."""
    keys = [key, *(k for k in ('iou', 'accuracy', 'loss') if k != key)]
    scores = ', '.join(f'{k} {row[k]:.3f}' for k in keys if row.get(k) is not None)
    return f'{place}. {Path(row["image"]).name}: {scores}'


def _save(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(picture).save(path, quality=88)
