"""The built wheel works by itself, outside the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    (built,) = folder.glob("loyaltylab-*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pip("install", str(wheel), "--no-deps", "--no-index", "--target", str(folder))
    return folder


def run(
    path: list[Path], *command: str, cwd: Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_the_wheel_holds_packages_and_configuration_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    info = {name for name in tops if name.endswith(".dist-info")}
    assert tops - info == {"agents", "sim", "envs", "policies", "experiments", "conf"}
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        assert path.relative_to(ROOT).as_posix() in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_command_answers_outside_the_repository(site: Path, tmp_path: Path) -> None:
    where = run([site], "-c", "import experiments; print(experiments.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(site)
    assert "demo" in run([site], "-m", "experiments.cli", "--help", cwd=tmp_path).stdout
    script = site / "bin" / "loyaltylab"
    assert run([site], str(script), "--version", cwd=tmp_path).stdout == "loyaltylab 0.1.0\n"


def test_the_configuration_composes_from_the_wheel(site: Path, tmp_path: Path) -> None:
    done = run([site], "-m", "experiments.cli", "config", "data=cdnow", "seed=5", cwd=tmp_path)
    assert "\nseed: 5\n" in done.stdout
    assert "name: music_store" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_package_in_front_is_refused(site: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    (foreign / "agents").mkdir(parents=True)
    (foreign / "agents" / "__init__.py").write_text("raise RuntimeError('imported')")
    done = run([foreign, site], "-m", "experiments.cli", "demo", cwd=tmp_path, code=2)
    assert done.stderr.count("\n") == 1
    assert "'agents' resolves to" in done.stderr
