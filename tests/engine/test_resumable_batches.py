"""The data loader that starts at any batch: the same samples and random numbers in every process."""

import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from mmcoat.engine import batches, seeding
from mmcoat.engine.batches import PositionedLoader


class Draws(Dataset):
    """Each sample is its index, and the numbers that the three generators draw for it."""

    metainfo = dict(classes=('a',))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index, random.random(), float(np.random.rand()), float(torch.rand(()))


def loader(sampler=InfiniteSampler, batch_size=2, workers=0, seed=1):
    inner = DataLoader(
        Draws(),
        batch_sampler=BatchSampler(sampler(Draws(), seed=seed), batch_size, drop_last=False),
        num_workers=workers,
        collate_fn=list,
    )
    return PositionedLoader(inner, seed)


def take(count, **where):
    settings = {
        key: where.pop(key) for key in ('sampler', 'batch_size', 'workers', 'seed') if key in where
    }
    iterator = loader(**settings).begin(**{'epoch': 0, 'skip': 0, 'endless': True} | where)
    return [next(iterator) for _ in range(count)]


@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
@pytest.mark.parametrize(
    'skip', [3, 5, 12]
)  # in the first pass through the data, at its end, in the third
def test_beginning_later(sampler, skip):
    whole = take(16, sampler=sampler)
    assert take(16 - skip, sampler=sampler, skip=skip) == whole[skip:]
    assert len({sample[1:] for batch in whole for sample in batch}) == 32  # no draw comes twice
    assert take(16, sampler=sampler, seed=2) != whole


def test_loading_processes_draw_the_same():
    assert take(6, workers=2) == take(6)


def test_one_epoch():
    first, second = (list(loader(DefaultSampler).begin(epoch, skip=0)) for epoch in (0, 1))
    assert len(first) == 5 and first != second
    assert sorted(index for batch in second for index, *_ in batch) == list(range(10))
    assert list(loader(DefaultSampler).begin(1, skip=2)) == second[2:]
    assert list(loader(DefaultSampler).begin(1, skip=5)) == []


@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
def test_processes_share_one_run(monkeypatch, sampler):
    """Two processes with batches of 2 see together what one sees with batches of 4, draws included."""
    alone = take(5, batch_size=4, sampler=sampler)[:2]
    shares = []
    for rank in range(2):
        monkeypatch.setattr(batches, 'get_dist_info', lambda rank=rank: (rank, 2))
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        shares.append(take(2, sampler=sampler))
    for batch, *parts in zip(alone, *shares, strict=True):
        assert sorted(batch) == sorted(parts[0] + parts[1])


def test_hooks_reach_the_dataset_inside():
    dataset = loader().dataset
    assert dataset.metainfo == dict(classes=('a',))
    dataset.pipeline = 'another'
    assert dataset._inside.pipeline == 'another'
    assert len(loader()) == 5


def test_no_positions_in_a_stream():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    with pytest.raises(batches.PositionError, match='IterableDataset has no positions'):
        PositionedLoader(DataLoader(Stream()), 0)


def test_iterations_and_samples_do_not_share_seeds():
    seeding.seed_iteration(1, 0, 5)
    model = torch.rand(3)
    seeding.seed_iteration(1, 0, 5)
    assert torch.equal(torch.rand(3), model)
    for seed in (
        lambda: seeding.seed_sample(1, 0, 5),
        lambda: seeding.seed_iteration(1, 1, 5),
        lambda: seeding.seed_iteration(1, 0, 6),
    ):
        seed()
        assert not torch.equal(torch.rand(3), model)
