"""Means below a cap against scipy's distributions, an independent reference."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from agents.baskets import lower_gamma, mean_basket_below, mean_of_first, normal_below
from agents.behaviour import behaviour_record
from agents.dynamics import Dynamics
from agents.records import TRAITS
from agents.response import ResponseParameters


@pytest.mark.parametrize("shape", [0.2, 0.9, 1.0, 1.7, 12.0, 150.0])
def test_the_incomplete_gamma_function_is_scipys(shape: float) -> None:
    for x in shape * np.array([1e-3, 0.2, 0.9, 1.0, 1.1, 3.0, 20.0]):
        assert lower_gamma(shape, x) == pytest.approx(special.gammainc(shape, x), abs=1e-11)


def test_the_normal_distribution_function_is_scipys() -> None:
    for z in (-6.0, -1.0, 0.0, 0.3, 4.0):
        assert normal_below(z) == pytest.approx(stats.norm.cdf(z), rel=1e-12)


@pytest.mark.parametrize("family", ["gamma", "lognormal"])
@pytest.mark.parametrize("shape", [0.3, 0.8, 2.5])
@pytest.mark.parametrize("limit", [0.05, 0.7, 1.0, 4.0, 30.0])
def test_the_mean_basket_below_a_cap_is_the_integral(family: str, shape: float, limit: float):
    traits = np.zeros(1, TRAITS)
    traits["spend_shape"] = shape
    behaviour = behaviour_record(ResponseParameters(), Dynamics(spend_family=family))
    mean = 3000.0
    scale = float(traits["spend_shape"][0])
    if family == "gamma":
        basket = stats.gamma(scale, scale=1.0 / scale)
    else:
        basket = stats.lognorm(scale, scale=np.exp(-0.5 * scale * scale))
    expected = mean * integrate.quad(basket.sf, 0.0, limit, limit=400, epsabs=1e-9)[0]
    found = mean_basket_below(traits[0], mean, limit * mean, behaviour[0])
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_basket_of_nothing_and_a_cap_of_nothing_are_nothing() -> None:
    traits = np.zeros(1, TRAITS)
    behaviour = behaviour_record(ResponseParameters(), Dynamics())
    assert mean_basket_below(traits[0], 0.0, 100.0, behaviour[0]) == 0.0
    assert mean_basket_below(traits[0], 100.0, 0.0, behaviour[0]) == 0.0


def test_uses_of_an_offer_are_the_first_purchases() -> None:
    for rate in (0.01, 0.8, 6.0):
        counts = np.arange(200)
        weight = stats.poisson(rate).pmf(counts)
        for most in (0, 1, 3):
            expected = (np.minimum(counts, most) * weight).sum()
            assert mean_of_first(rate, most) == pytest.approx(expected, rel=1e-10)
