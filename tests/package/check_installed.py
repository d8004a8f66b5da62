"""Use mmcoat as it is installed, from a folder that is no checkout. Usage: check_installed.py ENVIRONMENT."""

import sys
from importlib import metadata
from pathlib import Path

import torch

import mmcoat


def main() -> None:
    package = Path(mmcoat.__file__).resolve().parent
    environment = Path(sys.argv[1]).resolve()
    assert environment in package.parents, f'mmcoat is {package}, not that of {environment}'
    assert metadata.version('mmcoat') == mmcoat.__version__
    assert (package / 'py.typed').is_file()
    names = mmcoat.list_models()
    assert 'lite_tiny' in names and len(names) == 7, names

    model = mmcoat.CoaT('lite_tiny').eval()
    with torch.inference_mode():
        outputs = model(torch.randn(1, 3, 64, 64))
    assert [tuple(x.shape[2:]) for x in outputs] == [(16, 16), (8, 8), (4, 4), (2, 2)]

    from mmengine.registry import init_default_scope

    from mmcoat import runs

    path = Path(runs.find_model('fpn_coat_lite_s', detection=False)).resolve()
    assert package in path.parents, f'fpn_coat_lite_s is {path}, which is not in {package}'
    config = runs.load_config(str(path))
    init_default_scope('mmseg')
    from mmseg.registry import MODELS

    config.model.backbone.init_cfg = None
    assert type(MODELS.build(config.model).backbone) is mmcoat.CoaT


if __name__ == '__main__':
    main()
