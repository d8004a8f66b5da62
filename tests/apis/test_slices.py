"""Joined detections of tiles, compared with known objects."""

from itertools import pairwise

import numpy as np
import pytest

from mmcoat.apis.slices import Detections, cut, join, places
from mmcoat.errors import UsageError


def part(boxes, scores, labels, origin=(0, 0), size=(64, 64)):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    masks = np.zeros((len(boxes), *size), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    return Detections(boxes, np.array(scores, np.float32), np.array(labels), masks, origin)


def test_places_cover_everything_and_overlap():
    for length in (64, 65, 100, 129, 1000):
        found = places(length, 64, 16)
        assert found[0][0] == 0
        assert found[-1][1] == length
        assert all(b - a == min(64, length) for a, b in found)
        assert all(after[0] <= before[1] - 16 for before, after in pairwise(found))


def test_tiles_are_parts_of_the_image():
    image = np.arange(100 * 90 * 3, dtype=np.uint32).reshape(100, 90, 3)
    for (y, x), tile in cut(image, (64, 48)):
        np.testing.assert_array_equal(tile, image[y : y + 64, x : x + 48])


def test_an_object_across_a_seam_becomes_one():
    left = part([[40, 10, 64, 30]], [0.9], [1])
    right = part([[0, 10, 30, 30]], [0.8], [1], origin=(0, 48))  # 48..78 in the image: 16 shared
    found = join([left, right], (64, 112))
    np.testing.assert_array_equal(found.boxes, [[40, 10, 78, 30]])
    assert found.scores.tolist() == [np.float32(0.9)]
    expected = np.zeros((64, 112), bool)
    expected[10:30, 40:78] = True
    np.testing.assert_array_equal(found.masks[0], expected)


def test_a_long_object_grows_through_several_tiles():
    whole = part([[0, 10, 150, 30]], [0.3], [0], size=(64, 160))
    tiles = [part([[0, 10, 64, 30]], [0.9 - i / 100], [0], origin=(0, 48 * i)) for i in range(3)]
    found = join([whole, *tiles], (64, 160))
    np.testing.assert_array_equal(found.boxes, [[0, 10, 160, 30]])


def test_neighbours_and_other_classes_stay_apart():
    one = part([[0, 0, 20, 20], [18, 0, 38, 20], [0, 0, 20, 20]], [0.9, 0.8, 0.7], [0, 0, 1])
    found = join([one], (64, 64))
    assert len(found.boxes) == 3
    assert found.labels.tolist() == [0, 0, 1]


def test_nothing_found():
    found = join([part([], [], []), part([], [], [], origin=(0, 48))], (64, 112))
    assert found.boxes.shape == (0, 4)
    assert found.masks.shape == (0, 64, 112)


def test_too_many_masks_are_refused(monkeypatch):
    monkeypatch.setattr('mmcoat.apis.slices.MOST_MASK_BYTES', 1000)
    with pytest.raises(UsageError, match='raise score_thr'):
        join([part([[0, 0, 20, 20]], [0.9], [0])], (64, 64))
