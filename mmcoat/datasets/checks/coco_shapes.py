"""Check boxes, polygons and RLE masks of a COCO file."""

from typing import Any

from .coco_masks import check_mask
from .findings import Findings
from .sources import Source
from .values import are_numbers

EDGE = 1.0  # pixels by which rounding may move a box over the edge or away from its polygon
MOST = 0.95  # share of boxes that shows the form of all boxes
SEVERAL = 0.2  # share of boxes over the edge from which [x1, y1, x2, y2] is likely
Entry = dict[str, Any]


def check_shapes(
    annotations: list[Entry], images: dict[Any, Entry], source: Source, found: Findings
) -> tuple[list[Entry], list[float]]:
    """Check boxes and masks of the annotations that MMDetection would use.

    Returns:
        The annotations for training, and the areas of their boxes in pixels.
    """
    trained, areas = [], []
    boxes = []
    for entry in annotations:
        image = images[entry['image_id']]
        place = f'annotation {entry["id"]}'
        name, detail = _fault(entry, image)
        if name:
            found.add(name, place, detail)
        if name != 'box_form':
            boxes.append((entry['bbox'], image))
        if name in ('', 'box_over_edge'):
            trained.append(entry)
            areas.append(float(entry['bbox'][2] * entry['bbox'][3]))
        check_mask(entry, image, source.masks, found)
    _check_convention(boxes, found)
    return trained, areas


def _fault(entry: Entry, image: Entry) -> tuple[str, str]:
    """Return the worst fault of a box, and its details."""
    box = entry['bbox']
    text = str(box)[:60]
    if len(box) != 4 or not are_numbers(box):
        return 'box_form', text
    x, y, width, height = box
    if width < 0 or height < 0:
        return 'box_negative', text
    size = f'image {image["width"]}x{image["height"]}'
    if x >= image['width'] or y >= image['height'] or x + width <= 0 or y + height <= 0:
        return 'box_outside', f'{text}, {size}'
    if width < 1 or height < 1 or entry['area'] <= 0:
        return 'box_degenerate', f'{text}, area {entry["area"]:g}'
    if _over_edge(box, image):
        return 'box_over_edge', f'{text}, {size}'
    return '', ''


def _over_edge(box: list[float], image: Entry) -> bool:
    x, y, width, height = box
    return (
        min(x, y) < -EDGE
        or x + width > image['width'] + EDGE
        or y + height > image['height'] + EDGE
    )


def _check_convention(boxes: list[tuple[list[float], Entry]], found: Findings) -> None:
    """Report the form that all boxes seem to have, instead of a finding for each box."""
    if not boxes:
        return
    first = f'the first is {boxes[0][0]}'
    if sum(_normalised(box) for box, _ in boxes) >= MOST * len(boxes):
        found.remove('box_degenerate', 'box_mask')
        found.add('boxes_normalised', first)
        return
    over = sum(_over_edge(box, image) for box, image in boxes)
    corners = sum(_corners(box, image) for box, image in boxes)
    if over >= SEVERAL * len(boxes) and corners >= MOST * len(boxes):
        found.remove('box_over_edge', 'box_mask')
        found.add('boxes_xyxy', f'{over} of {len(boxes)} reach over the edge otherwise, {first}')


def _normalised(box: list[float]) -> bool:
    return all(0 <= value <= 1 for value in box) and any(value > 0 for value in box[2:])


def _corners(box: list[float], image: Entry) -> bool:
    """Return whether a box is inside its image if its last two numbers are read as a corner."""
    x, y, right, bottom = box
    return (
        x < right <= image['width'] + EDGE
        and y < bottom <= image['height'] + EDGE
        and min(x, y) >= -EDGE
    )
