"""Tiles: every pixel is decided once, weights add up to one, seams do not show."""

import numpy as np
import pytest
import torch

from mmcoat.apis.tiles import TilePlan, segment_tiles
from mmcoat.errors import UsageError


@pytest.mark.parametrize('length', [20, 64, 65, 100, 127, 128, 129, 200, 333, 1000])
@pytest.mark.parametrize('overlap', [0, 7, 16, 21])
def test_weights_add_up_to_one(length, overlap):
    spans = TilePlan((64, 64), overlap).spans(length, 0)
    total = np.zeros(length)
    for span in spans:
        assert 0 <= span.start <= span.low < span.high <= span.stop <= length
        assert span.high - span.low >= span.fade_in + span.fade_out
        total[span.low : span.high] += span.window()
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@pytest.mark.parametrize('shape', [(50, 60), (64, 64), (130, 201), (333, 90)])
def test_a_pointwise_model_gives_the_whole_images_labels(shape):
    """Scores that depend only on the pixel are the same in every tile, so the labels must be the same too."""
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    mix = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 3))).float()

    def predict(tile):
        return torch.einsum('cd,hwd->chw', mix, torch.from_numpy(tile).float())

    seen = []
    labels = segment_tiles(
        image, predict, TilePlan((64, 64), 16), progress=lambda *n: seen.append(n)
    )
    expected = predict(image).argmax(0).numpy()
    assert (labels == expected).mean() > 0.9999  # ties of rounding
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_scores_are_blended_across_seams():
    """A model that is sure of another class in each tile: the label changes in the middle of the overlap."""
    calls = iter(range(2))

    def predict(tile):
        scores = torch.zeros(2, *tile.shape[:2])
        scores[next(calls)] = 1.0
        return scores

    labels = segment_tiles(np.zeros((64, 112, 3), np.uint8), predict, TilePlan((64, 64), 16))
    assert (labels[:, :56] == 0).all()
    assert (labels[:, 56:] == 1).all()


def test_binary_scores_and_given_labels():
    labels = np.zeros((40, 50), np.uint8)
    image = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50, 1)
    result = segment_tiles(
        image,
        lambda t: torch.from_numpy(t[None, ..., 0]).float() - 99.5,
        TilePlan((32, 32), 8),
        labels,
    )
    assert result is labels
    np.testing.assert_array_equal(labels, image[..., 0] > 99)


@pytest.mark.parametrize(('tile', 'overlap'), [((16, 64), 4), ((64, 64), 22), ((64, 64), -1)])
def test_plans_that_cannot_work(tile, overlap):
    with pytest.raises(UsageError, match='tiles must be at least 32'):
        TilePlan(tile, overlap)
