"""The arch zoo: what distinguishes the seven published CoaT models (paper tables 1 and 2)."""

import copy
from collections.abc import Mapping
from typing import Any

ARCH_KEYS = (
    'embed_dims',  # channels of each stage
    'serial_depths',  # serial blocks of each stage
    'mlp_ratios',  # hidden channels of the MLPs divided by embed_dims, for each stage
    'num_heads',  # heads of every attention layer
    'parallel_depth',  # parallel blocks after the serial stages
    'parallel_stages',  # indices (from 0) of the stages that the parallel blocks connect
)


def _lite(embed_dims: list[int], serial_depths: list[int], mlp_ratios: list[int]) -> dict:
    return dict(
        embed_dims=embed_dims,
        serial_depths=serial_depths,
        mlp_ratios=mlp_ratios,
        num_heads=8,
        parallel_depth=0,
        parallel_stages=[],
    )


def _coat(embed_dims: list[int]) -> dict:
    return dict(
        embed_dims=embed_dims,
        serial_depths=[2, 2, 2, 2],
        mlp_ratios=[4, 4, 4, 4],
        num_heads=8,
        parallel_depth=6,
        parallel_stages=[1, 2, 3],
    )


ARCH_ZOO: dict[str, dict[str, Any]] = {  # parameters with the ImageNet classifier, in millions
    'lite_tiny': _lite([64, 128, 256, 320], [2, 2, 2, 2], [8, 8, 4, 4]),  # 5.72
    'lite_mini': _lite([64, 128, 320, 512], [2, 2, 2, 2], [8, 8, 4, 4]),  # 11.01
    'lite_small': _lite([64, 128, 320, 512], [3, 4, 6, 3], [8, 8, 4, 4]),  # 19.84
    'lite_medium': _lite([128, 256, 320, 512], [3, 6, 10, 8], [4, 4, 4, 4]),  # 44.57
    'tiny': _coat([152, 152, 152, 152]),  # 5.50
    'mini': _coat([152, 216, 216, 216]),  # 10.34
    'small': _coat([152, 320, 320, 320]),  # 21.69
}


def parse_arch(arch: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a named arch, or check those of a custom one.

    Args:
        arch: A name of :data:`ARCH_ZOO`, or a mapping with exactly :data:`ARCH_KEYS`.

    Raises:
        ValueError: Unknown name, missing or unknown keys, or settings that do not fit together.
    """
    if isinstance(arch, str):
        if arch not in ARCH_ZOO:
            raise ValueError(f'arch {arch!r} is unknown; choose one of {sorted(ARCH_ZOO)}')
        return copy.deepcopy(ARCH_ZOO[arch])  # so that callers cannot change the zoo
    if not isinstance(arch, Mapping):
        raise ValueError(f'arch must be a name or a dict, got {arch!r}')
    missing, unknown = set(ARCH_KEYS) - set(arch), set(arch) - set(ARCH_KEYS)
    if missing or unknown:
        raise ValueError(
            f'a custom arch has exactly the keys {list(ARCH_KEYS)}; '
            f'missing: {sorted(missing)}, unknown: {sorted(unknown)}'
        )
    _check_kinds(arch)
    _check_stages(arch)
    _check_parallel(arch)
    return {key: list(v) if isinstance(v, tuple) else copy.copy(v) for key, v in arch.items()}


def is_whole(value: Any) -> bool:
    """Return whether a value is an int; True and False, which are ints in Python, do not count."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_kinds(arch: Mapping[str, Any]) -> None:
    for key in ('num_heads', 'parallel_depth'):
        if not is_whole(arch[key]) or arch[key] < 0:
            raise ValueError(f'{key} must be a whole number from 0, got {arch[key]!r}')
    for key in ('embed_dims', 'serial_depths', 'mlp_ratios', 'parallel_stages'):
        values = arch[key]
        kinds = int | float if key == 'mlp_ratios' else int
        good = isinstance(values, list | tuple) and all(
            isinstance(v, kinds) and not isinstance(v, bool) for v in values
        )
        if not good:
            numbers = 'numbers' if key == 'mlp_ratios' else 'whole numbers'
            raise ValueError(f'{key} must be a list of {numbers}, got {values!r}')
    for key in ('embed_dims', 'mlp_ratios'):
        if any(value <= 0 for value in arch[key]):
            raise ValueError(f'{key} must be positive, got {list(arch[key])}')


def _check_stages(arch: Mapping[str, Any]) -> None:
    dims, heads = arch['embed_dims'], arch['num_heads']
    lengths = {key: len(arch[key]) for key in ('embed_dims', 'serial_depths', 'mlp_ratios')}
    if len(set(lengths.values())) > 1:
        raise ValueError(f'every list needs one entry per stage, got lengths {lengths}')
    if len(dims) < 2:
        raise ValueError(f'CoaT has at least 2 stages, got embed_dims {list(dims)}')
    if not isinstance(heads, int) or heads < 1 or any(dim % heads for dim in dims):
        raise ValueError(
            f'num_heads must divide every entry of embed_dims {list(dims)}, got {heads}'
        )
    if any(depth < 0 for depth in arch['serial_depths']):
        raise ValueError(f'serial_depths must not be negative: {list(arch["serial_depths"])}')


def _check_parallel(arch: Mapping[str, Any]) -> None:
    dims, stages = arch['embed_dims'], list(arch['parallel_stages'])
    if arch['parallel_depth'] == 0:
        if stages:
            raise ValueError(f'parallel_stages {stages} with parallel_depth 0; give []')
        return
    if len(stages) < 2 or stages != sorted(set(stages) & set(range(len(dims)))):
        raise ValueError(
            'parallel_stages must be at least 2 ascending stage indices '
            f'from 0 to {len(dims) - 1}, got {stages}'
        )
    for key in ('embed_dims', 'mlp_ratios'):
        values = [arch[key][stage] for stage in stages]
        if len(set(values)) > 1:
            raise ValueError(
                f'parallel blocks need the same {key} at all their stages {stages}, got {values}'
            )


def parse_crpe_window(crpe_window: Any, num_heads: int) -> tuple[tuple[int, int], ...]:
    """Return the windows of the relative position encoding as pairs of (window size, heads).

    Pairs are the safer form. A dict works too, but in a config that inherits it is merged with the parent's
    dict, and JSON and ``--cfg-options`` turn its keys into strings.

    Args:
        crpe_window: ``{3: 2, 5: 3, 7: 3}``, or ``[(3, 2), (5, 3), (7, 3)]``.
        num_heads: Sum that the heads must have.

    Raises:
        ValueError: Neither of the two forms, an even or non-positive window, or a wrong sum of heads.
    """
    items = crpe_window.items() if isinstance(crpe_window, Mapping) else crpe_window
    try:
        pairs = tuple((_whole(window), _whole(heads)) for window, heads in items)
    except (TypeError, ValueError):
        raise ValueError(
            'crpe_window must be {window: heads} or [(window, heads), ...] of whole numbers, '
            f'got {crpe_window!r}'
        ) from None
    if any(window < 1 or window % 2 == 0 or heads < 1 for window, heads in pairs):
        raise ValueError(f'crpe_window needs odd windows and positive heads, got {pairs}')
    if len({window for window, _ in pairs}) < len(pairs):
        raise ValueError(f'crpe_window has a window twice: {pairs}')
    total = sum(heads for _, heads in pairs)
    if total != num_heads:
        raise ValueError(
            f'the heads in crpe_window {pairs} add up to {total}, but num_heads is {num_heads}'
        )
    return pairs


def _whole(value: Any) -> int:
    """Return an int; also converts text, because JSON and ``--cfg-options`` turn a dict's keys into text."""
    if is_whole(value) or (isinstance(value, str) and value.isdecimal()):
        return int(value)
    raise ValueError
