"""Check the data sets of a config."""

from collections.abc import Iterable, Mapping
from typing import Any

from mmcoat.compat import use_pytorch_ops

from .coco import check_coco
from .findings import Findings
from .reports import Report, SetReport
from .segmentation import Progress, check_segmentation
from .sources import Source, describe

CHECKS = {'segmentation': check_segmentation, 'coco': check_coco}


def check_sets(
    sets: Iterable[tuple[str, Mapping[str, Any]]],
    cfg: Mapping[str, Any],
    sample: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check the images and annotations of data sets, read as in training.

    Label maps of MMSegmentation and COCO files of MMDetection are checked. Other data sets have other rules
    or are in a remote store; the report gives them an empty ``kind``.

    Args:
        sets: Name (``train``, ``val``, ``test``) and config of each data set, without wrappers.
        cfg: The whole config.
        sample: Number of images to open in each data set, evenly spread; None opens all. The entries of a
            COCO file are always all checked.
        workers: How many files are opened at once; None takes all cores.
        progress: Called with name, images done and images wanted after each image.

    Raises:
        LayoutError: A folder or the annotation file is missing.
        DataError: A data set cannot be built.
    """
    use_pytorch_ops()  # without them MMDetection cannot be imported if MMCV has no compiled operators
    sets = list(sets)
    sources = [describe(split, dataset, cfg) for split, dataset in sets]  # errors here come first
    return Report(
        _check(source, sample, workers, progress or _quiet)
        if source
        else SetReport(split, '', str(dataset.get('data_root') or ''), Findings(split))
        for source, (split, dataset) in zip(sources, sets, strict=True)
    )


def _check(
    source: Source, sample: int | None, workers: int | None, progress: Progress
) -> SetReport:
    return CHECKS[source.kind](source, sample, workers, progress)


def _quiet(split: str, done: int, total: int) -> None:
    pass
