"""Images of many bands and 16 bits: read as in training, drawn, and placed where the image lies."""

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from PIL import Image, TiffImagePlugin

from mmcoat import runs
from mmcoat.apis import Inferencer
from mmcoat.apis.georeference import Georeference
from mmcoat.apis.reading import ImageReader, map_file, release, zeros
from mmcoat.errors import UsageError
from mmcoat.visualization.overlays import as_picture
from tests.helpers import ROOT, load, run_tool

pytest.importorskip('mmseg')
from tests.apis.test_inferencer import weights

SIZE = (70, 90)
GEO = {
    33550: (0.5, 0.25, 0.0),
    33922: (0.0, 0.0, 0.0, 400000.0, 5300000.0, 0.0),
    34735: (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633),
}


def bands(count=5, seed=0):
    """Return (H, W, count) in uint16, smooth."""
    small = np.random.default_rng(seed).integers(0, 60000, (5, 7, count), dtype=np.uint16)
    image = np.stack([cv2.resize(small[..., c], SIZE[::-1]) for c in range(count)], -1)
    return image.astype(np.uint16)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('bands')


@pytest.fixture(scope='module')
def scene(folder):
    """Five bands, one a page, which needs no library but OpenCV."""
    path = folder / 'scene.tif'
    cv2.imwritemulti(str(path), list(np.moveaxis(bands(), -1, 0)))
    return path


@pytest.fixture(scope='module')
def model(folder):
    options = dict(
        classes=['a', 'b', 'c'],
        img_suffix='.tif',
        mean=[30000.0] * 5,
        std=[9000.0] * 5,
        data_root=str(folder),
    )
    cfg = runs.load_config(str(ROOT / 'configs' / 'fpn_coat_lite_s_own.py'), options)
    cfg.model.backbone.arch = 'lite_tiny'
    cfg.model.neck.in_channels = [64, 128, 256, 320]
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (128, 64)
    cfg.dump(folder / 'bands.py')
    return cfg, weights(cfg, folder / 'bands.pth')


@pytest.fixture(scope='module')
def inferencer(model):
    return Inferencer(*model, device='cpu', precision='fp32')


def test_reads_as_the_pipeline_does(inferencer, model, scene):
    """Files, and arrays in the file's order, against the config's whole pipeline."""
    from mmengine.registry import TRANSFORMS, init_default_scope

    init_default_scope('mmseg')

    item = dict(img_path=str(scene), reduce_zero_label=False, seg_fields=[])
    for step in model[0].test_dataloader.dataset.pipeline:
        if step['type'] != 'LoadAnnotations':
            item = TRANSFORMS.build(step)(item)
    assert item['inputs'].shape[0] == 5
    expected = inferencer.model.test_step(pseudo_collate([item]))[0].pred_sem_seg.data[0].numpy()
    assert len(np.unique(expected)) > 1
    for source in (scene, bands()):
        np.testing.assert_array_equal(inferencer(source)[0].label_map, expected)


def test_tiles_of_mapped_files(inferencer, folder, scene):
    """.npy, and TIFF of both layouts, packed or not, give in tiles what the array gives."""
    tifffile = pytest.importorskip('tifffile')
    image = bands()
    np.save(folder / 'array.npy', image)
    np.save(folder / 'planar.npy', np.moveaxis(image, -1, 0))
    shared = dict(photometric='minisblack', planarconfig='contig')
    tifffile.imwrite(folder / 'plain.tif', image, **shared)
    tifffile.imwrite(folder / 'big_endian.tif', image, byteorder='>', **shared)
    tifffile.imwrite(
        folder / 'packed.tif',
        np.moveaxis(image, -1, 0),
        planarconfig='separate',
        photometric='minisblack',
        compression='zlib',
        tile=(32, 32),
    )
    expected = inferencer.segment_tiles(image, 64)
    names = ('array.npy', 'planar.npy', 'plain.tif', 'big_endian.tif', 'packed.tif')
    for name in names:
        mapped = map_file(folder / name, 5)
        assert isinstance(mapped, np.memmap), name
        np.testing.assert_array_equal(mapped, image)
        [result] = inferencer(folder / name, tiles=64)
        np.testing.assert_array_equal(result.label_map, expected)
        assert result.plot(legend=False).shape == (*SIZE, 3)


def test_channels_that_do_not_fit(inferencer, folder, scene):
    for image in (bands(4), np.zeros((64, 64, 3), np.uint8)):
        with pytest.raises(
            UsageError, match=f'has {image.shape[2]} channels, the model takes 5$'
        ) as error:
            inferencer(image)
        assert '\n' not in str(error.value)
    cv2.imwrite(str(folder / 'photo.png'), np.zeros((64, 64, 3), np.uint8))
    for tiles in (None, 64):
        with pytest.raises(UsageError, match=r'photo.png has 3 channels, expected 5'):
            inferencer(folder / 'photo.png', tiles=tiles)
    with pytest.raises(UsageError, match='videos have 3 channels, the model takes 5'):
        inferencer.video(folder / 'a.mp4', folder / 'b.mp4')
    with pytest.raises(UsageError, match='must be'):
        inferencer(np.zeros((64, 64, 5), bool))


def test_many_bands_for_a_model_of_pictures(folder, scene):
    from mmcoat.apis.inputs import read_image

    tifffile = pytest.importorskip('tifffile')
    tifffile.imwrite(folder / 'five.tif', bands(), photometric='minisblack', planarconfig='contig')
    for path in (folder / 'five.tif', scene):
        with pytest.raises(UsageError, match=r'tif has 5 channels, .*LoadChannels takes others$'):
            read_image(path)
    (folder / 'broken.tif').write_bytes(b'II*\0nothing')
    with pytest.raises(UsageError, match=r'broken.tif is damaged'):
        read_image(folder / 'broken.tif')
    colour = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    overview = dict(subfiletype=1, photometric='rgb')
    with tifffile.TiffWriter(folder / 'overview.tif', bigtiff=True) as file:
        file.write(colour[..., ::-1], photometric='rgb')
        file.write(colour[::2, ::2, ::-1], **overview)
    np.testing.assert_array_equal(read_image(folder / 'overview.tif'), colour)


def test_pictures_are_mapped_too(folder, scene):
    """With the configs' own settings: a colour TIFF stays in its file, and is what OpenCV reads."""
    tifffile = pytest.importorskip('tifffile')
    from mmseg.utils import register_all_modules

    register_all_modules()
    colour = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    deep = colour.astype(np.uint16) * 257
    for name, image in (('colour', colour), ('deep', deep)):
        tifffile.imwrite(folder / f'{name}.tif', image[..., ::-1], photometric='rgb')
    for config in ('fpn_coat_lite_s_ade20k.py', 'fpn_coat_lite_s_own.py'):
        read = ImageReader(load(config))
        mapped = read(folder / 'colour.tif', mapped=True)
        assert mapped.base is not None and isinstance(mapped, np.memmap)
        for image in (mapped, read(folder / 'colour.tif'), read(folder / 'deep.tif', mapped=True)):
            np.testing.assert_array_equal(image, colour)
        with pytest.raises(UsageError, match=r'has 5 channels, the config reads pictures of 3'):
            read(scene)


def test_pictures_of_bands():
    """The first three bands fill the range, outliers and holes do not count; 8 bits stay as they are."""
    image = bands().astype(np.float32)
    image[0, 0] = 1e9
    image[1, 1] = np.nan
    picture = as_picture(image)
    assert picture.shape == (*SIZE, 3) and picture.dtype == np.uint8
    for channel in range(3):
        assert picture[..., channel].min() == 0 and picture[..., channel].max() == 255
        rank = np.corrcoef(picture[2:, 2:, channel].ravel(), image[2:, 2:, channel].ravel())
        assert rank[0, 1] > 0.99
    assert as_picture(np.full((4, 4, 2), 7, np.uint16)).shape == (4, 4, 3)
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    np.testing.assert_array_equal(as_picture(grey), np.repeat(grey, 3, 2))


def test_attention_over_bands(monkeypatch, folder, model, scene):
    arguments = [folder / 'bands.py', model[1], scene, '--out-dir', folder / 'seen']
    assert run_tool(monkeypatch, 'visualize', *arguments, '--device', 'cpu') == 0
    assert (folder / 'seen' / 'scene_attention.png').stat().st_size > 10_000


# ---------------------------------------------------------------------- places


def write_geotiff(path, tags):
    extra = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        extra.tagtype[tag], extra[tag] = (3 if tag == 34735 else 12), value
    Image.new('RGB', SIZE[::-1], 'red').save(path, tiffinfo=extra)


def test_label_maps_lie_where_the_image_lies(monkeypatch, folder, model):
    """With the tool: tags of a compressed label map, and the world file of a PNG."""
    tifffile = pytest.importorskip('tifffile')
    extra = [(tag, 'H' if tag == 34735 else 'd', len(v), v, True) for tag, v in GEO.items()]
    tifffile.imwrite(
        folder / 'placed.tif',
        bands(),
        photometric='minisblack',
        planarconfig='contig',
        extratags=extra,
    )
    out = folder / 'out'
    arguments = [folder / 'bands.py', model[1], folder / 'placed.tif', '--out-dir', out]
    for tiles in ([], ['--tiles', 64]):
        kinds = ['--save', 'overlay,png,tif', '--device', 'cpu']
        assert run_tool(monkeypatch, 'infer', *arguments, *kinds, *tiles) == 0
        labels = Image.open(out / 'placed_labels.tif')
        np.testing.assert_array_equal(
            np.asarray(labels), np.asarray(Image.open(out / 'placed.png'))
        )
        assert labels.mode == 'P' and labels.tag_v2[259] == 8  # deflate
        assert Georeference.of(out / 'placed_labels.tif').tags == GEO
        numbers = [float(line) for line in (out / 'placed.pgw').read_text().split()]
        assert numbers == [0.5, 0.0, 0.0, -0.25, 400000.25, 5299999.875]
        for path in out.iterdir():
            path.unlink()


def test_world_files_are_read_and_written_the_same(folder):
    numbers = (0.5, 0.1, 0.2, -0.25, 7.25, 9.875)
    cv2.imwrite(str(folder / 'ortho.jpg'), np.zeros((4, 4, 3), np.uint8))
    assert Georeference.of(folder / 'ortho.jpg') is None
    (folder / 'ortho.jgw').write_text('\n'.join(map(str, numbers)))
    place = Georeference.of(folder / 'ortho.jpg')
    np.testing.assert_allclose(place.affine(), numbers)
    world = place.write_world(folder / 'ortho_labels.png')
    assert world.name == 'ortho_labels.pgw'
    np.testing.assert_allclose([float(n) for n in world.read_text().split()], numbers)
    (folder / 'ortho.jgw').write_text('no numbers')
    assert Georeference.of(folder / 'ortho.jpg') is None


def test_control_points_have_no_world_file(folder):
    points = {33922: (0.0, 0.0, 0.0, 4.0, 5.0, 0.0, 9.0, 0.0, 0.0, 6.0, 5.0, 0.0)}
    write_geotiff(folder / 'points.tif', points)
    place = Georeference.of(folder / 'points.tif')
    assert place.tags == points
    assert place.write_world(folder / 'points.png') is None


# ---------------------------------------------------------------------- memory


def test_large_arrays_lie_in_a_file_and_come_back(monkeypatch):
    assert not isinstance(zeros((4, 4), np.uint8), np.memmap)
    monkeypatch.setattr('mmcoat.apis.reading.IN_MEMORY', 15)
    array = zeros((4, 4), np.uint8)
    assert isinstance(array, np.memmap)
    array[:] = 7
    release(array)
    assert (array == 7).all()


def test_private_maps_keep_their_changes(folder):
    np.save(folder / 'private.npy', np.zeros(4096))
    array = np.load(folder / 'private.npy', mmap_mode='c')
    array[:] = 1
    release(array)
    assert (array == 1).all()
