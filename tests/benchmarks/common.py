"""Code that the benchmark's tests share."""

from pathlib import Path

import torch

from benchmarks.bench import Benchmark, Options
from benchmarks.cases import Case, Grid
from benchmarks.contenders import plan
from benchmarks.results import Row

CPU = torch.device('cpu')
CASE = Case('lite_tiny', (64, 64), 1, 'fp32', 'inference')
GRID = Grid(('lite_tiny',), ('64',), contenders=('default',))


def options(tmp_path: Path, *grids: Grid, **settings) -> Options:
    return Options(plan(grids), CPU, threads=1, repeats=2, warmup=1, out=tmp_path, **settings)


def measure(tmp_path: Path, *grids: Grid, **settings) -> tuple[dict[str, Row], list[str]]:
    """Run, and return the rows by contender and the printed lines."""
    said = []
    results = Benchmark(options(tmp_path, *grids, **settings), said.append).run()
    return {row.contender: row for row in results.rows}, said
