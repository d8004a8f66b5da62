"""Where whole models spend their time in inference, part by part, and their peak memory.

``python -m benchmarks.parts --models upernet fpn --backbones coat swin --forms default prepared``
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from statistics import median
from typing import Any

import torch
from torch import nn

from mmcoat import CoaT
from mmcoat.apis.fast import ready
from mmcoat.apis.models import DTYPES

from .cases import Case, parse_size
from .memory import peak_memory
from .peers import build_swin
from .steps import synchronize
from .weights import SEED
from .whole_models import FILES, build_around, make_batch

BACKBONES = {'coat': lambda: CoaT('lite_small'), 'swin': build_swin}
FORMS = ('default', 'prepared', 'sparing')
PARTS = ('backbone', 'neck', 'head', 'post-processing')


class Stopwatch:
    """Counts time to the innermost part that runs.

    Args:
        device: Waited for at every boundary.
        clock: ``time.perf_counter``, or ``time.process_time`` on a machine that others use too.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float]):
        self.device, self.clock = device, clock
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stack = ['post-processing']
        self._last = 0.0

    def _mark(self) -> None:
        synchronize(self.device)
        now = self.clock()
        self.seconds[self._stack[-1]] += now - self._last
        self._last = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs inside to ``name``."""
        self._mark()
        self._stack.append(name)
        try:
            yield
        finally:
            self._mark()
            self._stack.pop()

    def read(self, step: Callable[[], Any]) -> dict[str, float]:
        """Return the seconds of each part of one step."""
        self.seconds.clear()
        synchronize(self.device)
        self._last = self.clock()
        step()
        self._mark()
        return dict(self.seconds)

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Count all calls of a method to a part."""
        inner = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return inner(*args, **kwargs)

        setattr(owner, method, timed)


def build(case: Case, backbone: str) -> nn.Module:
    """Build a config's model with random weights, around CoaT-Lite Small or Swin-T."""
    torch.manual_seed(SEED)
    model = build_around(case, BACKBONES[backbone](), backbone == 'swin')
    return model.eval().requires_grad_(False)


def watch(model: nn.Module, stopwatch: Stopwatch) -> None:
    """Wrap the parts of the model that runs."""
    stopwatch.wrap(model.backbone, 'forward', 'backbone')
    if getattr(model, 'neck', None) is not None:
        stopwatch.wrap(model.neck, 'forward', 'neck')
    if hasattr(model, 'decode_head'):
        stopwatch.wrap(model.decode_head, 'forward', 'head')
        return
    for head in (model.rpn_head, model.roi_head):
        stopwatch.wrap(head, 'predict', 'head')
        for part in head.modules():
            if hasattr(part, 'predict_by_feat'):
                stopwatch.wrap(part, 'predict_by_feat', 'post-processing')


def measure(case: Case, backbone: str, form: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one model in one form."""
    device = torch.device(args.device)
    model = build(case, backbone).to(device)
    if form == 'default':
        low = DTYPES[case.dtype]
        # MMCV's operators on boxes refuse bfloat16
        whole = case.dtype == 'fp32' or case.model == 'mask_rcnn'
        context: Any = nullcontext() if whole else torch.autocast(device.type, low)
        run = inner = model
    else:
        context = nullcontext()
        run = ready(model, case.dtype, prepare=True, sparing=form == 'sparing')
    data = make_batch(case)

    def step() -> None:
        with torch.inference_mode(), context:
            run.test_step({**data, 'data_samples': [s.clone() for s in data['data_samples']]})

    step()
    if form != 'default':
        inner = run.prepared()
    peak = peak_memory(step, device)
    stopwatch = Stopwatch(device, time.process_time if args.cpu_time else time.perf_counter)
    watch(inner, stopwatch)
    found = [stopwatch.read(step) for _ in range(args.repeats)]
    parts = {part: median(f.get(part, 0.0) for f in found) * 1e3 for part in PARTS}
    total = median(sum(f.values()) for f in found)
    return dict(parts, images=case.batch / total, peak=peak / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--models', nargs='+', choices=list(FILES), default=list(FILES))
    parser.add_argument('--backbones', nargs='+', choices=list(BACKBONES), default=list(BACKBONES))
    parser.add_argument('--forms', nargs='+', choices=FORMS, default=['default', 'prepared'])
    parser.add_argument('--dtype', choices=['fp32', 'bf16'], default='fp32')
    parser.add_argument('--size', type=parse_size, default=parse_size('512'))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--cpu-time', action='store_true', help='of this process, not of the clock')
    args = parser.parse_args()
    out = sys.stdout
    columns = ' | '.join(f'{part} ms' for part in PARTS)
    out.write(f'| model | backbone | form | {columns} | images/s | peak MB |\n')
    out.write(f'|{"---|" * (len(PARTS) + 5)}\n')
    for name in args.models:
        for backbone in args.backbones:
            for form in args.forms:
                if form == 'sparing' and name == 'mask_rcnn':
                    continue
                case = Case('lite_small', args.size.size, 1, args.dtype, 'inference', name)
                row = measure(case, backbone, form, args)
                times = ' | '.join(f'{row[part]:.0f}' for part in PARTS)
                numbers = f'{row["images"]:.3f} | {row["peak"]:.0f}'
                out.write(f'| {name} | {backbone} | {form} | {times} | {numbers} |\n')
                out.flush()


if __name__ == '__main__':
    main()
