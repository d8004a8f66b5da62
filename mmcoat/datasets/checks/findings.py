"""The findings of a check in one data set: counts, and the first places."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .kinds import FEW, KINDS, LEVELS, Kind

KEPT = 10  # places that a report names
SHOWN = 3  # places that one line names


@dataclass
class Finding:
    """One kind of finding in one data set.

    Attributes:
        split: The data set: ``train``, ``val`` or ``test``.
        name: Key into :data:`KINDS`.
        count: Number of times.
        places: The first places, each with details.
        total: Total number of annotations, 0 if it does not matter.
    """

    split: str
    name: str
    count: int = 0
    places: list[str] = field(default_factory=list)
    total: int = 0

    @property
    def level(self) -> str:
        few = self.kind.few if self.count < FEW * self.total else None
        return few or self.kind.level

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    def where(self) -> str:
        """Return the first places in one line."""
        more = ', ...' if self.count > min(SHOWN, len(self.places)) else ''
        return ', '.join(self.places[:SHOWN]) + more

    def line(self) -> str:
        """Return the finding in one line: text, count, places and cure."""
        count = '' if self.kind.whole else f' ({self.count})'
        text = f'{self.split}: {self.kind.text}{count}: {self.where()}; {self.kind.cure}'
        return ' '.join(text.split())


class Findings:
    """Collect findings of one data set."""

    def __init__(self, split: str) -> None:
        self.split = split
        self.total = 0
        self._found: dict[str, Finding] = {}

    def add(self, name: str, place: object, detail: str = '') -> None:
        """Count one more, and keep its place if it is among the first."""
        finding = self._found.setdefault(name, Finding(self.split, name))
        finding.count += 1
        if len(finding.places) < KEPT:
            finding.places.append(f'{place} ({detail})' if detail else str(place))

    def extend(self, name: str, places: Iterable[object], detail: str = '') -> None:
        for place in places:
            self.add(name, place, detail)

    def remove(self, *names: str) -> None:
        """Remove findings that another finding explains."""
        for name in names:
            self._found.pop(name, None)

    def count(self, name: str) -> int:
        return self._found[name].count if name in self._found else 0

    def __iter__(self) -> Iterator[Finding]:
        """Yield the worst findings first, and findings of the same level in the order of :data:`KINDS`."""
        for finding in self._found.values():
            finding.total = self.total
        order = list(KINDS)
        return iter(
            sorted(
                self._found.values(),
                key=lambda f: (LEVELS.index(f.level), order.index(f.name)),
            )
        )
