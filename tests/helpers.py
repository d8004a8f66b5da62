"""Code that several tests share: configs, tools called in this process, small configs, operators that run."""

import importlib.util
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import ManagerMixin
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))


def configs(*patterns: str) -> list[str]:
    """Return the names of the configs that match one of the patterns."""
    return [path.name for path in CONFIGS if any(path.match(p) for p in patterns)]


def load(name: str) -> Config:
    return Config.fromfile(str(ROOT / 'configs' / name))


def forget_instances(cls: type) -> None:
    """Forget MMEngine's global loggers, visualizers and message hubs, as a fresh process would."""
    cls._instance_dict.clear()
    for child in cls.__subclasses__():
        forget_instances(child)


class Operators(TorchDispatchMode):
    """Remember the names of a namespace's operators that run, forward and backward."""

    def __init__(self, namespace: str):
        super().__init__()
        self.namespace, self.names = namespace, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == self.namespace:
            self.names.add(function.__name__.split('.')[0])
        return function(*args, **(kwargs or {}))


def run_tool(monkeypatch, name: str, *arguments: object) -> int:
    """Call ``tools/<name>.py`` in this process and return its exit status."""
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', [f'tools/{name}.py', *map(str, arguments)])
    forget_instances(ManagerMixin)
    try:
        return module.main()
    except SystemExit as stop:
        return stop.code
