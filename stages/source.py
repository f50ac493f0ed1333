"""The source stage: what a folder or file of this machine holds now -> checked/sources/<name>.json."""

import sys
from pathlib import Path

from bench.core import parameters, paths, runtime, storage
from bench.core.schema import UserError


def main(name: str) -> str:
    params = parameters.read()
    given = Path(params.sources[name]).expanduser()
    if not given.exists():
        kind, _, item = name.partition("-")
        block = {"on": f"evaluate_on.{item}", "checkpoint": f"checkpoints.{item}"}.get(kind, name)
        raise UserError(
            f"params.yaml: {block}.path: {given} does not exist; put it there, or correct the path in "
            f"{paths.STUDIES}/{params.study}.yaml and run `bench use {params.study}`."
        )
    files = sorted(path for path in given.rglob("*") if path.is_file()) if given.is_dir() else [given]
    held = {path.relative_to(given.parent).as_posix(): storage.sha256_file(path) for path in files}
    storage.write_json(paths.CHECKED / "sources" / f"{name}.json", held)
    return f"source {name}: {len(held)} files in {given}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
