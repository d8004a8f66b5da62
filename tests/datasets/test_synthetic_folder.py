"""Drawing deletes only drawn files, whatever the arguments are."""

import json
from pathlib import Path

import pytest

from mmcoat.datasets.synthetic import (
    MANIFEST,
    FolderInUseError,
    make_ade20k,
    make_coco,
    preview_ade20k,
)
from mmcoat.errors import UsageError
from tests.helpers import run_tool

SMALL = dict(train=2, val=1, size=(64, 64))


def draw(root: Path, make=make_ade20k, **options) -> None:
    make(root, **{**SMALL, **options})


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob('*') if path.is_file()}


@pytest.mark.parametrize('make', [make_ade20k, make_coco])
def test_the_manifest_lists_what_is_there(make, tmp_path):
    draw(tmp_path / 'set', make)
    manifest = json.loads((tmp_path / 'set' / MANIFEST).read_text())
    assert manifest['layout'] == make.__name__.removeprefix('make_')
    assert set(manifest['files']) == files(tmp_path / 'set') - {MANIFEST}


def test_needs_a_word_to_overwrite(tmp_path):
    draw(tmp_path)
    before = files(tmp_path)
    with pytest.raises(FolderInUseError, match='is not empty: choose a new folder, or --overwrite'):
        draw(tmp_path, train=1)
    assert files(tmp_path) == before


def test_overwrites_all_of_an_earlier_set(tmp_path):
    draw(tmp_path, train=5)
    preview_ade20k(tmp_path, tmp_path / 'preview.png')
    (tmp_path / 'notes.txt').write_text('mine, and not in the way')
    draw(tmp_path, overwrite=True)
    assert len(list(tmp_path.glob('images/training/*.jpg'))) == 2
    assert not (tmp_path / 'preview.png').exists()
    assert (tmp_path / 'notes.txt').read_text() == 'mine, and not in the way'


def test_overwrites_what_a_broken_off_run_left(tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path, progress=stop)
    assert not json.loads((tmp_path / 'dataset_info.json').read_text())['complete']
    draw(tmp_path, overwrite=True)
    assert json.loads((tmp_path / 'dataset_info.json').read_text())['complete']


@pytest.mark.parametrize('other', [make_coco, make_ade20k])
def test_never_overwrites_the_other_layout(other, tmp_path):
    first = make_ade20k if other is make_coco else make_coco
    draw(tmp_path, first)
    before = files(tmp_path)
    with pytest.raises(FolderInUseError, match=r'holds a drawn set of layout \w+, not '):
        draw(tmp_path, other, overwrite=True)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    'name',
    ['images/training/photo.jpg', 'annotations/mine/a.txt', 'README.md', 'preview.png', 'images'],
)
def test_foreign_files_are_named_and_kept(name, tmp_path):
    path = tmp_path / 'set' / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b'precious')
    with pytest.raises(FolderInUseError, match='1 files in the way were not drawn') as error:
        draw(tmp_path / 'set', overwrite=True)
    assert str(path) in str(error.value)
    assert files(tmp_path / 'set') == {name}
    assert path.read_bytes() == b'precious'


def test_foreign_files_beside_drawn_ones(tmp_path):
    draw(tmp_path)
    for index in range(5):
        (tmp_path / 'images/training' / f'photo{index}.jpg').write_bytes(b'precious')
    before = files(tmp_path)
    with pytest.raises(FolderInUseError, match=r'^5 files .*photo0\.jpg, .*photo2\.jpg, \.\.\.'):
        draw(tmp_path, overwrite=True)
    assert files(tmp_path) == before


def test_does_not_reach_through_links(tmp_path):
    """The real ADE20K's files have the same names as the drawn ones."""
    draw(tmp_path / 'set')
    real = tmp_path / 'real'
    (tmp_path / 'set/images').rename(real)
    (tmp_path / 'set/images').symlink_to(real)
    before = files(real)
    with pytest.raises(FolderInUseError, match='set/images'):
        draw(tmp_path / 'set', overwrite=True)
    assert files(real) == before


def test_a_manifest_does_not_reach_outside(tmp_path):
    draw(tmp_path / 'set')
    (tmp_path / 'mine.txt').write_text('precious')
    path = tmp_path / 'set' / MANIFEST
    manifest = json.loads(path.read_text())
    manifest['files'] += ['../mine.txt', str(tmp_path / 'mine.txt')]
    path.write_text(json.dumps(manifest))
    draw(tmp_path / 'set', overwrite=True)
    assert (tmp_path / 'mine.txt').read_text() == 'precious'


@pytest.mark.parametrize(
    'text', ['', '[]', '{"layout": "ade20k"}', '{"files": 3, "layout": "ade20k"}']
)
def test_damaged_manifest(text, tmp_path):
    draw(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    before = files(tmp_path)
    with pytest.raises(FolderInUseError, match='is damaged'):
        draw(tmp_path, overwrite=True)
    assert files(tmp_path) == before


def test_no_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / 'file').touch()
    with pytest.raises(UsageError, match='file is not a folder'):
        draw(tmp_path / 'file')
    command = ['make_synthetic_dataset', 'ade20k', tmp_path / 'file' / 'below', '--train', '1']
    assert run_tool(monkeypatch, *command) == 2
    assert 'below cannot be written' in capsys.readouterr().err
