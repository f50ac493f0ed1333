"""Downloads from a server on this machine that answers as the hub does; no test leaves the machine."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from bench import artifacts
from bench.checkpoints import hub
from bench.schema import UserError

REVISION, PICKLED = "a" * 40, "b" * 40
TOP = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "spiece.model": b"pieces",
}
OTHERS = {"pytorch_model.bin": b"pickle", "modeling.py": b"code", "onnx/config.json": b"{}", "README.md": b"words"}
TREES = {REVISION: TOP | OTHERS, PICKLED: {"config.json": b"{}", "pytorch_model.bin": b"pickle"}}


class Hub(BaseHTTPRequestHandler):
    """The two addresses that snapshot_download asks: a commit's list of files, and a file."""

    asked: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/").split("/")
        self.asked.append("/".join(path))
        api = path[:2] == ["api", "models"]
        repo, (_, revision, *file) = ("/".join(path[2:4]), path[4:7]) if api else ("/".join(path[:2]), path[2:])
        if repo == "org/gated":
            return self.answer(403, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        if repo != "org/tiny":
            return self.answer(404, headers={"X-Error-Code": "RepoNotFound"})
        if revision not in TREES:
            return self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        files = TREES[revision]
        if api:
            listed = [{"type": "file", "path": p, "size": len(b), "oid": p} for p, b in files.items()]
            return self.answer(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
        return self.answer(200, files["/".join(file)], {"ETag": f'"{file[-1]}"', "X-Repo-Commit": revision})

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def endpoint(tmp_path, monkeypatch):
    from huggingface_hub import constants

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    Hub.asked.clear()
    with serving() as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield address


def block(repo="org/tiny", revision=REVISION):
    return hub.Config(source="hub", repo=repo, revision=revision)


def test_downloads_weights_config_and_tokenizer(endpoint, tmp_path):
    out = tmp_path / "models" / "base"
    facts = hub.build(block(), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == TOP
    assert not any(path.is_symlink() for path in out.iterdir())
    digest = artifacts.sha256_folder(out, (".safetensors",))
    assert facts == {"name": "org/tiny", "revision": REVISION, "sha256": digest, "bytes": len(b"weights")}
    assert not any(name in path for path in Hub.asked for name in OTHERS)


def test_the_cache_serves_without_a_network(endpoint, tmp_path, monkeypatch):
    from huggingface_hub import constants

    hub.build(block(), tmp_path / "first")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    Hub.asked.clear()
    facts = hub.build(block(), tmp_path / "second")
    assert not Hub.asked and facts["sha256"] == artifacts.sha256_folder(tmp_path / "first", (".safetensors",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"repo": "org/none"}, "the hub has no such model"),
        ({"repo": "org/gated"}, "the model is gated; accept its terms"),
        ({"revision": "c" * 40}, f"the model has no commit {'c' * 40}"),
        ({"revision": PICKLED}, r"holds no \.safetensors weights"),
        ({"revision": None}, "pin it: `bench pin STUDY`"),
    ],
)
def test_one_sentence_for_each_refusal(endpoint, tmp_path, values, message):
    with pytest.raises(UserError, match=message) as caught:
        hub.build(block(**values), tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_unreachable(endpoint, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the discard port: nothing listens
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the library tries six times in 23 seconds
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9 cannot be reached \(\w+\)") as caught:
        hub.build(block(), tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_config_wants_a_commit():
    for revision in ("main", "v1.0", "abc123"):
        with pytest.raises(ValidationError, match="pin it: `bench pin STUDY`"):
            block(revision=revision)
    with pytest.raises(ValidationError):
        block(repo="not a repo")
    assert block(repo="gpt2").repo == "gpt2"
