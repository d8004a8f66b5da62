"""CPUSyncBN against PyTorch's BatchNorm2d over the joint batch: values, gradients, running statistics."""

import pytest
import torch
from torch import distributed, nn

from mmcoat.models.layers import CPUSyncBN
from mmcoat.registry import MODELS
from mmcoat.runs.distributed import leave_processes

SPLIT = (3, 1)  # images of each process
CASES = {
    'plain': {},
    'no momentum': dict(momentum=None),
    'no weights': dict(affine=False),
    'no statistics': dict(track_running_stats=False),
}


def joint_batch():
    """Values with a mean that is large beside their spread."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(sum(SPLIT), 5, 6, 7, generator=generator) * 0.3 + 40, generator


def two_steps(kind, arguments, images, weights):
    """Return output, gradients and state after two steps; the loss is a sum, so that parts add up."""
    layer = kind(5, **arguments)
    if layer.affine:
        layer.weight.data.copy_(torch.linspace(0.5, 2, 5))
    images = images.clone().requires_grad_()
    for _ in range(2):
        out = layer(images)
        (out * weights).sum().backward()
    gradients = [p.grad for p in layer.parameters()]
    return out.detach(), images.grad, gradients, layer.state_dict()


def one_process(rank, folder, split):
    distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)
    images, generator = joint_batch()
    weights = torch.randn(images.shape, generator=generator)
    images, weights = (x.split(split)[rank] for x in (images, weights))
    found = {
        name: two_steps(CPUSyncBN, arguments, images, weights) for name, arguments in CASES.items()
    }
    found['half'] = CPUSyncBN(5)(images.bfloat16())
    try:  # one value in all: one process has an image, the other none
        CPUSyncBN(5)(torch.ones(1 - rank, 5))
    except ValueError as error:
        found['one value'] = str(error)
    torch.save(found, f'{folder}/{rank}.pth')
    leave_processes()


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp('processes')
    torch.multiprocessing.spawn(one_process, (str(folder), SPLIT), nprocs=2)
    return [torch.load(folder / f'{rank}.pth') for rank in (0, 1)]


@pytest.mark.parametrize('case', CASES)
def test_two_processes_are_one(found, case):
    images, generator = joint_batch()
    weights = torch.randn(images.shape, generator=generator)
    out, image_grad, gradients, state = two_steps(nn.BatchNorm2d, CASES[case], images, weights)
    parts = [part[case] for part in found]
    tolerance = dict(rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat([p[0] for p in parts]), out, **tolerance)
    torch.testing.assert_close(torch.cat([p[1] for p in parts]), image_grad, rtol=1e-3, atol=1e-3)
    for i, gradient in enumerate(gradients):  # each process has its part; DDP adds them
        torch.testing.assert_close(sum(p[2][i] for p in parts), gradient, **tolerance)
    assert parts[0][3].keys() == state.keys()
    for part in parts:
        torch.testing.assert_close(part[3], state, rtol=1e-5, atol=1e-5)
    assert out.std() > 0.5 and image_grad.abs().max() > 0.1


def test_bfloat16_keeps_its_type(found):
    images, _ = joint_batch()
    expected = nn.BatchNorm2d(5)(images.bfloat16().float())
    half = torch.cat([part['half'] for part in found])
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=1e-2, atol=1e-2)


def test_one_value_has_no_variance(found):
    told = 'expected more than 1 value per channel in training, over all processes'
    assert [part['one value'] for part in found] == [told, told]


@pytest.mark.parametrize('training', [True, False])
def test_alone_it_is_batch_norm(training):
    images, _ = joint_batch()
    ours, torchs = CPUSyncBN(5).train(training), nn.BatchNorm2d(5).train(training)
    torch.testing.assert_close(ours(images), torchs(images), rtol=0, atol=0)
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict(), rtol=0, atol=0)


def test_input_without_channels():
    with pytest.raises(
        ValueError, match=r'expected at least 2 dimensions \(N, C, ...\), got \(5,\)'
    ):
        CPUSyncBN(5)(torch.zeros(5))


def test_name_of_mmcv():
    """MMCV gives a norm's attribute the name of its kind; checkpoints of BN and SyncBN have 'bn'."""
    bricks = pytest.importorskip('mmcv.cnn')
    name, layer = bricks.build_norm_layer(dict(type='mmcoat.CPUSyncBN', requires_grad=True), 5)
    assert name == 'bn' and type(layer) is MODELS.get('CPUSyncBN') is CPUSyncBN
