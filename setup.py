"""setuptools entry: everything is in setup.cfg but the files that mim needs inside the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Add ``mmcoat/.mim`` with configs, tools and model index to a wheel.

    Not when editable: onedl-mim looks into the checkout then, and would find every config twice.
    """

    def run(self) -> None:
        super().run()
        if not getattr(
            self, 'editable_mode', False
        ):  # old setuptools set it in editable builds only
            self._fill(Path(self.build_lib) / 'mmcoat' / '.mim')

    def _fill(self, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for name in MIM_FILES:
            source, place = ROOT / name, target / name
            if not source.exists():
                continue
            if place.is_symlink() or place.is_file():
                place.unlink()
            elif place.is_dir():
                shutil.rmtree(place)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy2(source, place)


setup(cmdclass={'build_py': BuildWithMim})
