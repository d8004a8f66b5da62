"""Inputs: which files are images, their order, and the errors that name them."""

import cv2
import numpy as np
import pytest

from mmcoat.apis.inputs import ImageError, find_images, read_image


@pytest.fixture
def folder(tmp_path):
    picture = np.full((4, 5, 3), (10, 20, 30), np.uint8)
    for name in ('b.png', 'a.JPG', '._a.jpg'):
        cv2.imwrite(str(tmp_path / name.replace('._', 'x')), picture)
    (tmp_path / 'xa.jpg').rename(tmp_path / '._a.jpg')
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / 'folder.jpg').mkdir()
    return tmp_path


def test_folders_patterns_and_lists(folder):
    assert [p.name for p in find_images(folder)] == ['a.JPG', 'b.png']
    assert [p.name for p in find_images(str(folder / '*.png'))] == ['b.png']
    array = np.zeros((3, 4, 3), np.uint8)
    found = find_images([folder / 'b.png', array])
    assert found[0].name == 'b.png'
    assert found[1] is array


@pytest.mark.parametrize(
    ('name', 'message'),
    [('none.png', 'does not exist'), ('*.tif', 'no file fits'), ('folder.jpg', 'has no image')],
)
def test_what_is_not_there_is_named(folder, name, message):
    with pytest.raises(ImageError, match=message) as error:
        find_images(folder / name)
    assert name in str(error.value)


def test_broken_files_and_arrays(tmp_path):
    for name, content in (('empty.png', b''), ('text.png', b'hello')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match='float32'):
        read_image(np.zeros((3, 4, 3), np.float32))
    assert read_image(np.zeros((3, 4), np.uint8)).shape == (3, 4, 3)


def test_exif_does_not_turn_the_image(tmp_path):
    from PIL import Image

    path = tmp_path / 'turned.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6  # 90 degrees
    Image.new('RGB', (8, 4), 'red').save(path, exif=exif)
    assert read_image(path).shape == (4, 8, 3)
