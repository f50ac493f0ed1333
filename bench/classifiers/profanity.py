"""alt-profanity-check's identity: what its checkpoint folder says, and that the installed version is the pinned one."""

from __future__ import annotations

from importlib import metadata

from bench.core.schema import UserError

NAME, LABELS = "alt-profanity-check", ("clean", "profane")


def check_version(wanted: str, where: str) -> None:
    """Refuse any installed alt-profanity-check but `wanted`: another version is another classifier."""
    try:
        found = metadata.version(NAME)
    except metadata.PackageNotFoundError:
        raise UserError(
            f"{where} asks for {NAME} {wanted}, which is not installed; run `pip install {NAME}=={wanted}`."
        ) from None
    if found != wanted:
        raise UserError(
            f"{where}: version: {NAME} {wanted} is asked for and {found} is installed; run "
            f"`pip install {NAME}=={wanted}` or write {found} in params.yaml."
        )
