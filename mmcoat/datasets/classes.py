"""Which classes a data set class knows by itself, and which labels its maps hold."""

from collections.abc import Sequence
from typing import Any

from mmengine.registry import DATASETS


def dataset_class(kind: Any, scope: str | None) -> Any:
    """Return the class that ``type`` of a dataset config means, None for an unknown name."""
    if not isinstance(kind, str):
        return kind
    with DATASETS.switch_scope_and_registry(scope) as registry:
        return registry.get(kind)


def known_classes(cls: Any) -> list[str]:
    """Return the classes that a data set class has by itself."""
    return list((getattr(cls, 'METAINFO', None) or {}).get('classes') or ())


def strange_classes(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the classes wanted that a data set class with classes of its own does not have."""
    return [name for name in wanted if known and name not in known]


def label_range(reduce_zero_label: bool | None, count: int) -> tuple[int, int]:
    """Return the first and the last value in a label map that stand for one of ``count`` classes."""
    first = int(bool(reduce_zero_label))
    return first, first + count - 1
