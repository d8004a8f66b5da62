"""Check the masks of COCO annotations: polygons and run lengths."""

from typing import Any

from .findings import Findings
from .values import are_numbers

EDGE = 1.0  # pixels
Entry = dict[str, Any]


def check_mask(entry: Entry, image: Entry, needed: bool, found: Findings) -> None:
    """Check ``segmentation`` of an annotation.

    Args:
        entry: The annotation.
        image: Its image, with width and height.
        needed: Whether the config trains masks.
        found: Where findings go.
    """
    place = f'annotation {entry["id"]}'
    mask = entry.get('segmentation')
    if not mask:
        if needed:
            found.add('no_mask', place)
        return
    if isinstance(mask, dict):
        name, detail = _fault_of_rle(mask, int(image['height']), int(image['width']))
        if name:
            found.add(name, place, detail)
        return
    _check_polygons(mask, entry, image, found)


def _check_polygons(mask: Any, entry: Entry, image: Entry, found: Findings) -> None:
    place = f'annotation {entry["id"]}'
    polygons = mask if isinstance(mask, list) else [mask]
    for polygon in polygons:
        fault = _fault_of_polygon(polygon)
        if fault:
            found.add('polygon', place, fault)
            return
    left = min(min(p[0::2]) for p in polygons)
    top = min(min(p[1::2]) for p in polygons)
    right = max(max(p[0::2]) for p in polygons)
    bottom = max(max(p[1::2]) for p in polygons)
    size = f'image {image["width"]}x{image["height"]}'
    if min(left, top) < -EDGE or right > image['width'] + EDGE or bottom > image['height'] + EDGE:
        found.add('polygon_outside', place, f'{left:g}..{right:g} x {top:g}..{bottom:g}, {size}')
        return
    box = entry['bbox']
    if len(box) != 4 or not are_numbers(box):
        return  # reported with the boxes
    # labelling tools round, to a pixel or to a hundredth of the object
    slack = max(2 * EDGE, 0.05 * max(right - left, bottom - top))
    corners = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    if any(abs(a - b) > slack for a, b in zip(corners, (left, top, right, bottom), strict=True)):
        found.add(
            'box_mask', place, f'box {box}, polygon {[left, top, right - left, bottom - top]}'[:110]
        )


def _fault_of_polygon(polygon: Any) -> str:
    if not isinstance(polygon, list):
        return f'{type(polygon).__name__}, not a list'
    if len(polygon) < 6:
        return f'{len(polygon)} numbers'
    if len(polygon) % 2:
        return f'{len(polygon)} numbers, an odd count'
    if not are_numbers(polygon):
        return 'not all are finite numbers'
    return ''


def _fault_of_rle(mask: dict, height: int, width: int) -> tuple[str, str]:
    size, counts = mask.get('size'), mask.get('counts')
    if size != [height, width]:
        return 'rle_size', f'size {size}, image [{height}, {width}]'
    lengths = _decode(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(isinstance(n, int) and n >= 0 for n in lengths):
        return 'rle', 'counts are neither a string of pycocotools nor a list of lengths'
    if sum(lengths) != height * width:
        return 'rle', f'runs of {sum(lengths)} pixels for {height} x {width} = {height * width}'
    return '', ''


def _decode(counts: str) -> list[int] | None:
    """Return the run lengths of a compressed RLE.

    pycocotools decodes without checking bounds, so its input must be valid.
    A number consists of characters with 5 bits each, the lowest bits first. Bit 6 means that more characters
    follow, and bit 5 of the last character is the sign. From the third number on, the values are differences
    to the number two positions before.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in counts.encode('ascii', 'replace'):
        code = character - 48
        if not 0 <= code < 64 or shift > 30:
            return None
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value |= -1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return None if shift else lengths
