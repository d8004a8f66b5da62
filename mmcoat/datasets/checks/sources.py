"""What a config says about a data set: where its files are, what its values mean, how it is loaded."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.registry import DATASETS

from ..classes import dataset_class, known_classes, strange_classes
from ..layout import check_places
from .errors import DataError

TURNING = ('color', 'grayscale')  # MMCV's color_types that turn an image by its EXIF entry

BACKENDS = ('cv2', 'pillow')
SKIPPED = ('unreadable_image', 'unreadable_map')


@dataclass
class Source:
    """A data set to be checked.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        dataset: The data set, built without a pipeline and not yet initialised.
        kind: ``segmentation`` or ``coco``.
        opens: Whether the pipeline reads images as Pillow and OpenCV do.
        turns: Whether the pipeline turns an image by its EXIF entry.
        skips: Whether the pipeline leaves out what cannot be read.
        map_backend: What decodes a label map: ``pillow``, ``cv2``, or '' for what is not opened here.
        reduce_zero_label: What the pipeline does with it; None follows the data set.
        masks: Whether the pipeline loads masks of instances.
        outputs: ``num_classes`` of the model's heads.
        ignore_index: The value of a label that is not trained.
        classes: Names of the data set's classes, in order.
    """

    split: str
    dataset: Any
    kind: str
    opens: bool
    turns: bool
    skips: bool
    map_backend: str
    reduce_zero_label: bool | None
    masks: bool
    outputs: list[int]
    ignore_index: int
    classes: tuple[str, ...]

    def name_of(self, finding: str) -> str:
        """Return the name of a finding; what training leaves out is no error."""
        return 'skipped' if self.skips and finding in SKIPPED else finding


def describe(split: str, dataset: Mapping[str, Any], cfg: Mapping[str, Any]) -> Source | None:
    """Read from a config what a check needs; return None for a data set that cannot be checked.

    Args:
        split: ``train``, ``val`` or ``test``.
        dataset: Config of one data set without wrappers.
        cfg: The whole config, for ``default_scope`` and ``model``.

    Raises:
        LayoutError: A folder or the annotation file is missing.
        DataError: The data set cannot be built.
    """
    check_places(dataset)
    scope = cfg.get('default_scope')
    cls = dataset_class(dataset['type'], scope)
    kind = _kind(cls, dataset)
    if not kind:
        return None
    _check_selection(split, dataset, cls)
    built = _build(split, dataset, scope)
    steps = list(dataset.get('pipeline') or [])
    loader = _step(steps, 'LoadImageFromFile')
    labels = _step(steps, 'LoadAnnotations')
    opens = bool(loader) and loader.get('imdecode_backend', 'cv2') in BACKENDS
    map_backend = labels.get('imdecode_backend', 'pillow' if scope == 'mmseg' else 'cv2')
    model = cfg.get('model') or {}
    head = model.get('decode_head') or {}
    head = head[-1] if isinstance(head, list | tuple) else head
    return Source(
        split=split,
        dataset=built,
        kind=kind,
        opens=opens,
        turns=opens and loader.get('color_type', 'color') in TURNING,
        skips=any(s.get('type') == 'mmcoat.SkipBroken' for s in steps if isinstance(s, Mapping)),
        map_backend=map_backend if labels and map_backend in BACKENDS else '',
        reduce_zero_label=labels.get('reduce_zero_label'),
        masks=bool(labels.get('with_mask', False)),
        outputs=sorted(set(outputs(model))),
        ignore_index=head.get('ignore_index', 255),
        classes=tuple(built.metainfo.get('classes') or ()),
    )


def _build(split: str, dataset: Mapping[str, Any], scope: str | None) -> Any:
    settings = {**dataset, 'pipeline': [], 'lazy_init': True}
    try:
        with DATASETS.switch_scope_and_registry(scope) as registry:
            return registry.build(settings)
    except Exception as error:  # each data set has errors of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f'{split}: the data set cannot be built: {reason[:300]}') from None


def _check_selection(split: str, dataset: Mapping[str, Any], kind: Any) -> None:
    """Refuse a selection with unknown classes: MMSegmentation accepts only a data set's own classes."""
    wanted = (dataset.get('metainfo') or {}).get('classes') or ()
    others = strange_classes(wanted, known_classes(kind))
    if others and hasattr(kind, 'get_label_map'):
        raise DataError(
            f'{split}: metainfo.classes names {others[0]!r}, which {kind.__name__} does not have; for '
            "classes of your own take type='BaseSegDataset' (configs/_base_/datasets/own_segmentation.py)"
        )


def _kind(cls: Any, dataset: Mapping[str, Any]) -> str:
    """Tell COCO files and label maps by what a class inherits, without importing both toolboxes."""
    if (dataset.get('backend_args') or {}).get('backend', 'local') != 'local':
        return ''
    owners = {base.__name__: base for base in getattr(cls, '__mro__', ())}
    if 'BaseSegDataset' in owners and hasattr(cls, 'get_label_map'):
        return 'segmentation'
    base = owners.get('CocoDataset')
    same = base is not None and all(
        getattr(cls, name) is getattr(base, name) for name in ('load_data_list', 'parse_data_info')
    )
    return 'coco' if same else ''


def _step(steps: list, name: str) -> Mapping[str, Any]:
    for step in steps:
        if isinstance(step, Mapping) and str(step.get('type', '')).split('.')[-1] == name:
            return step
    return {}


def outputs(node: Any) -> Iterator[int]:
    """Yield ``num_classes`` of every head of a model; masks as bits make a class of each combination."""
    if isinstance(node, Mapping):
        things, stuff = node.get('num_things_classes'), node.get('num_stuff_classes')
        if isinstance(things, int):
            yield things + (stuff or 0)
        elif isinstance(node.get('num_classes'), int):
            yield 2 ** node['num_classes'] if _reads_bits(node) else node['num_classes']
        parts = [v for key, v in node.items() if key.endswith(('head', 'heads', 'model', 'module'))]
    else:
        parts = list(node) if isinstance(node, list | tuple) else []
    for part in parts:
        yield from outputs(part)


def _reads_bits(head: Mapping[str, Any]) -> bool:
    """Say whether a head's loss takes label maps as bits, one for each mask (``mmcoat.MaskLoss``)."""
    losses = head.get('loss_decode') or ()
    losses = [losses] if isinstance(losses, Mapping) else losses
    return any(loss.get('labels') == 'bits' for loss in losses)


def root_of(source: Source) -> str:
    """Return the folder under which a data set's images lie."""
    prefix = source.dataset.data_prefix
    return os.fspath(prefix.get('img_path') or prefix.get('img') or source.dataset.data_root or '.')
