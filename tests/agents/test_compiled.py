"""numba's cache cannot lie: an edit anywhere among the rules takes effect on the next run."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.compiled import KERNEL_PACKAGES, cache_folder, kernel_digest

ROOT = Path(__file__).resolve().parents[2]

CALLER = """
from agents.compiled import kernel
from sim.b import rule

@kernel
def call(x):
    return rule(x) + 1
"""
RULE = """
from agents.compiled import kernel

@kernel
def rule(x):
    return {factor} * x
"""
RUN = """
from agents.a import call
print(call(1), sum(call.stats.cache_hits.values()))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The real agents/compiled.py with one rule that calls another in another package."""
    for package in KERNEL_PACKAGES:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    shutil.copy(ROOT / "agents" / "compiled.py", tmp_path / "agents")
    (tmp_path / "agents" / "a.py").write_text(CALLER)
    (tmp_path / "sim" / "b.py").write_text(RULE.format(factor=10))
    return tmp_path


def run(project: Path) -> tuple[int, int]:
    """Result of the rule and number of times it came from the cache, in a fresh process."""
    result = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=project,
        env={**os.environ, "LOYALTYLAB_CACHE": str(project / "cache"), "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=True,
    )
    value, hits = result.stdout.split()
    return int(value), int(hits)


def test_an_edit_in_another_module_takes_effect_on_the_next_run(project: Path) -> None:
    assert run(project) == (11, 0)
    assert run(project) == (11, 1)  # so there is a cache that could lie
    (project / "sim" / "b.py").write_text(RULE.format(factor=20))
    assert run(project) == (21, 0)


def test_kernels_of_old_sources_are_dropped_after_two_weeks(project: Path) -> None:
    kernels = project / "cache" / "kernels"
    for name, days in [("forgotten", 15), ("recent", 13)]:
        (kernels / name).mkdir(parents=True)
        then = time.time() - days * 24 * 3600
        os.utime(kernels / name, (then, then))
    run(project)
    assert {folder.name for folder in kernels.iterdir()} == {"recent", kernel_digest(project)}


def test_the_digest_follows_every_source_and_nothing_else(project: Path) -> None:
    seen = [kernel_digest(project)]
    (project / "README.md").write_text("not a source")
    assert kernel_digest(project) == seen[0]
    rule = project / "sim" / "b.py"
    for change in (
        lambda: rule.write_text(rule.read_text() + "\n"),
        lambda: rule.rename(rule.with_name("c.py")),
        lambda: (project / "envs" / "new.py").touch(),
        lambda: (project / "envs" / "new.py").rename(project / "agents" / "new.py"),
    ):
        change()
        seen.append(kernel_digest(project))
    assert len(set(seen)) == len(seen)


def test_every_module_with_a_kernel_is_in_the_digest() -> None:
    packages = ("agents", "sim", "envs", "policies", "experiments")
    sources = [source for package in packages for source in (ROOT / package).rglob("*.py")]
    compiling = {
        source
        for source in sources
        if re.search(
            r"^from agents\.compiled import .*kernel\b|\bnumba\.n?jit",
            source.read_text(),
            re.M,
        )
    }
    digested = {source for package in KERNEL_PACKAGES for source in (ROOT / package).rglob("*.py")}
    assert len(compiling) > 8
    assert compiling <= digested


def test_the_cache_may_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOYALTYLAB_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "kernels" / kernel_digest()
    monkeypatch.delenv("LOYALTYLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().parents[1] == tmp_path / "xdg" / "loyaltylab"
