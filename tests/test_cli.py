"""`bench use`: a study becomes the active one only when it is right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench import cli
from bench.core import parameters
from bench.core.schema import UserError
from stages import params

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(workdir: Path) -> Path:
    shutil.copytree(ROOT / "studies", workdir / "studies")
    (workdir / "params.yaml").write_text("kept")
    return workdir


def test_use_makes_a_study_active(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["use", "dialogsum-small"]) == 0
    assert (project / "params.yaml").read_text() == (project / "studies" / "dialogsum-small.yaml").read_text()
    assert "dvc repro" in capsys.readouterr().out


def test_what_a_study_leaves_out_is_written_where_dvc_looks_for_it(project: Path) -> None:
    """DVC refuses a list of parameters that are not there, and at the last stage: the first stage says it, with the fix."""
    path = project / "studies" / "miniature.yaml"
    raw = YAML(typ="safe", pure=True).load(path.read_text())
    for key in ("about", "seed", "compute", "text", "generation", "report"):
        raw.pop(key, None)
    with path.open("w") as file:
        YAML().dump(raw, file)
    assert cli.main(["use", "miniature"]) == 0
    active = YAML(typ="safe", pure=True).load((project / "params.yaml").read_text())
    listed = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["params"]
    assert set(listed) <= set(active)
    assert parameters.read(project / "params.yaml") == parameters.read(path)
    params.main()
    (project / "params.yaml").write_text(path.read_text())
    with pytest.raises(UserError, match=r"^params\.yaml: about: missing, and DVC looks for it; write `about: \"\"`"):
        params.main()


def test_a_study_in_braces_is_told_what_to_write(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "studies" / "miniature.yaml"
    raw = YAML(typ="safe", pure=True).load(path.read_text())
    del raw["about"]
    path.write_text(json.dumps(raw))
    assert cli.main(["use", "miniature"]) == 1
    assert (
        'studies/miniature.yaml: about: missing, and DVC looks for it; write into the study: about: ""'
        in capsys.readouterr().err
    )
    assert (project / "params.yaml").read_text() == "kept"


def test_a_wrong_study_leaves_the_active_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "studies" / "miniature.yaml"
    path.write_text(path.read_text().replace("kl_coefficient", "kl_coeficient"))
    assert cli.main(["use", "miniature"]) == 1
    assert "did you mean 'kl_coefficient'" in capsys.readouterr().err
    path.rename(project / "studies" / "other.yaml")
    assert cli.main(["use", "other"]) == 1
    assert cli.main(["use", "none-such"]) == 1
    assert "dialogsum-small" in capsys.readouterr().err
    assert (project / "params.yaml").read_text() == "kept"


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/passwd", "a\0b", ""])
def test_a_study_is_a_file_of_its_folder(project: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    shutil.copy(project / "studies" / "miniature.yaml", project / "elsewhere.yaml")
    assert cli.main(["use", name]) == 1
    assert "does not exist; studies: adapters, c" in capsys.readouterr().err
    assert (project / "params.yaml").read_text() == "kept"


def test_the_command_is_there_and_light() -> None:
    code = "import sys; from bench import cli; assert not {'torch', 'transformers', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    done = subprocess.run(
        [sys.executable, "-c", "from bench import cli; cli.main(['--help'])"], capture_output=True, text=True, cwd=ROOT
    )
    assert "gate" in done.stdout and "audit" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_our_signs_gets_question_marks(encoding: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from bench import cli; cli.main(['audit', '--out', {str(tmp_path)!r}])"],
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0 and not done.stderr
    assert "audit: " in done.stdout.decode(encoding)


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    code = (
        "import sys; from bench import cli, commands; "
        "cli.COMMANDS['audit'] = commands.Command('', lambda _: None, lambda _: print('x' * 10**6) or 0); "
        "sys.exit(cli.main(['audit']))"
    )
    done = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert done.stdout is not None and done.stderr is not None
    done.stdout.close()
    assert done.stderr.read() == b""
    assert done.wait() == 1


def test_the_module_can_be_run_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "bench.cli", "--help"], capture_output=True, text=True, check=True)
    assert "usage: bench" in done.stdout
