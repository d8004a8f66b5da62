"""The models that the page offers: a given one, those of the demos, and the published ones."""

import time
from dataclasses import dataclass
from pathlib import Path

from mmcoat import checkpoints, runs
from mmcoat.apis import Inferencer, models
from mmcoat.errors import UsageError
from mmcoat.runs.workdir import numbered_checkpoints

KEPT = 2  # models in memory at a time
DEMOS = ('demo', 'demo_det')  # folders of `make demo` and `make demo-det` in the work dirs
_TASKS = dict(
    classification='classification', instance_segmentation='detection', detection='detection'
)


@dataclass(frozen=True)
class Choice:
    """A model that the user can choose.

    Attributes:
        label: Name on the page.
        task: ``'segmentation'``, ``'detection'`` or ``'classification'``.
        config: Path or name.
        checkpoint: File or URL; None if ``config`` is the name of a published file.
    """

    label: str
    task: str
    config: str
    checkpoint: str | None = None


def find_choices(
    config: str | None = None, checkpoint: str | None = None, work_dirs: str | Path = 'work_dirs'
) -> list[Choice]:
    """Return the choices: the given model first, then those of the demos, then the published ones.

    Args:
        config: Config file, its name, or the name of a published file; optional.
        checkpoint: File or URL. It is read when the model is first used.
        work_dirs: Folder in which the demos were trained.

    Raises:
        UsageError: The config does not exist, or no checkpoint is given for it.
    """
    given = [] if config is None else [_given(config, checkpoint)]
    demos = [found for name in DEMOS for found in _demo(Path(work_dirs, name))]
    published = [
        Choice(
            f'{entry.name} (published; the first use downloads it)', _TASKS[entry.task], entry.name
        )
        for entry in checkpoints.list()
        if entry.task in _TASKS
    ]
    return given + demos + published


def _given(config: str, checkpoint: str | None) -> Choice:
    cfg, found = models.find(config, checkpoint)
    if found is None:
        raise UsageError(
            f'{config} needs a checkpoint (CONFIG CHECKPOINT): only published names have their own'
        )
    label = f'{Path(config).stem}, {Path(found).name}'
    return Choice(label, models.task_of(cfg), config, checkpoint)


def _demo(folder: Path) -> list[Choice]:
    """Return the model that a demo trained in ``folder``, as a list; an empty list if there is none."""
    saved = numbered_checkpoints(folder / 'run').get('iter_', [])
    configs = sorted((folder / 'run').glob('*.py'))
    if not saved or not configs:
        return []
    task = models.task_of(runs.load_config(str(configs[0])))
    label = f'{folder.name}: {configs[0].stem}, {saved[0].name}'
    return [Choice(label, task, str(configs[0]), str(saved[0]))]


class Shelf:
    """Build models when they are chosen, and keep the most recently used ones.

    Args:
        choices: Models to choose from; the first is the default.
        device: As for :class:`mmcoat.Inferencer`.
    """

    def __init__(self, choices: list[Choice], device: str = 'auto'):
        self.choices = {choice.label: choice for choice in choices}
        self.device = device
        self._loaded: dict[str, Inferencer] = {}

    def tasks(self) -> list[str]:
        """Return the tasks of the models; the task of the first model comes first."""
        return list(dict.fromkeys(choice.task for choice in self.choices.values()))

    def labels(self, task: str) -> list[str]:
        """Return the models of a task."""
        return [choice.label for choice in self.choices.values() if choice.task == task]

    def take(self, label: str | None) -> tuple[Inferencer, float]:
        """Return a model and its loading time in seconds, 0 if it was already loaded.

        Raises:
            UsageError: There is no such model, or it cannot be loaded.
        """
        if label is None or label not in self.choices:
            raise UsageError(f'choose one of the models of the list, got {label!r}')
        start, loaded = time.perf_counter(), self._loaded.pop(label, None)
        seconds = 0.0
        if loaded is None:
            while len(self._loaded) >= KEPT:
                self._loaded.pop(next(iter(self._loaded)))  # the least recently used one
            choice = self.choices[label]
            loaded = Inferencer(choice.config, choice.checkpoint, self.device)
            seconds = time.perf_counter() - start
        self._loaded[label] = loaded
        return loaded, seconds
