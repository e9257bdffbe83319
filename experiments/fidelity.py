"""Does the synthetic population look like the log it was fitted to?"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.calibration.check import statistics
from agents.calibration.log import TransactionLog
from agents.calibration.posterior import Posterior
from agents.population import draw_population, dynamics_from, filter_from
from agents.profile import EventKind
from agents.records import SECONDS_PER_WEEK
from agents.response import ResponseParameters
from agents.rng import derive_seed
from experiments.config import DemoConfig
from experiments.worlds import FIRST_ID, week_of_year
from sim.market import LoyaltyMarket
from sim.programme import ProgrammeParameters
from sim.world import World, starting_in

_CUSTOMERS = 20_000  # simulated, at least


def observed_and_simulated(
    config: DemoConfig,
    log: TransactionLog,
    posterior: Posterior,
    tell: Callable[[], None] | None = None,
) -> list[dict[str, float | str]]:
    """The same statistics of log and simulation, one row each.

    The simulation has a whole number of cohorts of the log's size, its weeks and, where clocks
    start at the first purchase, its starting times; no programme, no offers. First purchases are
    left out of both where they start the clock.

    Returns
    -------
    list of dict
        statistic, observed, simulated (all cohorts together), and simulated_low and
        simulated_high: the range over single cohorts, which shows what luck alone does.
    """
    join = np.zeros(log.n_customers, np.int64)
    repeat = np.ones(log.n_transactions, bool)
    if log.origin == "first_purchase":
        join = log.first_time()
        repeat[0] = False
        repeat[1:] = log.customer[1:] == log.customer[:-1]
    weeks = log.weeks
    observed = _statistics(
        log.customer[repeat], log.time[repeat], log.amount[repeat], log.n_customers, weeks
    )
    cohorts = max(1, -(-_CUSTOMERS // log.n_customers))
    customer, time, amount = _simulate(config, log, posterior, cohorts, tell)
    time = time + np.tile(join, cohorts)[customer]
    n = log.n_customers
    simulated = _statistics(customer, time, amount, n * cohorts, weeks)
    single = []
    for cohort in range(cohorts):
        rows = customer // n == cohort
        single.append(_statistics(customer[rows] % n, time[rows], amount[rows], n, weeks))
    return [
        {
            "statistic": name,
            "observed": observed[name],
            "simulated": simulated[name],
            "simulated_low": min(one[name] for one in single),
            "simulated_high": max(one[name] for one in single),
        }
        for name in observed
    ]


def _simulate(
    config: DemoConfig,
    log: TransactionLog,
    posterior: Posterior,
    cohorts: int,
    tell: Callable[[], None] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    world = World(
        ResponseParameters(),
        dynamics_from(posterior),
        filter_from(posterior),
        config.world.season,
        ProgrammeParameters(),
        contribution_margin=config.world.contribution_margin,
    )
    customers = draw_population(
        posterior, log.n_customers * cohorts, derive_seed(config.seed, "population"), first_id=0
    )
    market = LoyaltyMarket(world, customers, derive_seed(config.seed, "world"), recording=True)
    first = week_of_year(log.start.day_of_year)
    market.engine.rules = starting_in(market.engine.rules, first)
    parts = []
    for _ in range(log.weeks):
        market.step()
        events = market.events()
        parts.append(events[events["kind"] == EventKind.PURCHASE])
        if tell is not None:
            tell()
    bought = np.concatenate(parts)
    return (
        (bought["customer"] - np.uint64(FIRST_ID["population"])).astype(np.int64),
        bought["time"].astype(np.int64),
        bought["amount"].astype(np.int64),
    )


def _statistics(
    customer: NDArray[np.int64],
    time: NDArray[np.int64],
    amount: NDArray[np.int64],
    n: int,
    weeks: int,
) -> dict[str, float]:
    inside = time < weeks * SECONDS_PER_WEEK
    customer, time, amount = customer[inside], time[inside], amount[inside]
    cell = customer * weeks + time // SECONDS_PER_WEEK
    counts = np.bincount(cell, minlength=n * weeks).reshape(n, weeks)
    spend = np.bincount(customer, weights=amount, minlength=n)
    return statistics(counts, spend, amount)
