"""Feature colours and the exchange between scales, compared with the values that they come from."""

import pytest
import torch

from mmcoat import CoaT
from mmcoat.errors import UsageError
from mmcoat.ops.reference import scale_exchange
from mmcoat.visualization import feature_colours, scale_exchange_shares
from mmcoat.visualization.features import principal_colours


@pytest.fixture
def image():
    return torch.randn(1, 3, 75, 101, generator=torch.Generator().manual_seed(0))


def backbone(arch: str, **settings) -> CoaT:
    torch.manual_seed(0)
    return CoaT(arch, **settings).eval()


@pytest.mark.parametrize('arch', ['lite_tiny', 'tiny'])
def test_maps_are_the_backbones(arch, image):
    model = backbone(arch)
    found = feature_colours(model, image)
    with torch.no_grad():
        maps = model(image)
    assert [f.stage for f in found] == [0, 1, 2, 3]
    for features, expected in zip(found, maps, strict=True):
        torch.testing.assert_close(features.map, expected[0])
        assert features.colours.shape == (*expected.shape[2:], 3)
        assert 0 <= features.colours.min() < features.colours.max() <= 1
    [only] = feature_colours(model, image, 2)
    torch.testing.assert_close(only.colours, found[2].colours)
    assert only.stride == 16


def test_colours_are_principal_components():
    """Three known directions with known spreads come out, in the order of their spreads."""
    generator = torch.Generator().manual_seed(0)
    directions, _ = torch.linalg.qr(torch.randn(20, 3, generator=generator, dtype=torch.float64))
    spread = torch.tensor([1.0, 5.0, 3.0])
    parts = torch.rand(30 * 40, 3, generator=generator, dtype=torch.float64) * spread
    features = (directions @ parts.T + 7.0).view(20, 30, 40)
    colours, explained = principal_colours(features)
    for index, source in enumerate((1, 2, 0)):
        pair = torch.stack([colours[..., index].flatten(), parts[:, source]])
        assert torch.corrcoef(pair)[0, 1].abs() > 0.99
    expected = parts.var(0)[[1, 2, 0]] / parts.var(0).sum()
    torch.testing.assert_close(explained, expected, atol=0.01, rtol=0)
    turned, _ = principal_colours(-features.flip(0))
    assert turned.shape == colours.shape


@pytest.mark.parametrize('shape', [(2, 3, 4), (5, 1, 1), (1, 2, 2)])
def test_colours_of_few_channels_or_places(shape):
    colours, explained = principal_colours(torch.randn(shape))
    assert colours.shape == (*shape[1:], 3)
    assert torch.isfinite(colours).all()
    assert torch.isfinite(explained).all()


def record(monkeypatch):
    calls = []
    operation = scale_exchange

    def recording(maps, residuals, factors):
        calls.append(([x.clone() for x in maps], [x.clone() for x in residuals]))
        out = operation(maps, residuals, factors)
        calls[-1] += (out,)
        return out

    monkeypatch.setattr('mmcoat.ops.reference.scale_exchange', recording)
    return calls


def test_exchange_measures_the_terms_of_the_sum(image, monkeypatch):
    """The norms are those of the terms that the operation adds up, one scale alone at a time."""
    model = backbone('tiny', backend='reference')
    calls = record(monkeypatch)
    found = scale_exchange_shares(model, image)
    assert found.stages == (1, 2, 3)
    assert found.shares.shape == (6, 3, 3)
    torch.testing.assert_close(found.shares.sum(-1), torch.ones(6, 3))
    assert len(calls) == 6
    for block, (maps, residuals, _) in enumerate(calls):
        norms = torch.empty(3, 3)
        for giver in range(3):
            alone = [x if i == giver else torch.zeros_like(x) for i, x in enumerate(maps)]
            nothing = [torch.zeros_like(x) for x in residuals]
            for taker, term in enumerate(scale_exchange(alone, nothing, [None] * 3)):
                norms[taker, giver] = term.norm()
                torch.testing.assert_close(
                    found.norms[taker][block, giver], term[0].norm(dim=-1), atol=1e-5, rtol=1e-4
                )
        expected = norms / norms.sum(-1, keepdim=True)
        torch.testing.assert_close(found.shares[block], expected, atol=1e-5, rtol=1e-4)
    taken = found.taken(0, 5)
    assert taken.shape == (9, 12)
    assert 0 < taken.min() < taken.max() < 1


def test_models_without_exchange(image):
    for model in (backbone('lite_tiny'), backbone('tiny', out_indices=(0,))):
        with pytest.raises(UsageError, match='no parallel blocks run in this model'):
            scale_exchange_shares(model, image)
