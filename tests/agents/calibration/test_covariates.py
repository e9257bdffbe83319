"""Covariates shift the hierarchy's means, and stay in the population's spread."""

import numpy as np
import pandas as pd
import pytest

from agents.calibration.fit import fit
from agents.calibration.log import SECONDS_PER_WEEK, TransactionLog
from agents.errors import InputError
from experiments.covariates import read_covariates

N, WEEKS = 2_500, 52


def log_with_covariates(seed=0):
    """Log rate -1 + .5 z + .6 e, log hazard -4.2 + e, log basket 3 - .3 z + .4 e."""
    rng = np.random.default_rng(seed)
    z, other = rng.standard_normal((2, N))
    rate = np.exp(-1.0 + 0.5 * z + 0.6 * rng.standard_normal(N))
    mean = np.exp(3.0 - 0.3 * z + 0.4 * rng.standard_normal(N))
    life = np.minimum(rng.exponential(np.exp(4.2 + rng.standard_normal(N))), WEEKS)
    bought = rng.poisson(rate * life)
    customer = np.repeat(np.arange(N), bought)
    time = np.floor(rng.random(len(customer)) * life[customer] * SECONDS_PER_WEEK)
    time = np.minimum(time, WEEKS * SECONDS_PER_WEEK - 1).astype(np.int64)
    amount = mean[customer] * np.exp(0.5 * rng.standard_normal(len(customer)) - 0.125)
    order = np.lexsort((time, customer))
    log = TransactionLog(
        "simulated", customer[order], time[order],
        np.maximum(np.rint(amount[order] * 100), 1).astype(np.int64),
        np.arange(N).astype(str), pd.Timestamp("2024-01-01"), WEEKS * SECONDS_PER_WEEK,
        "log_start", "UTC",
    )  # fmt: skip
    return log, z, other


def test_coefficients_are_found_and_the_population_keeps_its_spread():
    """Within 4 posterior sd of the truth, or of day resolution's 2 % on rates."""
    import json

    log, z, other = log_with_covariates()
    known = fit(log, "lognormal", covariates={"z": z, "noise": other}, draws=200)
    plain = fit(log, "lognormal", draws=200)
    found = json.loads(known.attributes["covariates"])
    scale = z.std()
    for name, trait, truth in (
        ("z", "rate", 0.5 * scale), ("z", "spend", -0.3 * scale),
        ("noise", "rate", 0.0), ("noise", "spend", 0.0),
    ):  # fmt: skip
        mean, sd = found[name][trait]
        assert abs(mean - truth) < 4 * sd + 0.02, (name, trait)
    # The same population, whether its covariates are known or not.
    for name in ("rate_log_sd", "spend_log_sd", "rate_spend_correlation"):
        assert known.values()[name] == pytest.approx(plain.values()[name], abs=0.02), name
    with pytest.raises(InputError, match="covariates are for model=lognormal"):
        fit(log, "drift", covariates={"z": z})
    with pytest.raises(InputError, match="covariate z is the same for everybody"):
        fit(log, "lognormal", covariates={"z": np.ones(N)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("customer,age\n0,3\n", "no finite number for 2 of"),
        ("customer,age\n0,3\n1,x\n2,5\n", "no finite number for 1 of"),
        ("customer,age\n0,3\n0,4\n1,1\n2,2\n", "customer '0' stands twice"),
        ("client,age\n0,3\n", "columns are client, age"),
        ("customer\n0\n", "1 to 20 columns of numbers"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, text, message):
    log = log_with_covariates()[0].select([0, 1, 2])
    path = tmp_path / "customers.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_covariates(str(path), log)
    with pytest.raises(InputError, match="no such file"):
        read_covariates(str(tmp_path / "none.csv"), log)


def test_a_file_is_read_in_the_order_of_the_log(tmp_path):
    log = log_with_covariates()[0].select([0, 1, 2])
    path = tmp_path / "customers.csv"
    path.write_text("age,customer\n7,2\n5,0\n6,1\n8,99\n")
    assert read_covariates(str(path), log)["age"].tolist() == [5, 6, 7]


def test_customers_who_hardly_differ_are_refused():
    """The hierarchy's grid cannot tell spreads that small, and says so instead of erring."""
    rng = np.random.default_rng(2)
    n = 250
    bought = rng.poisson(0.4 * WEEKS, n)
    customer = np.repeat(np.arange(n), bought)
    time = np.floor(rng.random(len(customer)) * WEEKS * SECONDS_PER_WEEK).astype(np.int64)
    order = np.lexsort((time, customer))
    log = TransactionLog(
        "alike", customer[order], time[order],
        rng.integers(500, 3000, len(customer)), np.arange(n).astype(str),
        pd.Timestamp("2024-01-01"), WEEKS * SECONDS_PER_WEEK, "log_start", "UTC",
    )  # fmt: skip
    with pytest.raises(InputError, match="of customers hardly differ"):
        fit(log, "lognormal")
