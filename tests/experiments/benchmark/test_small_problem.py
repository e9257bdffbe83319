"""The dynamic programme and the market agree on what the optimum is worth."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from agents.rng import derive_seed
from envs.features import column, observe
from experiments.benchmark.small_problem import (
    SmallProblem,
    evidence,
    gain_of,
    is_first_kind,
    optimal_gain,
    solve,
)
from policies.heuristics import NoOffers
from sim.engine import Engine

PROBLEM = SmallProblem()
KEY = derive_seed(1, "evaluate")


class Always:
    """An offer to everybody in every week."""

    name = "always"

    def propose(self, observation, mask, context):
        score = np.zeros((observation.shape[0], context.table.n))
        score[:, 1] = 1.0
        return score


@pytest.fixture(scope="module")
def customers():
    return PROBLEM.customers(20_000, 1, test=True)


def test_the_optimum_earns_in_the_market_what_the_programme_says(customers):
    optimum = solve(PROBLEM)
    gain = optimal_gain(PROBLEM, optimum, customers, KEY)
    assert gain.mean() == pytest.approx(optimum.gain, abs=4 * gain.std() / np.sqrt(gain.size))
    assert gain.std() / np.sqrt(gain.size) < 0.03 * optimum.gain


def test_the_grid_is_fine_enough():
    fine = solve(PROBLEM, step=0.0025)
    assert solve(PROBLEM).gain == pytest.approx(fine.gain, rel=1e-4)
    assert solve(PROBLEM, reach=20.0).gain == pytest.approx(fine.gain, rel=1e-4)


def test_one_week_is_the_better_of_offer_and_nothing():
    alone = dataclasses.replace(PROBLEM, weeks=1, share=0.7)
    rate, doubled = 0.8, 0.8 * np.exp(0.7)
    first = (doubled - rate) * 15 - 0.9 * (1 - np.exp(-doubled)) * 12
    second = -0.5 * (1 - np.exp(-rate)) * 12
    assert solve(alone).gain == pytest.approx(0.7 * first + 0.3 * second, rel=1e-4)
    assert solve(dataclasses.replace(alone, share=0.05)).gain == 0.0


def test_what_an_offer_teaches_is_worth_something():
    optimum = solve(PROBLEM)
    assert 0 < optimum.myopic_gain < 0.9 * optimum.gain
    # The fewer weeks are left, the surer the firm must be.
    assert (np.diff(optimum.threshold) > 0).all()


def test_always_offering_earns_what_the_formula_says(customers):
    gain = gain_of(PROBLEM, Always(), customers, KEY)
    first = is_first_kind(customers, PROBLEM.share)
    rate, doubled = 0.8, 0.8 * np.exp(0.7)
    expected = (
        12 * ((doubled - rate) * 15 - 0.9 * (1 - np.exp(-doubled)) * 12),
        12 * (-0.5 * (1 - np.exp(-rate)) * 12),
    )
    for rows, value in zip((first, ~first), expected, strict=True):
        error = gain[rows].std() / np.sqrt(rows.sum())
        assert gain[rows].mean() == pytest.approx(value, abs=4 * error)


def test_what_was_bought_with_offers_tells_the_kinds_apart(customers):
    """Nearly as well as purchases alone can, if the rate without offers were known."""
    own = customers.take(slice(0, 5000))
    rules, first = PROBLEM.world.rules(), is_first_kind(own, PROBLEM.share)
    engine = Engine(own, rules, KEY)

    def seen(name):
        return observe(own.profile, int(own.state["week"][0]), rules)[:, column(name)]

    def told_apart(values):
        return mannwhitneyu(values[first], values[~first]).statistic / (
            first.sum() * (~first).sum()
        )

    assert (seen("offer_lift") == 1.0).all()
    apart = []
    for _ in range(8):
        engine.advance(np.ones(own.n, np.uint8))
        apart.append(told_apart(seen("offer_lift")))
    assert (seen("offer_weeks") == 8).all()
    assert told_apart(seen("expected_rate")) < apart[-1]
    assert apart == sorted(apart)
    assert apart[0] > 0.65
    assert apart[-1] > 0.87


def test_no_offers_gain_nothing_exactly(customers):
    few = customers.take(np.arange(500))
    assert (gain_of(PROBLEM, NoOffers(), few, KEY) == 0).all()


def test_evidence_is_the_likelihood_ratio():
    purchases, redeemed = np.array([0, 2, 2]), np.array([0, 1, 0])
    lift, rate = 0.7, 0.8
    growth = -rate * (np.exp(lift) - 1)
    expected = [
        growth,
        growth + 2 * lift + np.log(0.9 / 0.5),
        growth + 2 * lift + np.log(0.1 / 0.5),
    ]
    np.testing.assert_allclose(evidence(PROBLEM, purchases, redeemed), expected)
