"""Fetch files into PyTorch's hub cache: one process at a time, resumed if interrupted, verified before use.

``torch.hub.download_url_to_file`` would be shorter, but it has no timeout, waits forever for a server that
sends a byte now and then, and accepts a truncated file if no hash is known. So the copy loop is ours.
Resuming an interrupted download adds some fifteen lines to it. It is worth them: detectors have hundreds of
megabytes, and without it every attempt at a slow server would start from zero.
"""

import concurrent.futures
import hashlib
import http.client
import logging
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO

import torch
from filelock import FileLock
from mmengine.logging import print_log

from .errors import CheckpointError
from .published import SCHEME, Published, find_published

ATTEMPTS = 3  # in one call; each continues where the last one stopped
CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte
PATIENCE = 60.0  # seconds for a server's answer, and for each LEAST bytes that follow
LEAST = 256 * 1024  # 4 kB/s: with a slower connection, get the file elsewhere and place it by hand
_DATE = re.compile(r'(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])')


class WrongHashError(CheckpointError):
    """A file does not have the hash that is expected of it."""


class _TransferError(Exception):
    """The connection ended early, or is too slow; the received part is kept."""


def cache_dir() -> Path:
    """Return the folder of PyTorch's hub files (``TORCH_HOME`` moves it)."""
    return Path(torch.hub.get_dir()) / 'checkpoints'


def is_remote(source: str | Path) -> bool:
    """Say whether ``source`` is a URL or an ``mmcoat://`` name rather than a local path."""
    return str(source).startswith(('http://', 'https://', SCHEME))


def hash_in_name(name: str) -> str | None:
    """Return the first digits of a file's SHA-256, which PyTorch and OpenMMLab put at the end of its name.

    ``model-1a2b3c4d.pth`` has such digits; those of ``model-20241231.pth`` are taken for a date.
    """
    match = re.search(r'-([0-9a-f]{8,64})\.\w+$', name)
    return match[1] if match and not _DATE.fullmatch(match[1]) else None


def fetch(source: str) -> Path:
    """Return the local path of a URL or ``mmcoat://`` name, from the cache or the network.

    Several processes may ask at once: one of them on a machine downloads, the others wait for it.

    Args:
        source: ``mmcoat://NAME``, an official URL, or any other http(s) URL. For the first two the hub mirror
            is the second source, if there is one. If the URL's file name ends in ``-HASH``, the file is
            verified against that hash. A file without known hash gets its own folder in the cache, because
            different files can have the same name.

    Raises:
        CheckpointError: The name is unknown, no source has the file, or its hash is wrong.
    """
    entry = find_published(source)
    if entry is not None:
        return fetch_published(entry)
    name = source.split('?')[0].split('#')[0].rstrip('/').rsplit('/', 1)[-1]
    sha256 = hash_in_name(name)
    if sha256:
        return fetch_file(source, cache_dir() / name, sha256)
    folder = hashlib.sha256(source.encode()).hexdigest()[:12]
    return fetch_file(source, cache_dir() / folder / name)


def fetch_published(entry: Published) -> Path:
    """Return the local path of a published file, from the authors' server or else from the mirror.

    Raises:
        CheckpointError: No source has the file, or the authors' file has the wrong hash.
    """
    try:
        return fetch_file(entry.url, cache_dir() / entry.file_name, entry.sha256)
    except WrongHashError:
        raise
    except CheckpointError as error:
        if entry.mirror is None:
            raise
        message = (
            f'{error}. Trying the mirror {entry.mirror}, whose hash is not published: it is '
            'verified only by loading it strictly'
        )
        print_log(message, logger='current', level=logging.WARNING)
        try:
            return fetch_file(entry.mirror, cache_dir() / str(entry.mirror_file_name))
        except CheckpointError as second:
            raise CheckpointError(f'{error}; the mirror did not help: {second}') from None


def fetch_file(url: str, path: Path, sha256: str | None = None) -> Path:
    """Return ``path``, downloaded from ``url`` if it does not exist yet.

    An incomplete download stays beside it as ``.part``, and a later call resumes it. Without a known hash the
    download starts again, because the file may have changed.

    Args:
        url: http(s) address.
        path: Where to store the file.
        sha256: First digits of its SHA-256, None if they are not known.

    Raises:
        WrongHashError: The file has another hash. It is not deleted.
        CheckpointError: It cannot be downloaded; the message says where to place it by hand.
    """
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f'{path}.lock'):
                if not path.is_file():  # the lock's last holder has not downloaded it
                    _download(url, path, sha256)
        except OSError as error:  # errors of the cache; _download handles those of the network
            raise CheckpointError(f'cannot write {path} for {url}: {error}') from None
    _verify(path, sha256, f'delete {path} to fetch {url} again')
    return path


def _download(url: str, path: Path, sha256: str | None) -> None:
    part, remedy = path.with_name(f'{path.name}.part'), f'place the file at {path} by hand'
    broken: Exception | None = None
    for _ in range(ATTEMPTS):
        if sha256 is None:
            part.unlink(missing_ok=True)
        resumed = part.is_file()
        try:
            _transfer(url, part)
        except _TransferError as error:
            broken = error
            continue
        except (OSError, http.client.HTTPException, ValueError) as error:
            told = not isinstance(error, urllib.error.HTTPError) and getattr(error, 'reason', None)
            raise CheckpointError(f'cannot fetch {url} ({told or error}); {remedy}') from None
        if _fits(part, sha256):
            part.replace(path)
            return
        if not resumed:
            aside = part.with_suffix(f'.{_sha256(part)[:8]}.bad')
            _verify(part.replace(aside), sha256, f'it came from {url}')
        part.unlink()  # the old part may come from another version of the file: start again
    raise CheckpointError(
        f'the download of {url} was interrupted {ATTEMPTS} times ({broken}); run it again, or {remedy}'
    )


def _verify(path: Path, sha256: str | None, hint: str) -> None:
    if not _fits(path, sha256):
        raise WrongHashError(
            f'{path} is refused: its SHA-256 is {_sha256(path)}, it should begin with {sha256}; {hint}'
        )


def _fits(path: Path, sha256: str | None) -> bool:
    return sha256 is None or _sha256(path).startswith(sha256)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _transfer(url: str, part: Path) -> None:
    """Download ``url`` to ``part``, or the rest of it.

    Raises:
        _TransferError: The transfer stopped early, was too slow, or does not continue the received part.
        OSError: No connection, or the server refuses.
    """
    start = part.stat().st_size if part.is_file() else 0
    headers = {'User-Agent': 'mmcoat', **({'Range': f'bytes={start}-'} if start else {})}
    try:
        response = _open(urllib.request.Request(url, headers=headers))
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        part.unlink()  # as long as the file or longer, so not a part of it
        raise _TransferError('the earlier part is longer than the file') from None
    with response:
        if not response.headers.get('Content-Range', '').startswith(f'bytes {start}-'):
            start = 0  # the server sends the whole file again
        length = response.headers.get('Content-Length')
        total = start + int(length) if length is not None else None
        with part.open('ab' if start else 'wb') as file:
            _copy(response, file, start, total, part.name.removesuffix('.part'))


def _open(request: urllib.request.Request) -> Any:
    """Return the response to ``request``; give up after PATIENCE seconds, even if the server still sends.

    ``urlopen``'s own timeout restarts at each byte. The abandoned thread holds no lock and no file.
    """
    answer: concurrent.futures.Future = concurrent.futures.Future()

    def ask() -> None:
        try:
            answer.set_result(urllib.request.urlopen(request, timeout=TIMEOUT))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    concurrent.futures.wait([answer], PATIENCE)
    if not answer.done():
        raise TimeoutError(f'no whole answer in {PATIENCE:g} s')
    return answer.result()


def _copy(
    response: http.client.HTTPResponse, file: BinaryIO, done: int, total: int | None, name: str
) -> None:
    # imported here so that importing mmcoat stays quick
    from rich import progress as rich
    from rich.console import Console

    columns = [rich.TextColumn('{task.description}'), rich.BarColumn(), rich.DownloadColumn()]
    progress = rich.Progress(*columns, rich.TimeRemainingColumn(), console=Console(stderr=True))
    since, before = time.monotonic(), done
    with progress:
        task = progress.add_task(name, total=total, completed=done)
        while chunk := _read(response, done):
            file.write(chunk)
            done += len(chunk)
            progress.update(task, completed=done)
            if time.monotonic() - since > PATIENCE:
                if done - before < LEAST:
                    raise _TransferError(f'only {done - before} bytes in {PATIENCE:g} s')
                since, before = time.monotonic(), done
    if total is not None and done != total:
        raise _TransferError(f'after {done} of {total} bytes')


def _read(response: http.client.HTTPResponse, done: int) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(f'after {done} bytes: {error or type(error).__name__}') from None
