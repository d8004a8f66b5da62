"""A missing or old dependency is reported in one line."""

import pytest

from mmcoat import versions


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        ({'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6'}, None),
        ({'mmengine': '0.10.7', 'mmcv': '2.1.0'}, None),
        ({'mmengine': '0.10.7', 'mmcv-lite': '2.1.0rc1'}, None),
        ({'mmengine': '0.10.7'}, 'needs mmcv>=2.1.0, which is not installed: run `pip install'),
        ({'mmcv': '2.1.0'}, 'needs mmengine>=0.10.0, which is not installed'),
        ({'mmengine': '0.9.1', 'mmcv': '2.1.0'}, 'needs mmengine>=0.10.0, found 0.9.1'),
        ({'mmengine': '0.10.7', 'mmcv': '1.7.2'}, 'needs mmcv>=2.1.0, found 1.7.2'),
    ],
)
def test_check_versions(monkeypatch, found, message):
    def version(name):
        if name not in found:
            raise versions.metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(versions.metadata, 'version', version)
    if message is None:
        versions.check_versions()
        return
    with pytest.raises(ImportError) as error:
        versions.check_versions()
    assert message in str(error.value)
    assert '\n' not in str(error.value)
