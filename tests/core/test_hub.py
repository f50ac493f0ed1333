"""What the hub refuses, cuts short or cannot be asked for is one sentence, and nothing half-written stays."""

from __future__ import annotations

import errno
import resource
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from bench.core import hub
from bench.core.schema import UserError

COMMIT = "a" * 40
FILES = {"train.csv": b"id,dialogue\n" + b"x" * 100_000, "big.parquet": b"never asked for"}


@pytest.fixture
def hub_with(hub_here: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the library waits a second before each new attempt
    hub_here.add("dataset", "org/talk", COMMIT, FILES)
    return hub_here


def fetch(revision: str = COMMIT, repo: str = "org/talk") -> Path:
    return hub.download("dataset", repo, revision, ["train.csv"])


def refused(tmp_path: Path, **what: str) -> str:
    """The sentence; half a file, anywhere, fails the test."""
    with pytest.raises(UserError) as caught:
        fetch(**what)
    names = {path.name for path in (tmp_path / "cache").rglob("*")}
    assert "train.csv" not in names and not any(name.endswith(".incomplete") for name in names)
    assert not list((tmp_path / "cache").glob("*/blobs/*"))
    message = str(caught.value)
    assert (
        message.startswith(f"params.yaml: dataset '{what.get('repo', 'org/talk')}' of the hub: ")
        and "\n" not in message
    )
    return message


def test_only_the_named_files_are_fetched_and_kept(hub_with: Any) -> None:
    folder = fetch()
    assert {path.name for path in folder.iterdir()} == {"train.csv"}
    assert (folder / "train.csv").read_bytes() == FILES["train.csv"]
    hub_with.asked.clear()
    assert fetch() == folder and not any("resolve" in path for path in hub_with.asked)


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc1234", "A" * 40, "refs/pr/1"])
def test_what_can_move_is_refused_with_the_command_that_pins_it(hub_with: Any, tmp_path: Path, revision: str) -> None:
    assert "`bench pin` pins the active study (`bench pin STUDY` another one)" in refused(tmp_path, revision=revision)
    with pytest.raises(UserError, match="bench pin"):
        hub.check("dataset", "org/talk", revision, ["train.csv"])
    assert not hub_with.asked


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, "GatedRepo"), "it is gated; accept its terms at {address}/datasets/org/closed and run `hf auth login`"),
        ((401, "GatedRepo"), "it is gated"),
        ((401, "RepoNotFound"), "there is no such dataset, or it is private; correct the name, or run `hf auth login`"),
        ((404, "RepoNotFound"), "there is no such dataset"),
        ((403, ""), "the hub refuses access (403); run `hf auth login` with a token that may read it"),
        ((500, ""), "the hub answers with an error (500); try again later"),
    ],
)
def test_refusals(hub_with: Any, tmp_path: Path, refusal: tuple[int, str], said: str) -> None:
    hub_with.refusals["org/closed"] = refusal
    assert said.format(address=hub_with.address) in refused(tmp_path, repo="org/closed")


def test_a_missing_revision(hub_with: Any, tmp_path: Path) -> None:
    assert f"revision: there is no '{'c' * 40}'" in refused(tmp_path, revision="c" * 40)


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_a_truncated_download(hub_with: Any, tmp_path: Path, fault: str) -> None:
    getattr(hub_with, fault).add("train.csv")
    assert "the download failed" in refused(tmp_path)


def test_no_room(hub_with: Any, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # the system then refuses as it does on a full disk
    try:
        message = refused(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"there is no room left in {tmp_path / 'cache'}; free some, or set HF_HOME" in message


def test_no_room_by_whatever_name(hub_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Data processing error: File reconstruction error: No space left on device (os error 28)"),
    ):

        def full(*arguments: Any, error: Exception = error, **more: Any) -> None:
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
        assert "there is no room left" in refused(tmp_path)


def test_out_of_reach_without_and_with_a_cache(hub_with: Any, hub_gone: Any, tmp_path: Path) -> None:
    message = refused(tmp_path)
    assert "the hub at http://127.0.0.1:9 cannot be reached (ConnectError)" in message
    assert f"the cache in {tmp_path / 'cache'} does not hold all of it" in message
    with pytest.raises(UserError, match="cannot be reached"):
        hub.check("dataset", "org/talk", COMMIT, ["train.csv"])
    with pytest.raises(UserError, match=r"cannot be reached \(ConnectError\); pin on a machine that reaches it"):
        hub.resolve("dataset", "org/talk", "main")
    prepared = tmp_path / "cache" / "datasets--org--talk" / "snapshots" / COMMIT
    prepared.mkdir(parents=True)
    (prepared / "train.csv").write_bytes(b"id\n")
    assert fetch() == prepared
    hub.check("dataset", "org/talk", COMMIT, ["train.csv"])


def test_a_hub_that_is_silent_is_not_waited_for(hub_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(hub, "PATIENCE", 0.05)
        assert hub.unreachable() in ("no answer in 0.05 s", "ReadTimeout")


def test_a_name_is_resolved_to_its_commit_and_files(hub_with: Any) -> None:
    assert hub.resolve("dataset", "org/talk", "main") == (COMMIT, ["big.parquet", "train.csv"])
    with pytest.raises(UserError, match="there is no 'v9'; write one that exists"):
        hub.resolve("dataset", "org/talk", "v9")
