"""A data loader that can begin anywhere, and whose samples do not depend on who loads them."""

from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, IterableDataset

from mmcoat.engine.seeding import seed_sample
from mmcoat.errors import UsageError


class PositionError(UsageError):
    """The data cannot be read from a given place on."""


class SampleError(UsageError):
    """A sample cannot be loaded."""


class Ticket(int):
    """A sample's index that remembers for which epoch and position it was drawn."""

    epoch: int
    position: int


class SeededDataset:
    """A dataset whose random state is set for each sample; all else is the dataset's own.

    Hooks that read or set attributes (``metainfo``, ``pipeline``) reach the dataset inside.
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
        except Exception as error:  # pipelines fail in any way; which file it was, they seldom say
            reason = (str(error).splitlines() or [''])[0]
            raise SampleError(
                f'sample {int(index)} ({self._file(int(index))}) cannot be loaded: '
                f'{type(error).__name__}: {reason}'
            ) from error

    def _file(self, index: int) -> str:
        try:
            return str(self._inside.get_data_info(index)['img_path'])
        except Exception:  # other datasets have other ways
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
    """A batch sampler that hands out tickets, from any batch on, once or for ever.

    Skipping draws indices and loads nothing. It needs a sampler that is a function of its seed and epoch, as
    all of OpenMMLab's are.
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
            # OpenMMLab's samplers deal the indices out to the processes in turn, like cards. So a sample's
            # position, and what is drawn for it, is the same for any number of processes.
            ticket.epoch, ticket.position = epoch, number * self.world_size + self.rank
            tickets.append(ticket)
        return tickets


class PositionedLoader(DataLoader):
    """A data loader that begins where it is told to.

    Args:
        loader: The loader to copy: dataset, batch sampler and workers.
        seed: The run's; the same in all processes.

    Raises:
        PositionError: The dataset is an ``IterableDataset``, which has no positions.
    """

    def __init__(self, loader: DataLoader, seed: int) -> None:
        if isinstance(loader.dataset, IterableDataset):
            raise PositionError(
                'an IterableDataset has no positions to resume at: give a dataset with an index, or a '
                'train_cfg.type of your own'
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
        """Load from batch ``skip`` of ``epoch`` on; ``endless`` goes on with the epochs after it."""
        batches = self.batch_sampler
        batches.epoch, batches.skip, batches.endless = epoch, skip, endless
        self.opened = True
        return iter(self)

    def __iter__(self) -> Iterator[Any]:
        # MMEngine 0.10's IterBasedTrainLoop asks for an iterator when it is built, before it is known where
        # to begin: workers would load the first batches for nothing.
        return super().__iter__() if self.opened else iter(())
