"""The repository keeps its own promises: names, commands, configuration, lock file, notebooks."""

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from experiments.cli import app
from experiments.config import compose_demo
from experiments.name_check import NAMES, foreign_names, name_check

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:  # an unpacked source distribution
        paths = [path for name in (*NAMES, "tests", "docs") for path in (ROOT / name).rglob("*")]
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


def commands() -> dict[str, list[str]]:
    """Every command with the names of its options."""
    import typer

    found: dict[str, list[str]] = {}

    def walk(group: Any, path: tuple[str, ...]) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, (*path, name))
            else:
                flags = [flag for item in command.params for flag in item.opts]
                found[" ".join((*path, name))] = flags

    walk(typer.main.get_command(app), ())
    return found


def test_top_level_names_resolve_to_this_project() -> None:
    assert foreign_names() == {}
    assert name_check() is None
    for name in NAMES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin == str(ROOT / name / "__init__.py")


def test_the_wheel_holds_every_top_level_name() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert tuple(packages) == NAMES
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    assert layers[::-1] == [name for name in NAMES if name != "conf"]


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented(command: str) -> None:
    assert f"loyaltylab {command}" in README


def test_every_documented_command_exists() -> None:
    known = commands()
    for line in re.findall(r"^loyaltylab ([^#\n]*)", README, flags=re.MULTILINE):
        words = line.split()
        name = next((c for c in (" ".join(words[:2]), words[0]) if c in known), None)
        assert name is not None, line
        flags = [word for word in words if word.startswith("--")]
        assert set(flags) <= set(known[name]), line
        if name in ("demo", "config"):
            compose_demo([word for word in words[1:] if "=" in word])


def test_every_documented_make_target_exists() -> None:
    text = README + (ROOT / "CONTRIBUTING.md").read_text()
    names = re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE)  # code, not prose
    assert {"demo", "test", "install-data", "lint"} <= set(names)
    for name in names:
        assert re.search(rf"^{name}:", MAKEFILE, flags=re.MULTILINE), name


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    for command in ("make install", "make lint", "make demo", "make test"):
        assert command in README
        assert re.search(rf"^{command}$", script, flags=re.MULTILINE)


def test_the_lock_file_pins_every_dependency() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {name.lower().replace("_", "-").replace(".", "-"): v for name, v in pins.items()}
    assert pinned["torch"] == "2.13.0"
    assert "TORCH := torch==2.13.0" in MAKEFILE
    project = PROJECT["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[wanted.name.lower()]), text
    for text in project["optional-dependencies"]["data"]:
        assert text in MAKEFILE
        assert Requirement(text).name not in pinned


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_hold_no_outputs_and_compile(path: Path) -> None:
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            compile("".join(cell["source"]), path.name, "exec")


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


def test_no_file_names_the_machine_it_was_written_on() -> None:
    places = [
        r"/(?:home|Users)/\w+/",
        "/" + r"root/",
        "/" + "work/",
        "/" + r"tmp/\w",
        "file:" + "///",
    ]
    indexes = ["extra-" + "index-url", "--" + "index-url", "trusted-" + "host"]
    pattern = re.compile("|".join((*places, *indexes)).encode())
    for path in tracked_files():
        found = pattern.search(path.read_bytes()) if path.suffix != ".parquet" else None
        assert found is None, f"{path.relative_to(ROOT)}: {found.group().decode()}"


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
