"""Does the synthetic population look like the log it was fitted to?"""

from collections.abc import Callable

import numpy as np

from agents.calibration.check import statistics
from agents.calibration.log import TransactionLog
from agents.calibration.posterior import Posterior
from experiments.cohorts import Purchases, simulated_purchases
from experiments.config import DemoConfig
from experiments.worlds import week_of_year

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
    n, weeks = log.n_customers, log.weeks
    join = np.zeros(n, np.int64)
    repeat = np.ones(log.n_transactions, bool)
    if log.origin == "first_purchase":
        join = log.first_time()
        repeat[0] = False
        repeat[1:] = log.customer[1:] == log.customer[:-1]
    observed = _statistics(
        Purchases(log.customer[repeat], log.time[repeat], log.amount[repeat]), n, weeks
    )
    cohorts = max(1, -(-_CUSTOMERS // n))
    bought = simulated_purchases(
        posterior,
        n * cohorts,
        weeks,
        config.seed,
        config.world.season,
        week_of_year(log.start.day_of_year),
        tell,
    ).delayed(np.tile(join, cohorts))
    simulated = _statistics(bought, n * cohorts, weeks)
    single = [_statistics(one, n, weeks) for one in bought.cohorts(n)]
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


def _statistics(purchases: Purchases, n: int, weeks: int) -> dict[str, float]:
    inside = purchases.before(weeks)
    return statistics(inside.weekly_counts(n, weeks), inside.spend(n), inside.amount)
