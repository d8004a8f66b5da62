"""A config and its results; runs fill them and the report reads them."""

from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from .costs import Costs

SCORE = 'mIoU_present'  # the mean over the classes of the ground truth, what plots show


@dataclass
class Contender:
    """A config and its results.

    Attributes:
        name: Of the config.
        cfg: The config as it was trained, of seed 0.
        iterations: Of each run.
        scores: Metrics in percent, one dict for each finished seed.
        curves: For each of them the points (iteration, score).
        minutes: For each of them the training time from its log.
        costs: Costs of a forward pass.
    """

    name: str
    cfg: Config
    iterations: int
    scores: list[dict[str, float]] = field(default_factory=list)
    curves: list[list[tuple[int, float]]] = field(default_factory=list)
    minutes: list[float] = field(default_factory=list)
    costs: Costs | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the results' file holds."""
        return dict(
            name=self.name,
            iterations=self.iterations,
            scores=self.scores,
            curves=self.curves,
            minutes=self.minutes,
            costs=self.costs.to_json() if self.costs else None,
        )
