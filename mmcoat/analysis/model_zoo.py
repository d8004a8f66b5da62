"""Write the model zoo page from the metafiles (which mim reads too) and from the cost of every model."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mmcoat.analysis import zoo_costs
from mmcoat.analysis.zoo_costs import Cost

INTRODUCTION = """# Model zoo

<!-- Made by tools/make_model_zoo.py: change the metafiles or configs and run it again. -->

Results, weights and logs in the first three tables are **official**: the authors report them for their
published files. Every file loads unmodified: `python tools/test.py CONFIG WEIGHTS`. The batch is that of all
8 GPUs together. For the other configs there are no published results, and none are claimed. Models trained
here were trained on drawn data and [have their own section](#ours-on-drawn-data).

Parameters (M, whole model) and FLOPs (G, multiply-accumulates of one image) were counted here, with
`tools/make_model_zoo.py`; `mmcoat/analysis/flops.py` says which operations count. The README's FLOPs are
the paper's and differ by up to 0.1: the paper has 4.0 for CoaT-Lite Small and 4.4 for CoaT Tiny.
"""
CLASSIFICATION = """\
FLOPs of the classifier at its resolution. The configs evaluate as the authors did: short edge to 256 (384 px:
438), centre crop, bicubic. timm resizes to 248 instead; at 384 px it resizes the whole image to 384 x 384.
For the same weights timm reports top-1 accuracies of 82.30 (CoaT-Lite Small), 82.38 (CoaT Small) and 84.89
(CoaT-Lite Medium at 384 px) in `results/results-imagenet.csv`; versions of that file differ by about 0.02. To
evaluate as timm does:

<!-- python: prepare.imagenet('data/imagenet')
prepare.published('coat_lite_small', 'coat_lite_medium_384')
-->
<!-- with: test.py --cfg-options $WORKERS -->

```bash
# 224 px
python tools/test.py configs/coat_lite_s_in1k.py mmcoat://coat_lite_small \\
    --cfg-options test_dataloader.dataset.pipeline.1.scale=248
# 384 px
python tools/test.py configs/coat_lite_m_384_in1k.py mmcoat://coat_lite_medium_384 \\
    --cfg-options test_dataloader.dataset.pipeline.1.type=Resize \\
    "test_dataloader.dataset.pipeline.1.scale=(384,384)"
```"""
INSTANCES = """\
FLOPs of the backbone at the resolution; those of the heads depend on the proposals. The authors trained only
these backbones in this way. The Mask R-CNN configs for the other backbones, listed at the end, are ours."""
DETECTION = """\
FLOPs of the backbone at the resolution. The batch is uncertain: it is 16 in the authors' command, but they
follow Deformable DETR's default settings, whose README says 32."""
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
CROPS = 'FLOPs of the whole model for one crop. Parameters include auxiliary heads, which only training uses.'
BACKBONE = 'FLOPs of the backbone alone, as above.'
OWN = """\
Costs for the classes in the configs. FLOPs are those of the whole model for one crop (segmentor) or of the
backbone alone (detector)."""
RIVALS = f"""\
Other backbones with the head, data and schedule of our configs, for
[the benchmark](segmentation_benchmark.md#rivals-under-one-recipe); they start from their own ImageNet
weights. {CROPS}"""
GROUPS = (  # title, which configs, text; a config stands in the first group that takes it
    ('### Detection and instance segmentation, COCO', r'_coco\.py$', BACKBONE),
    ('### Semantic segmentation, ADE20K', r'^configs/[^/]+_ade20k\.py$', CROPS),
    ('### Your own data', r'_own\.py$', OWN),
    ('### Semantic segmentation, other sets', r'^configs/[^/]+$', CROPS),
    ('### Rivals', r'^configs/rivals/', RIVALS),
)
DRAWN = """## Ours, on drawn data

Trained here, from scratch, on drawn scenes. These numbers show that training works, and say nothing about the
real data sets.
"""
DEMOS = (  # config, drawn data, result; the same as in docs/demo.md
    ('upernet_coat_lite_s_ade20k.py', 'scenes, 11 classes', 'mIoU 0.754'),
    ('mask_rcnn_coat_lite_s_1x_coco.py', 'objects, 60 images', 'box AP50 0.749, mask AP50 0.725'),
)
BACKBONES = (  # short name in a config's name; the longest first
    ('coat_lite_m_5scales', 'CoaT-Lite Medium, 5 scales'),
    ('coat_lite_mini', 'CoaT-Lite Mini'),
    ('coat_lite_t', 'CoaT-Lite Tiny'),
    ('coat_lite_s', 'CoaT-Lite Small'),
    ('coat_lite_m', 'CoaT-Lite Medium'),
    ('coat_mini', 'CoaT Mini'),
    ('coat_t', 'CoaT Tiny'),
    ('coat_s', 'CoaT Small'),
    ('resnet50', 'ResNet-50'),
    ('swin_tiny', 'Swin-T'),
    ('convnext_tiny', 'ConvNeXt-T'),
    ('mit_b2', 'MiT-B2'),
    ('pvtv2_b2', 'PVTv2-B2'),
)


def load_models(root: Path) -> list[dict[str, Any]]:
    """Return the models of all metafiles that ``root / 'model-index.yml'`` imports."""
    index = yaml.safe_load((root / 'model-index.yml').read_text(encoding='utf-8'))
    models = []
    for name in index['Import']:
        models += yaml.safe_load((root / name).read_text(encoding='utf-8'))['Models']
    return models


def make_page(root: Path) -> str:
    """Return the page of the checkout at ``root``, in Markdown."""
    models = load_models(root)
    parts = [INTRODUCTION]
    for task, title, metrics, text in SECTIONS:
        chosen = [model for model in models if section_of(model) == task]
        parts.append('\n'.join([title, '', text, '', *_table(chosen, metrics), '']))
    published = {model['Config'] for model in models}
    costs = zoo_costs.read(root)
    others = [name for name in zoo_costs.config_names(root) if name not in published]
    return '\n'.join([*parts, UNPUBLISHED, *_unpublished(others, costs), DRAWN, *_drawn(), ''])


def backbone_of(config: str) -> str:
    """Return the backbone that a config's name contains.

    Raises:
        ValueError: The name contains no known backbone.
    """
    for short, name in BACKBONES:
        if f'_{short}_' in f'_{Path(config).stem}_':
            return name
    raise ValueError(
        f'the name of {config} contains none of the backbones {[short for short, _ in BACKBONES]}'
    )


def _unpublished(names: list[str], costs: dict[str, Cost]) -> Iterator[str]:
    """Yield a section for each group of configs."""
    left = list(names)
    for title, pattern, text in GROUPS:
        chosen = [name for name in left if re.search(pattern, name)]
        left = [name for name in left if name not in chosen]
        yield '\n'.join([title, '', text, '', *_costs(chosen, costs), ''])


def _drawn() -> Iterator[str]:
    yield _line(['Made smaller from', 'Drawn data', 'Result here', 'More'])
    yield _line(['---'] * 4)
    for name, data, result in DEMOS:
        yield _line([f'[{name}](../configs/{name})', data, result, '[demo](demo.md)'])


def _costs(names: list[str], costs: dict[str, Cost]) -> Iterator[str]:
    yield _line(['Config', 'Backbone', 'Image', 'Params (M)', 'FLOPs (G)'])
    yield _line(['---', '---', '---:', '---:', '---:'])
    for name in names:
        cost = costs.get(name)
        numbers = ['?', '?', '?']
        if cost:
            size = f'{cost.size[0]} x {cost.size[1]}'
            numbers = [size, f'{cost.parameters / 1e6:.2f}', f'{cost.macs / 1e9:.1f}']
        yield _line([f'[{Path(name).name}](../{name})', backbone_of(name), *numbers])


def section_of(model: dict[str, Any]) -> str:
    """Return the task that a model is listed under: the task of its last result."""
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
