"""What a page takes as given: data, photos, weights, files that were published."""

import hashlib
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from mmcoat import runs
from mmcoat.apis import models
from mmcoat.checkpoints import published
from mmcoat.checkpoints.fetch import cache_dir
from mmcoat.datasets import synthetic
from tests.checkpoints.files import official
from tests.classification.pictures import make_imagenet
from tests.helpers import ROOT
from tests.own.common import draw


class Preparation:
    """``prepare`` in a page's hidden Python. Data are drawn, weights random."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch

    def data(self, layout: str, root: str, size: tuple[int, int] = (64, 64)) -> None:
        """Draw two images for training and one for validation in the layout of a data set."""
        if layout == 'ade20k':
            synthetic.make_ade20k(Path(root), train=2, val=1, size=size, seed=0, overwrite=True)
        else:
            synthetic.make_layout(
                Path(root), layout=layout, train=2, val=1, size=size, seed=0, overwrite=True
            )

    def own_data(self, root: str) -> None:
        """Draw data of the user's own: three classes in ADE20K's layout."""
        draw(Path(root))

    def imagenet(self, root: str) -> None:
        """Draw a validation set in ImageNet's layout: four pictures, and a folder for each other class."""
        drawn = make_imagenet(Path(root), train=0, val=1)
        for index in range(1000 - len(drawn)):
            (Path(root) / 'val' / f'n1_{index:03}').mkdir()

    def config(self, base: str, path: str, **values: object) -> None:
        """Write a config that inherits from one of ours, and sets values at its top."""
        lines = [f'_base_ = {str(ROOT / "configs" / f"{base}.py")!r}']
        lines += [f'{name} = {value!r}' for name, value in values.items()]
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text('\n'.join(lines) + '\n')

    def photos(self, *paths: str, size: tuple[int, int] = (96, 64)) -> None:
        """Draw photos of a width and height."""
        rng = np.random.default_rng(0)
        for path in map(Path, paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            small = rng.integers(0, 255, (6, 9, 3), dtype=np.uint8)
            assert cv2.imwrite(str(path), cv2.resize(small, size))

    def weights(self, config: str, path: str) -> None:
        """Save random weights of a config, given by path or name."""
        file = config if Path(config).is_file() else runs.find_config(f'{config}.py')
        torch.manual_seed(0)
        model, _ = models.build(runs.load_config(str(file)), None)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state_dict=model.state_dict(), meta={}), path)

    def published(self, *names: str) -> None:
        """Put files in the authors' form where downloads lie; the list of published files gets their hash."""
        entries = []
        for entry in published.PUBLISHED:
            if entry.name in names:
                path = cache_dir() / entry.file_name
                path.parent.mkdir(parents=True, exist_ok=True)
                if entry.task == 'classification':
                    torch.save(dict(model=official(entry.arch)), path)
                else:
                    from tests.detection.common import official_2x

                    cascade = entry.name.startswith('cascade')
                    torch.save(
                        dict(meta={}, state_dict=OrderedDict(official_2x(entry.arch, cascade))),
                        path,
                    )
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                entry = replace(entry, sha256=sha256)
            entries.append(entry)
        self.monkeypatch.setattr(published, 'PUBLISHED', tuple(entries))
