"""The explicit attention against the operation that never builds it."""

import pytest
import torch

from mmcoat import ARCH_ZOO, CoaT, ops
from mmcoat.errors import UsageError
from mmcoat.visualization import class_token_attention, explicit_attention, pixel_attention
from mmcoat.visualization.subject import block_names

SIZE = (75, 101)  # odd maps at every stage: 18 x 25, 9 x 12, 4 x 6, 2 x 3


def random_backbone(arch: str, **settings) -> CoaT:
    """A backbone whose position encodings and attentions differ much from zero."""
    torch.manual_seed(0)
    model = CoaT(arch, **settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if (parameter.dim() > 1 and ('qkv' in name or 'crpe' in name)) or name.endswith('bias'):
                parameter.normal_(std=0.2)
    return model


def image(size=SIZE, channels=3):
    return torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(1))


def assert_equal(result, expected):
    """To 1e-5 of the largest value."""
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(result, expected, atol=1e-5 * expected.abs().max().item(), rtol=0)


def record(monkeypatch):
    """Keep what the operation returns at each call, in order."""
    calls = []
    operation = ops.select('plain', torch.zeros(1)).conv_attention

    def recording(*args):
        calls.append(operation(*args))
        return calls[-1]

    monkeypatch.setattr('mmcoat.ops.plain.conv_attention', recording)
    return calls


def call_order(model: CoaT) -> list[tuple[int, str]]:
    """Stage and block of each attention, in the order of their calls."""
    order = [(i, str(j)) for i, stage in enumerate(model.stages) for j in range(len(stage.blocks))]
    return order + [
        (i, f'p{j}') for j in range(len(model.parallel_blocks)) for i in model.parallel_stages
    ]


@pytest.mark.parametrize('arch', list(ARCH_ZOO))
def test_rows_times_values_are_the_operations_output(arch, monkeypatch):
    """First and last block of every stage, serial and parallel, middle and corner, class token."""
    model, x = random_backbone(arch), image()
    calls, order = record(monkeypatch), call_order(model)
    for stage in range(4):
        names = block_names(model, stage)
        serial = len(model.stages[stage].blocks) - 1
        pixels = {names[0]: (100, 74), names[serial]: (57, 33), names[-1]: (57, 33)}
        for block, pixel in pixels.items():
            calls.clear()
            found = pixel_attention(model, x, pixel, stage, block)
            assert len(calls) == len(order)
            cls, out = calls[order.index((stage, block))]
            assert_equal(found.output(), out[0, found.query[0], found.query[1]])
        assert_equal(class_token_attention(model, x, stage, block).output(), cls[0, 0])


def test_all_rows():
    """The whole matrix of one attention, double precision, against the reference."""
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(1, 5, 7, 3, 16, generator=generator, dtype=torch.float64)
    qkv_cls = torch.randn(1, 1, 3, 16, generator=generator, dtype=torch.float64)
    out_cls, out = ops.reference.factorized_attention(qkv_cls, qkv, 4, 0.5)
    tokens = torch.cat([qkv_cls[0], qkv[0].flatten(0, 1)])
    q, k, v = tokens.unbind(1)
    matrix = explicit_attention(q, k, 4, 0.5)
    assert matrix.shape == (4, 36, 36)
    result = (matrix @ v.unflatten(-1, (4, 4)).transpose(0, 1)).transpose(0, 1).flatten(1)
    torch.testing.assert_close(result, torch.cat([out_cls[0], out[0].flatten(0, 1)]))


@pytest.mark.parametrize('backend', ['plain', 'reference'])
def test_the_parts_add_up_to_what_the_module_returns(backend):
    """Through the projection and the residual sum, as hooks see it."""
    model, x = random_backbone('lite_tiny', backend=backend), image((64, 64))
    found = pixel_attention(model, x, (20, 50), 2, 0)
    names = ['stages.2.patch_embed', 'stages.2.blocks.0.attn']
    with model.capture(names) as maps, torch.no_grad():
        model(x)
        tokens = model.stages[2].cpe(maps[names[0]].permute(0, 2, 3, 1))[0][found.query]
        expected = maps[names[1]][0, :, found.query[0], found.query[1]]
        result = tokens + model.stages[2].blocks[0].attn.proj(found.output())
    assert_equal(result, expected)


def test_the_convolutional_part_has_the_windows_of_its_head():
    model = random_backbone('lite_tiny', crpe_window=((3, 1), (5, 4), (7, 3)))
    found = pixel_attention(model, image(), (57, 33), 1)
    assert found.windows == (3, 5, 5, 5, 5, 7, 7, 7)
    assert found.query == (4, 7)
    for filters, window in zip(found.filters, found.windows, strict=True):
        frame = (7 - window) // 2
        inner = filters[:, frame : 7 - frame, frame : 7 - frame]
        assert (inner != 0).all()
        assert filters.count_nonzero() == inner.numel()
    assert class_token_attention(model, image(), 1).filters.count_nonzero() == 0


def test_a_backbone_inside_a_model_and_a_second_class_of_inputs():
    from mmcoat import create_model

    model = create_model('coat_lite_tiny', features_only=True, in_channels=2).eval()
    found = pixel_attention(model, image(channels=2), (0, 0))
    assert (found.stage, found.block) == (3, '1')
    assert found.image.shape == (8, 2, 3)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(stage=4), 'stage must be one of 0, 1, 2, 3 in this model, got 4'),
        (dict(stage=-1), 'got -1'),
        (dict(stage=1, block=2), 'block of stage 1 must be one of 0, 1, p0, .*, p5, got 2'),
        (dict(stage=0, block='p0'), 'block of stage 0 must be one of 0, 1, got p0'),
        (dict(pixel=(101, 0)), 'pixel must be x,y from 0,0 to 100,74 in this image, got 101,0'),
        (dict(pixel=(0, -1)), 'got 0,-1'),
        (dict(pixel=(0.5, 1)), 'got 0.5,1'),
        (dict(pixel=(1,)), 'got 1'),
    ],
)
def test_wrong_places_are_told_with_the_right_ones(arguments, message):
    with pytest.raises(UsageError, match=message):
        pixel_attention(CoaT('tiny'), image(), **{'pixel': (0, 0), **arguments})


def test_stages_that_do_not_run_are_no_choice():
    model = CoaT('lite_tiny', out_indices=(0, 1))
    with pytest.raises(UsageError, match='stage must be one of 0, 1 in'):
        pixel_attention(model, image(), (0, 0), 2)
    with pytest.raises(UsageError, match='Linear has no CoaT backbone'):
        pixel_attention(torch.nn.Linear(1, 1), image(), (0, 0))
