"""The backbone's interface: archs, outputs, sizes, arguments, freezing, checkpointing, compilation."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcoat import ARCH_ZOO, CoaT

TINY = dict(  # quick, and with all that the full models have
    embed_dims=[16, 24, 24],
    serial_depths=[1, 1, 1],
    mlp_ratios=[2, 2, 2],
    num_heads=8,
    parallel_depth=2,
    parallel_stages=[1, 2],
)


@pytest.fixture
def image():
    return torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def tiny(**kwargs) -> CoaT:
    torch.manual_seed(0)
    return CoaT(dict(TINY), out_indices=kwargs.pop('out_indices', (0, 1, 2)), **kwargs)


@pytest.mark.parametrize('arch', list(ARCH_ZOO))
def test_maps_have_the_zoo_channels(arch):
    model = CoaT(arch).eval()
    with torch.no_grad():
        maps = model(torch.randn(1, 3, 64, 96))
    dims = ARCH_ZOO[arch]['embed_dims']
    assert [tuple(m.shape) for m in maps] == [
        (1, c, 64 // s, 96 // s) for c, s in zip(dims, (4, 8, 16, 32), strict=True)
    ]
    assert model.out_channels == tuple(dims)


def test_custom_arch_with_five_scales():
    arch = dict(
        embed_dims=[8, 16, 16, 16, 16],
        serial_depths=[1, 0, 1, 1, 2],
        mlp_ratios=[1, 2, 2, 2, 2],
        num_heads=8,
        parallel_depth=1,
        parallel_stages=[2, 3, 4],
    )
    model = CoaT(arch, out_indices=(0, 4))
    maps = model(torch.randn(1, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(1, 8, 16, 16), (1, 16, 1, 1)]
    with pytest.raises(ValueError, match='64 x 64'):
        model(torch.randn(1, 3, 63, 64))


def test_custom_arch_with_two_stages(image):
    arch = dict(
        embed_dims=[8, 16],
        serial_depths=[1, 1],
        mlp_ratios=[2, 2],
        num_heads=8,
        parallel_depth=0,
        parallel_stages=[],
    )
    maps = CoaT(arch, out_indices=(0, 1))(image)
    assert [m.shape[1:] for m in maps] == [(8, 12, 16), (16, 6, 8)]


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(16, 90),
    width=st.integers(16, 90),
    batch=st.integers(1, 3),
)
def test_any_size(height, width, batch):
    """Maps are floor(H / 4), floor(H / 8)...; every one is finite."""
    maps = tiny().eval()(torch.randn(batch, 3, height, width))
    sizes = [tuple(m.shape[2:]) for m in maps]
    rows = [height // 4, height // 4 // 2, height // 4 // 2 // 2]
    columns = [width // 4, width // 4 // 2, width // 4 // 2 // 2]
    assert sizes == list(zip(rows, columns, strict=True))
    assert all(torch.isfinite(m).all() for m in maps)


@pytest.mark.parametrize('size', [(31, 64), (64, 31), (8, 8)])
def test_too_small_an_image_is_told(size):
    with pytest.raises(ValueError, match=rf'at least 32 x 32 pixels, got {size[0]} x {size[1]}'):
        CoaT('lite_tiny')(torch.randn(1, 3, *size))


def test_images_of_a_batch_do_not_influence_each_other(image):
    model = tiny().eval()
    with torch.no_grad():
        together = model(image)
        alone = model(image[1:])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(dtype, image):
    model = tiny().eval()
    with torch.no_grad():
        plain = model(image)
        with torch.autocast('cpu', dtype=dtype):
            cast = model(image)
    for a, b in zip(plain, cast, strict=True):
        assert torch.isfinite(b).all()
        error = (a - b.float()).norm() / a.norm()
        assert error < 0.05


def test_fp16_survives_many_tokens():
    """Unnormalised sums over 40,000 tokens would overflow fp16."""
    from mmcoat.ops.reference import attention_context

    torch.manual_seed(0)
    k, v = torch.randn(2, 1, 200, 200, 16)
    v = v + 4
    cls_token = torch.zeros(1, 1, 16)
    exact = attention_context(cls_token, cls_token, k, v, num_heads=8)
    half = attention_context(cls_token.half(), cls_token.half(), k.half(), v.half(), num_heads=8)
    torch.testing.assert_close(half.float(), exact, rtol=2e-2, atol=2e-2)


def test_output_types(image):
    model = tiny(out_type='cls_token')
    (embedding,) = model(image)
    assert embedding.shape == (2, 24)
    embedding.sum().backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    assert not unused


def test_out_indices_keep_their_order_and_count_from_the_end(image):
    model = tiny().eval()
    with torch.no_grad():
        maps = model(image)
        model.out_indices = model._check_out_indices((-1, 0))
        reordered = model(image)
    torch.testing.assert_close(reordered, (maps[2], maps[0]))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(arch='lite_huge'), "'lite_huge' is unknown; choose one of .*lite_mini"),
        (dict(arch={**TINY, 'depth': 3}), r"unknown: \['depth'\]"),
        (
            dict(arch={k: v for k, v in TINY.items() if k != 'num_heads'}),
            r"missing: \['num_heads'\]",
        ),
        (dict(arch={**TINY, 'serial_depths': [1, 1]}), 'one entry per stage'),
        (dict(arch={**TINY, 'num_heads': 7}), 'num_heads must divide'),
        (dict(arch={**TINY, 'parallel_stages': [0, 1]}), 'the same embed_dims'),
        (dict(arch={**TINY, 'parallel_stages': [2, 1]}), 'ascending'),
        (dict(arch={**TINY, 'parallel_depth': 0}), 'parallel_depth 0'),
        (dict(arch=5), 'a name or a dict'),
        (dict(out_indices=(0, 4)), 'from 0 to 3'),
        (dict(out_indices=()), 'from 0 to 3'),
        (dict(out_type='map'), r"one of \('featmap', 'cls_token'\), got 'map'"),
        (dict(drop_rate=1.0), r'drop_rate must be in \[0, 1\)'),
        (dict(drop_path_rate=-0.1), 'drop_path_rate'),
        (dict(in_channels=0), 'in_channels'),
        (dict(frozen_stages=5), 'from -1 to 4, got 5'),
        (dict(crpe_window={3: 2, 5: 3}), 'add up to 5, but num_heads is 8'),
        (dict(crpe_window={4: 8}), 'odd windows'),
        (dict(crpe_window='3'), 'crpe_window must be'),
    ],
)
def test_wrong_values_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CoaT(**arguments)


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match=r"no argument \['norm_eval'\]; it takes arch, in_channels"):
        CoaT('lite_tiny', norm_eval=True)


@pytest.mark.parametrize(
    'window', [{3: 2, 5: 3, 7: 3}, {'3': 2, '5': 3, '7': 3}, [[3, 2], [5, 3], [7, 3]]]
)
def test_crpe_window_forms_are_the_same(window):
    shapes = {k: v.shape for k, v in tiny(crpe_window=window).state_dict().items()}
    assert shapes == {k: v.shape for k, v in tiny().state_dict().items()}


def test_other_windows(image):
    model = tiny(crpe_window=[(1, 4), (9, 4)])
    assert [c.kernel_size for c in model.stages[0].crpe.convs] == [(1, 1), (9, 9)]
    assert model(image)[0].shape == (2, 16, 12, 16)


@pytest.mark.parametrize(
    ('frozen_stages', 'frozen'),
    [
        (-1, ()),
        (0, ('stages.0.patch_embed.',)),
        (2, ('stages.0.', 'stages.1.')),
        (4, ('stages.', 'parallel_blocks.')),
    ],
)
def test_freezing(frozen_stages, frozen):
    model = tiny(frozen_stages=frozen_stages, drop_rate=0.5)
    assert model.train() is model
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(frozen or ('nothing',)), name
    assert model.stages[0].patch_embed.training == (frozen_stages < 0)
    assert model.stages[2].training == (frozen_stages < 3)


def test_frozen_stages_get_no_gradient_and_do_not_drop(image):
    model = tiny(frozen_stages=1, drop_rate=0.9)
    model.train()
    a, b = model(image)[0], model(image)[0]
    torch.testing.assert_close(a, b)
    model(image)[2].sum().backward()
    assert all(p.grad is None for p in model.stages[0].parameters())
    assert all(p.grad is not None for p in model.stages[2].parameters())


@pytest.mark.parametrize('drop_path_rate', [0.0, 0.5])
def test_activation_checkpointing_gives_equal_gradients(image, drop_path_rate):
    gradients = []
    for with_cp in (False, True):
        model = tiny(with_cp=with_cp, drop_path_rate=drop_path_rate).train()
        torch.manual_seed(1)
        sum(m.square().mean() for m in model(image)).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    torch.testing.assert_close(gradients[0], gradients[1])


def test_drop_path_drops_whole_samples():
    from mmcoat.models.backbones.tokens import DropPath

    drop = DropPath(0.5).train()
    torch.manual_seed(0)
    factor = drop(torch.ones(64, 2, 2, 3))
    assert factor.shape == (64,)
    assert set(factor.tolist()) == {0.0, 2.0}
    assert drop.eval()(torch.ones(64, 2, 2, 3)) is None


def test_every_parameter_has_one_name_and_every_tensor_one_entry():
    model = CoaT('tiny')
    with_duplicates = list(model.named_parameters(remove_duplicate=False))
    assert len(with_duplicates) == len(list(model.parameters()))
    pointers = [tensor.data_ptr() for tensor in model.state_dict().values()]
    assert len(pointers) == len(set(pointers))


def test_no_decay_on_norms_and_class_tokens():
    from mmengine.optim import build_optim_wrapper

    model = tiny()
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
            paramwise_cfg=dict(
                norm_decay_mult=0.0, custom_keys={'cls_token': dict(decay_mult=0.0)}
            ),
        ),
    )
    groups = {
        id(p): group['weight_decay']
        for group in wrapper.optimizer.param_groups
        for p in group['params']
    }
    assert len(groups) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        spared = 'norm' in name or 'cls_token' in name
        assert groups[id(parameter)] == (0.0 if spared else 0.05), name


def test_compiles_as_one_graph_for_several_sizes():
    torch._dynamo.reset()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    model = tiny().eval()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=count)
    with torch.no_grad():
        for size in ((48, 64), (64, 80), (52, 100), (33, 47)):
            image = torch.randn(2, 3, *size)
            torch.testing.assert_close(compiled(image), model(image), rtol=1e-4, atol=1e-5)
    assert len(graphs) == 1


def test_channels_last():
    """The same numbers, in the backbone's own memory layout, without a final copy."""
    model, x = CoaT('lite_tiny').eval(), torch.randn(2, 3, 64, 96)
    other = CoaT('lite_tiny', channels_last=True).eval()
    other.load_state_dict(model.state_dict())
    for a, b in zip(model(x), other(x), strict=True):
        assert a.is_contiguous()
        assert b.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_backend_argument():
    for wrong in ('fast', None, True):
        with pytest.raises(ValueError, match='backend must be one of'):
            CoaT('lite_tiny', backend=wrong)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match='need a CUDA device'):
            CoaT('lite_tiny', backend='fused')
    backends = {m.backend for m in CoaT('tiny', backend='plain').modules() if hasattr(m, 'backend')}
    assert backends == {'plain'}
    with pytest.raises(TypeError, match="no argument \\['fused'\\]"):
        CoaT('lite_tiny', fused=True)


ARCH = dict(
    embed_dims=[8, 16],
    serial_depths=[1, 1],
    mlp_ratios=[2, 2],
    num_heads=8,
    parallel_depth=0,
    parallel_stages=[],
)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(with_cp='False'), "with_cp must be True or False, got 'False'"),
        (dict(channels_last='no'), "channels_last must be True or False, got 'no'"),
        (dict(in_channels=True), 'in_channels must be a positive whole number, got True'),
        (dict(out_indices=(True,)), 'out_indices must be different stages'),
        (dict(out_indices=(1, 1)), 'out_indices must be different stages'),
        (dict(out_indices=(1, -3)), 'out_indices must be different stages'),
        (dict(out_indices='01'), 'out_indices must be different stages'),
        (dict(frozen_stages=1.0), 'frozen_stages must be from'),
        (dict(drop_rate='0.1'), 'drop_rate must be in'),
        (dict(drop_path_rate=True), 'drop_path_rate must be in'),
        (dict(crpe_window=[(3.0, 4), (5, 4)]), 'of whole numbers'),
        (dict(crpe_window=[(3, 4), (3, 4)]), 'a window twice'),
        (
            dict(arch=ARCH | dict(parallel_depth=-1)),
            'parallel_depth must be a whole number from 0',
        ),
        (dict(arch=ARCH | dict(mlp_ratios='44')), 'mlp_ratios must be a list of numbers'),
        (dict(arch=ARCH | dict(mlp_ratios=[4, 0])), 'mlp_ratios must be positive'),
        (dict(arch=ARCH | dict(embed_dims=[8.0, 16.0])), 'embed_dims must be a list of whole'),
        (dict(arch=ARCH | dict(num_heads=True)), 'num_heads must be a whole number'),
    ],
)
def test_arguments_of_a_wrong_kind(settings, message):
    with pytest.raises(ValueError, match=message):
        CoaT(**settings)


def test_the_zoo_is_never_handed_out():
    model = CoaT('tiny')
    model.arch_settings['embed_dims'][0] = 1
    assert CoaT('tiny').arch_settings['embed_dims'][0] == 152


def test_pickles():
    model = CoaT('lite_tiny').eval()
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    other, x = torch.load(file, weights_only=False), torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(other(x), model(x))


PARALLEL = dict(
    embed_dims=[8, 16, 16, 16],
    serial_depths=[1, 1, 0, 1],
    mlp_ratios=[2, 2, 2, 2],
    num_heads=8,
    parallel_depth=2,
    parallel_stages=[1, 2, 3],
)
SERIAL = PARALLEL | dict(serial_depths=[1, 0, 1, 1], parallel_depth=0, parallel_stages=[])


@pytest.mark.parametrize('arch', [PARALLEL, SERIAL], ids=['parallel', 'serial'])
@pytest.mark.parametrize('out_indices', [(0,), (1,), (0, 1), (2,), (1, 3), (0, 1, 2, 3)])
def test_what_learns_gets_a_gradient(arch, out_indices):
    """Distributed training waits for the gradient of every parameter that asks for one."""
    model = CoaT(arch, out_indices=out_indices)
    sum((x**2).mean() for x in model(torch.randn(2, 3, 64, 64))).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    # nothing that matters is frozen: changing it changes no output
    model.eval()
    x = torch.randn(1, 3, 64, 64)
    before = model(x)
    with torch.no_grad():
        for name in frozen:
            model.get_parameter(name).normal_()
    torch.testing.assert_close(model(x), before, rtol=0, atol=0)
