"""Several budgets at once: none overspent, close to the integer optimum, blind to row order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from envs.allocation.knapsack import allocate
from envs.allocation.several import Budget, allocate_within

WEEK = 3


def ids(n):
    return np.arange(n, dtype=np.uint64) * np.uint64(31) + np.uint64(7)


def used(commitment, action, draws):
    cost = np.broadcast_to(commitment, (len(action), np.shape(commitment)[-1]))
    spent = cost[np.arange(len(action)), action]
    return int(spent[np.asarray(draws)[action] & (action > 0)].sum())


def total(score, action):
    return float(np.where(action > 0, score[np.arange(len(action)), action], 0.0).sum())


def a_problem(rng, n, n_actions, parts=2):
    commitment = rng.integers(0, 900, n_actions)
    commitment[0] = 0
    score = rng.normal(100, 200, (n, n_actions)) + 0.4 * commitment
    mask = rng.random((n, n_actions)) < 0.85
    mask[:, 0] = True
    whole = int(commitment.max()) * n
    budgets = [Budget(int(whole * rng.uniform(0.1, 0.6)))]
    for _ in range(parts):
        draws = rng.random(n_actions) < 0.4
        budgets.append(Budget(int(whole * rng.uniform(0.0, 0.2)), draws))
    return score, commitment, mask, budgets


def drawn(budget, n_actions):
    return np.ones(n_actions, bool) if budget.draws is None else budget.draws


def optimum(score, commitment, mask, budgets, whole_offers=True):
    """By HiGHS; with shares of offers allowed it is a bound that no allocation reaches."""
    worth = mask & (score > 0)
    worth[:, 0] = False
    row, column = np.nonzero(worth)
    cost = commitment[column].astype(float)
    limits = np.array([drawn(budget, score.shape[1])[column] * cost for budget in budgets])
    found = milp(
        -score[row, column],
        constraints=[
            LinearConstraint(
                csr_array((np.ones(len(row)), (row, np.arange(len(row))))), -np.inf, 1
            ),
            LinearConstraint(limits, -np.inf, [budget.room for budget in budgets]),
        ],
        integrality=np.full(len(row), int(whole_offers)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-6},
    )
    assert found.status == 0, found.message
    return -float(found.fun)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("n", "share"), [(5, 0.85), (30, 0.96), (150, 0.995)])
def test_the_total_of_few_customers_is_close_to_the_integer_optimum(n, share, seed):
    problem = a_problem(np.random.default_rng([n, seed]), n, 9, parts=1 + seed % 3)
    answer = allocate_within(*problem, ids(n), WEEK)
    best = optimum(*problem)
    assert share * best - 1e-9 <= total(problem[0], answer.action) <= best * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("n", "share"), [(500, 0.995), (3000, 0.999)])
def test_the_total_of_many_customers_is_close_to_the_linear_bound(n, share, seed):
    problem = a_problem(np.random.default_rng([n, seed]), n, 9, parts=1 + seed % 3)
    answer = allocate_within(*problem, ids(n), WEEK)
    bound = optimum(*problem, whole_offers=False)
    assert share * bound <= total(problem[0], answer.action) <= bound * (1 + 1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 60, 200 + 40]))
@settings(max_examples=60, deadline=None)
def test_no_budget_is_overspent_and_the_mask_holds(seed, n):
    score, commitment, mask, budgets = a_problem(np.random.default_rng(seed), n, 7, 3)
    answer = allocate_within(score, commitment, mask, budgets, ids(n), WEEK)
    for budget in budgets:
        assert used(commitment, answer.action, drawn(budget, 7)) <= budget.room
    assert answer.committed == used(commitment, answer.action, np.ones(7, bool))
    assert mask[np.arange(n), answer.action].all()
    chosen = answer.action > 0
    assert (score[np.arange(n), answer.action][chosen] > 0).all()
    granted = answer.action == answer.wanted
    assert (answer.bound_by[granted] == 0).all()
    assert (answer.bound_by[~granted] >= 1).all()
    assert (answer.bound_by <= len(budgets)).all()


@pytest.mark.parametrize("n", [40, 200 + 300])
def test_the_answer_follows_the_customers_when_rows_are_permuted(n):
    rng = np.random.default_rng(4)
    score, commitment, mask, budgets = a_problem(rng, n, 8)
    order = rng.permutation(n)
    straight = allocate_within(score, commitment, mask, budgets, ids(n), WEEK)
    permuted = allocate_within(score[order], commitment, mask[order], budgets, ids(n)[order], WEEK)
    assert np.array_equal(permuted.action, straight.action[order])
    assert np.array_equal(permuted.bound_by, straight.bound_by[order])


def test_equal_efficiency_is_a_lottery_that_uses_the_whole_room():
    commitment = np.array([0, 100, 100])
    score = np.tile(commitment.astype(float), (1000, 1))
    score[:500, 2] = score[500:, 1] = -np.inf
    draws = np.array([False, True, False])
    answer = allocate_within(
        score, commitment, score > -np.inf, [Budget(60_000), Budget(20_000, draws)], ids(1000), WEEK
    )
    assert 5_000 <= used(commitment, answer.action, draws) <= 20_000
    assert answer.committed == 60_000
    given_first = np.flatnonzero(answer.action == 1)
    assert given_first[-1] > 250  # not the first rows only


def test_budgets_of_all_actions_are_the_plain_knapsack_with_the_tightest():
    score, commitment, mask, _ = a_problem(np.random.default_rng(1), 300, 6, 0)
    plain = allocate(score, commitment, mask, 20_000, ids(300), WEEK)
    answer = allocate_within(
        score, commitment, mask, [Budget(30_000), Budget(None), Budget(20_000)], ids(300), WEEK
    )
    assert np.array_equal(answer.action, plain.action)
    assert answer.shadow_price == plain.shadow_price
    assert set(answer.bound_by[plain.bound_by > 0]) == {3}


def test_who_is_refused_is_told_which_budget_refused():
    commitment = np.array([0, 10, 10])
    score = np.array([[0.0, 5.0, -np.inf]] * 4 + [[0.0, -np.inf, 5.0]] * 4)
    mask = np.ones(score.shape, bool)
    draws = np.array([False, True, False])
    answer = allocate_within(
        score, commitment, mask, [Budget(1000), Budget(20, draws)], ids(8), WEEK
    )
    assert (answer.action[4:] == 2).all()
    assert sorted(answer.bound_by[:4]) == [0, 0, 2, 2]


def test_without_room_nothing_that_draws_is_given():
    score, commitment, mask, _ = a_problem(np.random.default_rng(2), 50, 6, 0)
    commitment = np.maximum(commitment, 1) * (np.arange(6) > 0)
    draws = np.array([False, True, True, True, False, False])
    answer = allocate_within(
        score, commitment, mask, [Budget(10**6), Budget(0, draws)], ids(50), WEEK
    )
    assert not draws[answer.action].any()
    assert (answer.action > 0).any()


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(-1), r"budgets\[0\].room=-1: must be at least 0"),
        (Budget(5, np.array([True])), r"budgets\[0\].draws: shape \(1,\), must be \(3,\)"),
    ],
)
def test_budgets_that_do_not_fit_are_refused(budget, message):
    score = np.ones((2, 3))
    with pytest.raises(ValueError, match=message):
        allocate_within(score, np.array([0, 1, 1]), score > 0, [budget], ids(2), WEEK)


@pytest.mark.parametrize("scale", [1e-300, 1e-165, 1e-20, 1e140])
def test_scores_of_any_size_are_allocated(scale):
    score, commitment, mask, budgets = a_problem(np.random.default_rng(5), 50, 8)
    answer = allocate_within(score * scale, commitment, mask, budgets, ids(50), WEEK)
    assert answer.committed > 0
