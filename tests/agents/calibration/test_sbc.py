"""Simulation-based calibration of the models, and whether the check itself can fail.

Each test of a model's ranks fails for uniform ranks with chance .01, all quantities together;
seeds are fixed.
"""

import numpy as np
import pytest

from agents.calibration import models
from agents.calibration.models import Prior
from agents.calibration.sbc import (
    draw_prior,
    gamma_gamma_data,
    lognormal_data,
    pareto_nbd_data,
    rank_statistics,
    uniformity,
)

# Narrower than the weak priors, under which many data sets have hardly a purchase or a dropout.
PARETO_NBD = {
    "rate_shape": Prior("log", np.log(0.8), 0.4),
    "rate_rate": Prior("log", np.log(8.0), 0.4),
    "dropout_shape": Prior("log", np.log(0.8), 0.4),
    "dropout_rate": Prior("log", np.log(12.0), 0.5),
}
GAMMA_GAMMA = {
    "spend_within_shape": Prior("log", np.log(4.0), 0.5),
    "spend_shape": Prior("log", np.log(4.0), 0.4),
    "spend_scale": Prior("log", np.log(15.0), 0.5),
}
LOGNORMAL = {
    "rate_log_mean": Prior("linear", np.log(0.15), 0.5),
    "rate_log_sd": Prior("log", np.log(0.9), 0.3),
    "dropout_log_mean": Prior("linear", np.log(0.03), 0.5),
    "dropout_log_sd": Prior("log", np.log(1.2), 0.3),
    "spend_log_mean": Prior("linear", 3.0, 0.5),
    "spend_log_sd": Prior("log", np.log(0.6), 0.3),
    "spend_within_log_sd": Prior("log", np.log(0.6), 0.3),
    "rate_dropout_correlation": Prior("atanh", 0.0, 0.4),
    "rate_spend_correlation": Prior("atanh", 0.0, 0.4),
    "dropout_spend_partial_correlation": Prior("atanh", 0.0, 0.4),
}
AGE = np.random.default_rng(5).uniform(26.0, 52.0, 300)
BASKETS = 1 + np.random.default_rng(6).geometric(0.4, 300)


def means(values):
    """Mean rate and mean hazard, which data tell better than shapes and scales."""
    return {
        "mean_rate": values["rate_shape"] / values["rate_rate"],
        "mean_hazard": values["dropout_shape"] / values["dropout_rate"],
    }


def pareto_nbd(data):
    return models.pareto_nbd(data, PARETO_NBD)


def check_uniform(found):
    verdicts = found.verdicts()
    print({name: round(one.p_value, 3) for name, one in verdicts.items()})
    assert all(one.uniform for one in verdicts.values()), [
        name for name, one in verdicts.items() if not one.uniform
    ]


@pytest.mark.slow
def test_nuts_is_calibrated_for_pareto_nbd():
    found = rank_statistics(
        pareto_nbd,
        lambda values, rng: pareto_nbd_data(values, AGE, rng),
        PARETO_NBD, replications=60, derived=means, seed=1,
    )  # fmt: skip
    check_uniform(found)


@pytest.mark.slow
def test_a_hazard_off_by_a_third_fails():
    """Data have 30 % more dropout than the parameters say."""

    def simulate(values, rng):
        wrong = dict(values) | {"dropout_rate": values["dropout_rate"] / 1.3}
        return pareto_nbd_data(wrong, AGE, rng)

    found = rank_statistics(
        pareto_nbd, simulate, PARETO_NBD,
        replications=60, inference="map", derived=means, seed=2,
    )  # fmt: skip
    assert not found.verdicts()["mean_hazard"].uniform
    assert found.ranks["mean_hazard"].mean() < found.draws / 2


@pytest.mark.slow
def test_nuts_is_calibrated_for_gamma_gamma():
    found = rank_statistics(
        lambda data: models.gamma_gamma(*data, GAMMA_GAMMA),
        lambda values, rng: gamma_gamma_data(values, BASKETS, rng),
        GAMMA_GAMMA, replications=60, thin=1, seed=3,
    )  # fmt: skip
    check_uniform(found)


@pytest.mark.slow
def test_nuts_is_calibrated_for_the_lognormal_hierarchy():
    found = rank_statistics(
        lambda data: models.lognormal(data, LOGNORMAL),
        lambda values, rng: lognormal_data(values, AGE[:64], rng),
        LOGNORMAL, replications=20, draws=49, seed=1,
    )  # fmt: skip
    check_uniform(found)


def test_bands_hold_uniform_ranks_as_often_as_they_say():
    """300 tests at level .1: 30 failures, sd 5.2; the bounds are 4 sd away."""
    rng = np.random.default_rng(1)
    failures = 0
    for _ in range(300):
        found = uniformity(rng.integers(0, 50, 60), 49, 0.1)
        failures += not found.uniform
        assert found.uniform == (found.p_value > 0.1) or abs(found.p_value - 0.1) < 0.02
    assert 9 <= failures <= 51


@pytest.mark.parametrize("bend", [lambda u: u**1.6, lambda u: 0.5 + 0.55 * (u - 0.5)])
def test_biased_and_too_narrow_ranks_are_seen(bend):
    uniform = (np.arange(200) + 0.5) / 200
    assert uniformity((uniform * 100).astype(int), 99).uniform
    assert not uniformity((bend(uniform) * 100).astype(int), 99).uniform


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"lie in 0\.\.9"):
        uniformity(np.array([3, 10]), 9)
    with pytest.raises(ValueError, match="level is 0"):
        uniformity(np.array([3]), 9, 0.0)
    with pytest.raises(ValueError, match="prior of a is flat"):
        draw_prior({"a": Prior("log", 0.0, np.inf)}, np.random.default_rng(0))
    with pytest.raises(ValueError, match="the model's priors are"):
        rank_statistics(
            lambda data: models.gamma_gamma(*data),
            lambda values, rng: gamma_gamma_data(values, BASKETS, rng),
            GAMMA_GAMMA, replications=1,
        )  # fmt: skip
    data = gamma_gamma_data(
        draw_prior(GAMMA_GAMMA, np.random.default_rng(0)), BASKETS, np.random.default_rng(0)
    )
    with pytest.raises(ValueError, match="prior of spend_shape is on scale 'linear'"):
        models.gamma_gamma(*data, {"spend_shape": Prior("linear", 1.0, 1.0)})


def test_own_priors_replace_the_weak_ones_by_name():
    data = gamma_gamma_data(
        {"spend_within_shape": 4.0, "spend_shape": 4.0, "spend_scale": 15.0},
        BASKETS, np.random.default_rng(0),
    )  # fmt: skip
    weak = models.gamma_gamma(*data).priors
    own = models.gamma_gamma(*data, {"spend_shape": Prior("log", 1.0, 0.1)}).priors
    assert own == weak | {"spend_shape": Prior("log", 1.0, 0.1)}


def test_data_have_the_moments_of_their_story():
    """Means at 4.5 standard errors: one false alarm in 150,000 each."""
    rng = np.random.default_rng(7)
    age = np.full(40_000, 39.0)
    found = pareto_nbd_data(
        {"rate_shape": 0.8, "rate_rate": 8.0, "dropout_shape": 0.8, "dropout_rate": 12.0}, age, rng
    )
    # E[N] = r/alpha beta/(s-1) (1 - (beta/(beta+T))^(s-1)).
    exact = 0.1 * 12 / -0.2 * (1 - (12 / 51) ** -0.2)
    assert abs(found.frequency.mean() - exact) < 4.5 * found.frequency.std() / 200
    assert (found.recency <= age).all()
    assert ((found.recency > 0) == (found.frequency > 0)).all()
    values = draw_prior(LOGNORMAL, rng) | {
        "rate_dropout_correlation": 0.4,
        "rate_spend_correlation": 0.5,
        "dropout_spend_partial_correlation": -0.3,
    }
    both = lognormal_data(values, age, rng)
    basket = np.average(both.mean_log_spend[both.frequency == 0])
    assert np.isfinite(basket)
    within = both.log_spend_squares.sum() / (both.baskets - 1).sum()
    error = within * np.sqrt(2 / (both.baskets - 1).sum())
    assert abs(within - values["spend_within_log_sd"] ** 2) < 4.5 * error
    everyone = both.mean_log_spend + values["spend_within_log_sd"] ** 2 / 2
    assert abs(everyone.mean() - values["spend_log_mean"]) < 4.5 * everyone.std() / 200
