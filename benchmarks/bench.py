"""The run: for each case build, compare and measure all contenders, and save every result immediately."""

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from . import environment
from .cases import BACKBONE, Case, Grid
from .compare import MismatchError, difference
from .contenders import Contender, Setup, build, build_reference, parse_contender
from .errors import UnavailableError
from .memory import peak_memory, weight_bytes
from .results import Results, Row
from .steps import BackboneStep, Outcome, Step, graph_step
from .timing import time_steps
from .weights import images

RESULTS_FILE = 'results.json'
NO_GRAPHS = ('reference', 'official')  # no user would run these as graphs


@dataclass
class Options:
    """How to measure.

    Attributes:
        grids: Cases and contenders.
        device: Device of the run.         threads: Threads of PyTorch on CPU; None leaves its choice.
        repeats: Minimal number of rounds.
        seconds: Minimal seconds of timing for each contender.
        warmup: Steps before timing, not counting the first call.
        official: Checkout of the paper's repository.
        out: Folder of the results.
    """

    grids: list[Grid]
    device: torch.device = field(default_factory=lambda: torch.device('cpu'))
    threads: int | None = None
    repeats: int = 10
    seconds: float = 0.0
    warmup: int = 2
    official: Path | None = None
    out: Path = Path('work_dirs/benchmark')


class Benchmark:
    """One run.

    Args:
        options: How to measure.
        say: Called with each line of the progress report.
    """

    def __init__(self, options: Options, say: Callable[[str], None]):
        self.options = options
        self.say = say
        set_up(options)
        self.results = Results(environment.describe(options.device))
        self._reference: tuple[Case, Outcome] | None = None

    def run(self) -> Results:
        """Measure all cases; a keyboard interrupt ends the run and keeps the results so far."""
        todo: dict[Case, Grid] = {}
        for grid in self.options.grids:
            for case in grid.cases():
                todo.setdefault(case, grid)  # if grids overlap, the first one counts
        try:
            for number, (case, grid) in enumerate(todo.items(), 1):
                warning = environment.load_warning(torch.get_num_threads())
                if warning:
                    self.say(warning)
                self.say(f'[{number}/{len(todo)}] {case}')
                self.results.rows += self.measure(case, contenders_of(grid, case))
                self.results.environment['packages'] = environment.packages()  # timm loads late
                self.results.write(self.options.out / RESULTS_FILE)
        except KeyboardInterrupt:
            self.say('interrupted: the results so far are kept')
            self.results.environment['interrupted'] = True
            self.results.write(self.options.out / RESULTS_FILE)
        return self.results

    def measure(self, case: Case, contenders: list[Contender]) -> list[Row]:
        """Measure one case."""
        load = environment.load_average()
        rows = {c.name: Row(case, c.name, load=load) for c in contenders}
        steps: dict[str, Callable[[], object]] = {}
        for contender in contenders:
            row = rows[contender.name]
            try:
                steps[contender.name] = self._prepare(contender, case, row)
                self.say(f'  {contender.name}: {_prepared_text(row)}')
            except Exception as error:
                row.stop(_status(error), error)
                self.say(f'  {contender.name}: {row.status}: {row.reason}')
            _free_memory()
        self._time(steps, rows)
        steps.clear()
        if any(contender.compiled for contender in contenders):
            torch._dynamo.reset()  # the next case compiles for its own shape
        _free_memory()
        return list(rows.values())

    def _prepare(self, contender: Contender, case: Case, row: Row) -> Callable[[], object]:
        """Build a contender, make its first call, compare its outputs, and measure its memory."""
        step = self._build_step(contender, case, row)
        outcome = step.first()
        row.first_call = outcome.seconds
        if contender.is_coat:
            found = difference(outcome, self._reference_outcome(case))
            row.difference = asdict(found)
            found.check(case.dtype)
        del outcome
        step()  # memory that a first call keeps, such as workspaces, does not belong to a step
        row.peak_bytes = peak_memory(step, self.options.device)
        return graph_step(step) if contender.graph else step

    def _build_step(self, contender: Contender, case: Case, row: Row) -> Step:
        """Build a contender's step, and record its size. Of a whole model only the backbone is compiled."""
        setup = Setup(case, self.options.device, self.options.official)
        backbone = build(contender, setup)
        compiled = torch.compile(backbone, dynamic=False) if contender.compiled else backbone
        step = self._step(compiled, case, is_swin=not contender.is_coat)
        row.parameters = sum(p.numel() for p in step.model.parameters())
        row.weight_bytes = weight_bytes(step.model)
        return step

    def _step(self, backbone: nn.Module, case: Case, is_swin: bool = False) -> Step:
        device = self.options.device
        if case.model == BACKBONE:
            return BackboneStep(backbone, images(case.batch, case.size).to(device), case)
        from .whole_models import WholeStep, build_whole_model

        return WholeStep(build_whole_model(case, backbone, is_swin).to(device), case, device)

    def _time(self, steps: dict[str, Callable[[], object]], rows: dict[str, Row]) -> None:
        options = self.options
        timings = time_steps(
            steps, options.device, options.repeats, options.seconds, options.warmup
        )
        for name, timing in timings.items():
            row = rows[name]
            row.calls, row.samples = timing.calls, timing.samples
            if timing.error is not None:
                row.stop('failed', timing.error)
            else:
                low, median, high = row.quartiles
                text = f'{median * 1e3:.1f} ms ({low * 1e3:.1f} to {high * 1e3:.1f})'
                self.say(f'  {name}: {text}, {row.images_per_second:.2f} images/s')

    def _reference_outcome(self, case: Case) -> Outcome:
        """Return the float32 reference's outputs for the case; they also serve its other precisions."""
        key = replace(case, dtype='fp32')
        if self._reference is None or self._reference[0] != key:
            self._reference = None
            model = build_reference(case.arch).to(self.options.device)
            self._reference = key, self._step(model.train(case.mode == 'train'), key).first()
        return self._reference[1]


def set_up(options: Options) -> None:
    """Set threads and precision, the same for all contenders."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.device.type == 'cuda':
        torch.cuda.set_device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def contenders_of(grid: Grid, case: Case) -> list[Contender]:
    """Return the contenders of a case of the grid.

    Swin-T is one model, so it takes part for only one arch: its peer Lite Small, or else the first arch.
    There is no recomputing contender in inference.
    """
    swin_arch = 'lite_small' if 'lite_small' in grid.archs else grid.archs[0]
    names = list(grid.contenders)
    if grid.cuda_graph and case.batch == 1 and case.mode == 'inference':
        names += [f'{name}-graph' for name in names if not name.startswith(NO_GRAPHS)]
    contenders = [parse_contender(name) for name in dict.fromkeys(names)]
    absent = set()
    if case.arch != swin_arch:
        absent.add('swin')
    if case.mode != 'train':
        absent.add('recompute')
    else:
        absent.add('prepared')
    return [c for c in contenders if c.family not in absent]


def _status(error: Exception) -> str:
    if isinstance(error, UnavailableError):
        return 'unavailable'
    return 'mismatch' if isinstance(error, MismatchError) else 'failed'


def _prepared_text(row: Row) -> str:
    parts = [f'first call {row.first_call:.2f} s']
    if row.difference is not None:
        parts.append(f'largest difference {row.difference["largest"]:.1e} std')
    if row.peak_bytes is not None:
        parts.append(f'peak {row.peak_bytes / 2**20:.1f} MB')
    return ', '.join(parts)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
