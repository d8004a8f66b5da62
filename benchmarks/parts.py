"""Where whole models spend their time in inference, part by part, and their peak memory.

``python -m benchmarks.parts --models upernet fpn --backbones coat swin --forms default prepared``
"""

import argparse
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from torch import nn

from mmcoat import CoaT, cli
from mmcoat.apis.fast import ready
from mmcoat.apis.models import choose_device

from .cases import DTYPES, SEED, Case, parse_size
from .memory import peak_memory
from .peers import build_swin
from .steps import synchronize
from .whole_models import FILES, WholeStep, build_around

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

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Count all calls of a method to the part ``name``."""
        inner = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._mark()
            self._stack.append(name)
            result = inner(*args, **kwargs)
            self._mark()
            self._stack.pop()
            return result

        setattr(owner, method, timed)

    def read(self, step: Callable[[], Any]) -> dict[str, float]:
        """Return the seconds of each part of one step."""
        self._mark()
        self.seconds.clear()
        step()
        self._mark()
        return dict(self.seconds)


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


def measure(case: Case, backbone: str, form: str, args: argparse.Namespace) -> list[float]:
    """Return the milliseconds of each part, images per second, and the peak in MB, of a model in one form."""
    device = choose_device(args.device)
    torch.manual_seed(SEED)
    model = build_around(case, BACKBONES[backbone](), backbone == 'swin').to(device)
    model.requires_grad_(False)
    # Prepared models bring their own precision; MMCV's operators on boxes refuse bfloat16.
    own = form != 'default' or case.model == 'mask_rcnn'
    run = model if form == 'default' else ready(model, case.dtype, True, form == 'sparing')
    step = WholeStep(run, replace(case, dtype='fp32') if own else case, device)
    step()
    peak = peak_memory(step, device)
    stopwatch = Stopwatch(device, time.process_time if args.cpu_time else time.perf_counter)
    watch(model if form == 'default' else run.prepared(), stopwatch)
    found = [stopwatch.read(step) for _ in range(args.repeats)]
    parts = [median(f.get(part, 0.0) for f in found) * 1e3 for part in PARTS]
    return [*parts, case.batch / median(sum(f.values()) for f in found), peak / 2**20]


@cli.command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--models', nargs='+', choices=list(FILES), default=list(FILES))
    add('--backbones', nargs='+', choices=list(BACKBONES), default=list(BACKBONES))
    add('--forms', nargs='+', choices=FORMS, default=['default', 'prepared'])
    add('--dtype', choices=list(DTYPES), default='fp32')
    add('--size', type=parse_size, default='512')
    add('--repeats', type=int, default=3)
    add('--device', default='auto', help='cpu, cuda, cuda:1 (cuda where there is one)')
    add('--cpu-time', action='store_true', help='of this process, not of the clock')
    args = parser.parse_args()
    times = [f'{part} ms' for part in PARTS]
    columns = ['model', 'backbone', 'form', *times, 'images/s', 'peak MB']
    sys.stdout.write(f'| {" | ".join(columns)} |\n|{"---|" * len(columns)}\n')
    for name, backbone, form in itertools.product(args.models, args.backbones, args.forms):
        if form == 'sparing' and name == 'mask_rcnn':
            continue
        case = Case('lite_small', args.size[0], 1, args.dtype, 'inference', name)
        *times, images, peak = measure(case, backbone, form, args)
        cells = [name, backbone, form, *(f'{t:.0f}' for t in times), f'{images:.3f}', f'{peak:.0f}']
        sys.stdout.write(f'| {" | ".join(cells)} |\n')
        sys.stdout.flush()


if __name__ == '__main__':
    sys.exit(main())
