"""Figures of single customers against numerical integration, forecasts and simulated truth."""

import numpy as np
import pytest
from scipy import integrate, stats

from agents.calibration.customers import COLUMNS, CustomerTable, Question
from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog
from agents.calibration.posterior import Posterior
from agents.calibration.predictive import predict
from agents.errors import InputError

CDNOW = {
    "rate_shape": 0.553, "rate_rate": 10.578, "dropout_shape": 0.606, "dropout_rate": 11.669,
    "spend_within_shape": 6.25, "spend_shape": 3.74, "spend_scale": 15.44,
}  # fmt: skip
GROCERY = {
    "rate_mean": 1.21, "rate_log_sd": 0.94, "drift_time_constant": 154.0, "dropout_shape": 0.6,
    "dropout_rate": 870.0, "spend_log_mean": 3.3, "spend_log_sd": 0.6, "spend_rate_slope": -0.045,
    "spend_within_shape": 1.2,
}  # fmt: skip


def posterior_of(values, draws=0, sd=0.0, **attributes):
    """A posterior at these values; its draws spread around them on the log scale."""
    pareto = "rate_shape" in values
    noise = np.random.default_rng(5).standard_normal((len(values), draws)) * sd
    parameters = {
        name: np.append(value, value * np.exp(row))
        for (name, value), row in zip(values.items(), noise, strict=True)
    }
    models = ("pareto_nbd", "gamma_gamma") if pareto else ("drift", "lognormal_gamma")
    return Posterior(*models, parameters, attributes)


def log_of(rows, days, origin="first_purchase", n=None):
    """Rows of (customer, day, amount in currency units)."""
    import pandas as pd

    rows = sorted(rows)
    n = n or max(c for c, _, _ in rows) + 1
    return TransactionLog(
        name="toy",
        customer=np.array([c for c, _, _ in rows], np.int64),
        time=np.array([int(d * SECONDS_PER_DAY) for _, d, _ in rows], np.int64),
        amount=np.array([round(a * 100) for _, _, a in rows], np.int64),
        customer_label=np.arange(n).astype(str),
        start=pd.Timestamp("2024-01-01"),
        end_time=days * SECONDS_PER_DAY,
        origin=origin,
        time_zone="UTC",
    )


# One customer each: x = 0, 1, 4, 9 with gaps from 0 to 30 weeks; days since the first purchase.
DAYS = [[], [210], [7, 30, 60, 61], [5, 14, 20, 33, 40, 52, 66, 80, 95], [273]]
HISTORIES = log_of([(c, d, 20.0 + 3 * c) for c, days in enumerate(DAYS) for d in [0, *days]], 274)


def exact(values, x, t_x, T, function):
    """Posterior mean of a function of (rate, hazard) given alive at T, times P(alive).

    By two-dimensional quadrature of the individual likelihood, nothing else.
    """
    r, a, s, b = (values[k] for k in list(values)[:4])

    def over(density):
        # On the log scale of the variable the gamma densities have no poles.
        value, step = np.linspace(
            np.log(1e-12), np.log(density.ppf(1 - 1e-13) * 2), 3_000, retstep=True
        )
        value = np.exp(value)
        return value, density.pdf(value) * value * step

    lam, lam_w = over(stats.gamma(r, scale=1 / a))
    mu, mu_w = over(stats.gamma(s, scale=1 / b))
    lam, mu = lam[:, None], mu[None, :]
    weight = lam_w[:, None] * mu_w[None, :]
    total = lam + mu
    alive = lam**x * np.exp(-total * T)
    dead = lam**x * mu / total * (np.exp(-total * t_x) - np.exp(-total * T))
    both = (weight * (alive + dead)).sum()
    return (weight * alive * function(lam, mu)).sum() / both


def test_pareto_nbd_equals_integration_over_rate_and_hazard():
    ask = Question(weeks=26, residual_weeks=80, annual_discount=0.2, margin=0.4)
    found = CustomerTable(posterior_of(CDNOW), "first_purchase", ask).of(HISTORIES)
    delta = np.log(1.2) / (365.25 / 7)
    for i, days in enumerate(DAYS):
        x, t_x, T = len(days), max(days, default=0) / 7, 273 / 7
        p = exact(CDNOW, x, t_x, T, lambda lam, mu: 1.0)
        count = exact(CDNOW, x, t_x, T, lambda lam, mu: -lam * np.expm1(-mu * 26) / mu)
        value = exact(
            CDNOW, x, t_x, T,
            lambda lam, mu: -lam * np.expm1(-(mu + delta) * 80) / (mu + delta),
        )  # fmt: skip
        basket = 6.25 * (15.44 + x * (20 + 3 * i)) / (3.74 + 6.25 * x - 1)
        assert found["frequency"][i] == x
        assert found["p_alive"][i] == pytest.approx(p, rel=2e-4)
        assert found["expected_purchases"][i] == pytest.approx(count, rel=2e-4)
        assert found["residual_value"][i] == pytest.approx(0.4 * basket * value, rel=2e-4)


def test_pareto_nbd_equals_the_published_hypergeometric_form():
    """P(alive) by Fader and Hardie (2005), eq. 7 (here alpha < beta)."""
    mpmath = pytest.importorskip("mpmath")
    found = CustomerTable(posterior_of(CDNOW), "first_purchase").of(HISTORIES)
    r, a, s, b = (CDNOW[k] for k in list(CDNOW)[:4])
    for i, days in enumerate(DAYS):
        x, t_x, T = len(days), max(days, default=0) / 7, 273 / 7

        def part(t, x=x):
            f = mpmath.hyp2f1(r + s + x, r + x, r + s + x + 1, (b - a) / (b + t))
            return f / mpmath.mpf(b + t) ** (r + s + x)

        scale = mpmath.mpf(a + T) ** (r + x) * mpmath.mpf(b + T) ** s
        odds = s / (r + s + x) * scale * (part(t_x) - part(T))
        assert found["p_alive"][i] == pytest.approx(float(1 / (1 + odds)), abs=1e-7)


def expected_purchases(posterior, log, weeks):
    return predict(posterior.purchase_model, posterior.values(), log, weeks).expected()


def test_forecasts_are_those_of_the_holdout_check(cdnow, complete_journey):
    pareto = posterior_of(CDNOW)
    found = CustomerTable(pareto, "first_purchase", Question(weeks=39)).of(cdnow[0])
    expected = expected_purchases(pareto, cdnow[0], 39)
    np.testing.assert_allclose(found["expected_purchases"], expected, rtol=1e-9)
    # One hazard for all: the table takes everybody's mean, the hold-out check its distribution.
    alike = {"dropout_shape": 600.0, "dropout_rate": 870_000.0}
    drift = posterior_of(GROCERY | alike)
    some = complete_journey.select(np.arange(400))
    found = CustomerTable(drift, "log_start", Question(weeks=13)).of(some)
    expected = expected_purchases(drift, some, 13)
    # Another grid and a move in three parts instead of a dense one: a jump of habit takes longer.
    error = np.abs(found["expected_purchases"] - expected) / np.maximum(expected, 0.05)
    assert error.max() < 0.02
    assert np.median(error) < 1e-4


def test_who_has_just_bought_is_alive_and_not_unusual():
    found = CustomerTable(posterior_of(CDNOW), "first_purchase").of(HISTORIES)
    assert found["gap_weeks"][4] == 0
    assert found["p_alive"][4] == 1
    assert found["gap_unusual"][4] == 0
    assert not found["unusual"][4]


def test_silence_is_judged_by_the_history_before_it():
    """P(gap) = ((a + t_x) / (a + T))^(r + x), integrated here over the rate."""
    found = CustomerTable(posterior_of(CDNOW), "first_purchase").of(HISTORIES)
    for i, days in enumerate(DAYS):
        x, t_x, T = len(days), max(days, default=0) / 7, 273 / 7
        rate = stats.gamma(CDNOW["rate_shape"] + x, scale=1 / (CDNOW["rate_rate"] + t_x))
        silent, _ = integrate.quad(
            lambda u, rate=rate, gap=T - t_x: np.exp(-rate.ppf(u) * gap), 0, 1, limit=200
        )
        assert found["gap_weeks"][i] == pytest.approx(T - t_x)
        assert found["gap_unusual"][i] == pytest.approx(1 - silent, abs=1e-5)
    assert found["unusual"][3]
    assert found["gap_unusual"][3] > found["gap_unusual"][2] > found["gap_unusual"][0]


def test_intervals_are_those_of_the_customers_own_unknowns():
    """Against 400,000 draws of (alive, rate, hazard, mean basket) given the history."""
    ask = Question(weeks=26, residual_weeks=104, annual_discount=0.9, margin=0.5)
    delta = np.log(1.9) / (365.25 / 7)
    table = CustomerTable(posterior_of(CDNOW), "first_purchase", ask)
    found = table.of(HISTORIES)
    rng = np.random.default_rng(1)
    n = 400_000
    for i, days in enumerate(DAYS):
        x, T = len(days), 273 / 7
        alive = rng.random(n) < found["p_alive"][i]
        rate = rng.gamma(CDNOW["rate_shape"] + x, 1 / (CDNOW["rate_rate"] + T), n)
        hazard = rng.gamma(CDNOW["dropout_shape"], 1 / (CDNOW["dropout_rate"] + T), n)
        count = alive * rate * -np.expm1(-hazard * 26) / hazard
        precision = rng.gamma(3.74 + 6.25 * x, 1 / (15.44 + x * (20 + 3 * i)), n)
        value = alive * rate * -np.expm1(-(hazard + delta) * 104) / (hazard + delta)
        value *= 0.5 * 6.25 / precision
        for name, truth in (("expected_purchases", count), ("residual_value", value)):
            for end, tail in (("low", 0.05), ("high", 0.95)):
                bound = found[f"{name}_{end}"][i]
                # 600 points instead of the distribution: within 1.5 points of the level.
                assert (truth < bound).mean() - 0.015 < tail < (truth <= bound).mean() + 0.015


def test_intervals_widen_with_the_parameters_uncertainty():
    sure = CustomerTable(posterior_of(CDNOW, 100, 0.001), "first_purchase").of(HISTORIES)
    unsure = CustomerTable(posterior_of(CDNOW, 100, 0.3), "first_purchase").of(HISTORIES)
    assert (unsure["p_alive_high"] - unsure["p_alive_low"] > 0.02)[:4].all()
    assert (sure["p_alive_high"] - sure["p_alive_low"] < 0.01).all()


def simulated_pareto(n, weeks, later, rng):
    """Counts, times and expected counts of customers whose rates and lifetimes are known."""
    rate = rng.gamma(CDNOW["rate_shape"], 1 / CDNOW["rate_rate"], n)
    hazard = rng.gamma(CDNOW["dropout_shape"], 1 / CDNOW["dropout_rate"], n)
    life = rng.exponential(1 / hazard)
    days = weeks * 7
    rows = [(c, 0.0, 10.0) for c in range(n)]
    bought = rng.poisson(rate * np.minimum(life, weeks))
    who = np.repeat(np.arange(n), bought)
    when = rng.random(len(who)) * np.minimum(life, weeks)[who] * 7
    rows += [(int(c), float(d), 10.0) for c, d in zip(who, when, strict=True) if d < days]
    alive = life > weeks
    truth = alive * rate * -np.expm1(-hazard * later) / hazard
    return log_of(rows, days, n=n), alive, truth


@pytest.mark.slow
def test_intervals_cover_the_truth_and_alarms_are_rare_for_who_is_there():
    """20,000 customers. Bounds are 4 standard errors (false alarms below one in 10,000) wider
    than half a point of percent, which days instead of moments and 600 points cost."""
    rng = np.random.default_rng(11)
    log, alive, truth = simulated_pareto(20_000, 52, 26, rng)
    found = CustomerTable(posterior_of(CDNOW), "first_purchase", Question(weeks=26)).of(log)
    error = 4 * np.sqrt(0.09 / 20_000) + 0.005
    assert (truth > found["expected_purchases_high"]).mean() == pytest.approx(0.05, abs=error)
    # Whose lower end is 0 cannot fall below it.
    some = found["expected_purchases_low"] > 0
    inside = (truth >= found["expected_purchases_low"]) & (
        truth <= found["expected_purchases_high"]
    )
    assert inside[some].mean() == pytest.approx(0.90, abs=4 * np.sqrt(0.09 / some.sum()) + 0.01)
    for low in np.arange(0, 1, 0.2):
        band = (found["p_alive"] >= low) & (found["p_alive"] < low + 0.2)
        share = alive[band].mean()
        error = 4 * np.sqrt(0.25 / band.sum())
        assert share == pytest.approx(found["p_alive"][band].mean(), abs=error)
    # Who has bought and is still there is flagged at about the nominal rate.
    there = alive & (found["frequency"] > 0)
    assert found["unusual"][there].mean() < 0.08
    gone = ~alive & (found["frequency"] > 2)
    assert found["unusual"][gone].mean() > 0.5


@pytest.mark.slow
def test_drift_intervals_cover_the_rate_that_was_simulated():
    """2,000 customers with known parameters; 4 standard errors wide."""
    rng = np.random.default_rng(2)
    n, weeks, later = 2_000, 60, 13
    values = GROCERY | {"drift_time_constant": 80.0}
    sd, rho, stay = 0.94, np.exp(-1 / 80), np.exp(-0.6 / 870)
    z, alive = rng.standard_normal(n), np.ones(n, bool)
    centre = np.log(1.21) - sd**2 / 2
    rows = []
    for week in range(weeks):
        z = rho * z + np.sqrt(1 - rho**2) * rng.standard_normal(n)
        counts = rng.poisson(np.exp(centre + sd * z)) * alive
        who = np.repeat(np.arange(n), counts)
        when = week * 7 + rng.random(len(who)) * 7
        rows += [(int(c), float(d), 5.0) for c, d in zip(who, when, strict=True)]
        alive &= rng.random(n) < stay
    ahead = np.arange(1, later + 1)[:, None]
    left = rho**ahead
    rate = np.exp(centre + sd * left * z + sd**2 * (1 - left**2) / 2)
    truth = alive * (stay ** (ahead - 1) * rate).sum(axis=0)
    log = log_of(rows, weeks * 7, "log_start", n)
    found = CustomerTable(posterior_of(values), "log_start", Question(weeks=later)).of(log)
    error = 4 * np.sqrt(0.09 / n) + 0.01
    inside = (truth >= found["expected_purchases_low"]) & (
        truth <= found["expected_purchases_high"]
    )
    assert inside.mean() == pytest.approx(0.90, abs=error)
    assert (truth > found["expected_purchases_high"]).mean() == pytest.approx(0.05, abs=error)
    assert found["expected_purchases"].sum() == pytest.approx(truth.sum(), rel=0.03)
    assert found["unusual"][alive].mean() < 0.08


def test_the_mean_basket_is_that_of_the_spend_model():
    """Drift: log mean basket by quadrature over its exact posterior."""
    rows = [(0, d + 0.5, a) for d, a in zip(range(0, 280, 20), [12, 30, 5, 44] * 4, strict=False)]
    log = log_of([*rows, (1, 3, 10.0)], 280, "log_start", 3)
    ask = Question(weeks=13, residual_weeks=13, annual_discount=0.0)
    found = CustomerTable(posterior_of(GROCERY), "log_start", ask).of(log)
    amounts = np.array([a for _, _, a in rows])
    for i, paid in enumerate([amounts, np.array([10.0]), np.zeros(0)]):
        log_rate = np.log((len(paid) + 0.5) / 40)
        m = np.linspace(-4, 10, 20_001)
        density = -(((m - 3.3 + 0.045 * log_rate) / 0.6) ** 2) / 2
        density -= len(paid) * 1.2 * m + 1.2 * paid.sum() * np.exp(-m)
        weight = np.exp(density - density.max())
        mean = (weight * np.exp(m)).sum() / weight.sum()
        ratio = found["residual_value"][i] / found["expected_purchases"][i]
        assert ratio == pytest.approx(mean, rel=0.03)  # normal around the mode


def test_a_long_count_and_a_fast_drift_are_within_the_grids_reach():
    rows = [(0, d / 100, 5.0) for d in range(0, 700, 10)] + [(1, 250.0, 5.0)]
    log = log_of(rows, 280, "log_start", 2)
    for tau in (2.0, 10.0, 5_000.0):
        drift = posterior_of(GROCERY | {"drift_time_constant": tau})
        found = CustomerTable(drift, "log_start").of(log)
        expected = expected_purchases(drift, log, 13)
        assert np.isfinite(found["expected_purchases"]).all()
        np.testing.assert_allclose(found["expected_purchases"], expected, rtol=0.02, atol=1e-3)


def test_what_does_not_go_together_is_refused():
    mixed = Posterior(
        "pareto_nbd",
        "lognormal_gamma",
        {k: np.array([v]) for k, v in (CDNOW | GROCERY).items()
         if k in list(CDNOW)[:4] or (k.startswith("spend_") and k in GROCERY)},
        {},
    )  # fmt: skip
    with pytest.raises(
        InputError, match="pareto_nbd with lognormal_gamma; allowed: pareto_nbd with"
    ):
        CustomerTable(mixed, "first_purchase")
    with pytest.raises(InputError, match="'first_purchase' but the posterior was fitted with"):
        CustomerTable(posterior_of(GROCERY, origin="log_start"), "first_purchase")
    with pytest.raises(InputError, match=r"spend_shape is 0\.9 in a draw.*above 1"):
        CustomerTable(posterior_of(CDNOW | {"spend_shape": 0.9}), "first_purchase")


@pytest.mark.parametrize(
    ("field", "value"),
    [("weeks", 0), ("residual_weeks", 9999), ("annual_discount", -0.1), ("margin", 0.0),
     ("confidence", 1.0), ("alarm", 0.2)],
)  # fmt: skip
def test_a_question_out_of_range_is_refused(field, value):
    with pytest.raises(InputError, match=f"{field}={value!r} must be"):
        Question(**{field: value})


def test_columns_are_there_for_everybody_in_any_parts(cdnow):
    table = CustomerTable(posterior_of(CDNOW, 20, 0.1), "first_purchase")
    log = cdnow[0].select(np.arange(300))
    whole = table.of(log)
    assert list(whole) == list(COLUMNS)
    parts = [table.of(part) for part in log.parts(77)]
    for name, values in whole.items():
        assert np.concatenate([part[name] for part in parts]).tolist() == values.tolist(), name
    assert log.end_time % SECONDS_PER_WEEK == 0


def test_a_posterior_of_the_hierarchy_is_refused_in_words():
    names = (
        "rate_log_mean", "rate_log_sd", "dropout_log_mean", "dropout_log_sd", "spend_log_mean",
        "spend_log_sd", "spend_within_log_sd",
    )  # fmt: skip
    values = dict.fromkeys(names, np.full(3, 0.5))
    values |= dict.fromkeys(
        ("rate_dropout_correlation", "rate_spend_correlation", "dropout_spend_correlation"),
        np.zeros(3),
    )
    posterior = Posterior("lognormal", "lognormal", values, {})
    with pytest.raises(InputError, match="lognormal with lognormal; allowed: pareto_nbd with"):
        CustomerTable(posterior, "first_purchase")
