"""Memory, time and the comparison of outputs give the known values."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import compare, contenders, memory, timing
from benchmarks.parts import Stopwatch
from benchmarks.steps import Outcome

from .common import CPU, GRID, measure


def known_step() -> None:
    """Hold 4000 bytes, then 12000, 8000 and 10000."""
    a = torch.empty(1000)
    b = torch.empty(2000)
    del a
    c = torch.empty(500)
    del b, c


def test_memory_of_a_known_step():
    assert memory.peak_memory(known_step, CPU) == 12000


def test_memory_does_not_count_what_was_there_before():
    before = [torch.empty(5000)]

    def release_and_take():
        before.clear()
        torch.empty(100)

    assert memory.peak_memory(release_and_take, CPU) == 400


def test_memory_of_a_training_step():
    """y = x W is kept until the gradients of W and y exist: 3 tensors of known size."""
    layer, x = nn.Linear(64, 64, bias=False), torch.randn(128, 64)
    gradient = torch.randn(128, 64)

    def step():
        layer(x).backward(gradient)
        layer.zero_grad(set_to_none=True)

    step()
    assert memory.peak_memory(step, CPU) == 128 * 64 * 4 + 64 * 64 * 4


def test_running_peak():
    assert memory.running_peak([5, -5, 3, 4, -7]) == 7
    assert memory.running_peak([]) == 0


def test_weight_bytes_count_shared_tensors_once():
    layer = nn.Linear(3, 5)
    assert memory.weight_bytes(nn.Sequential(layer, layer)) == 4 * (3 * 5 + 5)


def test_interleaved_timing():
    calls = []
    steps = {name: lambda n=name: calls.append(n) or torch.randn(300, 300).sum() for name in 'ab'}
    timings = timing.time_steps(steps, CPU, repeats=4, seconds=0.0, warmup=1)
    assert all(len(t.samples) == 4 and min(t.samples) > 0 for t in timings.values())
    rounds = ''.join(calls)[2:]  # after one warm-up each
    a, b = timings['a'].calls, timings['b'].calls
    assert rounds == ('a' * a + 'b' * b + 'b' * b + 'a' * a) * 2  # they take turns in going first


def test_a_failing_step_does_not_stop_the_others():
    def fail():
        raise RuntimeError('out of memory')

    timings = timing.time_steps({'a': fail, 'b': lambda: None}, CPU, 3, 0.0, 1)
    assert str(timings['a'].error) == 'out of memory'
    assert len(timings['b'].samples) == 3
    assert timing.time_steps({'a': fail}, CPU, 3, 1.0, 1)['a'].samples == []


def test_quartiles():
    assert timing.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)
    assert timing.quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_stopwatch_counts_to_the_innermost_part():
    class Model:
        def outer(self):
            return self.inner()

        def inner(self):
            return 'result'

    model, stopwatch = Model(), Stopwatch(CPU, itertools.count().__next__)
    stopwatch.wrap(model, 'outer', 'head')
    stopwatch.wrap(model, 'inner', 'backbone')
    assert model.outer() == 'result'
    for _ in range(2):  # a second on the clock at each boundary
        found = stopwatch.read(model.outer)
        assert found == {'post-processing': 2, 'head': 2, 'backbone': 1}


def test_differences():
    maps = (torch.tensor([0.0, 2.0]), torch.tensor([0.0, 20.0]))
    moved = (maps[0] + torch.tensor([0.0, 0.1]), maps[1])
    found = compare.difference(Outcome(0, moved, 1.1), Outcome(0, maps, 1.0))
    assert found['largest'] == pytest.approx(0.1 / 2**0.5, rel=1e-4)
    assert found['rms'] == pytest.approx(0.05, rel=1e-4)
    assert found['gradient'] == pytest.approx(0.1)
    for dtype in compare.LIMITS:
        with pytest.raises(compare.MismatchError, match='differ'):
            compare.check(found, dtype)


def test_nan_and_other_shapes_are_mismatches():
    good = Outcome(0, (torch.tensor([0.0, 2.0]),) * 2)
    nan = Outcome(0, (torch.tensor([0.0, float('nan')]), good.maps[0]))
    with pytest.raises(compare.MismatchError):
        compare.check(compare.difference(nan, good), 'bf16')
    with pytest.raises(compare.MismatchError, match='shape'):
        compare.difference(Outcome(0, good.maps[:1]), good)


@pytest.mark.parametrize('mode', ['inference', 'train'])
def test_a_mismatch_is_not_timed(tmp_path, own_family, mode):
    def wrong(case, official):
        model = contenders.build_coat(arch=case.arch)
        with torch.no_grad():
            model.stages[3].blocks[1].mlp.fc2.bias[0] += 0.5
        return model

    own_family('wrong', wrong)
    rows, said = measure(tmp_path, replace(GRID, modes=(mode,), contenders=('wrong', 'default')))
    assert rows['wrong'].status == 'mismatch'
    assert rows['wrong'].samples == []
    assert 'differ from the reference' in rows['wrong'].reason
    assert rows['wrong'].difference['largest'] > 1e-3
    assert rows['default'].status == 'ok'
    assert any('mismatch' in line for line in said)


def test_wrong_gradients_are_not_timed(tmp_path, own_family):
    class Detached(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            *maps, last = self.model(x)
            return [m.detach() + 0 * last.mean() for m in maps] + [last]

    own_family('detached', lambda case, _: Detached(contenders.build_coat(arch=case.arch)))
    rows, _ = measure(tmp_path, replace(GRID, modes=('train',), contenders=('detached',)))
    assert rows['detached'].status == 'mismatch'
    assert 'gradient' in rows['detached'].reason


def test_weights_hide_nothing():
    model = contenders.build_coat(arch='lite_tiny')
    again = contenders.build_coat(arch='lite_tiny')
    for (name, a), b in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.std() > 0, name
