"""A study's files and the wheels that it needs, cut into parts that travel one by one, and put together again."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO, Any

from offline_stages import OfflineError, parsed_study

MIB = 1 << 20
WHEELS = [
    "absl-py",
    "alt-profanity-check",
    "annotated-types",
    "click",
    "contourpy",
    "cycler",
    "datasets",
    "defusedxml",
    "dill",
    "fonttools",
    "joblib",
    "kiwisolver",
    "matplotlib",
    "multiprocess",
    "narwhals",
    "nltk",
    "peft",
    "pydantic",
    "pydantic-core",
    "pyparsing",
    "python-dateutil",
    "regex",
    "rouge-score",
    "ruamel-yaml",
    "scikit-learn",
    "six",
    "tabulate",
    "threadpoolctl",
    "transformers",
    "typing-extensions",
    "typing-inspection",
]
TAGS = [f"manylinux{tag}_x86_64" for tag in ("_2_28", "_2_27", "_2_17", "2014", "1")]
RIVAL = Path(__file__).resolve().parents[1] / "tests" / "benchmarks"
TARGET = ["--python-version=3.12", "--implementation=cp", "--only-binary=:all:", *(f"--platform={tag}" for tag in TAGS)]


def carried(study: dict[str, Any]) -> list[Path]:
    """The files that the study, which the project finds right, reads from this machine."""
    found = list[Path]()
    sets = {"data": study["data"]} | {f"evaluate_on.{key}": one for key, one in study.get("evaluate_on", {}).items()}
    for where, data in sets.items():
        if "repo" in data:
            raise OfflineError(
                f"{where}: a dataset of the hub cannot travel; put its files in local/ and name that path."
            )
        if "path" in data:
            splits = (data[split] for split in ("train", "validation", "test") if split in data)
            found += [Path(data["path"]) / block["file"] for block in splits]
    found += [Path(block["learns_from"]) for block in study["variants"].values() if block["method"] == "outputs"]
    for name, block in study["checkpoints"].items():
        if block["source"] in ("hub", "gguf"):
            raise OfflineError(
                f"checkpoints.{name}: a model of source '{block['source']}' cannot travel; save it in local/ as source: local."
            )
        if block["source"] == "local":
            folder = Path(block["path"])
            found += sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else [folder]
    for path in found:
        if not path.is_file() or path.is_absolute() or path.parts[0] != "local" or ".." in path.parts:
            raise OfflineError(f"{path} is no file below local/; put or link it there and name it so in the study.")
    return found


def locked() -> list[str]:
    """The requirements of what travels, in the versions of the lock."""
    lock = Path("requirements.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))  # of two lines the last is for newer Pythons
    return [f"{name}=={pins[name]}" for name in WHEELS]


def rivals() -> tuple[str, ...]:
    """The requirements of the lab's PPO, which the race installs apart from all others."""
    sys.path.insert(0, str(RIVAL))
    from rival.task import TRL

    return TRL


def download(wanted_all: Iterable[str], folder: Path) -> None:
    """Wheels for the other machine's Python."""
    folder.mkdir()
    for wanted in wanted_all:
        name, pip = wanted.partition("==")[0], [sys.executable, "-m", "pip"]
        common = ["--quiet", "--no-deps", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "download", *common, *TARGET, "--dest", str(folder), wanted], capture_output=True)
        if done.returncode:  # published as source alone: good where it builds one wheel for every machine
            built = subprocess.run([*pip, "wheel", *common, "--wheel-dir", str(folder), wanted], capture_output=True)
            stem = name.replace("-", "_")
            if built.returncode or not list(folder.glob(f"{stem}-*-none-any.whl")):
                raise OfflineError(f"{wanted} has no wheel for CPython 3.12 on Linux; lock a version that has one.")


def right_study(name: str) -> dict[str, Any]:
    """The study as it stands in its file, once the project's own check has passed it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench import config
    from bench.core.schema import UserError

    study = parsed_study(name)
    try:
        config.parse(study, f"studies/{name}.yaml")
    except UserError as error:
        raise OfflineError(str(error)) from None
    return study


class Splitter:
    """A write-only file cut into `folder/part-NN/data`, each with its digest."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size, self.parts = folder, size, list[dict[str, Any]]()
        self.total, self.digest, self.room = hashlib.sha256(), hashlib.sha256(), 0
        self.file: IO[bytes] | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            if not self.room:
                self.close()
                part = self.folder / f"part-{len(self.parts):02}"
                part.mkdir(parents=True)
                self.file, self.room, self.digest = (part / "data").open("wb"), self.size, hashlib.sha256()
                self.parts.append({"offset": len(self.parts) * self.size})
            piece, rest = rest[: self.room], rest[self.room :]
            assert self.file is not None
            self.file.write(piece)
            self.digest.update(piece)
            self.total.update(piece)
            self.room -= len(piece)
        return len(data)

    def close(self) -> None:
        """End the part."""
        if self.file is not None:
            self.parts[-1] |= {"size": self.size - self.room, "sha256": self.digest.hexdigest()}
            self.file.close()
            self.file = None


def pack(study: str, out: Path, part_mib: float, preset: int, wheels: bool) -> None:
    """Write OUT/part-NN/{data,manifest.json} and print what to run."""
    files = carried(right_study(study))
    if out.exists() and any(out.iterdir()):
        raise OfflineError(f"{out} is not empty; remove it or name another folder.")
    splitter = Splitter(out, int(part_mib * MIB))
    with tempfile.TemporaryDirectory() as folder:
        if wheels:
            download(locked(), Path(folder, "wheels"))
            download(rivals(), Path(folder, "trl"))
        with lzma.open(splitter, "wb", preset=preset) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:  # type: ignore[call-overload,arg-type]
            tar.dereference = True
            for wheel in sorted(Path(folder).rglob("*.whl")):
                tar.add(wheel, f"{wheel.parent.name}/{wheel.name}")
            for path in files:
                tar.add(path.resolve(), path.as_posix())
    splitter.close()
    manifest = {"study": study, "sha256": splitter.total.hexdigest(), "parts": splitter.parts}
    for i in range(len(splitter.parts)):
        home = out / f"part-{i:02}"
        (home / "manifest.json").write_text(json.dumps(manifest | {"part": i}, indent=1) + "\n", encoding="utf-8")
    print(f"{len(splitter.parts)} parts, {sum(part['size'] for part in splitter.parts) / MIB:.1f} MiB; next:")
    print(f"  python tools/offline_run.py plan {shlex.quote(str(out))}")


def unpack(part: Path, store: Path) -> None:
    """Append one part to the store; after the last one, put everything in its place."""
    try:
        manifest = json.loads((part / "manifest.json").read_text(encoding="utf-8"))
        data = (part / "data").read_bytes()
        number, parts, whole = manifest["part"], manifest["parts"], manifest["sha256"]
        facts = parts[number]
        if not re.fullmatch("[0-9a-f]{64}", whole):  # it names a file
            raise ValueError
        if not all(type(count) is int and count >= 0 for count in (number, facts["offset"], facts["size"])):
            raise ValueError
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise OfflineError(f"{part} is no whole part ({type(error).__name__}); carry it again.") from None
    if hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise OfflineError(f"{part}/data does not have the digest of its manifest; carry it again.")
    store.mkdir(parents=True, exist_ok=True)
    joined = store / f"{whole[:16]}.tar.xz"
    joined.touch()
    if joined.stat().st_size < facts["offset"]:
        raise OfflineError(
            f"part {number + 1} of {len(parts)} came before the one it follows; unpack the parts in order."
        )
    if joined.stat().st_size < facts["offset"] + facts["size"]:
        with joined.open("r+b") as file:
            file.truncate(facts["offset"])  # what a broken call left of this part
            file.seek(facts["offset"])
            file.write(data)
    print(f"part {number + 1} of {len(parts)} is in {store}", flush=True)
    if number + 1 == len(parts):
        with joined.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != whole:
                raise OfflineError(
                    f"{joined} does not have the digest of the whole; remove it and unpack all parts again."
                )
        extract(joined, store)
        install(store)


def extract(joined: Path, store: Path) -> None:
    """Study files into local/ here, wheels into the store; nothing else, and nothing but plain files."""
    try:
        with tarfile.open(joined, "r:xz") as tar:
            # The argument `filter` is there from Python 3.11.4 on.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # type: ignore[assignment]
            for member in tar:
                parts = PurePosixPath(member.name).parts
                if not member.isfile() or ".." in parts or parts[:1] not in (("local",), ("wheels",), ("trl",)):
                    raise OfflineError(f"the packed file '{member.name}' would lie outside local/; it is refused.")
                base = Path("." if parts[0] == "local" else store).resolve()
                if not (base / member.name).resolve().is_relative_to(base):
                    raise OfflineError(f"'{member.name}' leads out of {base} by a link; remove that link.")
                tar.extract(member, base)
    except (tarfile.TarError, lzma.LZMAError, OSError) as error:
        raise OfflineError(f"{joined.name} cannot be unpacked ({error}); pack the study again.") from None


def install(store: Path) -> None:
    """Install those wheels into STORE/site that this Python does not hold in that very version."""

    wanted = []
    for wheel in sorted((store / "wheels").glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        try:
            wanted += [] if metadata.version(name) == version else [str(wheel)]
        except metadata.PackageNotFoundError:
            wanted.append(str(wheel))
    if wanted:
        words = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade", "--target"]
        if subprocess.run([sys.executable, "-m", "pip", "install", *words, str(store / "site"), *wanted]).returncode:
            raise OfflineError(f"pip could not install the wheels in {store / 'wheels'}; see above.")
    print(f"unpacked; {len(wanted)} wheels installed into {store / 'site'}")
