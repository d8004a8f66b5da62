"""Variables for the user's own data, each set once: classes, suffixes, folders, channels, weights."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from mmengine.config import Config, ConfigDict

from mmcoat.datasets.images import ARRAYS
from mmcoat.datasets.palette import distinct_colours
from mmcoat.errors import UsageError

from .walk import datasets, dicts, type_name

SPLITS = ('train', 'val', 'test')
FOLDERS = {'img_dir': ('img_path', 'img'), 'map_dir': ('seg_map_path',)}  # keys of data_prefix
NAMES = (
    'dataset_type', 'classes', 'palette', 'img_suffix', 'seg_map_suffix', 'reduce_zero_label', 'scale',
    'mean', 'std', *(f'{split}_{part}' for split in SPLITS for part in (*FOLDERS, 'ann_file')),
)  # fmt: skip
# Values in base files that have no variable of that name.
STATED: dict[str, list] = dict(
    reduce_zero_label=[True],
    mean=[(123.675, 116.28, 103.53)],
    std=[(58.395, 57.12, 57.375)],
    train_img_dir=['images/training', 'train2017/'],
    train_map_dir=['annotations/training'],
    train_ann_file=['annotations/instances_train2017.json'],
    val_img_dir=['images/validation', 'val2017/'],
    val_map_dir=['annotations/validation'],
    val_ann_file=['annotations/instances_val2017.json'],
)
STATED |= {f'test_{part}': STATED[f'val_{part}'] for part in (*FOLDERS, 'ann_file')}
TEXTS = ('dataset_type', 'img_suffix', 'seg_map_suffix')
LISTS = ('mean', 'std', 'class_weight')
EIGHT_BIT_ONLY = ('PhotoMetricDistortion',)  # for three channels from 0 to 255
PREPROCESSORS = {
    'SegDataPreProcessor': 'mmcoat.SegDataPreProcessor',
    'DetDataPreprocessor': 'mmcoat.DetDataPreprocessor',
}


def checked(name: str, value: Any) -> Any:
    """Return a variable's value in the form used in configs.

    Raises:
        UsageError: The value is not valid.
    """
    if value is None:
        return None
    if name == 'classes':
        names = (value,) if isinstance(value, str) else value
        texts = isinstance(names, Sequence) and all(isinstance(n, str) for n in names)
        if not texts or not names or len(set(names)) < len(names):
            raise UsageError(f'classes must be different names, got {value!r}')
        return tuple(names)
    if name == 'palette':
        return _checked_palette(value)
    if name == 'reduce_zero_label':
        if not isinstance(value, bool):
            raise UsageError(f'reduce_zero_label must be True or False, got {value!r}')
    elif name == 'scale':
        if not _is_pair(value):
            raise UsageError(
                f'scale must be "(longest side,shortest side)" in pixels, got {value!r}'
            )
        return tuple(value)
    elif name in LISTS:
        return _checked_numbers(name, value)
    elif not isinstance(value, str):
        kind = 'a text' if name in TEXTS else 'a path below data_root'
        raise UsageError(f'{name} must be {kind}, got {value!r}')
    return value


def _is_pair(value: Any) -> bool:
    whole = isinstance(value, list | tuple) and all(isinstance(side, int) for side in value)
    return whole and len(value) == 2 and min(value) > 0


def _checked_palette(value: Any) -> list[list[int]]:
    try:
        colours = [[int(part) for part in colour] for colour in value]
    except (TypeError, ValueError):
        colours = [[]]
    if not all(len(c) == 3 and all(0 <= part <= 255 for part in c) for c in colours):
        raise UsageError(f'palette must be [[R, G, B], ...] from 0 to 255, got {value!r}')
    return colours


def _checked_numbers(name: str, value: Any) -> list[float]:
    numbers = [value] if isinstance(value, int | float) else value
    if not isinstance(numbers, Sequence) or not all(
        isinstance(n, int | float) and not isinstance(n, bool) for n in numbers
    ):
        raise UsageError(f'{name} must be a list of numbers, got {value!r}')
    if name == 'std' and not all(n > 0 for n in numbers):
        raise UsageError(f'std must be positive, got {value!r}')
    return [float(n) for n in numbers]


def places(cfg: Config, name: str) -> Iterator[tuple[dict, str]]:
    """Yield every place in a config for a variable, whether it is set or not: a dict and its key."""
    split, _, part = name.partition('_')
    if name in ('mean', 'std'):
        pre = (cfg.get('model') or {}).get('data_preprocessor')
        if pre is not None:
            yield pre, name
    elif name == 'class_weight':
        yield from ((loss, name) for loss in _cross_entropies(cfg))
    elif name == 'scale':
        steps = (
            step for step in dicts(cfg._cfg_dict) if type_name(step) in ('Resize', 'RandomResize')
        )
        yield from ((step, name) for step in steps if name in step)
    elif split in SPLITS:
        yield from _split_places(cfg, split, part)
    else:
        yield from _dataset_places(cfg, name)


def _dataset_places(cfg: Config, name: str) -> Iterator[tuple[dict, str]]:
    for dataset in datasets(cfg):
        if name in ('classes', 'palette'):
            yield dataset.setdefault('metainfo', ConfigDict()), name
        else:
            yield dataset, 'type' if name == 'dataset_type' else name
    if name == 'reduce_zero_label':
        for step in dicts(cfg._cfg_dict):
            if type_name(step) == 'LoadAnnotations' and name in step:
                yield step, name


def _split_places(cfg: Config, split: str, part: str) -> Iterator[tuple[dict, str]]:
    """Values for validation also apply to the test, unless the config sets other values for the test."""
    follows = split == 'val' and cfg.get(f'test_{part}') is None
    for dataset in datasets(cfg, ('val', 'test') if follows else (split,)):
        if part == 'ann_file':
            yield dataset, part
            continue
        prefix = dataset.setdefault('data_prefix', ConfigDict())
        keys = FOLDERS[part]
        yield prefix, next((key for key in keys if key in prefix), keys[0])


def _cross_entropies(cfg: Config) -> Iterator[dict]:
    for part in dicts(cfg.get('model')):
        for loss in dicts(part.get('loss_decode')):
            if type_name(loss) in ('CrossEntropyLoss', 'WeightedCrossEntropy'):
                yield loss


def evaluate_ann_files(cfg: Config) -> None:
    """Make evaluators that read an annotation file read the one in the variable."""
    for split in ('val', 'test'):
        if not cfg.get('val_ann_file') and not cfg.get(f'{split}_ann_file'):
            continue
        evaluator = cfg.get(f'{split}_evaluator')
        found = [d for d in datasets(cfg, (split,)) if d.get('ann_file') and d.get('data_root')]
        if isinstance(evaluator, dict) and evaluator.get('ann_file') and len(found) == 1:
            evaluator['ann_file'] = str(PurePosixPath(found[0].data_root, found[0].ann_file))


def fit_zero_label(cfg: Config) -> None:
    """Make data sets without ``reduce_zero_label`` use that of their pipelines."""
    for dataset in datasets(cfg):
        steps = [s for s in dicts(dataset.get('pipeline')) if type_name(s) == 'LoadAnnotations']
        said = [s['reduce_zero_label'] for s in steps if 'reduce_zero_label' in s]
        if said and type_name(dataset) == 'BaseSegDataset':
            dataset.setdefault('reduce_zero_label', said[0])


def fit_palette(cfg: Config, given: bool) -> None:
    """Give each class a colour.

    Raises:
        UsageError: Colours are ``given``, but their number is not that of the classes.
    """
    count, palette = len(cfg.classes), cfg.get('palette')
    if palette is not None and len(palette) != count:
        if given:
            raise UsageError(f'palette has {len(palette)} colours for {count} classes')
        palette = None
    if palette is None:
        palette = distinct_colours(count)
    palette = [tuple(colour) for colour in palette]  # MMDetection draws with tuples only
    for node, key in places(cfg, 'palette'):
        if len(node.get(key) or ()) != count or cfg.get('palette') is not None:
            node[key] = palette


def fit_channels(cfg: Config) -> None:
    """Set the number of channels of loading, preprocessing and backbone to the number of means.

    Raises:
        UsageError: Means and stds differ in number.
    """
    mean, std = cfg.get('mean'), cfg.get('std')
    model = cfg.get('model')
    if mean is None or std is None or not model or 'data_preprocessor' not in model:
        return
    if len(mean) != len(std):
        raise UsageError(f'mean has {len(mean)} values and std {len(std)}: one for each channel')
    channels = len(mean)
    if channels != 3 or 'in_channels' in model.backbone:
        model.backbone.in_channels = channels
    for step in dicts(cfg._cfg_dict):
        if type_name(step) == 'LoadChannels':
            step['channels'] = channels
    arrays = str(cfg.get('img_suffix', '')).lower().endswith(ARRAYS)
    if channels != 3 or arrays:
        pre = model.data_preprocessor
        pre.type = PREPROCESSORS.get(pre.type, pre.type)
        pre.bgr_to_rgb = channels == 3
        _load_channels(cfg._cfg_dict, channels)


def _load_channels(node: Any, channels: int) -> None:
    """Replace the image loading in every pipeline, and remove the colour distortion."""
    if isinstance(node, list):
        node[:] = [step for step in node if type_name(step) not in EIGHT_BIT_ONLY]
        for index, step in enumerate(node):
            if type_name(step) == 'LoadImageFromFile':
                node[index] = ConfigDict(type='mmcoat.LoadChannels', channels=channels)
    children = node.values() if isinstance(node, dict) else node
    for child in list(children):
        if isinstance(child, dict | list | tuple):
            _load_channels(child, channels)


def check_counts(cfg: Config) -> None:
    """Compare the numbers of entries that depend on the classes with the number of classes.

    Raises:
        UsageError: The numbers differ.
    """
    count = len(cfg.classes)
    for part in dicts(cfg.get('model')):
        if part.get('num_classes', count) != count:
            raise UsageError(
                f'num_classes={part["num_classes"]} of the {part.get("type", "model")}, but there are '
                f'{count} classes: {", ".join(cfg.classes)}'
            )


def check_weights(cfg: Config) -> None:
    """Compare the number of class weights with that of the classes, and set our loss, which applies them.

    Raises:
        UsageError: The numbers differ.
    """
    weights, classes = cfg.get('class_weight'), cfg.get('classes')
    for loss in _cross_entropies(cfg):
        softmax = type_name(loss) == 'CrossEntropyLoss' and not loss.get('use_sigmoid')
        if weights is not None and softmax:
            loss['type'] = 'mmcoat.WeightedCrossEntropy'
            for key in ('use_sigmoid', 'avg_non_ignore', 'reduction'):
                loss.pop(key, None)
    if weights is not None and classes and len(weights) != len(classes):
        raise UsageError(f'class_weight has {len(weights)} values for {len(classes)} classes')
