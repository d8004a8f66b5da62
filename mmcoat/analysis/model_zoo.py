"""The model zoo page, made from the metafiles that mim reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

INTRODUCTION = """# Model zoo

<!-- Made by tools/make_model_zoo.py from model-index.yml: change the metafiles and run it again. -->

Results, weights and logs are **official**: what the authors report for the files that they published. Nothing
on this page was trained here. Every file loads unmodified: `python tools/test.py CONFIG WEIGHTS`. A batch is
what all 8 GPUs hold together.

Parameters (M, whole model) and FLOPs (G, multiply-accumulates of one image) were counted here, with
`tools/get_flops.py`; `mmcoat/analysis/flops.py` says what counts. The README's FLOPs are the paper's, and
differ by up to 0.1: the paper has 4.0 for CoaT-Lite Small and 4.4 for CoaT Tiny.
"""
CLASSIFICATION = """\
FLOPs of the classifier at its resolution. The configs evaluate as the authors did: short edge to 256 (384 px:
438), centre crop, bicubic. timm resizes to 248 instead; at 384 px it squashes the whole picture to 384 x 384.
For the same weights timm reports top-1 accuracies of 82.30 (CoaT-Lite Small), 82.38 (CoaT Small) and 84.89
(CoaT-Lite Medium at 384 px) in `results/results-imagenet.csv`; versions of that file differ by about 0.02. To
evaluate as timm does:

```bash
# 224 px
python tools/test.py CONFIG WEIGHTS --cfg-options test_dataloader.dataset.pipeline.1.scale=248
# 384 px
python tools/test.py CONFIG WEIGHTS --cfg-options test_dataloader.dataset.pipeline.1.type=Resize \\
    "test_dataloader.dataset.pipeline.1.scale=(384,384)"
```"""
INSTANCES = """\
FLOPs of the backbone at the resolution: those of the heads depend on the proposals. The authors trained no
other backbones so; Mask R-CNN configs for the others, listed at the end, are ours."""
DETECTION = """\
FLOPs of the backbone at the resolution. The batch is uncertain: the command of the authors makes it 16, but
they follow Deformable DETR's default settings, and its README says 32."""
SECTIONS = (  # task, title, metrics, text
    (
        'Image Classification',
        '## ImageNet-1K classification',
        ('Top 1 Accuracy', 'Top 5 Accuracy'),
        CLASSIFICATION,
    ),
    (
        'Instance Segmentation',
        '## COCO instance segmentation',
        ('box AP', 'mask AP'),
        INSTANCES,
    ),
    (
        'Object Detection',
        '## COCO detection',
        ('box AP', 'box AP50', 'box AP75', 'box APs', 'box APm', 'box APl'),
        DETECTION,
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
    columns = ['Config', 'Backbone', 'Epochs', 'Batch', 'Resolution', 'Params (M)', 'FLOPs (G)']
    columns += [*(f'official {metrics[0]}', *metrics[1:]), 'Weights', 'Log']
    yield _line(columns)
    yield _line(['---', '---', *(['---:'] * (len(columns) - 4)), '---', '---'])
    for model in models:
        data = model['Metadata']
        results: dict[str, Any] = {}
        for result in model['Results']:
            results |= result['Metrics']
        name, weights = model['Config'].removeprefix('configs/'), model['Weights']
        macs = data.get('FLOPs', data.get('Backbone FLOPs'))
        yield _line(
            [
                f'[{name}](../{model["Config"]})',
                data['Backbone'],
                data['Epochs'],
                data.get('Batch Size', '?'),
                data['Resolution'],
                f'{data["Parameters"] / 1e6:.2f}',
                f'{macs / 1e9:.1f}',
                *(results[metric] for metric in metrics),
                f'[{weights.rsplit("_", 1)[-1]}]({weights})',
                f'[log]({model["Training log"]})',
            ]
        )


def _line(cells: list[Any]) -> str:
    return f'| {" | ".join(map(str, cells))} |'
