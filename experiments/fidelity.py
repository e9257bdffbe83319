"""Does the synthetic population look like the log it was fitted to?"""

from collections.abc import Callable

import numpy as np

from agents.calibration.log import TransactionLog
from agents.calibration.posterior import Posterior
from experiments.cohorts import observed_purchases, simulated_purchases
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
    bought, join = observed_purchases(log)
    observed = bought.statistics(n, weeks)
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
    simulated = bought.statistics(n * cohorts, weeks)
    single = [one.statistics(n, weeks) for one in bought.cohorts(n)]
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
