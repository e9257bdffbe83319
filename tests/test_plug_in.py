"""A mechanism, a programme, a world and a response world from a package that is not this one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "tests" / "example_plug_in"

pytestmark = pytest.mark.slow

# Runs where the package is installed; prints what the test below looks at.
_LIVES = """
import json
import numpy as np
from agents.response import MECHANISMS
from agents.records import SECONDS_PER_WEEK
from agents.rng import derive_seed
from experiments.config import compose_simulate
from experiments.worlds import build_world, draw_customers, population_of
from sim.market import LoyaltyMarket

def live(*overrides, mode="engine"):
    config = compose_simulate(["world=seaside", "programme=double_points", *overrides])
    posterior = population_of(config)
    customers = draw_customers(config, posterior, "population", 1500)
    market = LoyaltyMarket(
        build_world(config, posterior, config.response.name), customers,
        derive_seed(0, "world"), mode,
    )
    gross, purchases = [], []
    for _ in range(30):
        market.step()
        gross.append(customers.outcome["gross"].copy())
        purchases.append(customers.outcome["purchases"].copy())
    market.finish()
    return np.array(gross), np.array(purchases), [part.tobytes() for part in customers], config

gross, purchases, engine, config = live("response=sulky")
memory = np.zeros(1500)
for week in gross:
    memory = 0.5 * memory + (week > 4000)
off = live("response=sulky", "off=[regret]")
none = live("response=sulky", "response.plugged.regret_log_rate=0.0")
print(json.dumps({
    "known": "regret" in MECHANISMS,
    "programme": config.programme.points_per_unit,
    "world": config.world.name,
    "same_bits": engine == live("response=sulky", mode="agents")[2],
    "purchases": int(purchases.sum()),
    "without": int(off[1].sum()),
    "off_is_zero": off[1].tolist() == none[1].tolist(),
    "first_week": purchases[0].tolist() == off[1][0].tolist(),
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process in which the example is installed."""
    folder = tmp_path_factory.mktemp("plug_in")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run(
        [*pip, str(EXAMPLE), "--no-deps", "--no-build-isolation", "--target", str(folder)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "LOYALTYLAB_CACHE": str(tmp_path_factory.mktemp("cache")),
    }


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True, text=True, env=environment, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_everything_in_the_package_takes_part_in_a_run(installed: dict[str, str]) -> None:
    found: dict[str, Any] = json.loads(run(installed, "-c", _LIVES))
    assert found["known"]
    assert (found["programme"], found["world"]) == (2.0, "seaside")
    assert found["same_bits"]  # Mesa's agents and the engine
    assert found["first_week"]  # nothing to regret yet
    assert found["off_is_zero"]
    assert found["purchases"] < 0.97 * found["without"]


def test_the_command_lists_the_mechanism_and_composes_the_files(installed: dict[str, str]) -> None:
    listed = run(installed, "-m", "experiments.cli", "mechanisms", "regret")
    assert "regret_log_rate" in listed
    composed = run(
        installed, "-m", "experiments.cli", "config", "world=seaside", "programme=double_points"
    )
    assert "name: seaside" in composed
    assert "points_per_unit: 2.0" in composed


def test_without_the_package_nothing_of_it_is_known() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", "config", "world=seaside"],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "world='seaside' is not known" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
