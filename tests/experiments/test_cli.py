"""The command answers at once, and says in one line what a person can put right."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from agents.errors import InputError
from experiments.cli import main

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "pandas", "numba", "torch", "mesa", "pymc", "hydra", "scipy", "gymnasium")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )


def replace_job(monkeypatch: pytest.MonkeyPatch, module: str, name: str, job: Any) -> None:
    stand_in = ModuleType(module)
    setattr(stand_in, name, job)
    monkeypatch.setitem(sys.modules, module, stand_in)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from experiments.cli import main; main(['--help']); "
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "demo" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demoo"], ["'demoo'", "'demo'"]),
        (["demo", "--sed", "3"], ["--sed"]),
        (["demo", "dat=cdnow"], ["'dat'", "'data'"]),
        (["demo", "data=cdno"], ["'cdno'", "'cdnow'"]),
        (["config", "seed=x"], ["seed='x'"]),
        (["bench", "engin"], ["'engin'", "'engine'"]),
        (["bench", "engine", "--customers", "0"], ["--customers"]),
        (["verify"], ["bundle"]),
        (["mechanisms", "fatige"], ["'fatige'", "did you mean 'fatigue'"]),
        (["--config-dir", "nowhere", "config"], ["nowhere", "no such folder"]),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("loyaltylab: error: ")
    for word in words:
        assert word in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_is_printed_from_any_folder(tmp_path: Path) -> None:
    done = run("config", "seed=7", cwd=tmp_path)
    assert done.returncode == 0
    assert "\nseed: 7\n" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_comes_after_the_options_of_every_group(tmp_path: Path) -> None:
    done = run("config", "world=coffee_shop", cwd=tmp_path)
    assert "# response: backfire, deal_seekers, literature, null, optimistic\n" in done.stdout
    settings = yaml.safe_load(done.stdout)
    assert settings["world"]["network"]["degree"] == 8
    assert settings["off"] == []


def test_mechanisms_are_listed_with_status_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mechanisms"]) == 0
    shown = capsys.readouterr().out
    assert "\ncontagion\n  response.contagion_log_hazard " in shown
    assert " 0.588 " in shown
    assert "Nitzan & Libai 2011" in shown
    assert main(["mechanisms", "contagion"]) == 0
    shown = capsys.readouterr().out
    assert "https://doi.org/10.1509/jm.10.0209" in shown
    assert "goal_gradient" not in shown


def test_mechanisms_are_printed_as_json_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["mechanisms", "contagion", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (rows,) = shown["mechanisms"].values()
    assert rows[0]["key"] == "response.contagion_log_hazard"
    assert (rows[0]["default"], rows[0]["range"], rows[0]["status"]) == (0.588, [0.0, 0.8], "V")
    assert "Nitzan & Libai 2011" in shown["references"]
    assert main(["mechanisms", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["mechanisms"]) > 25


def test_demo_hands_the_checked_configuration_to_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    replace_job(monkeypatch, "experiments.demo", "run_demo", seen.append)
    assert main(["demo", "seed=3", "data=cdnow"]) == 0
    assert [(config.seed, config.data.source) for config in seen] == [(3, "cdnow")]


def test_input_errors_have_no_traceback_unless_debug_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(config: object) -> None:
        raise InputError("log.csv: no column 'amount';\n it has a, b")

    replace_job(monkeypatch, "experiments.demo", "run_demo", job)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == (
        "loyaltylab: error: log.csv: no column 'amount'; it has a, b\n"
    )
    with pytest.raises(InputError):
        main(["--debug", "demo"])


def test_a_missing_file_is_an_input_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(config: object) -> None:
        Path("/nowhere/log.csv").read_bytes()

    replace_job(monkeypatch, "experiments.demo", "run_demo", job)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err.startswith("loyaltylab: error: /nowhere/log.csv: No such file")


def test_a_bug_is_not_dressed_up_as_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def job(config: object) -> None:
        raise ZeroDivisionError

    replace_job(monkeypatch, "experiments.demo", "run_demo", job)
    with pytest.raises(ZeroDivisionError):
        main(["demo"])


def test_ctrl_c_is_one_line_and_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(config: object) -> None:
        signal.raise_signal(signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        replace_job(monkeypatch, "experiments.demo", "run_demo", job)
        assert main(["demo"]) == 130
    finally:
        signal.signal(signal.SIGINT, previous)
    assert capsys.readouterr().err.count("\n") == 1


def test_shadowed_names_are_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"'agents' resolves to {tmp_path / 'agents'}" in done.stderr
