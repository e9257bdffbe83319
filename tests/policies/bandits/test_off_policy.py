"""Off-policy estimates against the truth: the same customers, the same luck, every action."""

import numpy as np
import pytest

from envs.features import observe
from policies.bandits.off_policy import (
    DecisionLog,
    doubly_robust,
    inverse_propensity,
    self_normalised,
    target_of,
)
from policies.feedback import weekly_profit
from sim.market import LoyaltyMarket

REPEATS = 300


class Fixed:
    """The same action for everybody."""

    def __init__(self, action):
        self.action = action

    def decide(self, view):
        return np.full(view.customer_id.size, self.action)

    def finish(self, view):
        pass


@pytest.fixture(scope="module")
def outcomes(clear_world, clear_pool):
    """Profit of the week under every action, shape (n, 3), exact counterfactuals."""
    columns = []
    for action in range(3):
        customers = clear_pool.take(slice(None))
        LoyaltyMarket(clear_world, customers, np.uint64(5), decider=Fixed(action)).step()
        columns.append(weekly_profit(customers.outcome) / 100.0)
    return np.column_stack(columns)


@pytest.fixture(scope="module")
def logs(outcomes, clear_world, clear_pool):
    """Many lotteries over the same customers, with chances that depend on what is seen."""
    n = clear_pool.n
    observation = observe(clear_pool.profile, 10, clear_world.rules())
    frequent = observation[:, 1] > np.median(observation[:, 1])
    propensity = np.where(frequent[:, None], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1])
    random = np.random.default_rng(0)
    made = []
    for _ in range(REPEATS):
        drawn = (propensity.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
        made.append(
            DecisionLog(
                np.full(n, 10), clear_pool.traits["id"], observation, np.ones((n, 3), bool),
                propensity, drawn, drawn, outcomes[np.arange(n), drawn], np.zeros(n, bool),
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("action", [0, 1, 2])
@pytest.mark.parametrize("estimate", [inverse_propensity, doubly_robust, self_normalised])
def test_estimates_are_those_of_the_truth(estimate, action, logs, outcomes):
    target = target_of(np.full(outcomes.shape[0], action), 3)
    means = np.array([estimate(log, target).mean for log in logs])
    truth = outcomes[:, action].mean()
    error = means.std(ddof=1) / np.sqrt(REPEATS)
    bias = 0.01 * abs(truth) if estimate is self_normalised else 0.0  # of order 1/n
    assert abs(means.mean() - truth) < 4 * error + bias


def test_intervals_hold_the_truth_and_a_model_makes_them_narrower(logs, outcomes):
    target = target_of(np.full(outcomes.shape[0], 2), 3)
    truth = outcomes[:, 2].mean()
    plain = [inverse_propensity(log, target) for log in logs]
    robust = [doubly_robust(log, target) for log in logs]
    # The interval is for a draw of customers; with the same ones it is wider than needed.
    assert np.mean([one.low < truth < one.high for one in plain]) > 0.93
    assert np.mean([one.low < truth < one.high for one in robust]) > 0.93
    width = [np.mean([one.high - one.low for one in of]) for of in (plain, robust)]
    assert width[1] < width[0]
    assert 1 < plain[0].effective < outcomes.shape[0]


def test_a_gain_over_another_policy_is_estimated_at_once(logs, outcomes):
    n = outcomes.shape[0]
    target, none = target_of(np.full(n, 2), 3), target_of(np.zeros(n, int), 3)
    gains = [doubly_robust(log, target, against=none) for log in logs]
    means = np.array([one.mean for one in gains])
    truth = (outcomes[:, 2] - outcomes[:, 0]).mean()
    assert abs(means.mean() - truth) < 4 * means.std(ddof=1) / np.sqrt(REPEATS)
    apart = [doubly_robust(logs[0], one).mean for one in (target, none)]
    assert gains[0].mean == pytest.approx(apart[0] - apart[1])
    assert np.mean([one.low < truth < one.high for one in gains]) > 0.93


def test_wrong_chances_are_noticed_as_bias(logs, outcomes):
    target = target_of(np.full(outcomes.shape[0], 2), 3)
    even = np.full_like(logs[0].propensity, 1 / 3)
    means = [
        inverse_propensity(DecisionLog(**{**vars(log), "propensity": even}), target).mean
        for log in logs
    ]
    error = np.std(means, ddof=1) / np.sqrt(REPEATS)
    assert abs(np.mean(means) - outcomes[:, 2].mean()) > 8 * error


def test_a_policy_outside_the_log_is_refused(logs):
    log = logs[0]
    never = np.tile([0.5, 0.5, 0.0], (log.drawn.size, 1))
    bare = DecisionLog(**{**vars(log), "propensity": never})
    with pytest.raises(ValueError, match=r"row 0.*propensity 0"):
        inverse_propensity(bare, target_of(np.full(log.drawn.size, 2), 3))
    with pytest.raises(ValueError, match="shape"):
        self_normalised(log, never[:, :2])
