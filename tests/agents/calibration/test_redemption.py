"""The redemption logit against brute force, known parameters and Complete Journey."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit

from agents.calibration.contacts import load_contacts, wholly_observed
from agents.calibration.redemption import (
    RandomInterceptLogit,
    Redemptions,
    fit_redemption,
    predicted_top_shares,
    redemptions,
    share_of_top,
)
from agents.errors import InputError

POINT = np.array([-2.7, -4.4, 0.7, 2.1])


def simulated(households=1_500, seed=0, point=POINT):
    """Up to ten contacts per household of two kinds."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 11, households)
    first = np.concatenate([[0], np.cumsum(size)])
    kind = rng.integers(0, 2, first[-1])
    pre_rate = np.repeat(rng.normal(0, 0.8, households), size) + rng.normal(0, 0.3, first[-1])
    u = np.repeat(point[-1] * rng.standard_normal(households), size)
    redeemed = rng.random(first[-1]) < expit(point[:2][kind] + point[2] * pre_rate + u)
    return Redemptions(first, kind, pre_rate, redeemed.astype(float), ("a", "b"))


@pytest.fixture(scope="module")
def covered(complete_journey):
    contacts = load_contacts("completejourney", complete_journey)
    return redemptions(complete_journey, wholly_observed(contacts, complete_journey))


@pytest.mark.parametrize(("sd", "error"), [(0.3, 1e-6), (2.1, 2e-5), (4.0, 4e-3)])
def test_the_household_integral_equals_brute_force(sd, error):
    """For 40 households together."""
    data = simulated(40)
    point = np.array([-2.7, -1.0, 0.7, sd])
    total = 0.0
    for h in range(40):
        rows = slice(data.first[h], data.first[h + 1])
        eta = point[:2][data.kind[rows]] + 0.7 * data.pre_rate[rows]
        sign = 2 * data.redeemed[rows] - 1

        def integrand(u, eta=eta, sign=sign):
            return expit(sign * (eta + u)).prod() * stats.norm.pdf(u, 0, sd)

        limit = 12 * sd
        total += np.log(integrate.quad(integrand, -limit, limit, epsabs=0, limit=300)[0])
    assert RandomInterceptLogit(data)(point)[0] == pytest.approx(total, abs=error)


@pytest.mark.parametrize("point", [POINT, np.array([0.5, -1.0, -0.4, 0.4])])
def test_the_gradient_equals_differences(point):
    likelihood = RandomInterceptLogit(simulated(300))
    gradient = likelihood(point)[1]
    for at, step in enumerate(np.eye(4) * 1e-4):
        difference = (likelihood(point + step)[0] - likelihood(point - step)[0]) / 2e-4
        assert gradient[at] == pytest.approx(difference, rel=1e-4, abs=2e-3)


def test_a_household_with_very_many_contacts_is_summed():
    """Its product of factors starts anew many times."""
    n = 3_000
    rng = np.random.default_rng(1)
    data = Redemptions(
        np.array([0, n]), np.zeros(n, int), np.zeros(n), rng.integers(0, 2, n).astype(float), ("a",)
    )
    value, _ = RandomInterceptLogit(data)(np.array([0.0, 0.0, 1.0]))
    k = data.redeemed.sum()
    v = np.linspace(-0.5, 0.5, 20_001)
    inside = k * v - n * np.log1p(np.exp(v)) + stats.norm.logpdf(v)
    top = inside.max()
    assert value == pytest.approx(top + np.log(np.trapezoid(np.exp(inside - top), v)), abs=1e-6)


def test_known_parameters_are_found_again():
    """Each within 3.5 posterior sds: one false alarm in about 500 seeds of 4 parameters."""
    fit = fit_redemption(simulated(seed=5))
    assert fit.names == ("intercept[a]", "intercept[b]", "slope", "household_sd")
    assert np.abs((fit.estimate - POINT) / fit.sd).max() < 3.5
    again = fit_redemption(simulated(seed=5))
    assert (fit.draws == again.draws).all()


def test_complete_journey_gives_the_published_logit(covered):
    """Maximum likelihood; the data's own figures are rounded to two digits."""
    fit = fit_redemption(covered, priors="flat")
    assert fit.estimate == pytest.approx([-2.70, -4.45, -4.56, 0.68, 2.08], abs=0.012)
    assert fit.sd[:4] == pytest.approx([0.12, 0.19, 0.31, 0.10], abs=0.012)


def test_the_model_predicts_how_redemptions_concentrate(covered):
    fit = fit_redemption(covered)
    predicted = predicted_top_shares(fit, covered)
    observed = share_of_top(np.bincount(covered.household, covered.redeemed))
    low, high = np.quantile(predicted, [0.005, 0.995])
    assert low < observed < high


def test_coupons_concentrate_as_published(complete_journey):
    contacts = load_contacts("completejourney", complete_journey)
    coupons = np.bincount(contacts.customer, contacts.coupons)[np.unique(contacts.customer)]
    assert share_of_top(coupons) == pytest.approx(0.75, abs=0.005)


@pytest.mark.slow
def test_nuts_and_laplace_agree(covered):
    nuts = fit_redemption(covered, inference="nuts")
    laplace = fit_redemption(covered)
    assert np.abs(nuts.estimate - laplace.estimate).max() < 0.3 * laplace.sd.max()
    assert nuts.sd == pytest.approx(laplace.sd, rel=0.1)


def test_a_kind_that_nobody_redeemed_is_refused(complete_journey):
    contacts = wholly_observed(load_contacts("completejourney", complete_journey), complete_journey)
    few = contacts.select((contacts.kind != 2) | ~contacts.redeemed)
    with pytest.raises(InputError, match="kind 'Type C': share redeemed is 0% of the contacts"):
        redemptions(complete_journey, few)
