"""Speed, measured on this machine: medians of repeated runs, compared within one run."""

import os
import platform
import time
from typing import Any

import numba
import numpy as np

from agents.population import GROCERY, draw_population
from agents.records import Customers, mutable_bytes_per_customer
from agents.rng import derive_seed
from envs.offers import default_world
from sim.engine import Engine
from sim.market import LoyaltyMarket
from sim.world import World

_REPETITIONS = 5
_CONTACT_SHARE = 0.1
_MESA_CUSTOMERS = 20_000
_MESA_WEEKS = 5


def bench_engine(customers: int, weeks: int) -> dict[str, Any]:
    """Customer-weeks per second of the engine and of Mesa agents stepping one at a time.

    Both run grocery customers with drift in a three-tier programme, a tenth of them
    contacted each week. Times exclude compilation; each figure is the median of repetitions.

    Parameters
    ----------
    customers, weeks
        Size of the engine's cohort, and weeks per repetition.
    """
    world = default_world()
    engine = _engine_rate(world, customers, weeks)
    mesa = _mesa_rate(world, min(customers, _MESA_CUSTOMERS))
    return {
        "customer_weeks_per_s": engine,
        "mesa_customer_weeks_per_s": mesa,
        "ratio": engine / mesa,
        "bytes_per_customer": mutable_bytes_per_customer(),
        "customers": customers,
        "weeks": weeks,
        "threads": numba.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "numba": numba.__version__,
    }


def _population(n: int) -> Customers:
    return draw_population(GROCERY, n, derive_seed(0, "population"))


def _actions(world: World, n: int, week: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(week)
    contacted = rng.random(n) < _CONTACT_SHARE
    return np.where(contacted, rng.integers(1, world.table.n, n), 0).astype(np.uint8)


def _engine_rate(world: World, n: int, weeks: int) -> float:
    engine = Engine(_population(n), world.rules(), derive_seed(0, "world"))
    actions = [_actions(world, n, week) for week in range(4)]
    engine.advance(actions[0])  # compile and touch the memory
    rates = []
    for _ in range(_REPETITIONS):
        begun = time.perf_counter()
        for week in range(weeks):
            engine.advance(actions[week % len(actions)])
        rates.append(n * weeks / (time.perf_counter() - begun))
    return float(np.median(rates))


class _Fixed:
    """A decider with its actions ready, so that only the customers are timed."""

    def __init__(self, actions: np.ndarray[Any, Any]) -> None:
        self.actions = actions

    def decide(self, view: Any) -> np.ndarray[Any, Any]:
        return self.actions

    def finish(self, view: Any) -> None:
        """Nothing to look at."""


def _mesa_rate(world: World, n: int) -> float:
    decider = _Fixed(_actions(world, n, 0))
    market = LoyaltyMarket(world, _population(n), derive_seed(0, "world"), "agents", decider)
    market.step()
    rates = []
    for _ in range(_REPETITIONS):
        begun = time.perf_counter()
        market.advance(_MESA_WEEKS)
        rates.append(n * _MESA_WEEKS / (time.perf_counter() - begun))
    return float(np.median(rates))
