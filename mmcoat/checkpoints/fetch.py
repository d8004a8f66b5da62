"""Fetch files into PyTorch's hub cache: resumed when broken off, verified before use."""

import hashlib
import http.client
import logging
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

import torch
from filelock import FileLock
from mmengine.logging import print_log

from .errors import CheckpointError
from .published import SCHEME, Published, find_published

TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 3  # of one call, each going on where the last broke off
CHUNK = 1 << 20
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,64})\.\w+$')  # PyTorch's and OpenMMLab's convention


class _TransferError(Exception):
    """The connection ended early; what has come is kept."""


def cache_dir() -> Path:
    """Return the folder that PyTorch's hub keeps its files in (``TORCH_HOME`` moves it)."""
    return Path(torch.hub.get_dir()) / 'checkpoints'


def is_remote(source: str | Path) -> bool:
    """Say whether ``source`` is a URL or an ``mmcoat://`` name rather than a local path."""
    return str(source).startswith(('http://', 'https://', SCHEME))


def fetch(source: str) -> Path:
    """Return the local path of a URL or ``mmcoat://`` name, from the cache or the network.

    Several processes may ask at once: one of them on a machine downloads, the others wait for it.

    Args:
        source: ``mmcoat://NAME``, an official URL (both have the hub mirror as second source, where there is
            one), or any http(s) URL. A URL whose file name ends in ``-HASH`` is verified against it; a
            file without known hash gets a folder of its own in the cache, because such names recur.

    Raises:
        CheckpointError: Unknown name, nothing to be had, or a hash that is not the expected one.
    """
    entry = find_published(source)
    if entry is not None:
        return fetch_published(entry)
    name = source.split('?')[0].split('#')[0].rstrip('/').rsplit('/', 1)[-1]
    match = HASH_IN_NAME.search(name)
    if match:
        return fetch_file(source, cache_dir() / name, match.group(1))
    folder = hashlib.sha256(source.encode()).hexdigest()[:12]
    return fetch_file(source, cache_dir() / folder / name)


def fetch_published(entry: Published) -> Path:
    """Return the local path of a published file: the authors', or else the mirror's.

    Raises:
        CheckpointError: Neither is to be had, or the authors' file has the wrong hash.
    """
    path = cache_dir() / entry.file_name
    if entry.mirror is None or path.is_file():
        return fetch_file(entry.url, path, entry.sha256)
    try:
        return fetch_file(entry.url, path, entry.sha256)
    except WrongHashError:
        raise
    except CheckpointError as error:
        message = (
            f'{error}. Trying the mirror {entry.mirror}, whose hash is not published: it is '
            'verified only by loading it strictly'
        )
        print_log(message, logger='current', level=logging.WARNING)
        try:
            return fetch_file(entry.mirror, cache_dir() / entry.mirror_file_name)
        except CheckpointError as second:
            raise CheckpointError(f'{error}; the mirror did not help: {second}') from None


class WrongHashError(CheckpointError):
    """A file is not the one that its name promises."""


def fetch_file(
    url: str,
    path: Path,
    sha256: str | None = None,
    timeout: float = TIMEOUT,
    attempts: int = ATTEMPTS,
) -> Path:
    """Return ``path``, downloaded from ``url`` if it does not exist yet.

    An incomplete download stays beside it as ``.part``, and a later call goes on from there (without a known
    hash it starts again, for the file may have changed meanwhile).

    Args:
        url: http(s) address.
        path: Where the file belongs.
        sha256: First digits of its SHA-256, None if they are not known.
        timeout: Seconds without a byte before an attempt ends.
        attempts: How often to go on after a broken connection.

    Raises:
        WrongHashError: The file has another hash. It is not deleted.
        CheckpointError: It cannot be downloaded; says where to place it by hand.
    """
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f'{path}.lock'):
                if not path.is_file():  # nor brought by the process that held the lock
                    _download(url, path, sha256, timeout, attempts)
        except OSError as error:  # of the cache; those of the network are treated in _download
            raise CheckpointError(f'cannot write {path} for {url}: {error}') from None
    if sha256 is not None:
        _verify(path, sha256, f'delete {path} to fetch {url} again')
    return path


def _download(url: str, path: Path, sha256: str | None, timeout: float, attempts: int) -> None:
    part = path.with_name(path.name + '.part')
    if sha256 is None:
        part.unlink(missing_ok=True)
    resumed = part.is_file()
    _transfer_with_retries(url, path, part, sha256, timeout, attempts)
    if sha256 is not None:
        try:
            _check_part(url, part, sha256)
        except WrongHashError:
            if not resumed:
                raise
            # The old piece may be of another version of the file: once more, from the start.
            _transfer_with_retries(url, path, part, sha256, timeout, attempts)
            _check_part(url, part, sha256)
    part.replace(path)


def _check_part(url: str, part: Path, sha256: str) -> None:
    """Verify a complete download; a wrong one is put aside under its own hash."""
    found = file_sha256(part)
    if not found.startswith(sha256):
        aside = part.with_suffix(f'.{found[:8]}.bad')
        part.replace(aside)
        _verify(aside, sha256, f'it came from {url}', found)


def _verify(path: Path, sha256: str, hint: str, found: str | None = None) -> None:
    found = found or file_sha256(path)
    if not found.startswith(sha256):
        raise WrongHashError(
            f'{path} is refused: its SHA-256 is {found}, it should begin with {sha256}; {hint}'
        )


def file_sha256(path: Path) -> str:
    """Return the hex digits of a file's SHA-256."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _transfer_with_retries(
    url: str, path: Path, part: Path, sha256: str | None, timeout: float, attempts: int
) -> None:
    remedy = f'place the file at {path} by hand'
    for attempt in range(1, attempts + 1):
        try:
            return _transfer(url, part, timeout, resume=sha256 is not None)
        except _TransferError as error:
            if attempt == attempts:
                raise CheckpointError(
                    f'the download of {url} broke off {attempts} times ({error}); '
                    f'run it again, or {remedy}'
                ) from None
        except urllib.error.HTTPError as error:
            raise CheckpointError(
                f'cannot fetch {url}: the server says {error.code} {error.reason}; {remedy}'
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, 'reason', None) or error
            raise CheckpointError(f'cannot fetch {url} ({reason}); {remedy}') from None
    raise AssertionError('unreachable: the last attempt returns or raises')


def _transfer(url: str, part: Path, timeout: float, resume: bool) -> None:
    """Download ``url`` to ``part``, or the rest of it.

    Raises:
        _TransferError: It ended before the end.
        OSError: No connection, or a refusal of the server.
    """
    start = part.stat().st_size if resume and part.is_file() else 0
    headers = {'User-Agent': 'mmcoat', **({'Range': f'bytes={start}-'} if start else {})}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        if error.headers.get('Content-Range') != f'bytes */{start}':
            part.unlink()  # longer than the file: no piece of it
            return _transfer(url, part, timeout, resume=False)
        return None  # all of it has come before
    with response:
        if start and not _continues(response, start):
            start = 0
        length = response.headers.get('Content-Length')
        total = start + int(length) if length is not None else None
        with part.open('ab' if start else 'wb') as file:
            _copy(response, file, start, total, part.name.removesuffix('.part'))
    return None


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    """Say whether a server sends the rest from ``start`` on, and not the whole file again."""
    content_range = response.headers.get('Content-Range', '')
    return response.status == 206 and content_range.startswith(f'bytes {start}-')


def _copy(
    response: http.client.HTTPResponse, file: BinaryIO, done: int, total: int | None, name: str
) -> None:
    # here, not above: importing mmcoat stays quick
    from rich import progress as rich
    from rich.console import Console

    columns = [rich.TextColumn('{task.description}'), rich.BarColumn(), rich.DownloadColumn()]
    with rich.Progress(
        *columns, rich.TimeRemainingColumn(), console=Console(stderr=True)
    ) as progress:
        task = progress.add_task(name, total=total, completed=done)
        while True:
            try:
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _TransferError(
                    f'after {done} bytes: {error or type(error).__name__}'
                ) from None
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            progress.update(task, completed=done)
    if total is not None and done != total:
        raise _TransferError(f'after {done} of {total} bytes')
