"""Downloads: retries, verification and atomic writing."""

import gzip
import threading
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from simulacra.core.errors import DataError
from simulacra.core.progress import SILENT
from simulacra.data import download, sources
from simulacra.data.load import load
from simulacra.data.settings import DataConfig
from simulacra.data.sources import fashion_mnist


class Mirror(ThreadingHTTPServer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.answers, self.asked, self.files, self.url = [], [], {}, ""


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self):
        self.server.asked.append(self.path)
        answers = self.server.answers
        status, body, length = answers.pop(0) if answers else (200, self.server.files[self.path], None)
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server on this machine; `answers` are used up one per request: (status, body, declared length)."""
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(download, "TIMEOUT", 2.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    with Mirror(("127.0.0.1", 0), Handler) as held:
        held.url = f"http://127.0.0.1:{held.server_address[1]}"
        thread = threading.Thread(target=held.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield held
        held.shutdown()
        thread.join(5)


def accept(path):
    if path.read_bytes() != b"right":
        raise DataError("wrong contents")


RIGHT = (200, b"right", None)


@pytest.mark.parametrize(
    "failures",
    [[], [(503, b"busy", None)], [(200, b"wrong", None)], [(200, b"rig", 5)], [(404, b"", None), (200, b"", None)]],
    ids=["at once", "server error", "wrong contents", "connection cut", "twice"],
)
def test_a_download_is_retried_until_it_is_right(server, tmp_path, recorded, failures):
    server.answers = [*failures, RIGHT]
    target = tmp_path / "deep" / "file.gz"
    download.fetch([f"{server.url}/file.gz"], target, accept, recorded)
    assert target.read_bytes() == b"right"
    assert len(server.asked) == len(failures) + 1
    assert [path.name for path in target.parent.iterdir()] == ["file.gz"]
    assert recorded.meters["downloading file.gz"] == [5, 5, "B"]


def test_a_cut_connection_is_noticed_without_a_digest(server, tmp_path):
    server.answers = [(200, b"rig", 5), RIGHT]
    download.fetch([f"{server.url}/file"], tmp_path / "file", lambda path: None, SILENT)
    assert (tmp_path / "file").read_bytes() == b"right"


def test_after_three_rounds_a_download_fails_with_the_reason_and_leaves_nothing(server, tmp_path):
    server.answers = [(503, b"", None)] * 9
    with pytest.raises(DataError, match="failed 3 times: HTTP Error 503"):
        download.fetch([f"{server.url}/one", f"{server.url}/two"], tmp_path / "to" / "file", accept, SILENT)
    assert server.asked == ["/one", "/two"] * 3
    assert list((tmp_path / "to").iterdir()) == []


def test_a_mirror_that_fails_is_followed_by_the_next(server, tmp_path):
    server.files["/two"] = b"right"
    download.fetch(["http://127.0.0.1:9/one", f"{server.url}/two"], tmp_path / "file", accept, SILENT)
    assert (tmp_path / "file").read_bytes() == b"right"


def test_a_server_that_does_not_answer_in_time_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    monkeypatch.setattr(download, "ROUNDS", 1)
    server.answers = [(200, b"rig", 10**6)]
    with pytest.raises(DataError, match="failed 1 times"):
        download.fetch([f"{server.url}/slow"], tmp_path / "file", accept, SILENT)


def test_other_addresses_than_the_webs_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.0)
    (tmp_path / "secret").write_bytes(b"right")
    with pytest.raises(DataError, match="web address"):
        download.fetch([(tmp_path / "secret").as_uri()], tmp_path / "file", accept, SILENT)


def test_a_cache_that_cannot_be_written_is_an_error_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write to .*: set SIMULACRA_CACHE to a folder you can write to"):
        download.fetch(["http://127.0.0.1:9"], tmp_path / "file" / "x", accept, SILENT)


def test_a_missing_set_is_downloaded_into_the_cache_and_only_once(server, idx_files, cache, monkeypatch):
    digests = {name: sha256(content).hexdigest() for name, content in idx_files.items()}
    source = replace(fashion_mnist.SOURCE, digests=digests, mirrors=(server.url,))
    monkeypatch.setattr(sources, "sources", lambda: {"fashion-mnist": source})
    server.files = {f"/{name}.gz": gzip.compress(content) for name, content in idx_files.items()}
    server.answers = [(200, gzip.compress(b"of another set"), None)]
    first = load(DataConfig(data="fashion-mnist"))
    assert len(server.asked) == 5
    assert sorted(path.name for path in (cache / "fashion-mnist").iterdir()) == sorted(f"{name}.gz" for name in idx_files)
    assert load(DataConfig(data="fashion-mnist")).digest == first.digest
    assert len(server.asked) == 5
