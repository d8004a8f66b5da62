"""setuptools entry: everything is in setup.cfg but the files that mim needs inside the package."""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Add ``mmcoat/.mim`` with configs, tools and model index: copies in a wheel, links when editable."""

    def run(self) -> None:
        super().run()
        # old setuptools set the attribute in editable builds only
        if getattr(self, 'editable_mode', False):
            self._fill(ROOT / 'mmcoat' / '.mim', link=True)
        else:
            self._fill(Path(self.build_lib) / 'mmcoat' / '.mim', link=False)

    def _fill(self, target: Path, link: bool) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for name in MIM_FILES:
            source, place = ROOT / name, target / name
            if place.is_symlink() or place.is_file():
                place.unlink()
            elif place.is_dir():
                shutil.rmtree(place)
            if link:
                place.symlink_to(os.path.relpath(source, target))
            elif source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy2(source, place)


setup(cmdclass={'build_py': BuildWithMim})
