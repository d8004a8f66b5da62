"""Check a COCO annotation file and its images, as MMDetection reads them."""

import json
import os
from collections import Counter
from typing import Any

from ..listing import PICTURES, list_pictures
from . import pool
from .coco_categories import check_categories
from .coco_shapes import check_shapes
from .findings import Findings
from .pictures import Seen, Task, look
from .reports import ClassRow, SetReport
from .segmentation import Progress, check_outputs, spread
from .sources import Source, root_of
from .values import is_id, is_number

SECTIONS = ('images', 'annotations', 'categories')
Entry = dict[str, Any]


def check_coco(
    source: Source, sample: int | None, workers: int | None, progress: Progress
) -> SetReport:
    """Check all entries of the annotation file, and open the images.

    Args:
        source: The data set.
        sample: Number of images to open, evenly spread; None opens all.
        workers: How many files are opened at once; None takes all cores.
        progress: Called after each image.
    """
    found = Findings(source.split)
    report = SetReport(source.split, 'coco', root_of(source), found)
    check_outputs(source, found)
    content = _read(source.dataset.ann_file, found)
    if content is None:
        return report
    found.total = len(content['annotations'])
    images = _check_images(content['images'], found)
    report.images = len(images)
    annotations = _check_annotations(content['annotations'], images, source, found)
    names = check_categories(content['categories'], annotations, source.classes, found)
    used = [a for a in annotations if names.get(a['category_id']) in set(source.classes)]
    trained, areas = check_shapes(used, images, source, found)
    if not trained and not found.count('missing_class') and not found.count('boxes_normalised'):
        found.add('no_boxes', f'of {len(content["annotations"])} annotations')
    report.empty = len(images) - len({a['image_id'] for a in trained})
    report.areas = areas
    report.classes = _class_rows(source.classes, names, trained, areas)
    _open_images(source, images, report, pool_size=(sample, workers), progress=progress)
    return report


def _read(path: str, found: Findings) -> dict[str, list[Entry]] | None:
    try:
        with open(path, 'rb') as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        found.add('json', os.path.basename(path), (str(error).splitlines() or [''])[0][:120])
        return None
    if not isinstance(content, dict):
        found.add('sections', 'the whole file', f'{type(content).__name__}, not an object')
        return None
    for name in SECTIONS:
        if not isinstance(content.get(name), list):
            state = 'no list' if name in content else 'missing'
            found.add('sections', name, state)
    if found.count('sections'):
        return None
    return content


def _check_images(entries: list[Any], found: Findings) -> dict[Any, Entry]:
    """Return the valid images by their ids."""
    images: dict[Any, Entry] = {}
    files: Counter[str] = Counter()
    for index, entry in enumerate(entries):
        wrong = _wrong_image_keys(entry)
        if wrong:
            found.add('image_keys', f'image {_number(entry, index)}', wrong)
            continue
        if entry['id'] in images:
            found.add('repeated_image', entry['id'], entry['file_name'])
            continue
        images[entry['id']] = entry
        files[entry['file_name']] += 1
    found.extend('repeated_file', [name for name, count in files.items() if count > 1])
    return images


def _number(entry: Any, index: int) -> Any:
    """Return an entry's id, or its position in the list if it has none."""
    place = f'number {index}'
    return entry.get('id', place) if isinstance(entry, dict) else place


def _wrong_image_keys(entry: Any) -> str:
    if not isinstance(entry, dict):
        return 'no object'
    wrong = [] if is_id(entry.get('id')) else ['id']
    name = entry.get('file_name')
    wrong += [] if isinstance(name, str) and name else ['file_name']
    for side in ('width', 'height'):
        if not (is_number(entry.get(side)) and entry[side] > 0):
            wrong.append(side)
    return ', '.join(f'{key} {entry.get(key, "missing")!r}' for key in wrong)


def _check_annotations(
    entries: list[Any], images: dict[Any, Entry], source: Source, found: Findings
) -> list[Entry]:
    """Return the annotations that have all keys and belong to an image."""
    sound, ids = [], set()
    evaluated = source.dataset.test_mode
    for index, entry in enumerate(entries):
        wrong = _wrong_annotation_keys(entry)
        if wrong:
            found.add('annotation_keys', f'annotation {_number(entry, index)}', wrong)
            continue
        if entry['id'] in ids:
            found.add('repeated_annotation', entry['id'])
        ids.add(entry['id'])
        if evaluated and 'iscrowd' not in entry:
            found.add('crowd_key', f'annotation {entry["id"]}')
        if entry['image_id'] not in images:
            # for images with a faulty entry this would be reported twice
            if not found.count('image_keys'):
                detail = f'image_id {entry["image_id"]!r}'
                found.add('unknown_image', f'annotation {entry["id"]}', detail)
            continue
        sound.append(entry)
    return sound


def _wrong_annotation_keys(entry: Any) -> str:
    if not isinstance(entry, dict):
        return 'no object'
    wrong = [key for key in ('id', 'image_id', 'category_id') if not is_id(entry.get(key))]
    wrong += [] if isinstance(entry.get('bbox'), list) else ['bbox']
    wrong += [] if is_number(entry.get('area')) else ['area']
    return ', '.join(f'{key} {entry.get(key, "missing")!r}' for key in wrong)


def _class_rows(
    classes: tuple[str, ...], names: dict[Any, str], trained: list[Entry], areas: list[float]
) -> list[ClassRow]:
    boxes: Counter[str] = Counter()
    area: Counter[str] = Counter()
    images: dict[str, set] = {}
    for entry, size in zip(trained, areas, strict=True):
        name = names[entry['category_id']]
        boxes[name] += 1
        area[name] += size  # type: ignore[assignment]  # a sum of floats
        images.setdefault(name, set()).add(entry['image_id'])
    total = max(1, len(trained))
    return [
        ClassRow(
            name,
            len(images.get(name, ())),
            boxes[name],
            boxes[name] / total,
            area[name] / boxes[name] if boxes[name] else None,
        )
        for name in classes
    ]


def _open_images(
    source: Source,
    images: dict[Any, Entry],
    report: SetReport,
    pool_size: tuple[int | None, int | None],
    progress: Progress,
) -> None:
    folder, found = root_of(source), report.findings
    there = []
    for entry in images.values():
        path = os.path.join(folder, entry['file_name'])
        if os.path.isfile(path):
            there.append((entry, path))
        elif os.path.isdir(path):
            found.add('missing_file', entry['file_name'], 'a folder')
        else:
            found.add(
                'missing_file',
                entry['file_name'],
                'a dangling link' if os.path.islink(path) else '',
            )
    _check_folder(folder, images, found)
    sample, workers = pool_size
    there = spread(there, sample)
    tasks = [Task(path, opens=source.opens, turns=source.turns) for _, path in there]
    for done, seen in enumerate(pool.run(look, tasks, workers), 1):
        _add_image(seen, there[done - 1][0], source, report)
        progress(source.split, done, len(tasks))
    report.opened = len(tasks)


def _add_image(seen: Seen, entry: Entry, source: Source, report: SetReport) -> None:
    found, name = report.findings, entry['file_name']
    for kind, detail in seen.found:
        found.add(source.name_of(kind), name, detail)
    if seen.size is None:
        return
    report.sizes.append(seen.size)
    width, height = seen.size
    said = (entry['width'], entry['height'])
    turned = source.turns and seen.orientation != 1
    if said != seen.size:
        # the file has the size of the image before rotation, so its boxes refer to that image
        if turned and said == (height, width) and seen.orientation >= 5:
            found.add('turned_image', name, f'EXIF orientation {seen.orientation}')
        else:
            detail = f'file {width}x{height}, annotations {said[0]}x{said[1]}'
            found.add('image_size', name, detail)
    elif turned and seen.orientation < 5:
        found.add('perhaps_turned_image', name, f'EXIF orientation {seen.orientation}')


def _check_folder(folder: str, images: dict[Any, Entry], found: Findings) -> None:
    """Report images in the folder that are not in the file, with the file's endings and with others."""
    if not os.path.isdir(folder):
        return
    named = {os.path.normpath(entry['file_name']) for entry in images.values()}
    endings = {os.path.splitext(name)[1] for name in named}
    listing = list_pictures(folder, '')
    places = {os.path.dirname(name) for name in named}  # other folders belong to other data sets
    pictures = [n for n in listing.files if os.path.splitext(n)[1].lower() in PICTURES]
    pictures = [n for n in pictures if os.path.dirname(n) in places]
    if not found.count('image_keys'):
        found.extend('unlisted_image', [name for name in pictures if name not in named])
    found.extend('hidden_file', [n for n in listing.hidden if os.path.splitext(n)[1] in endings])
