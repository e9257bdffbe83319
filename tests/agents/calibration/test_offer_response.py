"""Planted effects are found where naive estimates are not; Complete Journey's are reproduced."""

import numpy as np
import pytest

from agents.calibration.contacts import load_contacts
from agents.calibration.offer_response import (
    CampaignEffects,
    WeeklyPanel,
    campaign_effects,
    updated,
    weekly_panel,
)
from agents.errors import InputError

EFFECT = np.array([0.15, 0.0])


def planted(seed=0, n=1_200, weeks=40, effect=EFFECT):
    """Heavy buyers are contacted more; a campaign of each kind runs for five weeks.

    Trips are overdispersed, and the common level moves with the weeks.
    """
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 0.8, n)
    exposure = np.zeros((2, n, weeks))
    for kind in range(2):
        for start in (8 + 3 * kind, 25 + 3 * kind):
            reached = rng.random(n) < 1 / (1 + np.exp(-2 * level))
            exposure[kind, reached, start : start + 5] = 1
    season = 0.3 * np.sin(np.arange(weeks) / 5)
    mean = np.exp(level[:, None] + season + np.tensordot(effect, exposure, 1))
    trips = rng.poisson(mean * rng.gamma(2, 0.5, mean.shape)).astype(float)
    spend = trips * 20 * rng.lognormal(0, 0.4, trips.shape)
    return WeeklyPanel(trips, spend, np.ones(trips.shape, bool), exposure, ("a", "b"))


@pytest.fixture(scope="module")
def journey(complete_journey):
    contacts = load_contacts("completejourney", complete_journey)
    return weekly_panel(complete_journey, contacts)


@pytest.mark.parametrize("trends", ["none", "reached", "household"])
def test_a_planted_effect_is_found_behind_targeting(trends):
    """Within 3.5 standard errors: one false alarm in about 700 seeds of four comparisons."""
    panel = planted()
    for outcome in ("trips", "spend"):
        found = campaign_effects(panel, outcome, trends=trends)
        assert np.abs((found.effect - EFFECT) / found.standard_error).max() < 3.5
        assert found.standard_error.max() < 0.05


def test_without_household_effects_targeting_passes_for_an_effect():
    naive = campaign_effects(planted(), household_effects=False, trends="none")
    assert ((naive.effect - EFFECT) / naive.standard_error > 5).all()


def test_customers_contacted_at_a_peak_fall_back():
    """Before and after, a campaign without effect seems to hurt those whom it caught at a peak."""
    rng = np.random.default_rng(1)
    n, weeks = 1_500, 30
    level = rng.normal(0, 0.5, (n, 1))
    trips = rng.poisson(np.exp(level), (n, weeks)).astype(float)
    exposure = np.zeros((1, n, weeks))
    peak = trips[:, 6:10].mean(axis=1) > trips.mean(axis=1) + 0.3
    exposure[0, peak, 10:15] = 1
    panel = WeeklyPanel(trips, trips * 10, np.ones(trips.shape, bool), exposure, ("a",))
    found = campaign_effects(panel, trends="none")
    assert found.effect[0] < -3 * found.standard_error[0]


def test_a_planted_effect_on_baskets_is_found():
    panel = planted(effect=np.zeros(2))
    lifted = panel.spend * np.exp(0.1 * panel.exposure[0])
    found = campaign_effects(WeeklyPanel(**vars(panel) | {"spend": lifted}), "basket")
    expected = np.array([0.1, 0.0])
    assert np.abs((found.effect - expected) / found.standard_error).max() < 3.5


def test_standard_errors_hold_under_overdispersion():
    """40 logs: the mean squared z lies in its 1 in 1,000 range of chi-square / 40."""
    z = [
        (one.effect / one.standard_error)[0]
        for seed in range(40)
        for one in [campaign_effects(planted(seed, 200, 24, np.zeros(2)), trends="none")]
    ]
    assert 0.42 < np.mean(np.square(z)) < 1.85


def test_complete_journey_gives_the_published_effects(journey):
    """Half a standard error for A's trips and spend, which the published design splits further."""
    published = {
        "trips": ([-0.013, -0.024, -0.044], [0.017, 0.014, 0.028], 0.009),
        "spend": ([0.012, -0.013, 0.015], [0.016, 0.012, 0.021], 0.008),
    }
    for outcome, (effect, error, within) in published.items():
        found = campaign_effects(journey, outcome)
        assert found.effect == pytest.approx(effect, abs=within)
        assert found.standard_error == pytest.approx(error, abs=7e-4)
    basket = campaign_effects(journey, "basket")
    assert basket.effect[0] == pytest.approx(0.046, abs=6e-4)
    assert basket.standard_error[0] == pytest.approx(0.011, abs=5e-4)
    before_and_after = campaign_effects(journey, trends="none")
    assert (before_and_after.effect < -2 * before_and_after.standard_error).all()


def test_the_update_is_conjugate():
    covariance = np.array([[0.0004, 0.0001], [0.0001, 0.0009]])
    effects = CampaignEffects("trips", ("a", "b"), np.array([0.03, -0.01]), covariance)
    one = updated(effects, ["a"])
    precision = 1 / 0.0004 + 1 / 0.05**2
    assert one.mean == pytest.approx(0.03 / 0.0004 / precision)
    assert one.sd == pytest.approx(precision**-0.5)
    assert one.moved == pytest.approx(one.mean / 0.05)
    both = updated(effects, ["a", "b"])
    weight = np.linalg.inv(covariance).sum(axis=0)
    assert both.evidence == pytest.approx(weight @ [0.03, -0.01] / weight.sum())
    with pytest.raises(ValueError, match="at least one"):
        updated(effects, [])


def test_weeks_before_the_first_purchase_do_not_count(complete_journey):
    from dataclasses import replace

    log = replace(complete_journey, origin="first_purchase")
    panel = weekly_panel(log, load_contacts("completejourney", log))
    bought = panel.observed.any(axis=1)
    first = panel.observed[bought].argmax(axis=1)
    weeks = log.first_time()[bought] // 604_800
    assert (first == weeks + 1).all()
    assert (panel.trips[~panel.observed] == 0).all()


def test_what_tells_nothing_is_refused(complete_journey):
    panel = planted()
    always = np.ones_like(panel.exposure)
    with pytest.raises(InputError, match="cannot be told from those of weeks and customers"):
        campaign_effects(WeeklyPanel(**vars(panel) | {"exposure": always}))
    contacts = load_contacts("completejourney", complete_journey)
    short, _ = complete_journey.split(5)
    with pytest.raises(InputError, match="5 whole weeks; allowed: at least 8"):
        weekly_panel(short, contacts)
    short, _ = complete_journey.split(8)
    with pytest.raises(InputError, match="no campaign of kind"):
        weekly_panel(short, contacts.select(contacts.kind == 0))
