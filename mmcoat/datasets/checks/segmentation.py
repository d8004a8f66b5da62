"""Check images and label maps of a data set of MMSegmentation."""

import os
from collections.abc import Callable, Iterable

import numpy as np

from ..classes import label_range
from ..listing import PICTURES, list_pictures
from . import pool
from .findings import Findings
from .pictures import Seen, Task, look
from .reports import ClassRow, SetReport
from .sources import Source, root_of

Progress = Callable[[str, int, int], None]
"""Called with the split, the images done and the images wanted."""


def check_segmentation(
    source: Source, sample: int | None, workers: int | None, progress: Progress
) -> SetReport:
    """Open images and label maps as in training, and count the pixels of each class.

    Args:
        source: The data set.
        sample: Number of images to open, evenly spread; None opens all.
        workers: How many files are opened at once; None takes all cores.
        progress: Called after each image.
    """
    found = Findings(source.split)
    report = SetReport(source.split, 'segmentation', root_of(source), found)
    pairs = [
        (item['img_path'], item.get('seg_map_path')) for item in source.dataset.load_data_list()
    ]
    report.images = len(pairs)
    _check_settings(source, found)
    _check_folders(source, pairs, found)
    pairs = _drop_missing(source, pairs, found)
    pairs = spread(pairs, sample)
    how = (source.opens, source.turns, source.map_backend)
    tasks = [Task(image, label, *how) for image, label in pairs]
    counts = _Counts(source, found, report)
    for done, seen in enumerate(pool.run(look, tasks, workers), 1):
        counts.add(seen)
        progress(source.split, done, len(tasks))
    report.opened = len(tasks)
    counts.finish()
    return report


def spread(items: list, sample: int | None) -> list:
    """Return ``sample`` evenly spread items, so that each part of a data set has its share."""
    if sample is None or sample >= len(items):
        return items
    return [items[i * len(items) // sample] for i in range(sample)]


def check_outputs(source: Source, found: Findings) -> None:
    """Compare the model's numbers of classes with the data set's."""
    count = len(source.classes)
    for outputs in source.outputs if count else ():
        if outputs != count:
            name = 'few_outputs' if outputs < count else 'many_outputs'
            found.add(name, f'num_classes {outputs}, metainfo names {count} classes')


def add_orientation(source: Source, seen: Seen, found: Findings, place: str) -> None:
    """Report an image that EXIF rotates without its label map."""
    if source.turns and seen.orientation != 1 and seen.size is not None:
        found.add('turned_image', place, f'EXIF orientation {seen.orientation}')


def _check_settings(source: Source, found: Findings) -> None:
    check_outputs(source, found)
    wanted = source.dataset.reduce_zero_label
    if source.reduce_zero_label is not None and source.reduce_zero_label != wanted:
        found.add(
            'zero_label', f'{source.reduce_zero_label} in LoadAnnotations, {wanted} in the data set'
        )


def _check_folders(source: Source, pairs: list, found: Findings) -> None:
    """Report the files that a data set ignores: those with another ending, hidden ones, and folders."""
    dataset = source.dataset
    images, maps = dataset.data_prefix.get('img_path'), dataset.data_prefix.get('seg_map_path')
    if dataset.ann_file or not images:
        return  # the images are given by a list
    listing = list_pictures(images, dataset.img_suffix)
    together = maps is not None and os.path.samefile(images, maps)
    others = [n for n in listing.others if not (together and n.endswith(dataset.seg_map_suffix))]
    found.extend('other_suffix', others)
    found.extend('hidden_file', listing.hidden)
    found.extend('not_a_file', listing.not_files)
    if maps is None:
        return
    listing = list_pictures(maps, dataset.seg_map_suffix)
    found.extend('hidden_file', listing.hidden)
    wanted = {label for _, label in pairs}
    # an image with another ending is already reported, and its map is not the problem
    passed_over = {_stem(name) for name in others}
    for name in listing.files:
        stem = name.removesuffix(dataset.seg_map_suffix)
        if os.path.join(maps, name) not in wanted and stem not in passed_over:
            found.add('missing_image', name)


def _stem(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in PICTURES else name


def _drop_missing(source: Source, pairs: list, found: Findings) -> list:
    """Report all missing images and label maps, before a sample is opened."""
    there = []
    for image, label in pairs:
        if not os.path.lexists(image):
            found.add('missing_file', os.path.basename(image))
        elif label is not None and not os.path.lexists(label):
            found.add('missing_map', os.path.basename(image), f'no {os.path.basename(label)}')
        else:
            there.append((image, label))
    return there


class _Counts:
    """Count the pixels of the classes, with the labels that training sees."""

    def __init__(self, source: Source, found: Findings, report: SetReport) -> None:
        self.source, self.found, self.report = source, found, report
        self.before, self.after = _tables(source)
        self.count = max([len(source.classes), *source.outputs], default=0)
        self.pixels = np.zeros(256, np.int64)  # of each label, as training sees them
        self.images = np.zeros(256, np.int64)
        self.selected = np.zeros(2, np.int64)  # labelled pixels before and after the selection

    def add(self, seen: Seen) -> None:
        place = os.path.basename(seen.task.image)
        for name, detail in seen.found:
            is_map = name.endswith('_map') or name.startswith('map_')
            path = seen.task.label if is_map and seen.task.label else seen.task.image
            self.found.add(self.source.name_of(name), os.path.basename(path), detail)
        add_orientation(self.source, seen, self.found, place)
        if seen.size is not None:
            self.report.sizes.append(seen.size)
        if seen.values is not None:
            self._add_values(seen.values, os.path.basename(seen.task.label or place))

    def _add_values(self, values: np.ndarray, place: str) -> None:
        ignore = self.source.ignore_index
        labels = np.bincount(self.after, values, minlength=256).astype(np.int64)
        self.pixels += labels
        self.images += labels > 0
        self.selected += (
            int(values[self.before != ignore].sum()),
            int(values[self.after != ignore].sum()),
        )
        wrong = (self.after >= self._limit()) & (self.after != ignore) & (values > 0)
        if wrong.any() and self._limit():
            shown = ', '.join(map(str, np.flatnonzero(wrong)[:5]))
            count = len(self.source.dataset.label_map or ()) or self._limit()
            first, last = label_range(self.source.dataset.reduce_zero_label, count)
            detail = (
                f'value {shown}: {int(values[wrong].sum())} pixels; classes are {first} to {last}'
            )
            self.found.add('values', place, detail)
        if not (values[self.after != ignore]).any():
            self.found.add('ignored_map', place)

    def _limit(self) -> int:
        return len(self.source.classes) or self.count

    def finish(self) -> None:
        labelled, left = (int(n) for n in self.selected)
        if self.source.dataset.label_map is not None and labelled and left < labelled:
            chosen = _few(self.source.classes)
            detail = f'{labelled - left} of {labelled} labelled pixels, metainfo.classes {chosen}'
            self.found.add('remap_part' if left else 'remap_all', detail)
        elif self.pixels.any() and not left:
            self.found.add('all_ignored', f'{int(self.pixels.sum())} pixels')
        if self.found.count('all_ignored') or self.found.count('remap_all'):
            self.found.remove('ignored_map')
        self.report.ignored = int(self.pixels[self.source.ignore_index])
        names = self.source.classes or tuple(map(str, range(self.count)))
        total = max(1, int(self.pixels[: len(names)].sum()))
        self.report.classes = [
            ClassRow(name, int(self.images[i]), int(self.pixels[i]), int(self.pixels[i]) / total)
            for i, name in enumerate(names[:256])
        ]


def _tables(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return the label for each value 0 to 255, without and with a selection of classes."""
    before = np.arange(256)
    if source.dataset.reduce_zero_label:
        before = np.where((before == 0) | (before == 255), 255, before - 1)
    after = before.copy()
    for old, new in (source.dataset.label_map or {}).items():
        after[before == old] = new
    return before, after


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
