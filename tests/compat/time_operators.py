"""Print how long our operators take beside MMCV's compiled ones on CPU, for docs/compat.md.

Run it where MMCV has compiled operators: ``python -m tests.compat.time_operators``. The sizes are
those of a Mask R-CNN or ATSS-DyHead on one image of about 800 x 1333 pixels.
"""

import importlib
import sys
from collections.abc import Callable
from statistics import median
from time import process_time

import torch

from mmcoat.compat import Extension, nms, roi_align

FILES = ('nms', 'roi_align', 'modulated_deform_conv')


def boxes(count: int) -> torch.Tensor:
    corner = torch.rand(count, 2) * torch.tensor([1200.0, 700.0])
    return torch.cat([corner, corner + 8 + 192 * torch.rand(count, 2)], 1)


def cases() -> dict[str, Callable[[], object]]:
    from mmcv.ops import batched_nms, modulated_deform_conv2d, roi_align, soft_nms

    maps = torch.randn(1, 256, 200, 336, requires_grad=True)
    rois = torch.cat([torch.zeros(512, 1), boxes(512)], 1)
    level = torch.randn(1, 256, 50, 84, requires_grad=True)
    offset = torch.randn(1, 18, 50, 84, requires_grad=True)
    mask = torch.rand(1, 9, 50, 84, requires_grad=True)
    weight = torch.randn(256, 256, 3, 3, requires_grad=True)
    proposals, scores = boxes(4000), torch.rand(4000)
    classes = torch.randint(0, 5, (4000,))
    few = (boxes(1000), torch.rand(1000))

    def pool():
        return roi_align(maps, rois, 7, 0.25, 0)

    def convolve():
        return modulated_deform_conv2d(level, offset, mask, weight, None, 1, 1)

    return {
        'nms, 4,000 boxes in 5 groups': lambda: batched_nms(
            proposals, scores, classes, dict(type='nms', iou_threshold=0.7)
        ),
        'softnms, 1,000 boxes': lambda: soft_nms(*few, method='gaussian'),
        'roi_align, 512 boxes, 7 x 7, 256 channels': pool,
        'roi_align, forward and backward': lambda: pool().sum().backward(),
        'modulated_deform_conv, 3 x 3, 256 channels, 50 x 84': convolve,
        'modulated_deform_conv, forward and backward': lambda: convolve().sum().backward(),
    }


def milliseconds(
    function: Callable[[], object], modules: list, forms: list, runs: int = 3
) -> list[float]:
    """Return the processor time of a call with the compiled operators and with ours.

    The two take turns, and the process's own time counts, so that other work on the machine matters
    less.
    """
    times: list[list[float]] = [[], []]
    for _ in range(runs + 1):
        for form, results in zip(forms, times, strict=True):
            for module, operators in zip(modules, form, strict=True):
                module.ext_module = operators
            start = process_time()
            function()
            results.append(process_time() - start)
    return [1000 * median(results[1:]) for results in times]


def main() -> None:
    torch.manual_seed(0)
    for module in (nms, roi_align):  # ours in PyTorch, not torchvision's
        module.torchvision_ops = lambda device: None
    lines = ['| operator | compiled, ms | PyTorch, ms | ratio |', '|---|---|---|---|']
    modules = [importlib.import_module(f'mmcv.ops.{file}') for file in FILES]
    forms = [[module.ext_module for module in modules], [Extension()] * len(modules)]
    for name, function in cases().items():
        compiled, own = milliseconds(function, modules, forms)
        lines.append(f'| {name} | {compiled:.0f} | {own:.0f} | {own / compiled:.1f} |')
    sys.stdout.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
