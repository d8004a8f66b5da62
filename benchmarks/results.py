"""The results: rows, one for each contender of each case, and the JSON file that holds them."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mmcoat.errors import UsageError

from .cases import size_text
from .timing import Timing, quartiles

RESULTS_FILE = 'results.json'
SCHEMA = 'mmcoat-benchmark/1'
# times are comparable only if these are equal
MACHINE = ('device', 'cpu', 'gpu', 'torch', 'threads', 'allocator')
CASE = ['model', 'arch', 'size', 'batch', 'dtype', 'mode']  # columns that identify a case


@dataclass
class Row:
    """One contender in one case: the fields of ``cases.Case``, and what was found; times are in seconds."""

    arch: str
    size: Sequence[int]
    batch: int
    dtype: str
    mode: str
    model: str
    contender: str
    status: str = 'ok'  # or 'unavailable', 'failed', 'mismatch', which have no times
    reason: str = ''  # why there are no times
    parameters: int | None = None
    weight_bytes: int | None = None  # of parameters and buffers
    peak_bytes: int | None = None  # most bytes held during one step, above weights and images
    first_call: float | None = None  # compilation included
    calls: int = 1  # steps in a sample
    samples: list[float] = field(default_factory=list)  # seconds per step, one for each round
    difference: dict[str, float | None] | None = (
        None  # see compare.difference; None for another model
    )
    load: float | None = None  # load average of the machine when the case began
    median: float | None = None
    lower_quartile: float | None = None
    upper_quartile: float | None = None
    images_per_second: float | None = None  # at the median

    def stop(self, status: str, reason: object) -> None:
        """Record why there are no times."""
        lines = str(reason).strip().splitlines() or [repr(reason)]
        self.status, self.reason = status, lines[0][:300]

    def time(self, timing: Timing) -> None:
        """Record the times, or the error that stopped them."""
        self.calls = timing.calls
        if timing.error is not None:
            self.stop('failed', timing.error)
            return
        self.samples = timing.samples
        self.lower_quartile, self.median, self.upper_quartile = quartiles(timing.samples)
        self.images_per_second = self.batch / self.median


@dataclass
class Results:
    """All rows, and the environment in which they were measured."""

    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def frame(self) -> pd.DataFrame:
        """Return the rows with sizes as texts, their pixels, and the largest difference."""
        columns = list(Row.__dataclass_fields__)
        frame = pd.DataFrame([asdict(row) for row in self.rows], columns=columns)
        frame['pixels'] = [height * width for height, width in frame['size']]
        frame['size'] = frame['size'].map(size_text)
        frame['largest_difference'] = [(d or {}).get('largest') for d in frame.difference]
        numbers = ['median', 'peak_bytes', 'first_call', 'largest_difference']
        return frame.astype(dict.fromkeys(numbers, float))

    def write(self, path: Path) -> None:
        """Write the file whole or not at all: an interrupted run keeps what it had."""
        content = dict(schema=SCHEMA, **asdict(self))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix('.part')
        part.write_text(json.dumps(content, indent=1) + '\n')
        os.replace(part, path)

    @classmethod
    def read(cls, path: Path) -> 'Results':
        """Read a file that :meth:`write` wrote.

        Raises:
            UsageError: The file is missing, or is not a results file.
        """
        try:
            content = json.loads(path.read_text())
            if content['schema'] != SCHEMA:
                raise UsageError(f'{path} has schema {content["schema"]!r}, this reads {SCHEMA!r}')
            return cls(content['environment'], [Row(**entry) for entry in content['rows']])
        except OSError as error:
            raise UsageError(f'{path} cannot be read: {error.strerror}') from None
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UsageError(f'{path} is not a results file of this benchmark: {error!r}') from None


def merge(parts: Sequence[Results]) -> Results:
    """Join the rows of several runs; if a row was measured several times, the last one counts.

    Raises:
        UsageError: They come from different machines, versions or settings.
    """
    first = parts[0].environment
    rows: dict[tuple[str, ...], Row] = {}
    for part in parts:
        pairs = {key: (first.get(key), part.environment.get(key)) for key in MACHINE}
        differing = [(key, *pair) for key, pair in pairs.items() if pair[0] != pair[1]]
        if differing:
            raise UsageError(f'these results do not belong together: {differing}')
        for row in part.rows:
            rows[tuple(str(getattr(row, name)) for name in (*CASE, 'contender'))] = row
    commands = '; '.join(dict.fromkeys(part.environment['command'] for part in parts))
    return Results(first | dict(command=commands), list(rows.values()))
