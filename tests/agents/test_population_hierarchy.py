"""Cohorts of the correlated lognormal hierarchy have its margins and correlations."""

import math

import numpy as np
import pytest
from scipy import stats

from agents.population import (
    PopulationParameters,
    draw_population,
    dynamics_from,
    filter_from,
    mean_basket,
    rate_moments,
)
from agents.rng import derive_seed

VALUES = {
    "rate_log_mean": -1.8,
    "rate_log_sd": 0.9,
    "dropout_log_mean": -3.9,
    "dropout_log_sd": 1.2,
    "rate_dropout_correlation": 0.5,
    "spend_log_mean": 3.2,
    "spend_log_sd": 0.6,
    "spend_within_log_sd": 0.5,
    "rate_spend_correlation": 0.3,
    "dropout_spend_correlation": -0.4,
}
N = 40_000


def hierarchy(**changed: float) -> PopulationParameters:
    values = {name: np.array([value]) for name, value in (VALUES | changed).items()}
    return PopulationParameters("lognormal", "lognormal", values)


@pytest.fixture(scope="module")
def logs() -> dict[str, np.ndarray]:
    traits = draw_population(hierarchy(), N, derive_seed(9, "population")).traits
    return {
        "rate": traits["log_rate"].astype(float),
        "dropout": np.log(traits["hazard"].astype(float)),
        "spend": np.log(traits["spend_mean"] / 100),
    }


@pytest.mark.parametrize("trait", ["rate", "dropout", "spend"])
def test_margins_are_the_stated_normals(logs, trait) -> None:
    """Kolmogorov-Smirnov against the exact distribution: fails once in a thousand keys."""
    exact = stats.norm(VALUES[f"{trait}_log_mean"], VALUES[f"{trait}_log_sd"])
    assert stats.kstest(logs[trait], exact.cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("one", "other"), [("rate", "dropout"), ("rate", "spend"), ("dropout", "spend")]
)
def test_correlations_are_the_stated_ones(logs, one, other) -> None:
    """Fisher's z at 4.5 standard errors: one false alarm in 150,000."""
    found = np.corrcoef(logs[one], logs[other])[0, 1]
    error = math.atanh(found) - math.atanh(VALUES[f"{one}_{other}_correlation"])
    assert abs(error) < 4.5 / math.sqrt(N - 3)


def test_correlations_at_the_edge_of_what_is_possible_are_drawn() -> None:
    """Two correlations of .8 leave the third no lower than .28."""
    edge = hierarchy(
        rate_dropout_correlation=0.8, rate_spend_correlation=0.8, dropout_spend_correlation=0.2801
    )
    traits = draw_population(edge, N, derive_seed(9, "population")).traits
    found = np.corrcoef(np.log(traits["hazard"]), np.log(traits["spend_mean"]))[0, 1]
    assert found == pytest.approx(0.2801, abs=4.5 * (1 - 0.2801**2) / math.sqrt(N))


def test_correlations_that_exclude_each_other_are_refused() -> None:
    impossible = hierarchy(
        rate_dropout_correlation=0.8, rate_spend_correlation=0.8, dropout_spend_correlation=0.2
    )
    with pytest.raises(ValueError, match=r"0.8 \(rate, dropout\), .* exclude each other"):
        draw_population(impossible, 10, derive_seed(9, "population"))


def test_the_filters_prior_has_the_moments_of_the_logs(logs) -> None:
    """4.5 standard errors of a mean and of a variance of normals."""
    prior = filter_from(hierarchy())
    for trait, shape, rate in (
        ("rate", prior.rate_shape, prior.rate_rate),
        ("dropout", prior.dropout_shape, prior.dropout_rate),
    ):
        log_gamma = stats.loggamma(shape, loc=-math.log(rate))
        assert logs[trait].mean() == pytest.approx(
            log_gamma.mean(), abs=4.5 * VALUES[f"{trait}_log_sd"] / math.sqrt(N)
        )
        assert logs[trait].var() == pytest.approx(log_gamma.var(), rel=4.5 * math.sqrt(2 / N))
        assert log_gamma.mean() == pytest.approx(VALUES[f"{trait}_log_mean"], abs=1e-9)
        assert log_gamma.std() == pytest.approx(VALUES[f"{trait}_log_sd"], rel=1e-9)
    assert prior.keep == 1.0
    assert prior.spend_prior_mean == mean_basket(hierarchy())


def test_moments_for_the_market_are_those_of_lognormals() -> None:
    mean, sd = rate_moments(hierarchy())
    assert mean == pytest.approx(math.exp(-1.8 + 0.9**2 / 2))
    assert sd == 0.9
    assert mean_basket(hierarchy()) == pytest.approx(100 * math.exp(3.2 + 0.6**2 / 2))
    assert dynamics_from(hierarchy()).spend_family == "lognormal"
    assert dynamics_from(hierarchy()).drift_sd == 0.0
