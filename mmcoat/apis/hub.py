"""Save and load a model as a self-contained folder, also on the Hugging Face hub.

The folder has weights, config, classes and a model card. It contains no code: the config is JSON, the weights
are safetensors.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from mmcoat.errors import UsageError
from mmcoat.version import __version__

CONFIG, WEIGHTS, META, CARD = 'config.json', 'model.safetensors', 'mmcoat.json', 'README.md'
EXTRA = 'pip install "mmcoat[hub]"'


class HubError(UsageError):
    """A folder or a repository of the hub is missing, incomplete, or cannot be reached."""


def save(
    folder: str | Path,
    model: nn.Module,
    cfg: Config,
    meta: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
) -> Path:
    """Write the four files and return the folder.

    Args:
        folder: Created if it does not exist; files with the same names are replaced.
        model: The model whose weights are written.
        cfg: A whole config; only plain data are kept.
        meta: ``task``, ``classes`` and ``palette``.
        metrics: Metrics for the card, by name; the name should include the data set.

    Raises:
        HubError: safetensors is not installed, or the config holds something other than plain data.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plain = _encode(cfg.to_dict(), 'config')
    plain.pop('custom_imports', None)
    save_file = _safetensors().save_file
    # copies, because safetensors refuses tensors that share memory
    weights = {k: v.detach().cpu().clone().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata=dict(format='pt'))
    (folder / CONFIG).write_text(json.dumps(plain, indent=1) + '\n')
    facts = dict(meta, mmcoat=__version__, metrics=dict(metrics or {}))
    (folder / META).write_text(json.dumps(_encode(facts, 'meta'), indent=1) + '\n')
    (folder / CARD).write_text(_card(folder.name, cfg, facts))
    return folder


def load(source: str | Path) -> tuple[Config, Path, dict[str, Any]]:
    """Return config, weights file and facts of a folder or of a hub repository (``owner/name``).

    Raises:
        HubError: ``source`` is neither of them, or a file is missing or broken.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = _download(str(source))
    missing = [name for name in (CONFIG, WEIGHTS, META) if not (folder / name).is_file()]
    if missing:
        raise HubError(f'{source} is not a model of mmcoat: {", ".join(missing)} is missing')
    cfg, facts = (_read(folder / name) for name in (CONFIG, META))
    return Config(cfg), folder / WEIGHTS, facts


def push(folder: str | Path, repo_id: str, private: bool = False) -> str:
    """Upload a folder that ``save`` wrote, and return the address.

    Raises:
        HubError: huggingface_hub is not installed, or the upload failed.
    """
    hub = _hub()
    try:
        hub.create_repo(repo_id, private=private, exist_ok=True)
        return str(hub.upload_folder(repo_id=repo_id, folder_path=str(folder)))
    except Exception as error:
        raise HubError(f'upload to {repo_id} failed: {_line(error)}') from error


def _download(repo_id: str) -> Path:
    if repo_id.count('/') != 1 or repo_id.startswith(('.', '/')):
        raise HubError(f'{repo_id} is neither a folder nor a name of the hub (owner/name)')
    try:
        return Path(_hub().snapshot_download(repo_id, allow_patterns=[CONFIG, WEIGHTS, META]))
    except HubError:
        raise
    except Exception as error:
        raise HubError(f'{repo_id} cannot be fetched from the hub: {_line(error)}') from error


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError(f'the hub needs huggingface_hub: {EXTRA}') from None
    return huggingface_hub


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise HubError(f'this needs safetensors: {EXTRA}') from None
    return safetensors.torch


def _read(path: Path) -> dict[str, Any]:
    try:
        return _decode(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise HubError(f'{path} cannot be read: {_line(error)}') from None


def _encode(value: Any, place: str) -> Any:
    """Return plain data for JSON; a tuple becomes a dict of one key, because to MMCV it is not a list."""
    if isinstance(value, Mapping):
        return {str(k): _encode(v, f'{place}.{k}') for k, v in value.items()}
    if isinstance(value, tuple):
        return {'__tuple__': [_encode(v, place) for v in value]}
    if isinstance(value, list):
        return [_encode(v, place) for v in value]
    if hasattr(value, 'tolist'):
        return value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise HubError(f'{place} is {type(value).__name__}, and only plain data can be saved')


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {'__tuple__'}:
            return tuple(_decode(v) for v in value['__tuple__'])
        return {k: _decode(v) for k, v in value.items()}
    return [_decode(v) for v in value] if isinstance(value, list) else value


def _card(name: str, cfg: Config, facts: Mapping[str, Any]) -> str:
    tag = dict(
        segmentation='image-segmentation',
        detection='object-detection',
        classification='image-classification',
    )[facts['task']]
    classes = facts.get('classes') or ()
    rows = [f'| {key} | {value:g} |' for key, value in facts['metrics'].items()]
    results = ['| metric | value |', '|---|---|', *rows] if rows else ['No metrics were given.']
    lines = [
        '---',
        'library_name: mmcoat',
        f'pipeline_tag: {tag}',
        'tags: [coat, openmmlab]',
        '---',
        '',
        f'# {name}',
        '',
        f'A {facts["task"]} model with the CoaT backbone `{cfg.model.backbone.get("arch", "?")}` '
        f'and {len(classes)} classes, saved by mmcoat {__version__}.',
        '',
        '```python',
        'from mmcoat import Inferencer',
        '',
        "inferencer = Inferencer.from_pretrained('THIS FOLDER OR owner/name')",
        "results = inferencer('photo.jpg')",
        '```',
        '',
        '## Results',
        '',
        *results,
        '',
        '## Classes',
        '',
        ', '.join(map(str, classes)),
        '',
    ]
    return '\n'.join(lines)
