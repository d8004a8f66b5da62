"""The report of a check: findings, classes, sizes."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import DataError
from .findings import Finding, Findings


@dataclass
class ClassRow:
    """One class of a data set.

    Attributes:
        name: Its name.
        images: Number of checked images with this class.
        amount: Number of its pixels (segmentation) or boxes (COCO).
        share: ``amount`` as a share of all classes'.
        area: Mean area of a box, in pixels; None for segmentation.
    """

    name: str
    images: int
    amount: int
    share: float
    area: float | None = None


@dataclass
class SetReport:
    """One data set.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        kind: ``segmentation``, ``coco``, or '' if it was not checked.
        root: Folder of its images.
        images: Number of images.
        opened: Number of opened images.
        findings: The findings.
        classes: One row for each class.
        sizes: Width and height of the images that were opened.
        areas: Areas of the boxes, in pixels.
        ignored: Number of ignored pixels.
        empty: Number of images without a box.
    """

    split: str
    kind: str
    root: str
    findings: Findings
    images: int = 0
    opened: int = 0
    classes: list[ClassRow] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    ignored: int = 0
    empty: int = 0


class Report:
    """All data sets of one check."""

    def __init__(self, sets: Iterable[SetReport]) -> None:
        self.sets = list(sets)

    def findings(self, *levels: str) -> Iterator[Finding]:
        """Yield the findings of some levels, all by default; errors first."""
        for level in levels or ('error', 'warning', 'note'):
            for one in self.sets:
                yield from (f for f in one.findings if f.level == level)

    @property
    def exit_status(self) -> int:
        """2 if there is an error, as for every error that the user can fix."""
        return 2 if any(self.findings('error')) else 0

    def raise_first(self, advice: str) -> None:
        """Raise the first error, and add the number of the others.

        Raises:
            DataError: There is an error.
        """
        errors = list(self.findings('error'))
        if errors:
            others = f'; {len(errors) - 1} more errors' if len(errors) > 1 else ''
            raise DataError(f'{errors[0].line()}{others}. {advice}')

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file; for areas and sizes only the extremes."""
        return {'exit_status': self.exit_status, 'sets': [_set_as_dict(one) for one in self.sets]}


def _set_as_dict(one: SetReport) -> dict[str, Any]:
    widths, heights = zip(*one.sizes, strict=True) if one.sizes else ((), ())
    return {
        **{key: getattr(one, key) for key in ('split', 'kind', 'root', 'images', 'opened')},
        'findings': [
            {**asdict(f), 'level': f.level, 'text': f.kind.text, 'cure': f.kind.cure}
            for f in one.findings
        ],
        'classes': [asdict(row) for row in one.classes],
        'ignored_pixels': one.ignored,
        'images_without_boxes': one.empty,
        'widths': [min(widths), max(widths)] if widths else None,
        'heights': [min(heights), max(heights)] if heights else None,
    }
