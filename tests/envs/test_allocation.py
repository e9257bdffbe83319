"""Allocation: never over budget, as good as the integer optimum, blind to the order of rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from envs.allocation import knapsack
from envs.allocation.hulls import LARGEST_BUDGET
from envs.allocation.knapsack import EXACT_CUSTOMERS, Allocation, allocate

WEEK = 17
ROUNDING = 1e-9  # relative; the solver's own feasibility tolerance is 1e-6 of a customer


def ids(n):
    return np.arange(n, dtype=np.uint64) * np.uint64(7919) + np.uint64(3)


def solve(score, commitment, mask, budget):
    return allocate(score, commitment, mask, budget, ids(len(score)), WEEK)


def everything(score):
    return np.ones(np.shape(score), bool)


def costs(score, commitment):
    return np.broadcast_to(np.asarray(commitment), np.shape(score))


def total(score, action):
    rows = np.arange(len(action))
    return float(np.sum(np.where(action > 0, np.asarray(score)[rows, action], 0.0)))


def spent(score, commitment, action):
    return sum(int(c) for c in costs(score, commitment)[np.arange(len(action)), action])


def affordable(score, commitment, mask, budget):
    worth = mask & (score > 0) & (costs(score, commitment) <= budget)
    worth[:, 0] = False
    return worth


def linear_bound(score, commitment, mask, budget, price):
    """Lagrangian bound at a price: no allocation is worth more."""
    worth = affordable(score, commitment, mask, budget)
    cost = costs(score, commitment).astype(float)
    reduced = np.where(worth, np.where(worth, score, 0.0) - price * cost, 0.0)
    return float(reduced.max(axis=1).sum() + price * budget)


def integer_optimum(score, commitment, mask, budget):
    """HiGHS on the integer program."""
    row, column = np.nonzero(affordable(score, commitment, mask, budget))
    if len(row) == 0:
        return 0.0
    cost = costs(score, commitment)[row, column].astype(float)
    one_each = csr_matrix((np.ones(len(row)), (row, np.arange(len(row)))))
    result = milp(
        -score[row, column],
        constraints=[
            LinearConstraint(one_each, -np.inf, 1),
            LinearConstraint(cost[None], -np.inf, budget),
        ],
        integrality=np.ones(len(row)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    assert result.status == 0, result.message
    return -float(result.fun)


def dense_optimum(score, commitment, mask, budget):
    """Dynamic programme over every amount of money: slow, obvious, no tolerance."""
    worth = affordable(score, commitment, mask, budget)
    cost = costs(score, commitment)
    best = np.zeros(budget + 1)
    for row in range(len(score)):
        after = best.copy()
        for column in np.flatnonzero(worth[row]):
            c = cost[row, column]
            after[c:] = np.maximum(after[c:], best[: budget + 1 - c] + score[row, column])
        best = after
    return float(best.max())


def random_case(rng, kind, n, n_actions, dearest=2000):
    shape = (n, n_actions) if rng.random() < 0.5 else (n_actions,)
    cost = rng.integers(1, dearest, shape)
    if kind == "independent":
        score = rng.normal(300, 500, (n, n_actions))
    elif kind == "near cost":
        score = cost + rng.normal(0, 100, (n, n_actions))
    elif kind == "cost plus constant":
        score = cost + np.full((n, n_actions), 100.0)
    elif kind == "equal ratios":
        score = 2.0 * cost + np.zeros((n, n_actions))
    else:
        score = rng.lognormal(0, 1, (n, 1)) * np.sqrt(cost)
    free = rng.random(shape) < 0.03
    cost = np.where(free, 0, cost)
    cost[..., 0] = 0
    score[rng.random(score.shape) < 0.1] = -np.inf
    mask = rng.random(score.shape) < 0.8
    mask[:, 0] = True
    whole = int(costs(score, cost).max(axis=1).sum())
    return score, cost, mask, int(whole * rng.choice([0.01, 0.05, 0.2, 0.5, 0.8]))


def check(score, commitment, mask, budget, optimum):
    answer = solve(score, commitment, mask, budget)
    value = total(score, answer.action)
    assert answer.committed == spent(score, commitment, answer.action) <= budget
    assert value <= optimum * (1 + ROUNDING) + 1e-6
    allowed_gap = ROUNDING if len(score) <= EXACT_CUSTOMERS else 0.005
    assert value >= optimum * (1 - allowed_gap) - 1e-9


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["independent", "near cost", "concave"])
def test_the_total_is_the_integer_optimum_found_by_highs(kind, seed):
    rng = np.random.default_rng([seed, len(kind)])
    for n in (5, 12, 40, 120, 200, 300)[seed % 2 :: 2]:
        problem = random_case(rng, kind, n, int(rng.choice([2, 5, 12, 28])))
        check(*problem, integer_optimum(*problem))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "kind", ["independent", "near cost", "cost plus constant", "equal ratios", "concave"]
)
def test_the_total_is_the_optimum_of_a_dense_dynamic_programme(kind, seed):
    rng = np.random.default_rng([seed, len(kind), 1])
    for n in (5, 30, 100, 200):
        problem = random_case(rng, kind, n, int(rng.choice([2, 5, 12])), dearest=100)
        check(*problem, dense_optimum(*problem))


@pytest.mark.parametrize("kind", ["independent", "cost plus constant", "equal ratios", "concave"])
def test_many_customers_come_close_to_the_linear_bound(kind):
    rng = np.random.default_rng(5)
    score, cost, mask, budget = random_case(rng, kind, 20_000, 12)
    answer = solve(score, cost, mask, budget)
    bound = linear_bound(score, cost, mask, budget, answer.shadow_price)
    assert answer.committed <= budget
    assert bound * (1 - 1e-4) <= total(score, answer.action) <= bound * (1 + ROUNDING)


def test_a_fill_that_uses_the_whole_budget_is_still_improved():
    # By efficiency: the first customer, then the third fills the room to the last unit.
    score = np.array([[0.0, 10.0], [0.0, 13.0], [0.0, 1.0]])
    commitment = np.array([[0, 5], [0, 10], [0, 5]])
    answer = solve(score, commitment, everything(score), 10)
    assert answer.action.tolist() == [0, 1, 0]


def test_more_states_than_are_kept_cost_little(monkeypatch):
    rng = np.random.default_rng(2)
    score, cost, mask, _ = random_case(rng, "near cost", 60, 12)
    score, cost = score * 1e6, cost * 999_983
    for work in (0, 1 << 12, 1 << 20):
        monkeypatch.setattr(knapsack, "CORE_WORK", work)
        for share in (0.1, 0.3):
            budget = int(costs(score, cost).max(axis=1).sum() * share)
            answer = solve(score, cost, mask, budget)
            bound = linear_bound(score, cost, mask, budget, answer.shadow_price)
            steps = np.where(affordable(score, cost, mask, budget), score, 0.0)
            assert answer.committed <= budget
            assert total(score, answer.action) >= bound - steps.max()


# --- single rules ---


def test_no_limit_grants_every_wanted_action_at_price_0():
    score = np.array([[0.0, 5.0, 7.0], [0.0, -1.0, -np.inf], [0.0, 3.0, 0.0]])
    commitment = np.array([0, 2**62, 2**62])
    answer = solve(score, commitment, everything(score), None)
    assert answer.action.tolist() == answer.wanted.tolist() == [2, 0, 1]
    assert answer.committed == 2**63
    assert answer.shadow_price == 0.0
    assert not answer.bound_by.any()


def test_a_budget_that_just_suffices_is_slack_and_one_unit_less_is_not():
    score = np.array([[0.0, 5.0], [0.0, 3.0]])
    commitment = np.array([0, 10])
    enough = solve(score, commitment, everything(score), 20)
    short = solve(score, commitment, everything(score), 19)
    assert enough.shadow_price == 0.0
    assert enough.action.tolist() == [1, 1]
    assert short.shadow_price == pytest.approx(0.3)
    assert short.action.tolist() == [1, 0]
    assert short.wanted.tolist() == [1, 1]
    assert short.bound_by.tolist() == [False, True]


def test_budget_0_gives_free_actions_and_a_price_at_which_nobody_buys():
    score = np.array([[0.0, 5.0, 2.0], [0.0, 40.0, -1.0]])
    commitment = np.array([0, 10, 0])
    answer = solve(score, commitment, everything(score), 0)
    assert answer.action.tolist() == [2, 0]
    assert answer.committed == 0
    assert answer.shadow_price == pytest.approx(4.0)
    assert answer.bound_by.tolist() == [True, True]


def test_one_huge_item_does_not_crowd_out_what_fits():
    score = np.ones((50, 2))
    score[7, 1] = 1e12
    commitment = np.tile([0, 2], (50, 1))
    commitment[7, 1] = 10**6
    too_dear = solve(score, commitment, everything(score), 10**6 - 1)
    assert np.flatnonzero(too_dear.action == 0).tolist() == [7]
    assert np.flatnonzero(too_dear.bound_by).tolist() == [7]
    assert too_dear.shadow_price == pytest.approx(0.5)
    alone = solve(score, commitment, everything(score), 10**6)
    assert np.flatnonzero(alone.action).tolist() == [7]


def test_scores_of_0_or_less_are_never_chosen():
    score = np.array([[0.0, 0.0, -3.0], [0.0, -np.inf, -0.0]])
    for budget in (None, 0, 100):
        answer = solve(score, np.array([0, 0, 1]), everything(score), budget)
        assert not answer.action.any()
        assert not answer.wanted.any()
        assert answer.shadow_price == 0.0


def test_a_wholly_masked_customer_gets_nothing():
    score = np.full((3, 4), 9.0)
    answer = solve(score, np.array([0, 1, 0, 2]), np.zeros((3, 4), bool), 100)
    assert not answer.action.any()
    assert not answer.bound_by.any()


def test_the_cheaper_of_two_equal_scores_is_wanted():
    score = np.array([[0.0, 4.0, 4.0, 4.0]])
    assert solve(score, np.array([0, 5, 3, 3]), everything(score), None).action.tolist() == [2]


def test_column_0_is_not_read():
    score = np.array([[np.nan, 1.0], [np.inf, 2.0]])
    assert solve(score, np.array([0, 1]), everything(score), 1).action.tolist() == [0, 1]


def test_ties_go_to_other_customers_in_other_weeks():
    score, commitment = np.ones((1000, 2)), np.array([0, 1])
    weeks = [
        allocate(score, commitment, everything(score), 500, ids(1000), week).action
        for week in (1, 2)
    ]
    # Two independent halves agree on 500 of 1,000 with standard deviation 16.
    assert 400 < np.sum(weeks[0] == weeks[1]) < 600


def test_amounts_near_the_largest_integer_do_not_overflow():
    score = np.array([[0.0, 3.0], [0.0, 2.0], [0.0, 1.0]])
    commitment = np.array([0, LARGEST_BUDGET])
    answer = solve(score, commitment, everything(score), LARGEST_BUDGET)
    assert answer.action.tolist() == [1, 0, 0]
    assert answer.committed == LARGEST_BUDGET
    assert solve(score, commitment, everything(score), 2**70).committed <= 2**70


def test_no_customers_and_no_offers_are_allowed():
    nobody = solve(np.empty((0, 3)), np.array([0, 1, 2]), np.empty((0, 3), bool), 5)
    assert nobody.action.shape == (0,)
    nothing = solve(np.zeros((4, 1)), np.array([0]), everything(np.zeros((4, 1))), 5)
    assert nothing.action.tolist() == [0, 0, 0, 0]


def test_read_only_and_strided_inputs_give_the_same_answer():
    rng = np.random.default_rng(8)
    score, cost, mask, budget = random_case(rng, "independent", 30, 5)
    expected = solve(score, cost, mask, budget)
    strided = np.asfortranarray(score)
    for array in (strided, cost, mask):
        array.flags.writeable = False
    assert np.array_equal(solve(strided, cost, mask, budget).action, expected.action)


def test_dtypes_are_those_of_the_contract():
    answer = solve(np.ones((2, 2)), np.array([0, 1]), np.ones((2, 2), bool), 1)
    assert isinstance(answer, Allocation)
    assert answer.action.dtype == answer.wanted.dtype == np.int16
    assert answer.bound_by.dtype == np.uint8
    assert type(answer.shadow_price) is float
    assert type(answer.committed) is int


# --- refused input ---


@pytest.mark.parametrize("budget", [None, 0, 10])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e150])
def test_a_score_that_is_no_number_is_refused_even_where_masked(value, budget):
    score = np.ones((5, 3))
    score[3, 2] = value
    mask = everything(score)
    mask[3, 2] = False
    with pytest.raises(ValueError, match=r"score\[3, 2\]"):
        solve(score, np.array([0, 1, 1]), mask, budget)


def test_a_negative_commitment_is_refused():
    score = np.ones((4, 3))
    with pytest.raises(ValueError, match="action 2 is -1"):
        solve(score, np.array([0, 1, -1]), everything(score), 10)
    commitment = np.tile([0, 1, 1], (4, 1))
    commitment[2, 1] = -5
    with pytest.raises(ValueError, match="row 2, action 1 is -5"):
        solve(score, commitment, everything(score), 10)


def test_a_commitment_for_nothing_is_refused():
    score = np.ones((4, 3))
    with pytest.raises(ValueError, match="0 in column 0"):
        solve(score, np.array([1, 1, 1]), everything(score), 10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"score": np.ones(3)}, ValueError, "score"),
        ({"commitment": np.array([0.0, 1.0, 1.0])}, ValueError, "commitment"),
        ({"commitment": np.zeros((3, 3), int)}, ValueError, "commitment"),
        ({"commitment": np.array([0, 2**63, 1], np.uint64)}, ValueError, "commitment"),
        ({"mask": np.ones((4, 3))}, ValueError, "mask"),
        ({"mask": np.ones((4, 2), bool)}, ValueError, "mask"),
        ({"budget": -1}, ValueError, "budget"),
        ({"budget": 2.5}, TypeError, "float"),
        ({"customer_id": ids(3)}, ValueError, "customer_id"),
    ],
)
def test_input_of_another_shape_or_kind_is_refused(change, error, message):
    arguments = {
        "score": np.ones((4, 3)),
        "commitment": np.array([0, 1, 2]),
        "mask": np.ones((4, 3), bool),
        "budget": 10,
        "customer_id": ids(4),
        "week": WEEK,
    }
    with pytest.raises(error, match=message):
        allocate(**(arguments | change))


# --- properties ---

AMOUNTS = st.sampled_from([0, 0, 1, 1, 2, 3, 5, 7, 100, 101, 2**40, 2**61])
SCORES = st.one_of(
    st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 1e-300, 1e149, -1e300, 0.1, 100.0]),
    st.floats(-10, 1000, allow_nan=False),
)


@st.composite
def problems(draw):
    n, n_actions = draw(st.integers(1, 25)), draw(st.integers(1, 6))
    size = n * n_actions
    score = np.array(draw(st.lists(SCORES, min_size=size, max_size=size))).reshape(n, n_actions)
    rows = draw(st.sampled_from([1, n]))
    amounts = draw(st.lists(AMOUNTS, min_size=rows * n_actions, max_size=rows * n_actions))
    commitment = np.array(amounts, np.int64).reshape(rows, n_actions)
    commitment[:, 0] = 0
    allowed = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    mask = np.array(allowed).reshape(n, n_actions)
    budget = draw(st.one_of(st.integers(0, 200), st.integers(0, 2**66), st.just(2**62)))
    return score, commitment if rows == n else commitment[0], mask, budget


@settings(deadline=None, max_examples=400)
@given(problems())
def test_neither_budget_nor_mask_is_ever_broken(problem):
    score, commitment, mask, budget = problem
    answer = solve(*problem)
    assert answer.committed == spent(score, commitment, answer.action) <= budget
    rows = np.arange(len(score))
    for action in (answer.action, answer.wanted):
        given_one = action > 0
        assert (mask[rows, action] | ~given_one).all()
        assert (score[rows, action][given_one] > 0).all()
    assert np.array_equal(answer.bound_by, answer.action != answer.wanted)
    assert np.isfinite(answer.shadow_price)
    assert answer.shadow_price >= 0
    if spent(score, commitment, answer.wanted) <= min(budget, LARGEST_BUDGET):
        assert not answer.bound_by.any()
        assert answer.shadow_price == 0
    # A free offer that is worth something is never withheld.
    free = np.where(mask & (costs(score, commitment) == 0), score, 0.0)[:, 1:]
    value = np.where(answer.action > 0, score[rows, answer.action], 0.0)
    assert (value >= free.max(axis=1, initial=0.0)).all()


@settings(deadline=None, max_examples=200)
@given(problems(), st.randoms(use_true_random=False))
def test_permuting_the_customers_permutes_the_answer(problem, random):
    score, commitment, mask, budget = problem
    n = len(score)
    order = np.array(random.sample(range(n), n))
    straight = solve(*problem)
    permuted = allocate(
        score[order],
        commitment if commitment.ndim == 1 else commitment[order],
        mask[order],
        budget,
        ids(n)[order],
        WEEK,
    )
    assert np.array_equal(permuted.action, straight.action[order])
    assert np.array_equal(permuted.wanted, straight.wanted[order])
    assert permuted.shadow_price == straight.shadow_price
    assert permuted.committed == straight.committed


@pytest.mark.parametrize("kind", ["independent", "cost plus constant", "equal ratios"])
@pytest.mark.parametrize("n", [150, 3000])
def test_permuting_many_customers_permutes_the_answer(kind, n):
    rng = np.random.default_rng(n)
    score, cost, mask, budget = random_case(rng, kind, n, 8)
    order = rng.permutation(n)
    straight = solve(score, cost, mask, budget)
    own = cost if cost.ndim == 1 else cost[order]
    permuted = allocate(score[order], own, mask[order], budget, ids(n)[order], WEEK)
    assert np.array_equal(permuted.action, straight.action[order])
    assert permuted.shadow_price == straight.shadow_price


@settings(deadline=None, max_examples=200)
@given(problems(), st.integers(0, 300))
def test_more_budget_never_lowers_the_total(problem, more):
    score, commitment, mask, budget = problem
    less = total(score, solve(*problem).action)
    assert total(score, solve(score, commitment, mask, budget + more).action) >= less * (1 - 1e-12)


@settings(deadline=None, max_examples=200)
@given(problems())
def test_small_problems_of_any_shape_are_solved_exactly(problem):
    score, commitment, mask, budget = problem
    budget = min(budget, 500)
    optimum = dense_optimum(score, commitment, mask, budget)
    assert total(score, solve(score, commitment, mask, budget).action) >= optimum * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_at_the_shadow_price_all_but_marginal_customers_have_their_best_action(seed):
    rng = np.random.default_rng(seed)
    n = 5000
    score, cost, mask, _ = random_case(rng, "concave", n, 12)
    budget = solve(score, cost, mask, None).committed // 3
    answer = solve(score, cost, mask, budget)
    price = answer.shadow_price
    worth = affordable(score, cost, mask, budget)
    reduced = np.where(worth, np.where(worth, score, 0.0) - price * costs(score, cost), 0.0)
    loss = reduced.max(axis=1) - reduced[np.arange(n), answer.action]
    slack = price * (budget - answer.committed)
    bound = linear_bound(score, cost, mask, budget, price)
    assert price > 0
    assert np.sum(loss > 1e-9 * reduced.max()) < 0.01 * n
    assert loss.sum() + slack <= 1e-3 * bound
