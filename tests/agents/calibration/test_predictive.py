from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import betaln, hyp2f1
from scipy.special import gamma as gamma_function

from agents.calibration.constant_rate import chance_given_rates
from agents.calibration.log import SECONDS_PER_DAY, SECONDS_PER_WEEK, TransactionLog
from agents.calibration.predictive import expected_by_age, predict
from agents.calibration.weekly_rate import kinds, log_likelihood
from agents.errors import InputError

# Fader, Hardie and Lee (2005), table 2, on the published sample.
PARETO_NBD = {
    "rate_shape": 0.553,
    "rate_rate": 10.578,
    "dropout_shape": 0.606,
    "dropout_rate": 11.669,
}
BG_NBD = {"rate_shape": 0.243, "rate_rate": 4.414, "dropout_a": 0.793, "dropout_b": 2.426}
LOGNORMAL = {
    "rate_log_mean": -3.0,
    "rate_log_sd": 1.1,
    "dropout_log_mean": -3.6,
    "dropout_log_sd": 1.4,
    "rate_dropout_correlation": -0.4,
}
DRIFT = {
    "rate_mean": 1.1,
    "rate_log_sd": 0.8,
    "drift_time_constant": 6.0,
    "dropout_shape": 0.6,
    "dropout_rate": 8.0,
}
HABIT = {
    "rate_mean": 1.1,
    "rate_shape": 1.2,
    "rate_power": 1.1,
    "drift_time_constant": 6.0,
    "shift_probability": 0.05,
    "regular_share": 0.3,
    "regularity": 1.8,
    "growth": 0.1,
    "dropout_shape": 0.6,
    "dropout_rate": 8.0,
}
EVERY = {
    "pareto_nbd": PARETO_NBD,
    "bg_nbd": BG_NBD,
    "lognormal": LOGNORMAL,
    "drift": DRIFT,
    "habit": HABIT,
}
# Purchase days after the first one, which is day 0 of 40 whole weeks.
TRIPLES = {(0, 0, 279): [], (1, 30, 279): [30], (3, 270, 279): [14, 100, 270]}
HORIZON = 26.0


def log_of_days(days, weeks=40, origin="first_purchase"):
    """A log with the given purchase days per customer; with `first_purchase` day 0 is added."""
    first = [0] if origin == "first_purchase" else []
    rows = [(c, d) for c, one in enumerate(days) for d in first + list(one)]
    customer, day = np.array(rows, np.int64).reshape(-1, 2).T
    return TransactionLog(
        name="by hand",
        customer=customer,
        time=day * SECONDS_PER_DAY,
        amount=np.full(len(day), 500, np.int64),
        customer_label=np.arange(len(days)).astype(str),
        start=pd.Timestamp("2024-01-01"),
        end_time=weeks * SECONDS_PER_WEEK,
        origin=origin,
        time_zone="UTC",
    )


@pytest.fixture(scope="module")
def three_customers():
    return log_of_days(TRIPLES.values())


def pareto_nbd_likelihood(rate, hazard, x, t_x, T):
    """The individual likelihood, split into alive at T and dead before."""
    both = rate + hazard
    alive = rate**x * np.exp(-both * T)
    dead = rate**x * hazard / both * (np.exp(-both * t_x) - np.exp(-both * T))
    return alive, dead


def on_log_scale(function):
    """Integral over two rates from their logs: gamma densities with small shapes are smooth."""

    def value(logs):
        return function(*np.exp(logs).T) * np.exp(logs.sum(axis=1))

    found = integrate.cubature(value, [-50.0] * 2, [5.0] * 2, atol=1e-16, rtol=1e-8)
    assert found.status == "converged"
    return float(found.estimate)


@pytest.mark.parametrize(("rate", "hazard"), [(0.05, 0.01), (0.4, 0.002), (0.02, 1.5)])
def test_the_count_given_both_rates_is_a_mixture_over_the_time_of_death(rate, hazard):
    for y in (0, 1, 4):
        # Independent of the closed form: purchases stop at the time of death.
        dies = integrate.quad(
            lambda u, y=y: hazard * np.exp(-hazard * u) * stats.poisson.pmf(y, rate * u),
            0,
            HORIZON,
            epsabs=1e-14,
        )[0]
        lives = np.exp(-hazard * HORIZON) * stats.poisson.pmf(y, rate * HORIZON)
        found = chance_given_rates(y, np.array(rate), np.array(hazard), HORIZON)
        assert float(found) == pytest.approx(dies + lives, rel=1e-9)


@pytest.mark.parametrize("model", ["pareto_nbd", "lognormal"])
def test_probabilities_equal_an_independent_double_integral(three_customers, model):
    if model == "pareto_nbd":
        r, a, s, b = PARETO_NBD.values()

        def prior(rate, hazard):
            return stats.gamma.pdf(rate, r, scale=1 / a) * stats.gamma.pdf(hazard, s, scale=1 / b)
    else:
        m, sd, m_d, sd_d, rho = LOGNORMAL.values()
        covariance = [[sd**2, rho * sd * sd_d], [rho * sd * sd_d, sd_d**2]]
        normal = stats.multivariate_normal([m, m_d], covariance)
        precision = np.linalg.inv(covariance)
        scale = normal.pdf([m, m_d])

        def prior(rate, hazard):
            z = np.stack([np.log(rate) - m, np.log(hazard) - m_d])
            return scale * np.exp(-(z * (precision @ z)).sum(axis=0) / 2) / (rate * hazard)

    found = predict(model, EVERY[model], three_customers, HORIZON)
    # One busy and one lapsed customer: the others would only cost time.
    for customer, (x, t_x, T) in list(enumerate(TRIPLES))[1:]:
        t_x, T = t_x / 7, T / 7

        def alive(rate, hazard, x=x, t_x=t_x, T=T):
            return pareto_nbd_likelihood(rate, hazard, x, t_x, T)[0] * prior(rate, hazard)

        def either(rate, hazard, x=x, t_x=t_x, T=T):
            return sum(pareto_nbd_likelihood(rate, hazard, x, t_x, T)) * prior(rate, hazard)

        total = on_log_scale(either)
        p_alive = on_log_scale(alive) / total
        assert found.p_alive()[customer] == pytest.approx(p_alive, rel=1e-6)
        for y in (0, 3):
            given_life = on_log_scale(
                lambda rate, hazard, y=y, alive=alive: (
                    alive(rate, hazard) * chance_given_rates(y, rate, hazard, HORIZON)
                )
            )
            expected = given_life / total + (y == 0) * (1 - p_alive)
            counts = np.full(3, y)
            assert found.density(counts)[customer] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("model", ["pareto_nbd", "bg_nbd"])
def test_probabilities_equal_simulated_customers_with_the_same_history(three_customers, model):
    """Prior draws weighted by the likelihood of the history, then the process played out.

    24 comparisons within 4.5 standard errors: a false alarm in 2e-4 of seeds.
    """
    rng = np.random.default_rng(5)
    n = 400_000
    if model == "pareto_nbd":
        r, a, s, b = PARETO_NBD.values()
        rate, hazard = rng.gamma(r, 1 / a, n), rng.gamma(s, 1 / b, n)
        lives = rng.exponential(1 / hazard)
        y = rng.poisson(rate * np.minimum(lives, HORIZON))
    else:
        r, a, first, second = BG_NBD.values()
        rate, p = rng.gamma(r, 1 / a, n), rng.beta(first, second, n)
        # Of the purchases that would come, those up to the first that is followed by death.
        y = np.minimum(rng.poisson(rate * HORIZON), rng.geometric(p))
    found = predict(model, EVERY[model], three_customers, HORIZON)
    for customer, (x, t_x, T) in enumerate(TRIPLES):
        t_x, T = t_x / 7, T / 7
        if model == "pareto_nbd":
            alive, dead = pareto_nbd_likelihood(rate, hazard, x, t_x, T)
        else:
            alive = (1 - p) ** x * rate**x * np.exp(-rate * T)
            dead = p * (1 - p) ** (x - 1) * rate**x * np.exp(-rate * t_x) if x else 0.0
        total = alive + dead
        for count in range(4):
            hit = alive / total * (y == count) + (1 - alive / total) * (count == 0)
            mean = (total * hit).sum() / total.sum()
            error = np.sqrt((total**2 * (hit - mean) ** 2).sum()) / total.sum()
            density = found.density(np.full(3, count))[customer]
            assert abs(density - mean) < 4.5 * error, (customer, count)
            assert error < 0.02


def test_bg_nbd_follows_its_published_closed_forms(three_customers):
    r, alpha, a, b = BG_NBD.values()
    found = predict("bg_nbd", BG_NBD, three_customers, HORIZON)
    for customer, (x, t_x, T) in enumerate(TRIPLES):
        t_x, T = t_x / 7, T / 7
        # Fader, Hardie and Lee (2005), eq. 10, and P(alive) in Fader and Hardie's note 021.
        odds = (a / (b + x - 1)) * ((alpha + T) / (alpha + t_x)) ** (r + x) if x else 0.0
        assert found.p_alive()[customer] == pytest.approx(1 / (1 + odds), rel=1e-12)
        z = HORIZON / (alpha + T + HORIZON)
        grown = ((alpha + T) / (alpha + T + HORIZON)) ** (r + x)
        grown *= hyp2f1(r + x, b + x, a + b + x - 1, z)
        expected = (a + b + x - 1) / (a - 1) * (1 - grown) / (1 + odds)
        assert found.expected()[customer] == pytest.approx(expected, rel=1e-6)
    # At least one purchase needs one arrival; P(Y = 1) of a new customer by hand.
    one = log_of_days([[]], weeks=1)
    T = 6 / 7
    arrives = stats.nbinom(r, (alpha + T) / (alpha + T + 5.0))
    p_one = np.exp(betaln(a, b + 1) - betaln(a, b)) * arrives.pmf(1)
    p_one += np.exp(betaln(a + 1, b) - betaln(a, b)) * arrives.sf(0)
    assert predict("bg_nbd", BG_NBD, one, 5.0).density([1])[0] == pytest.approx(p_one)


def test_cdnow_holdout_totals_are_the_published_ones(cdnow):
    calibration, holdout = cdnow
    assert holdout.summary().frequency.sum() == 1882
    pareto_nbd = predict("pareto_nbd", PARETO_NBD, calibration, 39)
    assert pareto_nbd.expected().sum() == pytest.approx(1666, abs=1)
    bg_nbd = predict("bg_nbd", BG_NBD, calibration, 39)
    assert bg_nbd.expected().sum() == pytest.approx(1653, abs=1)


def test_the_drift_model_equals_a_product_of_gauss_hermite_rules():
    """Two weeks of history and two ahead: an integral over four normal variables."""
    histories = [[0, 3, 9], [], [1, 2, 3, 4, 5]]
    log = log_of_days(histories, weeks=2, origin="log_start")
    counts = log.weekly_counts()
    found = predict("drift", DRIFT, log, 2)
    m, sd, tau, s, b = DRIFT.values()
    lag = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    factor = np.linalg.cholesky(np.exp(-lag / tau))
    node, weight = np.polynomial.hermite_e.hermegauss(28)
    z = np.stack(np.meshgrid(*[node] * 4, indexing="ij"), axis=-1).reshape(-1, 4) @ factor.T
    w = np.prod(np.meshgrid(*[weight / weight.sum()] * 4, indexing="ij"), axis=0).reshape(-1)
    rate = np.exp(np.log(m) - sd**2 / 2 + sd * z)
    lives = (b / (b + np.arange(5))) ** s
    for customer, n in enumerate(counts):
        first = w * stats.poisson.pmf(n[0], rate[:, 0])
        second = stats.poisson.pmf(n[1], rate[:, 1])
        # Leaves at the end of week 1, 2, 3, or later; zeros where the customer has left.
        seen = np.array([first.sum() * (lives[0] - lives[1]) * (n[1] == 0)])
        total = seen[0] + (first * second).sum() * lives[1]
        alive = (first * second).sum() * lives[2]
        assert found.p_alive()[customer] == pytest.approx(alive / total, rel=3e-6)
        for y in (0, 5):
            one = (first * second * stats.poisson.pmf(y, rate[:, 2])).sum()
            two = (first * second * stats.poisson.pmf(y, rate[:, 2] + rate[:, 3])).sum()
            joint = one * (lives[2] - lives[3]) + two * lives[3]
            expected = joint / total + (y == 0) * (1 - alive / total)
            density = found.density(np.full(3, y))[customer]
            assert density == pytest.approx(expected, rel=1e-5), (customer, y)


def habit_days():
    """Gauss-Hermite nodes and weights, and P(days of a week | normal level) without the model."""
    node, weight = np.polynomial.hermite_e.hermegauss(120)
    shape, power = HABIT["rate_shape"], HABIT["rate_power"]
    moment = gamma_function(shape + power) / gamma_function(shape)

    def days(z, regularity, growth=0.0):
        quantile = stats.gamma.ppf(stats.norm.cdf(z), shape)
        rate = HABIT["rate_mean"] * np.exp(growth) * quantile**power / moment
        binomial = stats.binom.pmf(np.arange(8), 7, -np.expm1(-rate[..., None] / 7))
        ways = stats.binom.pmf(np.arange(8), 7, 0.5)
        tilted = binomial * ways ** (regularity - 1)
        return tilted / tilted.sum(axis=-1, keepdims=True)

    return node, weight / weight.sum(), days


def test_the_habit_model_equals_a_product_of_gauss_hermite_rules():
    """One week of history and one ahead: an integral over two levels and two kinds.

    The growth of 10 % a week is that from the one to the other.
    """
    log = log_of_days([[0, 3, 4], [], [0, 1, 2, 3, 4, 5, 6]], weeks=1, origin="log_start")
    found = predict("habit", HABIT, log, 1)
    node, weight, days = habit_days()
    rho = np.exp(-1 / HABIT["drift_time_constant"])
    near = rho * node[:, None] + np.sqrt(1 - rho**2) * node
    stay = (8.0 / 9.0) ** 0.6
    for customer, n in enumerate((3, 0, 7)):
        total = joint = 0.0
        for share, regularity in ((0.7, 1.0), (0.3, HABIT["regularity"])):
            first = share * weight * days(node, regularity)[:, n]
            drifts = days(near, regularity, 0.1)
            anew = weight @ days(node, regularity, 0.1)
            ahead = (
                0.95 * np.einsum("i,ijk,j->k", first, drifts, weight) + 0.05 * first.sum() * anew
            )
            total, joint = total + first.sum(), joint + ahead
        assert found.p_alive()[customer] == pytest.approx(stay)
        for y in range(8):
            expected = stay * joint[y] / total + (y == 0) * (1 - stay)
            assert found.density(np.full(3, y))[customer] == pytest.approx(expected, rel=1e-5)


def test_growth_moves_every_week_by_as_much():
    """Levels that last less than a day make the weeks independent: a product by hand."""
    values = HABIT | {"drift_time_constant": 0.02, "dropout_shape": 1e-9}
    log = log_of_days([[0, 3, 7, 8, 9, 16]], weeks=3, origin="log_start")
    node, weight, days = habit_days()
    total, ahead = 0.0, np.zeros(15)
    for share, regularity in ((0.7, 1.0), (0.3, HABIT["regularity"])):
        by_week = [weight @ days(node, regularity, 0.1 * w) for w in range(-2, 3)]
        density = share * by_week[0][2] * by_week[1][3] * by_week[2][1]
        total += density
        ahead += density * np.convolve(by_week[3], by_week[4])
    assert log_likelihood("habit", values, log) == pytest.approx(np.log(total))
    found = predict("habit", values, log, 2)
    assert found.probability[0, :15] == pytest.approx(ahead / total, rel=1e-4)
    still = [predict("habit", values | {"growth": g}, log, 4).probability for g in (0.0, 1e-13)]
    assert still[0] == pytest.approx(still[1], abs=1e-9)
    assert found.expected()[0] == pytest.approx(ahead @ np.arange(15) / total, rel=1e-6)


def test_regular_customers_vary_less_and_others_buy_on_the_days_of_a_poisson_process():
    calm, steady = kinds("habit", HABIT)
    assert (calm.share, steady.share) == pytest.approx((0.7, 0.3))
    n = np.arange(8)
    for kind, regularity in ((calm, 1.0), (steady, 1.8)):
        mean = kind.mean()
        spread = kind.chances(7, 0) @ n**2 - mean**2
        binomial = mean * (1 - mean / 7)
        middle = np.abs(mean - 3.5) < 2
        ratio = (spread / binomial)[middle]
        assert ratio == pytest.approx(1.0) if regularity == 1.0 else (ratio < 0.75).all()
    assert kinds("habit", HABIT | {"rate_power": 1.0})[0].stationary.sum() == pytest.approx(1)


def test_the_likelihood_is_the_mass_of_the_log_and_highest_near_the_truth():
    """One week by hand; then 800 simulated customers, likelihood ratios of at least 20."""
    log = log_of_days([[0, 3, 4], []], weeks=1, origin="log_start")
    node, weight = np.polynomial.hermite_e.hermegauss(80)
    rate = np.exp(np.log(1.1) - 0.8**2 / 2 + 0.8 * node)
    chances = [weight / weight.sum() @ stats.poisson.pmf(n, rate) for n in (3, 0)]
    assert log_likelihood("drift", DRIFT, log) == pytest.approx(np.log(chances).sum())
    rng = np.random.default_rng(4)
    z, days = rng.standard_normal(800), []
    for _ in range(40):
        days.append(rng.poisson(np.exp(np.log(1.2) - 0.9**2 / 2 + 0.9 * z)))
        z = 0.97 * z + np.sqrt(1 - 0.97**2) * rng.standard_normal(800)
    counts = np.array(days).T
    customer, week = np.nonzero(counts)
    times = np.repeat(week * SECONDS_PER_WEEK, counts[customer, week])
    simulated = replace(
        log,
        customer=np.repeat(customer, counts[customer, week]),
        time=times,
        amount=np.ones(len(times), np.int64),
        customer_label=np.arange(800).astype(str),
        end_time=40 * SECONDS_PER_WEEK,
    )
    truth = {
        "rate_mean": 1.2,
        "rate_log_sd": 0.9,
        "drift_time_constant": -1 / np.log(0.97),
        "dropout_shape": 1e-6,
        "dropout_rate": 1.0,
    }
    best = log_likelihood("drift", truth, simulated)
    for name, factor in (("rate_mean", 1.2), ("rate_log_sd", 0.85), ("drift_time_constant", 2.0)):
        wrong = truth | {name: truth[name] * factor}
        assert log_likelihood("drift", wrong, simulated) < best - 3
    with pytest.raises(InputError, match="purchases in a week; allowed: at most 7"):
        log_likelihood("habit", HABIT, simulated)


@pytest.mark.parametrize("model", EVERY)
def test_probabilities_sum_to_one_and_give_the_mean(three_customers, model):
    found = predict(model, EVERY[model], three_customers, 26)
    assert found.probability.min() >= 0
    assert found.probability.sum(axis=1) == pytest.approx(1.0, abs=1e-7)
    count = np.arange(found.probability.shape[1])
    assert (found.probability @ count)[found.row] == pytest.approx(found.expected(), abs=1e-5)
    y = np.array([2, 0, 5])
    table = found.probability[found.row]
    assert found.below(y) == pytest.approx([table[0, :2].sum(), 0.0, table[2, :5].sum()])
    assert found.buying() == pytest.approx(table[:, 1:].sum(axis=1), abs=1e-7)
    variance = table @ count**2 - found.expected() ** 2
    assert found.standard_deviation() == pytest.approx(np.sqrt(variance), rel=1e-3)


@pytest.mark.parametrize("model", EVERY)
def test_a_wide_table_changes_no_probability(three_customers, model):
    narrow = predict(model, EVERY[model], three_customers, 26)
    wide = predict(model, EVERY[model], three_customers, 26, largest=300)
    assert wide.probability.shape[1] >= 301
    shared = narrow.probability.shape[1]
    # The lognormal grid is finer for larger counts: a check of its first step too.
    assert wide.probability[:, :shared] == pytest.approx(narrow.probability, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("model", EVERY)
def test_draws_average_probabilities_and_not_their_logs(three_customers, model):
    one = EVERY[model]
    first = next(iter(one))
    other = one | {first: one[first] * 1.5}
    both = predict(model, [one, other], three_customers, 4)
    apart = [predict(model, values, three_customers, 4) for values in (one, other)]
    y = np.array([0, 2, 1])
    assert both.density(y) == pytest.approx((apart[0].density(y) + apart[1].density(y)) / 2)
    assert both.expected() == pytest.approx((apart[0].expected() + apart[1].expected()) / 2)
    assert both.p_alive() == pytest.approx((apart[0].p_alive() + apart[1].p_alive()) / 2)


@pytest.mark.parametrize("model", EVERY)
def test_the_expectation_by_age_is_that_of_a_customer_without_history(model):
    """A log without a purchase that ends on its first day; `drift` steps by whole weeks."""
    age = np.array([0.0, 0.5, 13.0, 39.0])
    found = expected_by_age(model, EVERY[model], age)
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    if model in ("drift", "habit"):
        slow = EVERY[model] | {"dropout_shape": 0.6, "dropout_rate": 870.0, "growth": 0.0}
        lives = (870.0 / (870.0 + np.arange(13))) ** 0.6
        week = predict(model, slow, log_of_days([[]], weeks=1), 1)
        one = week.expected()[0]
        if model == "drift":
            assert one == pytest.approx(1.1)
        assert expected_by_age(model, slow, 13.0) == pytest.approx(one * lives.sum(), rel=1e-3)
        return
    new = predict(model, EVERY[model], log_of_days([[]], weeks=1 / 7), 13.0)
    assert new.expected()[0] == pytest.approx(found[2], rel=1e-6)


def test_equal_histories_share_a_row(cdnow):
    found = predict("bg_nbd", BG_NBD, cdnow[0], 39)
    assert found.row.shape == (2357,)
    assert len(found.probability) == 1016


def test_a_busy_customer_underflows_nowhere():
    log = log_of_days([range(1, 279)])
    for model in EVERY:
        found = predict(model, EVERY[model], log, 13, largest=100)
        assert np.isfinite(found.expected()).all()
        assert found.probability.sum() == pytest.approx(1.0, abs=1e-6)
        assert found.density([80])[0] > 1e-6


@pytest.mark.parametrize(
    ("model", "change", "weeks", "message"),
    [
        (
            "poisson",
            {},
            26,
            "model is 'poisson'; allowed: pareto_nbd, lognormal, drift, bg_nbd, habit",
        ),
        ("habit", {"regular_share": 1.0}, 26, "regular_share is 1.0; allowed: above 0 and below 1"),
        ("pareto_nbd", {"rate_shape": 0.0}, 26, "rate_shape is 0.0; allowed: finite and above 0"),
        ("bg_nbd", {"dropout_a": np.nan}, 26, "dropout_a is nan; allowed"),
        ("lognormal", {"rate_dropout_correlation": 1.0}, 26, "correlation is 1.0; allowed: ±0.99"),
        ("lognormal", {"rate_log_mean": np.inf}, 26, "rate_log_mean is inf; allowed: finite"),
        ("drift", {}, 2.5, "weeks is 2.5; allowed: above 0, and whole weeks for drift"),
        ("bg_nbd", {}, 0, "weeks is 0; allowed"),
    ],
)
def test_what_cannot_be_predicted_is_refused(three_customers, model, change, weeks, message):
    with pytest.raises(InputError, match=message):
        predict(model, EVERY.get(model, {}) | change, three_customers, weeks)


def test_missing_parameters_and_wrong_counts_are_refused(three_customers):
    with pytest.raises(InputError, match="rate_shape is missing"):
        predict("pareto_nbd", DRIFT, three_customers, 26)
    with pytest.raises(InputError, match="values is empty"):
        predict("pareto_nbd", [], three_customers, 26)
    found = predict("pareto_nbd", PARETO_NBD, three_customers, 26)
    with pytest.raises(ValueError, match=r"shape \(2,\); allowed: \(3,\)"):
        found.density([0, 1])
    with pytest.raises(ValueError, match="ranges from -1 to 1; allowed: 0"):
        found.below([0, 1, -1])
