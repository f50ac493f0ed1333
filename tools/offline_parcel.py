"""The project, what a study reads and the packages that the other machine lacks, in one file; weights of 256 values as codes."""

from __future__ import annotations

import io
import json
import lzma
import re
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from offline_graph import OfflineError, parsed_study

MIB = 1 << 20
PARCEL = "parcel.tar.xz"
# What the other machine's Python 3.12 lacks beside torch, transformers, peft, accelerate, scikit-learn, matplotlib, …
WHEELS = [
    "alt-profanity-check",
    "annotated-types",
    "datasets",
    "defusedxml",
    "dill",
    "multiprocess",
    "nltk",
    "pydantic",
    "pydantic-core",
    "rouge-score",
    "ruamel-yaml",
    "typing-inspection",
]
SITE = PurePosixPath("site")
CACHE = PurePosixPath("cache")  # where the race looks for the lab's trl
RIVAL_SITE = CACHE / "dialogue-summary-bench" / "trl-0.11.4"
TAGS = [f"manylinux{tag}_x86_64" for tag in ("_2_28", "_2_27", "_2_17", "2014", "1")]
TARGET = ["--python-version=3.12", "--implementation=cp", "--only-binary=:all:", *(f"--platform={tag}" for tag in TAGS)]
CODED = ".coded"
CODE = ("bench", "stages", "benchmarks", "studies", "dvc.yaml", "requirements.lock", "pyproject.toml")
MADE_BY_STAGES = ("models", "data", "preferences", "training_sets", "rewards")


def pack(study: str, out: Path, wheels: bool) -> None:
    """Write OUT/parcel.tar.xz and print its size.

    Raises:
        OfflineError: something that the study needs cannot travel, or OUT holds something.
    """
    files = carried(right_study(study))
    if out.exists() and any(out.iterdir()):
        raise OfflineError(f"{out} is not empty; remove it or name another folder.")
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        lzma.open(out / PARCEL, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,  # type: ignore[call-overload]
    ):
        if wheels:
            for place, wanted in ((SITE, locked()), (RIVAL_SITE, rivals())):
                unpacked = Path(folder, place.name)
                download(wanted, unpacked)
                tar.add(unpacked, place.as_posix(), filter=without_tests)
        for path in [*code(), *files]:
            coded = coded_weights(path) if path.suffix == ".safetensors" else None
            if coded is None:
                tar.add(path.resolve(), path.as_posix())
            else:
                member = tarfile.TarInfo(path.as_posix() + CODED)
                member.size = len(coded)
                tar.addfile(member, io.BytesIO(coded))
    print(f"{out / PARCEL}: {(out / PARCEL).stat().st_size / MIB:.2f} MiB")


def without_tests(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what a package tests itself with."""
    return None if {"test", "tests"} & set(PurePosixPath(member.name).parts) else member


def code() -> list[Path]:
    """The tracked files that a run reads: the project without reports, tests and pages."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True).stdout.split("\0")
    return [Path(name) for name in listed if name and Path(name).parts[0] in CODE and Path(name).is_file()]


def right_study(name: str) -> dict[str, Any]:
    """The study as it stands in its file, once the project's own check has passed it."""
    from bench import config
    from bench.core.schema import UserError

    study = parsed_study(name)
    try:
        config.parse(study, f"studies/{name}.yaml")
    except UserError as error:
        raise OfflineError(str(error)) from None
    return study


def carried(study: dict[str, Any]) -> list[Path]:
    """The files that the study, which the project finds right, reads from this machine."""
    found = []
    for path in _named(study, "study"):
        found += sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    for path in found:
        if not path.is_file() or path.is_absolute() or path.parts[0] != "local" or ".." in path.parts:
            raise OfflineError(f"{path} is no file below local/; put or link it there and name it so in the study.")
    return sorted(set(found))


def _named(block: dict[str, Any], where: str) -> Iterator[Path]:
    """Every path that a block or the blocks in it name: a dataset's files, a checkpoint, what a variant learns from."""
    if "repo" in block or block.get("source") == "hub":
        raise OfflineError(f"{where}: what lies on the hub cannot travel; put its files in local/ and name that path.")
    if "path" in block:
        splits = [block[split] for split in ("train", "validation", "test") if isinstance(block.get(split), dict)]
        yield from (Path(block["path"], split["file"]) for split in splits)
        if not splits:
            yield Path(block["path"])
    learnt = Path(str(block.get("learns_from", "data")))
    if learnt.parts[0] not in MADE_BY_STAGES:
        yield learnt
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _named(value, f"{where}.{key}" if where != "study" else key)


def locked() -> list[str]:
    """The requirements of what travels, in the versions of the lock."""
    lock = Path("requirements.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))  # of two lines the last is for newer Pythons
    return [f"{name}=={pins[name]}" for name in WHEELS]


def rivals() -> tuple[str, ...]:
    """The requirements of the lab's PPO, which the race keeps apart from all others."""
    from benchmarks.rival.task import TRL

    return TRL


def download(wanted: Iterable[str], site: Path) -> None:
    """Packages for the other machine's Python, unpacked as pip would.

    Raises:
        OfflineError: one is published as source alone and is not the same on every machine.
    """
    pip = [sys.executable, "-m", "pip"]
    common = ["--quiet", "--no-deps", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as wheels:
        for one in wanted:
            done = subprocess.run([*pip, "download", *common, *TARGET, "--dest", wheels, one], capture_output=True)
            if done.returncode:
                built = subprocess.run([*pip, "wheel", *common, "--wheel-dir", wheels, one], capture_output=True)
                stem = one.partition("==")[0].replace("-", "_")
                if built.returncode or not list(Path(wheels).glob(f"{stem}-*-none-any.whl")):
                    raise OfflineError(f"{one} has no wheel for CPython 3.12 on Linux; lock a version that has one.")
        found = [str(wheel) for wheel in sorted(Path(wheels).glob("*.whl"))]
        words = ["--no-index", "--no-compile", "--target", str(site)]
        if subprocess.run([*pip, "install", *common, *words, *TARGET, *found]).returncode:
            raise OfflineError("pip could not unpack the wheels; see above.")


def coded_weights(path: Path) -> bytes | None:
    """A safetensors file with each float32 tensor of at most 256 values as codes and a table; None where none is one.

    The names tell the two apart: `c:` codes, `t:` their table, `r:` a tensor as it stands; `h` is the old header.
    """
    from safetensors.numpy import save

    try:
        header, tensors = _laid_out(path.read_bytes())
    except (ValueError, LookupError, TypeError):
        return None  # no weights: the stage that reads them says so
    parts: dict[str, np.ndarray[Any, Any]] = {"h": np.frombuffer(header, np.uint8)}
    for name, (kind, raw) in tensors.items():
        parts[f"r:{name}"] = bits = np.frombuffer(raw, np.uint32 if kind == "F32" else np.uint8)
        if kind == "F32":
            values, codes = np.unique(bits, return_inverse=True)  # of bits: -0.0 and each NaN stay themselves
            if len(values) <= 256:
                # Codes of weights follow no pattern: Huffman's code alone beats what looks for one.
                huffman = zlib.compressobj(9, zlib.DEFLATED, strategy=zlib.Z_HUFFMAN_ONLY)
                short = huffman.compress(codes.astype(np.uint8).tobytes()) + huffman.flush()
                del parts[f"r:{name}"]
                parts |= {f"c:{name}": np.frombuffer(short, np.uint8), f"t:{name}": values}
    return save(parts) if any(name.startswith("c:") for name in parts) else None


def decoded_weights(coded: bytes) -> bytes:
    """The very bytes of the file that `coded_weights` read."""
    from safetensors.numpy import load

    parts = load(coded)
    header = parts["h"].tobytes()
    whole = [len(header).to_bytes(8, "little"), header]
    for name in _in_order(json.loads(header)):
        if (raw := parts.get(f"r:{name}")) is None:
            raw = parts[f"t:{name}"][np.frombuffer(zlib.decompress(parts[f"c:{name}"].tobytes()), np.uint8)]
        whole.append(raw.tobytes())
    return b"".join(whole)


def _laid_out(data: bytes) -> tuple[bytes, dict[str, tuple[str, memoryview]]]:
    """The header of a safetensors file, and each tensor's type and bytes in the order of the file."""
    size = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + size], memoryview(data)[8 + size :]
    facts = json.loads(header)
    return header, {
        name: (facts[name]["dtype"], body[slice(*facts[name]["data_offsets"])]) for name in _in_order(facts)
    }


def _in_order(facts: dict[str, Any]) -> list[str]:
    names = [name for name in facts if name != "__metadata__"]
    return sorted(names, key=lambda name: int(facts[name]["data_offsets"][0]))


def unpack(parcel: Path, into: Path) -> None:
    """Put what a parcel holds into a folder, and nothing anywhere else; a second time it does nothing.

    Raises:
        OfflineError: it is not there, it is broken, or it holds something else than plain files for that folder.
    """
    if not parcel.is_file():
        raise OfflineError(f"{parcel} does not exist; make it with `pack`.")
    stamp, facts = into / "unpacked", parcel.stat()
    told = f"{facts.st_size} {facts.st_mtime_ns}"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == told:
        return
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(parcel, "r:xz") as tar:
            # The argument `filter` is there from Python 3.11.4 on.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # type: ignore[assignment]
            for member in tar:
                parts = PurePosixPath(member.name).parts
                if not (member.isfile() or member.isdir()) or ".." in parts or parts[:1] in ((), ("/",)):
                    raise OfflineError(f"the packed file '{member.name}' would lie outside {into}; it is refused.")
                if not (into / member.name).resolve().is_relative_to(into.resolve()):
                    raise OfflineError(f"'{member.name}' leads out of {into} by a link; remove that link.")
                if member.name.endswith(CODED) and (opened := tar.extractfile(member)):
                    whole = into / member.name.removesuffix(CODED)
                    whole.parent.mkdir(parents=True, exist_ok=True)
                    whole.write_bytes(decoded_weights(opened.read()))
                else:
                    tar.extract(member, into)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError, LookupError) as error:
        raise OfflineError(f"{parcel} cannot be unpacked ({type(error).__name__}); pack the study again.") from None
    stamp.write_text(told, encoding="utf-8")
