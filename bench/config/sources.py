"""What a study reads from this machine without a digest that pins it: DVC has to watch it, or an edit would go unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.core import parameters, parsing, paths
from bench.core.parameters import Params
from bench.core.schema import UserError


def watched(params: Params) -> dict[str, str]:
    """Return the path of each such source by the name of its stage.

    What has a `sha256` is left out: the study says which bytes it means, and refuses others.
    """
    found = {}
    blocks: dict[str, Any] = {"data": params.data}
    blocks |= {f"on-{name}": block for name, block in params.evaluate_on.items()}
    for name, block in blocks.items():
        splits = [split for key in paths.SPLITS if (split := getattr(block, key, None)) is not None]
        if _path(block) and not all(getattr(split, "sha256", None) for split in splits):
            found[name] = _path(block)
    for name, checkpoint in params.checkpoints.items():
        if _path(checkpoint) and getattr(checkpoint, "sha256", None) is None:
            found[f"checkpoint-{name}"] = _path(checkpoint)
    return found


def _path(block: Any) -> str:
    path = getattr(block, "path", None)
    return Path(path).as_posix() if isinstance(path, str) else ""


def check(params: Params, name: str = "params.yaml") -> None:
    """Check that the block `sources`, which names them to DVC, names them all and nothing else.

    Raises:
        UserError: it does not; the sentence holds the line to write.
    """
    wanted = watched(params)
    if params.sources != wanted:
        line = f"sources: {json.dumps(wanted, ensure_ascii=False)}"
        study = paths.STUDIES / f"{params.study}.yaml"
        fix = f"write `{line}`, in {study} too" if wanted else f"remove the block, in {study} too"
        raise UserError(
            f"{name}: sources: DVC watches what lies on this machine and no sha256 pins, by the names here; {fix}."
        )


def completed(text: str, params: Params) -> str:
    """Return the text of a study with what it leaves out and DVC looks for: blocks of defaults, and the sources it watches.

    Raises:
        UserError: nothing can be added below the study's text.
    """
    raw = parsing.parse_yaml(text.encode(), params.study)
    left_out = parameters.defaults(raw)
    if not params.sources and (found := watched(params)):
        left_out["sources"] = found
    if not left_out:
        return text
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in left_out.items()]
    whole = f"{text.rstrip()}\n\n# what the study leaves to the defaults, and DVC looks for\n" + "\n".join([*lines, ""])
    try:
        if parsing.parse_yaml(whole.encode(), params.study) == raw | left_out:
            return whole
    except UserError:
        pass
    raise UserError(  # YAML in braces goes on nowhere
        f"studies/{params.study}.yaml: {next(iter(left_out))}: missing, and DVC looks for it; write into the study: {', '.join(lines)}."
    )
