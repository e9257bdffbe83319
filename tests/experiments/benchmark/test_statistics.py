"""Intervals cover, aggregates are those of the literature."""

import numpy as np
import pytest

from experiments.benchmark.statistics import interquartile_mean, over_markets, over_seeds


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end():
    values = np.array([[-100.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 1000.0]])
    assert interquartile_mean(values) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_an_interval_over_seeds_covers_as_often_as_it_says():
    rng = np.random.default_rng(5)
    draws = rng.normal(0.3, 2.0, (4000, 5))
    intervals = [over_seeds(row) for row in draws]
    covered = np.mean([one.low <= 0.3 <= one.high for one in intervals])
    assert covered == pytest.approx(0.95, abs=0.012)


def test_one_seed_says_nothing_of_others():
    assert over_seeds(np.array([1.0])).low == -np.inf


def test_the_bootstrap_of_a_mean_of_many_markets_covers():
    rng = np.random.default_rng(6)
    centre = rng.normal(size=(30, 1))
    truth = interquartile_mean(np.repeat(centre, 2, axis=1))
    covered = []
    for _ in range(120):
        luck = rng.normal(0, 0.3, (30, 5))
        found = over_markets(centre + luck, [str(at) for at in range(30)], resamples=300)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) > 0.8


def test_the_spread_of_few_seeds_is_not_taken_for_less_than_it_is():
    # The bootstrap's variance of a plain mean is that of the textbook, not (n - 1) / n of it.
    values = np.random.default_rng(9).normal(size=(1, 5))
    found = over_markets(values, ["a"], cut=0.0, resamples=200_000, confidence=0.6827)
    half = (found.high - found.low) / 2
    assert half == pytest.approx(values.std(ddof=1) / np.sqrt(5), rel=0.05)


def test_two_seeds_give_no_interval_over_markets():
    found = over_markets(np.array([[1.0, 2.0], [3.0, 4.0]]), ["a", "b"])
    assert found == (2.5, -np.inf, np.inf)


def test_nothing_is_cut_from_a_plain_mean():
    values = np.array([[0.0, 0.0, 0.0, 100.0], [0.0, 0.0, 0.0, 0.0]])
    assert over_markets(values, ["a", "b"], cut=0.0).value == pytest.approx(12.5)
    assert over_markets(values, ["a", "b"]).value == 0.0


def test_a_difference_is_paired():
    # Both sides move with the seed; their difference does not.
    rng = np.random.default_rng(7)
    luck = rng.normal(0, 10.0, (10, 5))
    one, other = luck + 0.5, luck
    paired = over_markets(one, ["a"] * 10, against=other)
    assert paired.value == pytest.approx(0.5)
    assert paired.high - paired.low < 1e-9


def test_equal_values_have_an_interval_of_no_width():
    found = over_markets(np.full((3, 5), 2.0), ["a", "a", "b"])
    assert found == (2.0, 2.0, 2.0)


def test_markets_that_share_their_seeds_are_drawn_together():
    rng = np.random.default_rng(8)
    worlds = np.repeat(["a", "b", "c"], 15)
    covered = []
    for _ in range(150):
        shared = np.repeat(rng.normal(0, 1.0, (3, 5)), 15, axis=0)
        values = shared + rng.normal(0, 1.0, (45, 5))
        found = over_markets(values, list(worlds), resamples=300)
        covered.append(found.low <= 0.0 <= found.high)
    assert np.mean(covered) > 0.75  # by market alone it is about one half
