"""The Hugging Face hub: the files of one commit, and the commit behind a name. Every failure is one sentence.

A commit holds the same bytes for ever, a branch does not: downloads take nothing else. Only the kinds of file that the
caller names are fetched, into the hub's own cache, which then also serves without a network.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from bench.core import runtime
from bench.core.schema import UserError

Kind = Literal["model", "dataset"]
REPO = r"^([\w.-]+/)?[\w.-]+$"  # as the hub writes names: google/flan-t5-base, gpt2
PATIENCE = 5  # seconds until a silent hub counts as out of reach


def is_commit(revision: str) -> bool:
    """Tell whether a revision is a full commit; branches, tags and shortened commits are none."""
    return re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def _bar() -> type[Any]:
    """The progress bar of the other stages: silent where the error stream is no terminal."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **{"disable": None, "leave": False, "dynamic_ncols": True} | more)

    return Bar


def title(kind: Kind, repo: str) -> str:
    """Return how messages call an object of the hub."""
    return f"params.yaml: {kind} '{repo}' of the hub"


def download(kind: Kind, repo: str, revision: str, patterns: Sequence[str]) -> Path:
    """Return the folder of the hub's cache that holds the commit's files matching `patterns` (a model's at its top alone),
    fetched if need be.

    Raises:
        UserError: the revision is no commit, the hub or the object cannot be reached, or there is no room.
    """
    from huggingface_hub import snapshot_download

    _refuse_unpinned(kind, repo, revision)
    with _one_sentence(kind, repo, revision):
        found = snapshot_download(
            repo,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"] if kind == "model" else None,
            local_files_only=unreachable() is not None,
            tqdm_class=_bar(),
        )
    return Path(found)


def check(kind: Kind, repo: str, revision: str, patterns: Sequence[str]) -> None:
    """Raise what `download` would raise for want of a commit or of the hub; nothing is fetched."""
    _refuse_unpinned(kind, repo, revision)
    if unreachable() is not None:
        download(kind, repo, revision, patterns)


def resolve(kind: Kind, repo: str, revision: str) -> tuple[str, list[str]]:
    """Look up the commit that `revision` names now, and the paths of its files.

    Raises:
        UserError: the hub or the object cannot be reached.
    """
    from huggingface_hub import HfApi

    why = unreachable()
    if why is not None:
        raise UserError(f"{address()} cannot be reached ({why}); pin on a machine that reaches it.")
    with _one_sentence(kind, repo, revision):
        api = HfApi()
        info = (api.model_info if kind == "model" else api.dataset_info)(repo, revision=revision)
        return str(info.sha), sorted(file.rfilename for file in info.siblings or [])


@functools.cache
def unreachable() -> str | None:
    """Tell why the hub does not answer, in a word; None where it does. Asked once a process."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    answers: list[str | None] = []

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=PATIENCE)
            answers.append(None)
        except Exception as error:  # the library behind get_session has changed twice: its errors cannot be named here
            answers.append(type(error).__name__)

    # Looking up a name, and trying one address after another, heed no timeout of the request.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers[0] if answers else f"no answer in {PATIENCE} s"


def _refuse_unpinned(kind: Kind, repo: str, revision: str) -> None:
    if not is_commit(revision):
        raise UserError(
            f"{title(kind, repo)}: revision: '{revision}' is no commit of 40 hex digits, so its files may change; "
            "where the hub is reached, `bench pin` pins the active study (`bench pin STUDY` another one)."
        )


def address() -> str:
    """Return the hub as messages call it."""
    from huggingface_hub import constants

    return f"the hub at {constants.ENDPOINT}"


@contextlib.contextmanager
def _one_sentence(kind: Kind, repo: str, revision: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever the hub's library, its http library or the disk says
        raise UserError(f"{title(kind, repo)}: {_told(error, kind, repo, revision)}") from None


def _told(error: BaseException, kind: Kind, repo: str, revision: str) -> str:
    """What is wrong and what to do about it."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, errors.HfHubHTTPError):
        error = error.__cause__  # the hub answered, and the library then looked into the cache in vain
    if isinstance(error, errors.GatedRepoError):
        page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repo}"
        return f"it is gated; accept its terms at {page} and run `hf auth login`."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no such {kind}, or it is private; correct the name, or run `hf auth login` for one you may read."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"revision: there is no '{revision}'; write one that exists, such as 'main', and pin it: `bench pin`."
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"the hub refuses access ({status}); run `hf auth login` with a token that may read it."
        return f"the hub answers with an error ({status}); try again later."
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            f"{address()} cannot be reached ({unreachable() or type(error).__name__}) and the cache in "
            f"{constants.HF_HUB_CACHE} does not hold all of it; run again with a network, copy that cache here from "
            "a machine that has it, or name local files instead (see studies/dialogsum-small.yaml)."
        )
    if runtime.no_room(error):
        return f"there is no room left in {constants.HF_HUB_CACHE}; free some, or set HF_HOME to another disk."
    lines = str(error).splitlines() or [""]
    return f"the download failed ({type(error).__name__}: {lines[0].rstrip('.')}); run the command again."
