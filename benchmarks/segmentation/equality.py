"""The equal and the different settings of all contenders, from the trained configs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .contender import Contender

OWN = ('model.backbone.', 'backbone.')  # the backbones are what is compared
# without effect on the training
NOTES = ('work_dir', 'channels', 'still', 'randomness', 'custom_imports')


def flatten(node: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for every value in a config."""
    if isinstance(node, Mapping):
        children: Any = node.items()
    elif isinstance(node, Sequence) and not isinstance(node, str) and _holds_dicts(node):
        children = enumerate(node)
    else:
        yield prefix[:-1], list(node) if isinstance(node, tuple) else node
        return
    for key, child in children:
        yield from flatten(child, f'{prefix}{key}.')


def _holds_dicts(node: Sequence) -> bool:
    return any(isinstance(child, Mapping) for child in node)


def compare(contenders: Sequence[Contender]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return the settings that all share, and those that differ with a value for each (None: not set)."""
    sides = [
        {
            key: value
            for key, value in flatten(c.cfg._cfg_dict.to_dict())
            if not key.startswith(OWN) and key.split('.')[0] not in NOTES
        }
        for c in contenders
    ]
    equal, different = {}, {}
    for key in sorted({key for side in sides for key in side}):
        values = [side.get(key) for side in sides]
        if all(value == values[0] for value in values):
            equal[key] = values[0]
        else:
            different[key] = values
    return equal, different


def equal_facts(equal: Mapping[str, Any]) -> Iterator[str]:
    """Yield the most important shared settings in words."""
    named = {
        'train_dataloader.dataset.type': 'data set',
        'train_dataloader.batch_size': 'batch of each process',
        'crop_size': 'crop',
        'model.decode_head.type': 'head',
        'model.decode_head.num_classes': 'classes',
        'optim_wrapper.optimizer.type': 'optimizer',
        'optim_wrapper.optimizer.lr': 'learning rate',
        'optim_wrapper.optimizer.weight_decay': 'weight decay',
        'train_cfg.max_iters': 'iterations',
    }
    for key, words in named.items():
        if key in equal:
            yield f'{words}: {equal[key]}'


def drop_paths(contenders: Sequence[Contender]) -> str:
    """Return each backbone's drop path, which is regularisation and not a part of the architecture."""
    rates = [f'{c.name} {c.cfg.model.backbone.get("drop_path_rate", 0.0)}' for c in contenders]
    return ', '.join(rates)
