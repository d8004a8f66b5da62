"""The cost of every config's model: counted once, and stored in a file beside the configs.

Counting all models takes minutes and needs the three toolboxes. So each entry stores a digest of the files
that its config consists of: the digest shows which entries are out of date, and only those are counted again.
"""

import ast
import functools
import hashlib
import io
import json
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mmcoat import runs
from mmcoat.analysis import flops

FILE = 'configs/model_costs.json'
COSTLESS = ('schedules', 'runtimes')  # folders of configs/_base_ that do not affect the model
_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


@dataclass(frozen=True)
class Cost:
    """Cost of one config's model.

    Attributes:
        size: Height and width of the image in pixels.
        parameters: Number of the whole model, including auxiliary heads that only training uses.
        macs: Multiply-accumulates for one image. Of a detector only the backbone is counted, because the work
            of its heads depends on the proposals.
        digest: Digest of the files that the config consists of.
    """

    size: tuple[int, int]
    parameters: int
    macs: int
    digest: str


def config_names(root: Path) -> list[str]:
    """Return every config of the checkout that defines a model, as ``configs/...py``."""
    paths = [*(root / 'configs').glob('*.py'), *(root / 'configs' / 'rivals').glob('*.py')]
    return sorted(path.relative_to(root).as_posix() for path in paths)


def read(root: Path) -> dict[str, Cost]:
    """Return the stored costs; an empty dict if there is no file."""
    path = root / FILE
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding='utf-8'))
    return {name: Cost(**entry | dict(size=tuple(entry['size']))) for name, entry in kept.items()}


def write(root: Path, costs: dict[str, Cost]) -> None:
    """Write the costs, one line each."""
    lines = [f'{json.dumps(name)}: {json.dumps(asdict(costs[name]))}' for name in sorted(costs)]
    (root / FILE).write_text('{\n' + ',\n'.join(lines) + '\n}\n', encoding='utf-8')


def outdated(root: Path) -> list[str]:
    """Return the configs whose entry is missing or out of date, and the entries without a config."""
    kept, names = read(root), config_names(root)
    stale = [name for name in names if name not in kept or kept[name].digest != digest(root / name)]
    return stale + [name for name in kept if name not in names]


def update(
    root: Path, everything: bool = False, told: Callable[[str], None] = lambda name: None
) -> None:
    """Count the configs that are out of date, and write the file after each one.

    Args:
        root: The checkout.
        everything: Count all configs again; needed when the code of the models has changed.
        told: Called with the name of each config before it is counted.

    Raises:
        UsageError: A config cannot be read, or its toolbox is not installed.
    """
    names, kept = config_names(root), read(root)
    costs = {name: kept[name] for name in names if name in kept}
    for name in names if everything else [n for n in outdated(root) if n in names]:
        told(name)
        costs[name] = count(root / name)
        write(root, costs)
    write(root, costs)


def count(path: Path) -> Cost:
    """Build a config's model and count it at its test crop, its ``crop_size``, or 800 x 1280 (detectors).

    Raises:
        UsageError: The config cannot be read, or its toolbox is not installed.
    """
    cfg = runs.load_config(str(path))
    model = flops.build_model(cfg)
    scope, crop = cfg.default_scope, cfg.get('crop_size')
    size = flops.usual_size(cfg) if scope != 'mmseg' else (crop[0], crop[1])
    if scope == 'mmdet':
        macs = sum(row.macs for row in flops.count_coat(model.backbone, size))
    else:
        macs = flops.count_whole(model, size, scope)
    return Cost(size, flops.count_parameters(model), macs, digest(path))


def digest(path: Path) -> str:
    """Return a digest of a config and its bases, ignoring schedules, runtimes, comments and line breaks."""
    found = hashlib.sha256()
    for file in _sources(path):
        found.update(_code(file.read_text(encoding='utf-8')).encode())
    return found.hexdigest()[:12]


def _sources(path: Path) -> Iterator[Path]:
    """Yield all bases of a config, direct and indirect, and the config itself."""
    if path.parent.name in COSTLESS:
        return
    for base in _bases(path.read_text(encoding='utf-8')):
        yield from _sources((path.parent / base).resolve())
    yield path


@functools.lru_cache(maxsize=1024)
def _bases(text: str) -> tuple[str, ...]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            value = ast.literal_eval(node.value)
            return (value,) if isinstance(value, str) else tuple(value)
    return ()


@functools.lru_cache(maxsize=1024)
def _code(text: str) -> str:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return ' '.join(token.string for token in tokens if token.type not in _LAYOUT)
