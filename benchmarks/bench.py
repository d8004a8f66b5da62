"""The run: for each case build, compare and measure all contenders, and save every result immediately."""

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from . import environment
from .cases import BACKBONE, Case
from .compare import check, difference
from .contenders import Contender, build, build_coat
from .memory import peak_memory, weight_bytes
from .results import RESULTS_FILE, Results, Row
from .steps import Outcome, Step, graph_step
from .timing import time_steps


@dataclass
class Options:
    """What to measure, and how."""

    cases: dict[Case, list[Contender]]
    device: torch.device
    threads: int | None = None  # of PyTorch on CPU; None leaves its choice
    repeats: int = 10  # rounds at least
    seconds: float = 0.0  # of timing for each contender at least
    warmup: int = 2  # steps before timing, not counting the first call
    official: Path | None = None  # checkout of the paper's repository
    out: Path = Path('work_dirs/benchmark')


class Benchmark:
    """One run.

    Args:
        options: What to measure, and how.
        say: Called with each line of the progress report.
    """

    def __init__(self, options: Options, say: Callable[[str], None]):
        self.options, self.device, self.say = options, options.device, say
        # the same threads and precision for all contenders
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        if self.device.type == 'cuda':
            torch.cuda.set_device(self.device.index or 0)  # it refuses 'cuda' without a number
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.results = Results(environment.describe(self.device))
        self._reference: tuple[Case, Outcome] | None = None

    def run(self) -> Results:
        """Measure all cases; a keyboard interrupt ends the run and keeps the results so far."""
        cases = self.options.cases
        try:
            for number, (case, contenders) in enumerate(cases.items(), 1):
                if warning := environment.load_warning(torch.get_num_threads()):
                    self.say(warning)
                self.say(f'[{number}/{len(cases)}] {case}')
                self.results.rows += self.measure(case, contenders)
                self.results.environment['packages'] = environment.packages()  # timm loads late
                self.results.write(self.options.out / RESULTS_FILE)
        except KeyboardInterrupt:
            self.say('interrupted: the results so far are kept')
            self.results.environment['interrupted'] = True
            self.results.write(self.options.out / RESULTS_FILE)
        return self.results

    def measure(self, case: Case, contenders: list[Contender]) -> list[Row]:
        """Measure one case."""
        load, options = environment.load_average(), self.options
        rows = {c.name: Row(**asdict(case), contender=c.name, load=load) for c in contenders}
        steps: dict[str, Callable[[], object]] = {}
        for contender in contenders:
            row = rows[contender.name]
            try:
                steps[contender.name] = self._prepare(contender, case, row)
                self.say(f'  {contender.name}: {_prepared_text(row)}')
            except Exception as error:
                row.stop(getattr(error, 'status', 'failed'), error)
                self.say(f'  {contender.name}: {row.status}: {row.reason}')
            _free_memory()
        timings = time_steps(steps, self.device, options.repeats, options.seconds, options.warmup)
        for name, timing in timings.items():
            row = rows[name]
            row.time(timing)
            if row.samples:
                low, high = row.lower_quartile * 1e3, row.upper_quartile * 1e3
                text = f'{row.median * 1e3:.1f} ms ({low:.1f} to {high:.1f})'
                self.say(f'  {name}: {text}, {row.images_per_second:.2f} images/s')
        steps.clear()
        if any(contender.compiled for contender in contenders):
            torch._dynamo.reset()  # the next case compiles for its own shape
        _free_memory()
        return list(rows.values())

    def _prepare(self, contender: Contender, case: Case, row: Row) -> Callable[[], object]:
        """Build a contender, make its first call, compare its outputs, and measure its memory."""
        backbone = build(contender, case, self.device, self.options.official)
        if contender.compiled:  # of a whole model only the backbone
            backbone = torch.compile(backbone, dynamic=False)
        step = self._step(backbone, case, is_swin=not contender.is_coat)
        row.parameters = sum(p.numel() for p in step.model.parameters())
        row.weight_bytes = weight_bytes(step.model)
        outcome = step.first()
        row.first_call = outcome.seconds
        if contender.is_coat:
            row.difference = difference(outcome, self._reference_outcome(case))
            check(row.difference, case.dtype)
        del outcome
        step()  # memory that a first call keeps, such as workspaces, does not belong to a step
        row.peak_bytes = peak_memory(step, self.device)
        return graph_step(step) if contender.graph else step

    def _step(self, backbone: nn.Module, case: Case, is_swin: bool = False) -> Step:
        if case.model == BACKBONE:
            return Step(backbone, case, self.device)
        from .whole_models import WholeStep, build_around

        return WholeStep(build_around(case, backbone, is_swin).to(self.device), case, self.device)

    def _reference_outcome(self, case: Case) -> Outcome:
        """Return the float32 reference's outputs for the case; they also serve its other precisions.

        In training the reference recomputes, to need no more memory than others.
        """
        key = replace(case, dtype='fp32')
        if self._reference is None or self._reference[0] != key:
            self._reference = None
            model = build_coat('reference', case.arch, with_cp=True).to(self.device)
            self._reference = key, self._step(model.train(case.mode == 'train'), key).first()
        return self._reference[1]


def _prepared_text(row: Row) -> str:
    parts = [f'first call {row.first_call:.2f} s']
    if row.difference is not None:
        parts.append(f'largest difference {row.difference["largest"]:.1e} std')
    return ', '.join([*parts, f'peak {row.peak_bytes / 2**20:.1f} MB'])


def _free_memory() -> None:
    gc.collect()
    torch.cuda.empty_cache()
