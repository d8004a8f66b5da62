"""Parameter names: one table translates between the official code and mmcoat, in both directions.

Files of timm, MMDetection 2.x, Detectron2 and Deformable DETR have the official names with a prefix. Official
files hold shared modules under several names (each block repeats its stage's position encodings, a parallel
block its MLP); here every tensor has one name. Aliases are checked to be equal before they are dropped.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mmcoat.arch import ARCH_ZOO

from .errors import CheckpointError

OFFICIAL_MARK = 'cls_token1'  # in every official file, in none of ours
OWN_MARK = 'stages.0.cls_token'
BACKBONE = 'backbone.'  # prefix of a backbone's names in toolbox models
HEAD, OWN_HEAD = (
    'head.',
    'head.fc.',
)  # a classifier's Linear: official, and MMPretrain's LinearClsHead
# What a backbone leaves out if it does not use them: the classifier, and the class embedding's final norms.
CLASSIFIER = re.compile(r'(norms\.\d+|aggregate|head)\.')

# {s}: stage, {b}: serial block, {p}: parallel block, {i}: convolution of the CRPE.
_PLAIN = dict.fromkeys('sbpil', r'\d+')
_PARTS = dict(e='proj|norm', a='qkv|proj', f='fc[12]', m=r'norm[12]|mlp\.fc[12]', n='[12]')
_FIELDS = {**_PLAIN, **_PARTS, 'w': 'weight|bias', 'c': 'encoder|decoder', 'r': '.+'}


class Template:
    """A pattern of names such as ``cls_token{s}``: reads the fields of a name, and makes a name from fields.

    Args:
        text: The pattern.
        first_stage: Number of the first stage in these names; in the fields it is 0.
    """

    def __init__(self, text: str, first_stage: int = 0):
        self.text, self.first_stage = text, first_stage
        self.fields = set(re.findall(r'\{(\w)\}', text))
        pattern = re.sub(r'\\\{(\w)\\\}', lambda m: f'(?P<{m[1]}>{_FIELDS[m[1]]})', re.escape(text))
        self._regex = re.compile(pattern)

    def match(self, name: str) -> dict[str, str] | None:
        """Return the fields of ``name``, None if it does not match."""
        found = self._regex.fullmatch(name)
        return found and self._shift(found.groupdict(), -self.first_stage)

    def fill(self, fields: Mapping[str, str]) -> str:
        """Return the name with these fields."""
        return self.text.format(**self._shift(fields, self.first_stage))

    @staticmethod
    def _shift(fields: Mapping[str, str], by: int) -> dict[str, str]:
        moved = {'s': str(int(fields['s']) + by)} if by and 's' in fields else {}
        return {**fields, **moved}


Table = list[tuple[Template, Template]]


def table(text: str, first_stage: int = 0) -> Table:
    """Read a table of names: one pattern a line, the foreign name and ours."""
    rows = [line.split() for line in text.strip().splitlines()]
    return [(Template(foreign, first_stage), Template(own)) for foreign, own in rows]


# The table: official name, our name. If our name is in several rows, the first row is the tensor and the
# others are its aliases. A field that only the official name has numbers the blocks or scales that share it.
TABLE = table(
    """
    cls_token{s}                                                 stages.{s}.cls_token
    patch_embed{s}.{e}.{w}                                       stages.{s}.patch_embed.{e}.{w}
    cpe{s}.proj.{w}                                              stages.{s}.cpe.proj.{w}
    serial_blocks{s}.{b}.cpe.proj.{w}                            stages.{s}.cpe.proj.{w}
    crpe{s}.conv_list.{i}.{w}                                    stages.{s}.crpe.convs.{i}.{w}
    serial_blocks{s}.{b}.factoratt_crpe.crpe.conv_list.{i}.{w}   stages.{s}.crpe.convs.{i}.{w}
    parallel_blocks.{p}.factoratt_crpe{s}.crpe.conv_list.{i}.{w} stages.{s}.crpe.convs.{i}.{w}
    serial_blocks{s}.{b}.factoratt_crpe.{a}.{w}                  stages.{s}.blocks.{b}.attn.{a}.{w}
    serial_blocks{s}.{b}.{m}.{w}                                 stages.{s}.blocks.{b}.{m}.{w}
    parallel_blocks.{p}.norm{n}{s}.{w}                           parallel_blocks.{p}.branches.{s}.norm{n}.{w}
    parallel_blocks.{p}.factoratt_crpe{s}.{a}.{w}                parallel_blocks.{p}.branches.{s}.attn.{a}.{w}
    parallel_blocks.{p}.mlp{s}.{f}.{w}                           parallel_blocks.{p}.mlp.{f}.{w}
    norm{s}.{w}                                                  norms.{s}.{w}
    aggregate.{w}                                                aggregate.{w}
    """,
    first_stage=1,
)
_BLOCKS = (
    Template('stages.{s}.blocks.{b}.{r}'),
    Template('parallel_blocks.{p}.branches.{s}.{r}'),
)


def translate(name: str, names: Table = TABLE) -> str | None:
    """Return our name for an official name, None if the official backbone has no such name."""
    for official, own in names:
        fields = official.match(name)
        if fields is not None:
            return own.fill(fields)
    return None


def is_own_name(name: str) -> bool:
    """Return whether a CoaT backbone of ours, with any number of stages, can have a tensor of that name."""
    return any(own.match(name) is not None for _, own in TABLE)


def official_names(name: str, places: list[dict[str, str]]) -> list[str]:
    """Return the official name for one of ours, followed by its aliases.

    Args:
        name: Name in a backbone of ours.
        places: The places in that backbone, as :func:`find_places` returns them.
    """
    found = []
    for official, own in TABLE:
        fields = own.match(name)
        if fields is None:
            continue
        if official.fields <= fields.keys():
            found.append(official.fill(fields))
            continue
        for place in places:
            if place.keys() <= official.fields and place.items() <= {**place, **fields}.items():
                found.append(official.fill({**place, **fields}))
    return found


def find_places(names: Iterable[str]) -> list[dict[str, str]]:
    """Return the place of each block: (stage, number) of a serial one, (number, scale) of a parallel one."""
    found = {}
    for name in names:
        for mark in _BLOCKS:
            fields = mark.match(name)
            if fields:
                del fields['r']
                found[tuple(fields.items())] = fields
    return sorted(found.values(), key=lambda place: [int(number) for number in place.values()])


def own_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state_dict`` under our names; names that are not official do not change.

    Raises:
        CheckpointError: Two names of one shared tensor hold different values.
    """
    if OFFICIAL_MARK not in state_dict:
        return dict(state_dict)
    return merge(state_dict, {key: translate(key) or key for key in state_dict})[0]


def merge(
    state_dict: Mapping[str, Tensor], names: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rename tensors; if several get the same name, keep the first.

    Args:
        state_dict: Tensors by their old names.
        names: New name for each old one.

    Returns:
        {new name: tensor}, and {new name: old name of the tensor that was kept}.

    Raises:
        CheckpointError: Tensors with the same new name are not equal.
    """
    result: dict[str, Tensor] = {}
    source: dict[str, str] = {}
    for key, value in state_dict.items():
        name = names[key]
        if name in result and not _same(result[name], value):
            raise CheckpointError(
                f'{key} and {source[name]} are one shared tensor in CoaT, but differ in this file: '
                'it is damaged, or was trained with modules that are not shared'
            )
        result.setdefault(name, value)
        source.setdefault(name, key)
    return result, source


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))


def guess_arch(state_dict: Mapping[str, Tensor]) -> str:
    """Describe the arch of the weights (under our names), as far as they tell it."""
    places = find_places(state_dict)
    dims, depths, stage = [], [], 0
    while f'stages.{stage}.cls_token' in state_dict:
        dims.append(state_dict[f'stages.{stage}.cls_token'].shape[-1])
        depths.append(sum('b' in place and place['s'] == str(stage) for place in places))
        stage += 1
    if not dims:
        return 'no CoaT at all'
    parallel = len({place['p'] for place in places if 'p' in place})
    found = dict(embed_dims=dims, serial_depths=depths, parallel_depth=parallel)
    for name, arch in ARCH_ZOO.items():
        if all(arch[key] == value for key, value in found.items()):
            return f'arch {name!r}'
    return f'a custom arch with {found}'
