"""The weekly models' parameters: the search leaves its start, and finds the truth."""

import numpy as np
import pandas as pd
import pytest

from agents.calibration import weekly_fit
from agents.calibration.log import SECONDS_PER_DAY, TransactionLog
from agents.calibration.weekly_fit import fit_weekly
from agents.errors import InputError

WEEKS = 12


def brisk_log(n, seed=1):
    """Purchase days of customers with rates of gamma shape 1.5, .8 a week on average."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.5, 0.8 / 1.5, n)
    day = rng.random((n, WEEKS * 7)) < -np.expm1(-rate[:, None] / 7)
    customer, at = np.nonzero(day)
    return TransactionLog(
        name="brisk",
        customer=customer,
        time=at * SECONDS_PER_DAY + 3600,
        amount=np.full(customer.size, 1000),
        customer_label=np.array([str(i) for i in range(n)]),
        start=pd.Timestamp("2026-01-05"),
        end_time=WEEKS * 7 * SECONDS_PER_DAY,
        origin="log_start",
        time_zone="UTC",
    )


def test_a_first_step_into_the_impossible_does_not_end_the_search():
    # With many customers the gradient at the start is steep: the step it suggests leads to rates
    # of thousands a week, at which the log cannot have happened.
    log = brisk_log(250)
    found = fit_weekly("drift", log)
    observed = log.n_transactions / log.n_customers / WEEKS
    assert found["rate_mean"] == pytest.approx(observed, rel=0.1)
    assert found["drift_time_constant"] > 100  # rates do not move here
    assert found["dropout_shape"] / found["dropout_rate"] < 0.01  # and nobody leaves


def test_parameters_no_better_than_the_priors_are_refused(monkeypatch):
    monkeypatch.setattr(weekly_fit, "log_likelihood", lambda *_: float("nan"))
    with pytest.raises(InputError, match="no better parameters of drift"):
        fit_weekly("drift", brisk_log(20))
