"""The best choice, what it gives away, and what would change it."""

import numpy as np
import pytest

from experiments.choice import rank, turns

RNG = np.random.default_rng(4)


def gains(means, n=400, spread=0.0):
    """Gains with these means, shape (choices, worlds, customers); luck common to the choices."""
    luck = RNG.normal(0, spread, (1, len(means[0]), n)) if spread else 0.0
    return np.array(means, float)[:, :, None] + luck + np.zeros((1, 1, n))


EVEN = np.array([0.5, 0.5])


def test_the_best_on_average_wins_though_it_is_best_nowhere():
    ranked = rank(gains([[10, -10], [4, 4], [-10, 10]]), EVEN, 0.95)
    assert ranked.order[0] == 1
    assert ranked.expected[0].mean == 4
    assert ranked.regret[0] == 6
    assert ranked.behind[0] == (0, 0, 0)


def test_distances_are_paired_by_customer():
    ranked = rank(gains([[5, 5], [4, 4]], spread=100.0), EVEN, 0.95)
    assert ranked.behind[1].low == pytest.approx(1.0)
    assert ranked.expected[0].high - ranked.expected[0].low > 5


def test_beliefs_move_the_answer():
    two = gains([[10, -10], [1, 1]])
    assert rank(two, EVEN, 0.95).order[0] == 1
    assert rank(two, np.array([0.9, 0.1]), 0.95).order[0] == 0


def test_the_belief_that_turns_the_answer_is_where_both_are_equal():
    two = gains([[10, -10], [1, 1]])
    (turn,) = turns(two, EVEN, 1, 0.95)
    assert (turn.world, turn.choice) == (0, 0)
    assert turn.gain.mean == 9
    p = turn.belief
    assert p * 10 + (1 - p) * -10 == pytest.approx(1.0)


def test_a_world_in_which_the_answer_is_best_changes_nothing():
    assert turns(gains([[10, 10], [1, 1]]), EVEN, 0, 0.95) == []


def test_a_lead_within_luck_changes_nothing():
    even = gains([[1.0, 1.0], [1.0, 1.0]])
    even[1, 0] += RNG.normal(0.01, 50.0, 400)
    assert turns(even, EVEN, 0, 0.95) == []
