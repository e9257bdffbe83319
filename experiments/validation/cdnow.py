"""CDNOW: published parameters, and 39 weeks held out, tracked week by week."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog
from agents.calibration.posterior import Posterior
from agents.calibration.predictive import predict
from experiments.cohorts import simulated_purchases
from experiments.validation import mode_and_interval
from experiments.validation.closed_forms import expected_repeats

COHORTS = 40
CALIBRATION_WEEKS, WEEKS = 39, 78
_SOON_WEEKS = 2

# Fader, Hardie & Lee (2005), table 2 and section 5: Pareto/NBD on the tenth of CDNOW.
PUBLISHED = {
    "rate_shape": 0.553,
    "rate_rate": 10.578,
    "dropout_shape": 0.606,
    "dropout_rate": 11.669,
    "log_likelihood": -9594.98,
    "expected_holdout": 1666.0,
    "actual_holdout": 1882.0,
}


def cdnow_facts(
    log: TransactionLog,
    likeliest: Posterior,
    usual: Posterior,
    seed: int,
    tell: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Parameters, hold-out and weekly tracking.

    Parameters
    ----------
    log
        All weeks.
    likeliest, usual
        Fits on the first ``CALIBRATION_WEEKS``: by maximum likelihood, as published, and under
        the priors that runs use.
    seed
        Of the simulated cohorts.
    tell
        Called after each week.
    """
    n = log.n_customers
    calibration, _ = log.split(CALIBRATION_WEEKS)
    start = log.first_time() // SECONDS_PER_DAY * SECONDS_PER_DAY
    bought = simulated_purchases(likeliest, n * COHORTS, WEEKS, seed, tell=tell)
    cohorts = bought.delayed(np.tile(start, COHORTS)).cohorts(n)
    simulated = np.array([_cumulative(one.time) for one in cohorts])
    customer, day, _ = log.purchase_days()
    actual = _cumulative(day * SECONDS_PER_DAY)
    age = np.maximum(np.arange(WEEKS + 1)[:, None] - start / SECONDS_PER_WEEK, 0.0)
    expected = expected_repeats(likeliest, age).sum(axis=1)
    soon = day * SECONDS_PER_DAY - start[customer] <= _SOON_WEEKS * SECONDS_PER_WEEK
    held_out = simulated[:, WEEKS] - simulated[:, CALIBRATION_WEEKS]
    low, high = np.quantile(simulated, (0.025, 0.975), axis=0)
    names = ("rate_shape", "rate_rate", "dropout_shape", "dropout_rate")
    return {
        "customers": n,
        "cohorts": COHORTS,
        "notice": log.notice,
        "parameters": [
            {
                "parameter": name,
                "published": PUBLISHED[name],
                "likeliest": float(likeliest.parameters[name][0]),
                **mode_and_interval(usual, name),
            }
            for name in names
        ],
        "log_likelihood": {
            "published": PUBLISHED["log_likelihood"],
            "likeliest": float(likeliest.attributes["purchase_log_likelihood"]),
            "mode": float(usual.attributes["purchase_log_likelihood"]),
        },
        "holdout": {
            "actual": int(actual[WEEKS] - actual[CALIBRATION_WEEKS]),
            "published_actual": PUBLISHED["actual_holdout"],
            "published_expected": PUBLISHED["expected_holdout"],
            "expected_given_histories": float(
                predict(
                    likeliest.purchase_model,
                    likeliest.values(),
                    calibration,
                    WEEKS - CALIBRATION_WEEKS,
                )
                .expected()
                .sum()
            ),
            "expected_of_a_cohort": float(expected[WEEKS] - expected[CALIBRATION_WEEKS]),
            "simulated": float(held_out.mean()),
            "low": float(np.quantile(held_out, 0.025)),
            "high": float(np.quantile(held_out, 0.975)),
            "standard_error": float(held_out.std(ddof=1) / np.sqrt(COHORTS)),
        },
        "soon": {
            "weeks": _SOON_WEEKS,
            "actual": int(soon.sum()),
            "expected": float(n * expected_repeats(likeliest, _SOON_WEEKS)),
        },
        "tracking": [
            {
                "week": week,
                "actual": int(actual[week]),
                "simulated": float(simulated[:, week].mean()),
                "low": float(low[week]),
                "high": float(high[week]),
                "expected": float(expected[week]),
            }
            for week in range(WEEKS + 1)
        ],
    }


def _cumulative(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of purchases before each week's start, shape (WEEKS + 1,)."""
    week = np.bincount(time // SECONDS_PER_WEEK, minlength=WEEKS)[:WEEKS]
    return np.concatenate(([0], np.cumsum(week)))
