"""Missing data sets and wrong layouts are reported before training."""

import pytest

from mmcoat.datasets import layout


def ade(root, **kwargs):
    prefix = dict(img_path='images/training', seg_map_path='annotations/training')
    return dict(type='ADE20KDataset', data_root=str(root), data_prefix=prefix, **kwargs)


def fill(root, images, maps):
    for folder, names in (('images', images), ('annotations', maps)):
        (root / folder / 'training').mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / 'training' / name).touch()


def test_good_layout(tmp_path):
    fill(tmp_path, ['a.jpg', 'b.jpg'], ['a.png', 'b.png'])
    layout.check_dataset(ade(tmp_path))


@pytest.mark.parametrize(
    ('images', 'maps', 'message'),
    [
        (['a.jpg'], [], 'annotations/training is empty'),
        (['a.png'], ['a.png'], 'has no .jpg image'),
        (['a.jpg', 'b.jpg'], ['b.png'], '1 of 2 images .* the first is a.png'),
    ],
)
def test_wrong_layouts(tmp_path, images, maps, message):
    fill(tmp_path, images, maps)
    with pytest.raises(layout.LayoutError, match=message) as error:
        layout.check_dataset(ade(tmp_path))
    assert 'ADE20KDataset expects under' in str(error.value)
    assert '\n' not in str(error.value)


def test_missing_folders_and_files(tmp_path):
    with pytest.raises(layout.LayoutError, match='nowhere does not exist'):
        layout.check_dataset(ade(tmp_path / 'nowhere'))
    with pytest.raises(layout.LayoutError, match='images/training does not exist'):
        layout.check_dataset(ade(tmp_path))
    coco = dict(
        type='CocoDataset',
        data_root=str(tmp_path),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
    with pytest.raises(layout.LayoutError, match=r'instances_train2017.json does not exist'):
        layout.check_dataset(coco)
