"""What a TIFF says of itself; Pillow reads the tags also of images that it cannot decode."""

from pathlib import Path
from typing import Any

from PIL import TiffImagePlugin

SUFFIXES = ('.tif', '.tiff')
WIDTH, HEIGHT, SAMPLES, REDUCED = 256, 257, 277, 254
MOST_PAGES = 64


def read_pages(path: str | Path, most: int = MOST_PAGES) -> list[dict[int, Any]]:
    """Return the tags of a TIFF's pages; what is broken ends the list."""
    pages: list[dict[int, Any]] = []
    try:
        with open(path, 'rb') as file:
            header = file.read(16)
            big = 43 in header[2:4]  # BigTIFF; its header is twice as long
            start = TiffImagePlugin.ImageFileDirectory_v2(header if big else header[:8]).next
            seen: set[int] = set()
            while start and start not in seen and len(pages) < most:
                seen.add(start)
                tags = TiffImagePlugin.ImageFileDirectory_v2(header if big else header[:8])
                file.seek(start)
                tags.load(file)
                pages.append(dict(tags))
                start = tags.next
    except (OSError, SyntaxError, ValueError, KeyError):
        pass  # said where the image is read
    return pages


def count_channels(path: str | Path) -> int | None:
    """Return the bands of a TIFF, interleaved or one a page; None where it does not say."""
    pages = read_pages(path)
    if not pages or WIDTH not in pages[0]:
        return None
    size = [pages[0].get(tag) for tag in (WIDTH, HEIGHT)]
    alike = [
        page
        for page in pages
        if [page.get(tag) for tag in (WIDTH, HEIGHT)] == size and not page.get(REDUCED, 0) & 1
    ]
    return len(alike) * int(pages[0].get(SAMPLES, 1))
