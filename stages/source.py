"""The source stage: what a folder or file of this machine holds now -> checked/sources/<name>.json."""

import sys
from pathlib import Path

from bench.core import parameters, paths, runtime, storage
from bench.core.schema import UserError


def main(name: str) -> str:
    given = Path(parameters.read().sources[name]).expanduser()
    if not given.exists():
        raise UserError(f"params.yaml: sources.{name}: {given} does not exist; put it there, or correct the path.")
    files = sorted(path for path in given.rglob("*") if path.is_file()) if given.is_dir() else [given]
    held = {path.relative_to(given.parent).as_posix(): storage.sha256_file(path) for path in files}
    storage.write_json(paths.CHECKED / "sources" / f"{name}.json", held)
    return f"source {name}: {len(held)} files in {given}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
