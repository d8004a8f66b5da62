"""The results: rows, one for each contender of each case, and the JSON file that holds them."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from .cases import Case, size_text
from .timing import quartiles

SCHEMA = 'mmcoat-benchmark/1'
# times are comparable only if these are equal
MACHINE = ('device', 'cpu', 'gpu', 'torch', 'threads', 'allocator')
CASE = ['model', 'arch', 'size', 'batch', 'dtype', 'mode']  # columns that identify a case
STATES = ('ok', 'unavailable', 'failed', 'mismatch')


class ResultsError(ValueError):
    """The file is not a results file."""


@dataclass
class Row:
    """One contender in one case.

    Attributes:
        case: The case.
        contender: Name of the contender.
        status: One of :data:`STATES`; only ``'ok'`` has times.
        reason: The reason if there are no times.
        parameters: Number of parameters.
        weight_bytes: Bytes of parameters and buffers.
        peak_bytes: Most bytes held during one step above what was held before it (weights, images).
        first_call: Seconds of the first call, compilation included.
        calls: Steps in a sample.
        samples: Seconds per step, one for each round.
        difference: Distance from the reference, see ``compare.Difference``; None for another model.
        load: Load average of the machine when the case began.
    """

    case: Case
    contender: str
    status: str = 'ok'
    reason: str = ''
    parameters: int | None = None
    weight_bytes: int | None = None
    peak_bytes: int | None = None
    first_call: float | None = None
    calls: int = 1
    samples: list[float] = field(default_factory=list)
    difference: dict[str, float | None] | None = None
    load: float | None = None

    def stop(self, status: str, reason: object) -> None:
        """Record why there are no times."""
        self.status = status
        self.reason = (
            str(reason).strip().splitlines()[0][:300] if str(reason).strip() else repr(reason)
        )
        self.samples = []

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """Lower quartile, median and upper quartile in seconds per step."""
        return quartiles(self.samples) if self.samples else None

    @property
    def median(self) -> float | None:
        """Median seconds per step."""
        return self.quartiles[1] if self.samples else None

    @property
    def images_per_second(self) -> float | None:
        """Images per second at the median."""
        return self.case.batch / self.median if self.samples else None

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file; median, quartiles and rate are added for other readers."""
        found = asdict(self)
        case = found.pop('case')
        low, median, high = self.quartiles or (None, None, None)
        computed = dict(
            median=median,
            lower_quartile=low,
            upper_quartile=high,
            images_per_second=self.images_per_second,
        )
        return case | found | computed

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> 'Row':
        """Return the row of a file's entry."""
        case = {name: entry[name] for name in Case.__dataclass_fields__}
        case['size'] = tuple(case['size'])
        own = {name: entry[name] for name in cls.__dataclass_fields__ if name != 'case'}
        return cls(Case(**case), **own)


@dataclass
class Results:
    """All rows, and the environment in which they were measured."""

    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def frame(self) -> pd.DataFrame:
        """Return a row per contender and case: the file's entries, sizes as texts, and the pixels."""
        frame = pd.DataFrame([row.to_json() for row in self.rows])
        frame['pixels'] = [height * width for height, width in frame['size']]
        frame['size'] = [size_text(size) for size in frame['size']]
        frame['largest_difference'] = [(d or {}).get('largest') for d in frame.difference]
        for name in ('median', 'peak_bytes', 'first_call', 'largest_difference'):
            frame[name] = frame[name].astype(float)
        return frame

    def write(self, path: Path) -> None:
        """Write the file whole or not at all: an interrupted run keeps what it had."""
        text = json.dumps(
            dict(
                schema=SCHEMA, environment=self.environment, rows=[r.to_json() for r in self.rows]
            ),
            indent=1,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix('.part')
        part.write_text(text + '\n')
        os.replace(part, path)

    @classmethod
    def read(cls, path: Path) -> 'Results':
        """Read a file that :meth:`write` wrote.

        Raises:
            ResultsError: The file is missing, or is not a results file.
        """
        try:
            content = json.loads(path.read_text())
            if content['schema'] != SCHEMA:
                raise ResultsError(
                    f'{path} has schema {content["schema"]!r}, this reads {SCHEMA!r}'
                )
            return cls(content['environment'], [Row.from_json(entry) for entry in content['rows']])
        except OSError as error:
            raise ResultsError(f'{path} cannot be read: {error.strerror}') from None
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ResultsError(
                f'{path} is not a results file of this benchmark: {error!r}'
            ) from None


def merge(parts: Sequence[Results]) -> Results:
    """Join the rows of several runs; if a row was measured several times, the last one counts.

    Raises:
        ResultsError: They come from different machines, versions or settings.
    """
    first = parts[0].environment
    rows: dict[tuple[Case, str], Row] = {}
    for part in parts:
        differing = [k for k in MACHINE if part.environment.get(k) != first.get(k)]
        if differing:
            values = [(k, first.get(k), part.environment.get(k)) for k in differing]
            raise ResultsError(f'these results do not belong together: {values}')
        rows |= {(row.case, row.contender): row for row in part.rows}
    commands = '; '.join(dict.fromkeys(part.environment['command'] for part in parts))
    return Results(first | dict(command=commands), list(rows.values()))
