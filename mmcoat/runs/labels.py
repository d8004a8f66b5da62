"""Check before a run that its classes match its data."""

from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmcoat.datasets.labels import check_categories, check_label_maps, check_selection

from .walk import datasets


def check_labels(cfg: Config, stages: tuple[str, ...]) -> None:
    """Compare the config's classes with label maps and annotation files.

    Raises:
        LabelError: Labels would be silently ignored, or a class has no labels.
    """
    for dataset in datasets(cfg, stages):
        classes = (dataset.get('metainfo') or {}).get('classes')
        if not classes:
            continue
        kind, known = _dataset_class(cfg, dataset.type)
        maps = (dataset.get('data_prefix') or {}).get('seg_map_path')
        if kind == 'CocoDataset':
            check_categories(dataset, classes)
        elif maps is not None and known and not cfg.get('select_classes'):
            check_selection(classes, known, kind)
        elif maps is not None and not known:
            check_label_maps(dataset, classes)


def _dataset_class(cfg: Config, kind: Any) -> tuple[str, list[str]]:
    """Return the name of a dataset class and its built-in classes."""
    cls = kind
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
            cls = registry.get(kind)
    metainfo = getattr(cls, 'METAINFO', None) or {}
    return str(kind if cls is None else cls.__name__), list(metainfo.get('classes', ()))
