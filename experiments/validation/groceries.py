"""Simulated groceries against Complete Journey: frequency, its persistence, baskets, spend."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agents.calibration.check import statistics, top_share
from agents.calibration.log import SECONDS_PER_WEEK, TransactionLog
from agents.calibration.posterior import Posterior
from agents.population import PosteriorLike
from experiments.cohorts import Purchases, simulated_purchases
from experiments.config import compose_simulate
from experiments.validation import mode_and_interval
from experiments.worlds import week_of_year
from sim.scenario import SeasonParameters

COHORTS = 9
_EXCHANGES = 200

# Measured on the same rows when the parameters of conf/world/grocery.yaml were set.
REFERENCE = {
    "weekly_purchases": 1.214,
    "share_of_zeros": 0.459,
    "variance_over_mean": 2.69,
    "rate_correlation_4": 0.97,
    "rate_correlation_44": 0.72,
    "top_20_share": 0.55,
    "basket_mean": 29.5,
    "basket_median": 17.5,
    "basket_q95": 102.0,
    "annual_spend_mean": 1825.0,
    "annual_spend_cv": 1.09,
}
STATISTICS = (
    "weekly_purchases",
    "share_of_zeros",
    "variance_over_mean",
    "correlation_4",
    "correlation_44",
    "rate_correlation_4",
    "rate_correlation_44",
    "basket_mean",
    "basket_median",
    "basket_q95",
    "annual_trips_cv",
    "household_basket_cv",
    "annual_spend_mean",
    "annual_spend_cv",
    "top_20_share",
)


def grocery_facts(
    log: TransactionLog, posterior: Posterior, seed: int, tell: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Statistics of the log, of cohorts drawn from its fit, and from the shipped world.

    ``tell`` is called twice per week of the log.
    """
    world = compose_simulate(["world=grocery"]).world
    shipped = world.population.posterior
    n, weeks = log.n_customers, log.weeks
    season, first = world.season, week_of_year(log.start.day_of_year)
    observed = _log_statistics(Purchases(log.customer, log.time, log.amount), n, weeks)
    both = [
        _cohort_statistics(one, n, weeks, season, first, seed, tell) for one in (posterior, shipped)
    ]
    exchanged = exchanged_statistics(log, seed)
    return {
        "households": n,
        "purchases": log.n_transactions,
        "weeks": weeks,
        "start": str(log.start.date()),
        "cohorts": COHORTS,
        "notice": log.notice,
        "choice": posterior.attributes["choice"],
        "parameters": [
            {
                "parameter": name,
                **mode_and_interval(posterior, name),
                "shipped": float(shipped.parameters[name][0]),
            }
            for name in posterior.parameters
        ],
        "statistics": [
            {
                "statistic": name,
                "observed": observed[name],
                "reference": REFERENCE.get(name),
                **both[0][name],
                "shipped": both[1][name]["simulated"],
                "exchanged": exchanged.get(name),
            }
            for name in STATISTICS
        ],
        "frequent_basket": exchanged["frequent_basket"],
        "other_basket": exchanged["other_basket"],
    }


def _cohort_statistics(
    posterior: PosteriorLike,
    n: int,
    weeks: int,
    season: SeasonParameters,
    first_week: int,
    seed: int,
    tell: Callable[[], None] | None,
) -> dict[str, dict[str, float]]:
    """Statistics of all cohorts of n customers together, and the range over single ones."""
    bought = simulated_purchases(posterior, n * COHORTS, weeks, seed, season, first_week, tell)
    together = _log_statistics(bought, n * COHORTS, weeks)
    single = [_log_statistics(one, n, weeks) for one in bought.cohorts(n)]
    return {
        name: {
            "simulated": value,
            "low": min(one[name] for one in single),
            "high": max(one[name] for one in single),
        }
        for name, value in together.items()
    }


def _log_statistics(bought: Purchases, n: int, weeks: int) -> dict[str, float]:
    inside = bought.before(weeks)
    found = statistics(inside.weekly_counts(n, weeks), inside.spend(n), inside.amount)
    for lag in (4, 44):
        # Chance within a week lowers every correlation of counts alike: it cancels.
        found[f"rate_correlation_{lag}"] = found[f"correlation_{lag}"] / found["correlation_1"]
    found["basket_q95"] = float(np.quantile(inside.amount, 0.95)) / 100
    trips = np.bincount(inside.customer, minlength=n)
    basket = inside.spend(n)[trips > 0] / trips[trips > 0]
    found["annual_trips_cv"] = float(trips.std() / trips.mean())
    found["household_basket_cv"] = float(basket.std() / basket.mean())
    return found


def exchanged_statistics(log: TransactionLog, seed: int) -> dict[str, float]:
    """Statistics of spend if the log's own households had each other's baskets.

    Mean baskets are dealt out anew among the households, so what changes is only whether frequent
    households have smaller baskets; hence every household counts alike for the mean basket, and
    for the quantiles of baskets here.
    """
    trips = log.weekly_counts().sum(axis=1).astype(float)
    inside = log.time < log.weeks * SECONDS_PER_WEEK
    customer, amount = log.customer[inside], log.amount[inside] / 100
    active = trips > 0
    basket = log.spend_per_customer()[active] / trips[active] / 100
    frequent = trips[active] >= np.quantile(trips[active], 0.9)
    rng = np.random.default_rng(seed)
    dealt = [trips[active] * rng.permutation(basket) for _ in range(_EXCHANGES)]
    order = np.argsort(amount)
    share = np.cumsum(1 / trips[customer[order]]) / active.sum()
    median, q95 = amount[order][np.searchsorted(share, (0.5, 0.95))]
    return {
        "basket_mean": float(basket.mean()),
        "basket_median": float(median),
        "basket_q95": float(q95),
        "annual_spend_mean": float(basket.mean() * trips.sum() / trips.size * 52 / log.weeks),
        "annual_spend_cv": float(np.mean([spend.std() / spend.mean() for spend in dealt])),
        "top_20_share": float(np.mean([top_share(spend, 0.2) for spend in dealt])),
        "frequent_basket": float(basket[frequent].mean()),
        "other_basket": float(basket[~frequent].mean()),
    }
