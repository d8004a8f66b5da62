"""What a conversion yields, and what makes a file form known; ``convert`` lists the forms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Conversion:
    """Converted weights, and an account of every tensor.

    Attributes:
        weights: {new name: tensor}.
        renamed: (old name, new name) of each tensor that got another name.
        merged: (alias, the name that holds its tensor) of each alias that was left out.
        dropped: (old name, reason) of each tensor that was left out.
        added: (new name, reason) of each tensor or alias that the old form does not hold.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    merged: list[tuple[str, str]] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    added: list[tuple[str, str]] = field(default_factory=list)

    def take(self, old: str, new: str, value: Tensor) -> None:
        """Keep a tensor under ``new``."""
        self.weights[new] = value
        if old != new:
            self.renamed.append((old, new))

    def report(self, shown: int | None = 3) -> list[str]:
        """Return lines that say what happened; ``shown`` limits the examples of renamed and merged names."""
        lines = []
        for what, pairs, arrow, limit in (
            ('renamed', self.renamed, '->', shown),
            ('merged', self.merged, 'into', shown),
            ('added', self.added, ':', shown),
            ('dropped', self.dropped, ':', None),
        ):
            lines.append(f'{what}: {len(pairs)}')
            lines += [f'  {old} {arrow} {new}' for old, new in pairs[:limit]]
            if limit is not None and len(pairs) > limit:
                lines.append(f'  ... and {len(pairs) - limit} more')
        return lines


@dataclass(frozen=True)
class Form:
    """A form of checkpoint that can be converted to mmcoat's.

    Attributes:
        name: What it is called in messages.
        recognises: Whether a state dict is of this form.
        to_own: Converts it, or raises CheckpointError for a tensor that it does not know.
    """

    name: str
    recognises: Callable[[Mapping[str, Tensor]], bool]
    to_own: Callable[[Mapping[str, Tensor]], Conversion]
