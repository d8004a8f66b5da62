"""Fetching from a local web server with chosen faults."""

import contextlib
import hashlib
import socket
import struct
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmcoat import checkpoints
from mmcoat.checkpoints import CheckpointError, ensure_safe, fetch, read_checkpoint
from mmcoat.checkpoints.fetch import (
    WrongHashError,
    cache_dir,
    fetch_file,
    fetch_published,
    hash_in_name,
)
from mmcoat.checkpoints.published import PUBLISHED, SITE, TASKS, find_published

MODULE = sys.modules[fetch.__module__]  # the package's attribute of that name is the function
DATA = bytes(range(256)) * 1024  # 256 kB
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``data``; each request uses the next of ``faults``, where '' means no fault."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.data, self.faults, self.requests, self.ranges = DATA, [], [], True

    def url(self, name: str = 'file.pth') -> str:
        return f'http://127.0.0.1:{self.server_port}/{name}'

    def handle_error(self, request, client_address):
        pass  # broken connections are the point


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        start = self.headers.get('Range', 'bytes=0-')
        server.requests.append((self.path, int(start[6:-1])))
        fault = server.faults.pop(0) if server.faults else ''
        if fault == 'gone':
            return self.send_error(404)
        start = int(start[6:-1]) if server.ranges else 0
        if start >= len(server.data):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(server.data)}')
            self.end_headers()
            return None
        body = server.data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                'Content-Range', f'bytes {start}-{len(server.data) - 1}/{len(server.data)}'
            )
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        return self.send(body, fault)

    def send(self, body: bytes, fault: str):
        if fault == 'truncated':
            self.wfile.write(body[:100_000])
        elif fault == 'reset':  # the connection dies instead of closing
            self.wfile.write(body[:100_000])
            self.wfile.flush()
            time.sleep(0.05)
            linger = struct.pack('ii', 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif fault == 'stalled':
            self.wfile.write(body[:100_000])
            self.wfile.flush()
            time.sleep(1.5)
        elif fault == 'slow':
            for i in range(0, len(body), 16_384):
                self.wfile.write(body[i : i + 16_384])
                self.wfile.flush()
                time.sleep(0.1)
        elif fault in ('trickling', 'fast, then trickling'):  # never long without a byte
            self.trickle(body[:100_000] if ',' in fault else body[:1], body)
        else:
            self.wfile.write(body)

    def trickle(self, first: bytes, body: bytes):
        self.wfile.write(first)
        for _ in range(400):
            time.sleep(0.05)
            self.wfile.write(body[:1])
            self.wfile.flush()


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / 'cache' / 'file.pth'


def closed_url() -> str:
    """A local address without a server."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return f'http://127.0.0.1:{probe.getsockname()[1]}/file.pth'


def test_fetches_once(server, path):
    assert fetch_file(server.url(), path, SHA256[:8]).read_bytes() == DATA
    fetch_file(server.url(), path, SHA256[:8])
    assert len(server.requests) == 1
    assert not path.with_name('file.pth.part').exists()


def test_slow(server, path, monkeypatch):
    # 1.6 s in all, but never 0.8 s without a byte
    server.faults = ['slow']
    monkeypatch.setattr(MODULE, 'TIMEOUT', 0.8)
    monkeypatch.setattr(MODULE, 'ATTEMPTS', 1)
    fetch_file(server.url(), path, SHA256[:8])
    assert path.read_bytes() == DATA


@pytest.mark.parametrize('fault', ['truncated', 'reset', 'stalled'])
def test_broken_connection_goes_on_where_it_broke(server, path, fault, monkeypatch):
    server.faults = [fault]
    monkeypatch.setattr(MODULE, 'TIMEOUT', 0.5)
    fetch_file(server.url(), path, SHA256[:8])
    assert path.read_bytes() == DATA
    starts = [start for _, start in server.requests]
    # A reset may take bytes that were under way along.
    assert len(starts) == 2 and starts[0] == 0 and starts[1] <= 100_000
    if fault != 'reset':
        assert starts[1] == 100_000


@pytest.mark.parametrize('fault', ['trickling', 'fast, then trickling'])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(server, path, fault, monkeypatch):
    monkeypatch.setattr(MODULE, 'PATIENCE', 0.3)
    monkeypatch.setattr(MODULE, 'ATTEMPTS', 2)
    server.faults = [fault] * 2
    began = time.monotonic()
    with pytest.raises(
        CheckpointError, match=r'was interrupted 2 times \(only \d+ bytes in 0.3 s'
    ) as error:
        fetch_file(server.url(), path, SHA256[:8])
    assert time.monotonic() - began < 5  # the server would go on for 20 s each time
    assert str(path) in str(error.value)
    fetch_file(server.url(), path, SHA256[:8])  # what came is no loss, or is found to be wrong
    assert path.read_bytes() == DATA


def test_an_answer_that_never_ends_is_given_up(path, monkeypatch):
    """The first line of the response comes a byte at a time, so that no socket timeout ends it."""
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setattr(MODULE, 'PATIENCE', 0.3)

    def answer(listener: socket.socket):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            for _ in range(400):
                connection.sendall(b'H')
                time.sleep(0.05)

    with socket.create_server(('127.0.0.1', 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(CheckpointError, match=r'cannot fetch .* \(no whole answer in 0.3 s\)'):
            fetch_file(f'http://127.0.0.1:{listener.getsockname()[1]}/a.pth', path, SHA256[:8])
        assert time.monotonic() - began < 5


@pytest.mark.parametrize('rate', [4_000, 4_200])
def test_least_rate(tmp_path, monkeypatch, rate):
    """A server slightly above 4096 bytes per second is waited for, even an hour; a slower one is not."""
    clock, whole = [0.0], rate * 3_600

    class Response:
        def read1(self, size: int) -> bytes:
            clock[0] += 7.0
            return bytes(7 * rate) if clock[0] <= 3_600 else b''

    monkeypatch.setattr(MODULE, 'time', SimpleNamespace(monotonic=lambda: clock[0]))
    arguments = Response(), (tmp_path / 'a.part').open('wb'), 0, None, 'a.pth'
    if rate < 4096:
        with pytest.raises(MODULE._TransferError, match='only 252000 bytes in 60 s'):
            MODULE._copy(*arguments)
        assert clock[0] < 70
    else:
        MODULE._copy(*arguments)
        assert (tmp_path / 'a.part').stat().st_size > 0.99 * whole


def test_without_hash_starts_again(server, path):
    server.faults = ['truncated']
    fetch_file(server.url(), path)
    assert path.read_bytes() == DATA
    assert [start for _, start in server.requests] == [0, 0]


def test_broken_too_often_is_kept_and_resumed_by_the_next_call(server, path, monkeypatch):
    server.faults = ['truncated'] * 2
    monkeypatch.setattr(MODULE, 'ATTEMPTS', 2)
    with pytest.raises(CheckpointError, match='was interrupted 2 times') as error:
        fetch_file(server.url(), path, SHA256[:8])
    assert server.url() in str(error.value) and str(path) in str(error.value)
    assert not path.exists()
    assert path.with_name('file.pth.part').stat().st_size == 200_000
    fetch_file(server.url(), path, SHA256[:8])
    assert path.read_bytes() == DATA
    assert [start for _, start in server.requests] == [0, 100_000, 200_000]


def test_server_without_ranges(server, path):
    server.ranges, server.faults = False, ['truncated']
    fetch_file(server.url(), path, SHA256[:8])
    assert path.read_bytes() == DATA


def test_complete_part(server, path):
    path.parent.mkdir()
    path.with_name('file.pth.part').write_bytes(DATA)
    fetch_file(server.url(), path, SHA256[:8])
    assert path.read_bytes() == DATA


@pytest.mark.parametrize('piece', [b'x' * 1000, DATA + b'too long'])
def test_piece_of_another_file_is_replaced(server, path, piece):
    path.parent.mkdir()
    path.with_name('file.pth.part').write_bytes(piece)
    fetch_file(server.url(), path, SHA256[:8])
    assert path.read_bytes() == DATA


def test_wrong_hash_of_a_download(server, path):
    with pytest.raises(WrongHashError) as error:
        fetch_file(server.url(), path, '00000000')
    assert SHA256 in str(error.value) and '00000000' in str(error.value)
    assert not path.exists()
    (kept,) = path.parent.glob('*.bad')
    assert kept.read_bytes() == DATA and str(kept) in str(error.value)
    assert len(server.requests) == 1


def test_wrong_hash_in_the_cache(server, path):
    path.parent.mkdir()
    path.write_bytes(b'placed by hand')
    with pytest.raises(WrongHashError, match='delete') as error:
        fetch_file(server.url(), path, SHA256[:8])
    found = hashlib.sha256(b'placed by hand').hexdigest()
    assert found in str(error.value) and SHA256[:8] in str(error.value)
    assert path.read_bytes() == b'placed by hand'
    assert server.requests == []


def test_not_found(server, path):
    server.faults = ['gone']
    with pytest.raises(CheckpointError, match='404') as error:
        fetch_file(server.url(), path, SHA256[:8])
    assert str(path) in str(error.value)
    assert len(server.requests) == 1


def test_gone_in_the_middle(server, path):
    server.faults = ['truncated', 'gone']
    with pytest.raises(CheckpointError, match='404'):
        fetch_file(server.url(), path, SHA256[:8])
    assert path.with_name('file.pth.part').stat().st_size == 100_000
    assert not path.exists()


def test_offline(server, path):
    url = closed_url()
    with pytest.raises(CheckpointError, match='by hand') as error:
        fetch_file(url, path, SHA256[:8])
    message = str(error.value)
    assert url in message and str(path) in message and '\n' not in message


def test_cache_that_cannot_be_made(server, tmp_path):
    (tmp_path / 'file').write_text('no folder')
    with pytest.raises(CheckpointError, match='cannot write'):
        fetch_file(server.url(), tmp_path / 'file' / 'file.pth')


def test_several_at_once_download_once(server, path):
    server.faults, results = ['slow'], []

    def work():
        results.append(fetch_file(server.url(), path, SHA256[:8]).read_bytes() == DATA)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4
    assert len(server.requests) == 1


def test_any_url(server):
    named = fetch(server.url(f'a/model-{SHA256[:8]}.pth'))
    assert named == cache_dir() / f'model-{SHA256[:8]}.pth'
    with pytest.raises(WrongHashError):
        fetch(server.url('a/model-00000000.pth'))
    first, second = fetch(server.url('a/best.pth')), fetch(server.url('b/best.pth?raw=1'))
    assert first != second and first.name == second.name == 'best.pth'
    assert cache_dir() in first.parents


@pytest.mark.parametrize(
    ('name', 'sha256'),
    [
        ('model-1a2b3c4d.pth', '1a2b3c4d'),
        (f'model-{SHA256}.safetensors', SHA256),
        ('model-20201231-1a2b3c4d.pth', '1a2b3c4d'),
        ('model-20241231.pth', None),
        ('model-19990101.pth', None),
        ('model-20241331.pth', '20241331'),  # no month 13
        ('model-12345678.pth', '12345678'),
        ('model_1a2b3c4d.pth', None),
        ('model-1a2b3c4.pth', None),
    ],
)
def test_hash_in_name(name, sha256):
    assert hash_in_name(name) == sha256


def test_a_date_in_a_name_is_no_hash(server, tmp_path):
    path = fetch(server.url('a/model-20241231.pth'))
    assert path.read_bytes() == DATA and path.parent.parent == cache_dir()
    for name in ('model-20241231.pth', 'model-1a2b3c4d.pth'):  # local names promise nothing
        torch.save({'a': torch.ones(1)}, tmp_path / name)
        assert read_checkpoint(tmp_path / name)['a'] == 1


# ---------------------------------------------------------------------- the list


def test_list():
    entries = checkpoints.list()
    assert [len(checkpoints.list(task)) for task in TASKS] == [8, 12, 2, 6]
    assert len({entry.name for entry in entries}) == len({e.url for e in entries}) == 28
    for entry in entries:
        assert entry.url.startswith(SITE) and entry.url.endswith(f'_{entry.sha256}.pth')
        assert len(entry.sha256) == 8
        assert (entry.mirror is not None) == (entry.task == 'classification')
    assert len({entry.mirror_file_name for entry in entries}) == 9
    assert len(checkpoints.list(arch='lite_medium')) == 2
    with pytest.raises(ValueError, match='task'):
        checkpoints.list('segmentation')
    with pytest.raises(ValueError, match='arch'):
        checkpoints.list(arch='huge')


def test_names_as_published():
    urls = {entry.url.removeprefix(SITE) for entry in checkpoints.list()}
    assert 'coat_lite_medium_384x384_f9129688.pth' in urls
    mmdet = 'tasks/mmdet/cascade_mask_rcnn_coat_small_mstrain_480-800_giou_4conv1f_adamw_3x_coco'
    assert f'{mmdet}_4f7a069e.pth' in urls
    assert 'tasks/Deformable-DETR/coat_small_deformable_detr_8a86ba55.pth' in urls
    hub = 'https://huggingface.co/timm/coat_lite_medium_384.in1k/resolve/main/model.safetensors'
    assert find_published('mmcoat://coat_lite_medium_384').mirror == hub


def test_every_entry_is_found_under_its_names():
    for entry in PUBLISHED:
        stem = entry.file_name.removesuffix('.pth')
        for name in (entry.name, stem, entry.file_name, stem.removesuffix(f'_{entry.sha256}')):
            assert find_published(f'mmcoat://{name}') is entry
        assert find_published(entry.url) is entry
    assert find_published('https://example.com/other.pth') is None
    with pytest.raises(CheckpointError, match='coat_lite_small'):
        find_published('mmcoat://coat_large')


def entry_at(server: Server, **changes) -> checkpoints.Published:
    entry = checkpoints.Published(
        'a', 'lite_tiny', 'classification', server.url(f'a_{SHA256[:8]}.pth'), SHA256[:8]
    )
    return replace(entry, **changes)


def test_mirror_is_the_second_source(server):
    mirror = server.url('timm/a.in1k/resolve/main/model.safetensors')
    entry = entry_at(server, mirror=mirror)
    server.faults = ['gone']
    path = fetch_published(entry)
    assert path == cache_dir() / 'timm-a.in1k.safetensors'
    assert [p for p, _ in server.requests][1].endswith('model.safetensors')
    # The authors' file comes first again, once it is to be had.
    assert fetch_published(entry).name == entry.file_name


def test_mirror_does_not_replace_a_wrong_file(server):
    entry = entry_at(server, sha256='00000000', mirror=server.url('timm/a.in1k/m.safetensors'))
    with pytest.raises(WrongHashError):
        fetch_published(entry)
    assert len(server.requests) == 1


def test_both_sources_offline(server):
    entry = entry_at(server, url=closed_url(), mirror=closed_url().replace('file.pth', 'timm/a/m'))
    with pytest.raises(CheckpointError) as error:
        fetch_published(entry)
    assert entry.url in str(error.value) and entry.mirror in str(error.value)
    assert '\n' not in str(error.value)


def test_published_names_everywhere(server, monkeypatch, tmp_path):
    """``mmcoat://`` and the official URL give the same file, with our reader and with MMEngine's."""
    from mmengine.runner import CheckpointLoader

    file = tmp_path / 'weights.pth'
    torch.save({'model': {'cls_token1': torch.ones(2)}}, file)
    server.data = file.read_bytes()
    sha256 = hashlib.sha256(server.data).hexdigest()[:8]
    entry = entry_at(server, sha256=sha256)
    known = {'mmcoat://a': entry, f'{SITE}a.pth': entry}
    monkeypatch.setattr(MODULE, 'find_published', known.get)
    for source in ('mmcoat://a', f'{SITE}a.pth'):
        assert read_checkpoint(source)['model']['cls_token1'].sum() == 2
        assert ensure_safe(source) == str(cache_dir() / entry.file_name)
        assert CheckpointLoader.load_checkpoint(source)['model']['cls_token1'].sum() == 2
    assert len(server.requests) == 1
