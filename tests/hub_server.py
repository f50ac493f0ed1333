"""A hub on this machine in place of the real one: its contents, its HTTP server, and the fixtures that start it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class Hub:
    """What the hub on this machine holds, and what goes wrong there. A repository's key is its kind and name."""

    def __init__(self) -> None:
        self.commits: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}  # files by commit
        self.names: dict[tuple[str, str], dict[str, str]] = {}  # commits by branch or tag
        self.refusals: dict[str, tuple[int, str]] = {}  # status and error code by name
        self.cut: set[str] = set()  # files of which half is sent before the line goes dead
        self.short: set[str] = set()  # files that arrive whole and smaller than announced
        self.asked: list[str] = []
        self.address = ""

    def add(self, kind: str, repo: str, commit: str, files: dict[str, bytes], name: str = "main") -> None:
        """A commit, and the name that now stands for it."""
        self.commits.setdefault((kind, repo), {})[commit] = files
        self.names.setdefault((kind, repo), {})[name] = commit


class Answer(BaseHTTPRequestHandler):
    """The addresses that the hub's library asks: a revision's commit, a commit's list of files, and a file."""

    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")
        self.hub.asked.append("/".join(path))
        if path == [""]:
            return self.answer(200)
        api = path[0] == "api"
        path = path[1:] if api else path
        kind = "dataset" if path[0] == "datasets" else "model"
        path = path[1:] if path[0] in ("datasets", "models") else path
        repo, what, revision, file = "/".join(path[:2]), *path[2:4], "/".join(path[4:])
        if repo in self.hub.refusals:
            status, code = self.hub.refusals[repo]
            return self.answer(status, headers={"X-Error-Code": code, "X-Error-Message": code})
        if (kind, repo) not in self.hub.commits:
            return self.answer(404, headers={"X-Error-Code": "RepoNotFound"})
        commit = self.hub.names[kind, repo].get(revision, revision)
        files = self.hub.commits[kind, repo].get(commit)
        if files is None:
            return self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        if what == "tree":
            listed = [{"type": "file", "path": p, "size": len(b), "oid": p} for p, b in files.items()]
            return self.answer(200, json.dumps(listed).encode())
        if what == "revision":
            facts = {"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
            return self.answer(200, json.dumps(facts).encode())
        return self.file(file, files[file], commit)

    def file(self, name: str, body: bytes, commit: str) -> None:
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": commit}
        if self.command == "GET" and name in self.hub.short:
            body = body[:-1]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        end = len(body) // 2 if name in self.hub.cut else len(body)
        self.answer(206 if start else 200, body[start:end], headers | {"Content-Length": str(len(body) - start)})

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine in place of the real one, with an empty cache in `cache`; no test leaves the machine."""
    from huggingface_hub import constants

    from bench.core import hub

    held = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThisHub", (Answer,), {"hub": held}))
    held.address = f"http://127.0.0.1:{server.server_port}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", held.address)
    template = held.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    hub.unreachable.cache_clear()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield held
    hub.unreachable.cache_clear()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def hub_gone(hub_here: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The same hub, out of reach: nothing listens at the address asked."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the discard port
    return hub_here
