"""A data loader that can start at any batch; a sample does not depend on the process that loads it."""

from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, IterableDataset

from mmcoat.engine.seeding import seed_sample
from mmcoat.errors import UsageError


class PositionError(UsageError):
    """The data loader cannot start at a given position."""


class SampleError(UsageError):
    """A sample cannot be loaded."""


class Ticket(int):
    """A sample's index that remembers for which epoch and position it was drawn."""

    epoch: int
    position: int


class SeededDataset:
    """A dataset whose random state is set for each sample; everything else is that of the inner dataset.

    Hooks that read or set attributes (``metainfo``, ``pipeline``) access the inner dataset.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        vars(self).update(_inside=dataset, _seed=seed)

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, Ticket):
            seed_sample(self._seed, index.epoch, index.position)
        try:
            return self._inside[int(index)]
        except UsageError:
            raise
        # pipelines raise errors of any type, and these seldom name the file
        except Exception as error:
            reason = (str(error).splitlines() or [''])[0]
            raise SampleError(
                f'sample {int(index)} ({self._file(int(index))}) cannot be loaded: '
                f'{type(error).__name__}: {reason}'
            ) from error

    def _file(self, index: int) -> str:
        try:
            return str(self._inside.get_data_info(index)['img_path'])
        except Exception:  # other datasets may raise any error here
            return 'file unknown'

    def __len__(self) -> int:
        return len(self._inside)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name in ('_inside', '_seed'):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self._inside, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inside, name, value)


class Batches:
    """A batch sampler that yields tickets, starting at any batch, for one epoch or endlessly.

    Skipping draws indices and loads nothing. The sampler's order must depend only on its seed and epoch, as
    in all samplers of OpenMMLab.
    """

    def __init__(self, batch_sampler: Any) -> None:
        self.inner = batch_sampler
        self.rank, self.world_size = get_dist_info()
        self.epoch, self.skip, self.endless = 0, 0, False

    def __getattr__(self, name: str) -> Any:  # sampler, batch_size, drop_last
        if name == 'inner':
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[list[Ticket]]:
        epoch, number = self.epoch, 0
        while True:
            self._set_epoch(epoch)
            drawn = 0
            for batch in self.inner:
                if number >= self.skip:
                    yield self._tickets(batch, epoch, drawn)
                number += 1
                drawn += len(batch)
            if not self.endless or not drawn:
                return
            epoch += 1

    def _set_epoch(self, epoch: int) -> None:
        for sampler in (self.inner, getattr(self.inner, 'sampler', None)):
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)

    def _tickets(self, batch: list[int], epoch: int, drawn: int) -> list[Ticket]:
        tickets = []
        for number, index in enumerate(batch, start=drawn):
            ticket = Ticket(index)
            # OpenMMLab's samplers give the indices to the processes in turn. So a sample's position, and its
            # random numbers, are the same for any number of processes.
            ticket.epoch, ticket.position = epoch, number * self.world_size + self.rank
            tickets.append(ticket)
        return tickets


class PositionedLoader(DataLoader):
    """A data loader that can start at any batch.

    Args:
        loader: The loader to copy: dataset, batch sampler and workers.
        seed: Seed of the run; the same in all processes.

    Raises:
        PositionError: The dataset is an ``IterableDataset``, which has no positions.
    """

    def __init__(self, loader: DataLoader, seed: int) -> None:
        if isinstance(loader.dataset, IterableDataset):
            raise PositionError(
                'an IterableDataset has no positions to resume at: use a dataset with an index, or your '
                'own train_cfg.type'
            )
        self.opened = False
        super().__init__(
            SeededDataset(loader.dataset, seed),
            batch_sampler=Batches(loader.batch_sampler),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def begin(self, epoch: int, skip: int, endless: bool = False) -> Iterator[Any]:
        """Load from batch ``skip`` of ``epoch``; with ``endless``, continue with the following epochs."""
        batches = self.batch_sampler
        batches.epoch, batches.skip, batches.endless = epoch, skip, endless
        self.opened = True
        return iter(self)

    def __iter__(self) -> Iterator[Any]:
        # MMEngine 0.10's IterBasedTrainLoop creates an iterator when it is built, before the start position
        # is known: workers would load the first batches in vain.
        return super().__iter__() if self.opened else iter(())
