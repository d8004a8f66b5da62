"""Which form runs, the messages if none can run, and the operators of an exported program."""

import pytest
import torch

from mmcoat import CoaT
from mmcoat.ops import backend, plain, reference, select

ARCH = dict(
    embed_dims=[16, 24, 24],
    serial_depths=[1, 1, 1],
    mlp_ratios=[2, 2, 2],
    num_heads=8,
    parallel_depth=1,
    parallel_stages=[1, 2],
)


@pytest.fixture
def model() -> CoaT:
    torch.manual_seed(0)
    return CoaT(dict(ARCH), out_indices=(0, 1, 2)).eval()


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_auto_is_plain_on_cpu(dtype):
    assert select('auto', torch.zeros(1, dtype=dtype)) is plain
    assert select('reference', torch.zeros(1, dtype=dtype)) is reference


def test_fused_on_cpu_says_why_not(model, image):
    for module in model.modules():  # as on a machine with a GPU, where set_backend takes the word
        if hasattr(module, 'backend'):
            module.backend = 'fused'
    with pytest.raises(RuntimeError, match=r"torch.float32 on cpu; .* choose backend='auto'"):
        model(image)


def test_fused_in_float64_says_why_not(monkeypatch):
    monkeypatch.setattr(backend, 'fused_available', lambda device: True)
    with pytest.raises(
        RuntimeError, match=r'takes float32, float16 and bfloat16 .* got torch.float64'
    ):
        select('fused', torch.zeros(1, dtype=torch.float64))
    assert select('auto', torch.zeros(1, dtype=torch.float64)) is plain


def operators(program: torch.export.ExportedProgram) -> set[str]:
    """Namespaces of the operators of all graphs of a program."""
    graphs = [m.graph for m in program.graph_module.modules() if hasattr(m, 'graph')]
    nodes = [n for g in graphs for n in g.nodes if isinstance(n.target, torch._ops.OpOverload)]
    return {node.target.namespace for node in nodes}


@pytest.mark.parametrize('strict', [True, False])
@pytest.mark.parametrize('gradients', [True, False])
def test_exported_programs_need_no_operator_of_ours(model, image, strict, gradients):
    with torch.set_grad_enabled(gradients):
        program = torch.export.export(model, (image,), strict=strict)
    assert operators(program) == {'aten'}
    torch.testing.assert_close(program.module()(image), model(image), rtol=1e-4, atol=1e-5)


def test_traced_programs_need_no_operator_of_ours(model, image):
    with torch.no_grad():
        program = torch.jit.trace(model, image, check_trace=False)
    assert 'mmcoat::' not in str(program.inlined_graph)
    torch.testing.assert_close(program(image), model(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dynamo', [True, False])
def test_onnx_programs_need_no_operator_of_ours(model, image, tmp_path, dynamo):
    onnx = pytest.importorskip('onnx')
    if dynamo:
        pytest.importorskip('onnxscript')
    file = str(tmp_path / 'coat.onnx')
    with torch.no_grad():
        torch.onnx.export(model, (image,), file, dynamo=dynamo, opset_version=18)
    program = onnx.load(file)
    assert {node.domain for node in program.graph.node} <= {'', 'pkg.onnxscript.torch_lib'}
    assert len(program.graph.node) > 50


def test_compiled_programs_keep_the_plain_path(model, image):
    names = set()

    def collect(graph, _):
        nodes = [n for n in graph.graph.nodes if n.op == 'call_function']
        names.update(str(node.target) for node in nodes)
        return graph

    torch._dynamo.reset()
    with torch.no_grad():
        torch.compile(model, fullgraph=True, backend=collect)(image)
    assert any('mmcoat.plain_linear' in name for name in names)
    assert any('mmcoat.plain_norm_mlp' in name for name in names)
