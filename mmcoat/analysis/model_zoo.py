"""The model zoo page, made from the metafiles that mim reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

INTRODUCTION = """# Model zoo

<!-- Made by tools/make_model_zoo.py from model-index.yml: change the metafiles and run it again. -->

Results and weights are **official**: what the authors report for the files that they published. Nothing on
this page was trained here. Parameters (M, whole model) and FLOPs (G, multiply-accumulates of one image) were
counted with `tools/get_flops.py`. Every file loads unmodified: `python tools/test.py CONFIG WEIGHTS`.
"""
SECTIONS = (  # task, title, metrics, text
    (
        'Image Classification',
        '## ImageNet-1K classification',
        ('Top 1 Accuracy', 'Top 5 Accuracy'),
        'FLOPs of the classifier at its resolution. The configs evaluate at crop ratio 0.9, bicubic; the\n'
        "authors' script takes 0.875.",
    ),
    (
        'Instance Segmentation',
        '## COCO instance segmentation',
        ('box AP', 'mask AP'),
        'FLOPs of the backbone at the resolution: those of the heads depend on the proposals.',
    ),
    (
        'Object Detection',
        '## COCO detection',
        ('box AP', 'box AP50', 'box AP75', 'box APs', 'box APm', 'box APl'),
        'FLOPs of the backbone at the resolution.',
    ),
)
UNPUBLISHED = """## Configs without official results

There are no published CoaT weights for these; they start from the ImageNet weights. No results are claimed.
"""


def load_models(root: Path) -> list[dict[str, Any]]:
    """Return the models of all metafiles that ``root / 'model-index.yml'`` imports."""
    index = yaml.safe_load((root / 'model-index.yml').read_text(encoding='utf-8'))
    models = []
    for name in index['Import']:
        models += yaml.safe_load((root / name).read_text(encoding='utf-8'))['Models']
    return models


def make_page(root: Path) -> str:
    """Return the page in Markdown, for the checkout at ``root``."""
    models = load_models(root)
    parts = [INTRODUCTION]
    for task, title, metrics, text in SECTIONS:
        chosen = [model for model in models if section_of(model) == task]
        parts.append('\n'.join([title, '', text, '', *_table(chosen, metrics), '']))
    published = {model['Config'] for model in models}
    others = [
        f'- [{path.name}](../configs/{path.name})'
        for path in sorted((root / 'configs').glob('*.py'))
        if f'configs/{path.name}' not in published
    ]
    parts.append('\n'.join([UNPUBLISHED, *others, '']))
    return '\n'.join(parts)


def section_of(model: dict[str, Any]) -> str:
    """Return the task that a model is listed under: the last one of its results."""
    return model['Results'][-1]['Task']


def _table(models: list[dict[str, Any]], metrics: tuple[str, ...]) -> Iterator[str]:
    columns = ['Config', 'Backbone', 'Epochs', 'Resolution', 'Params (M)', 'FLOPs (G)']
    columns += [*(f'official {metrics[0]}', *metrics[1:]), 'Weights']
    yield _line(columns)
    yield _line(['---', '---', *(['---:'] * (len(columns) - 3)), '---'])
    for model in models:
        data = model['Metadata']
        results = {}
        for result in model['Results']:
            results |= result['Metrics']
        name, weights = model['Config'].removeprefix('configs/'), model['Weights']
        macs = data.get('FLOPs', data.get('Backbone FLOPs'))
        yield _line(
            [
                f'[{name}](../{model["Config"]})',
                data['Backbone'],
                data['Epochs'],
                data['Resolution'],
                f'{data["Parameters"] / 1e6:.2f}',
                f'{macs / 1e9:.1f}',
                *(results[metric] for metric in metrics),
                f'[{weights.rsplit("_", 1)[-1]}]({weights})',
            ]
        )


def _line(cells: list[Any]) -> str:
    return f'| {" | ".join(map(str, cells))} |'
