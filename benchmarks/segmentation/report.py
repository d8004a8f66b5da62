"""The report in Markdown: a table, a table by classes, the equal and different settings, and the plots."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from .contender import SCORE, Contender
from .equality import compare, drop_paths, equal_facts
from .plan import Plan
from .plots import draw

REPORT = 'report.md'
MEGABYTE = 2**20
COLUMNS = (
    'config', 'parameters (M)', 'of the backbone (M)', 'GMACs', 'ms per image', 'peak memory (MB)',
    'iterations', 'training (min)', 'mIoU', 'mIoU of classes present', 'boundary F1',
)  # fmt: skip

EXPLANATION = (
    'Mean ± standard deviation over seeds. Parameters include auxiliary heads, which only train. GMACs, '
    'time and memory are those of one image, or window, at the test size; memory is above weights and '
    'image. Boundary F1 counts an outline as met within 0.75 % of the diagonal.'
)


def write_report(
    plan: Plan, contenders: Sequence[Contender], environment: Mapping[str, Any]
) -> list[Path]:
    """Write report and plots into the plan's folder and return their paths, the report first."""
    pictures = draw(contenders, plan.out)
    parts = [
        '# Segmentation benchmark',
        _where(plan, environment),
        table(COLUMNS, (_row(c) for c in contenders)),
        EXPLANATION,
        '## Classes (IoU)',
        _classes(contenders),
        '## What was equal, and what was not',
        _equality(plan, contenders),
        *(f'![{path.stem}]({path.name})' for path in pictures),
    ]
    path = plan.out / REPORT
    path.write_text('\n\n'.join(parts) + '\n', encoding='utf-8')
    return [path, *pictures]


def _where(plan: Plan, environment: Mapping[str, Any]) -> str:
    device = environment.get('gpu') or environment['cpu']
    return (
        f'Data: `{plan.data_root}`. Command: `{environment["command"]}`. Here: {device}, '
        f'{environment["threads"]} threads of {environment["cores"]} cores, PyTorch {environment["torch"]}, '
        f'mmcoat {environment["mmcoat"]}, {environment["date"]}.'
    )


def table(columns: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ['---'] * len(columns), *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def spread(values: Sequence[float]) -> str:
    """Return 'mean ± standard deviation', or the value if there is only one."""
    found = f'{mean(values):.2f}'
    return found if len(values) < 2 else f'{found} ± {stdev(values):.2f}'


def _row(c: Contender) -> list[str]:
    numbers = ['-'] * 5
    if c.costs:
        size = f'{c.costs.size[0]} x {c.costs.size[1]}'
        numbers = [
            f'{c.costs.parameters / 1e6:.2f}',
            f'{c.costs.backbone_parameters / 1e6:.2f}',
            f'{c.costs.macs / 1e9:.2f} ({size})',
            f'{c.costs.milliseconds:.1f}',
            f'{(c.costs.peak_bytes or 0) / MEGABYTE:.0f}',
        ]
    scores = [spread([found[key] for found in c.scores]) for key in ('mIoU', SCORE, 'mBF1')]
    return [c.name, *numbers, str(c.iterations), f'{mean(c.minutes):.1f}', *scores]


def _classes(contenders: Sequence[Contender]) -> str:
    names = dict.fromkeys(
        key.removeprefix('IoU/')
        for c in contenders
        for key in c.scores[0]
        if key.startswith('IoU/')
    )
    rows = (
        [name, *(spread([found[f'IoU/{name}'] for found in c.scores]) for c in contenders)]
        for name in names
    )
    return table(['class', *(c.name for c in contenders)], rows)


def _equality(plan: Plan, contenders: Sequence[Contender]) -> str:
    equal, different = compare(contenders)
    init = {
        'scratch': 'no config had pretrained weights',
        'pretrained': "all configs had ImageNet weights, from each backbone's authors: not the same training",
    }[plan.init]
    lines = [f'- Equal: {fact}' for fact in equal_facts(equal)]
    seeds = ', '.join(str(len(c.scores)) for c in contenders)
    lines += [
        f'- Start: {init}.',
        f'- Seeds: {seeds}. The same seed gives all the same order of images.',
        f'- Drop path: {drop_paths(contenders)}. CoaT applies its rate in every block; the others end a ramp '
        'with theirs, half of it on average.',
        f'- Of {len(equal) + len(different)} settings outside of the backbones {len(different)} differ'
        + (':' if different else '.'),
    ]
    if plan.budget == 'minutes':
        lines.insert(
            0, f'- Equal: about {plan.amount:g} minutes of training, by the speed of a short run.'
        )
    if different:
        rows = ([f'`{key}`', *map(_short, values)] for key, values in different.items())
        lines += ['', table(['setting', *(c.name for c in contenders)], rows)]
    return '\n'.join(lines)


def _short(value: Any) -> str:
    text = '-' if value is None else str(value).replace('|', '/')
    return text if len(text) <= 60 else f'{text[:57]}...'
