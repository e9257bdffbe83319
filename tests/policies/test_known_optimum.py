"""Every learner finds the optimum of a problem that is small enough to know it."""

import pytest
from two_types import OPTIMUM, ThankTheResponsive, gain, task_of, two_types

from envs.constraints.parameters import ConstraintParameters, Fairness
from policies.catalogue import LEARNED, learn_policy
from policies.ppo.lagrange import MultiplierParameters
from policies.training_run import TrainingRun

# By which each learner differs from its settings: as much as this problem needs, in seconds.
_PPO = {
    "total_steps": 60_000, "environments": 512, "rollout_length": 8, "batch_size": 1024,
    "network": (32,), "learning_rate": 3e-3, "gamma": 0.3, "ent_coef": 0.003,
}  # fmt: skip
_BANDIT = {"total_steps": 60_000, "environments": 512, "window": 1}
SETTINGS = {
    "uplift": {"customers": 1000, "weeks": 12, "window": 1, "trees": 30, "leaves": 3},
    "lin_ucb": _BANDIT,
    "lin_ts": _BANDIT,
    "maskable_ppo": _PPO,
    "price_ppo": _PPO,
    "rollout": {
        "iterations": 1, "states": 6000, "weeks": 4, "replicas": 2, "onward_weeks": 0.0,
        "epochs": 40,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return two_types()


@pytest.fixture(scope="module")
def most(world):
    """What the optimum earns on the same customers and luck."""
    return gain(world, ThankTheResponsive())


def test_the_known_policy_earns_what_the_formula_says(most):
    half_width = most.high - most.mean
    assert abs(most.mean - OPTIMUM) < 1.5 * half_width  # 3 standard errors, a fixed seed
    assert half_width < 0.05 * OPTIMUM


@pytest.mark.parametrize("learner", LEARNED)
def test_every_learner_reaches_nine_tenths_of_the_optimum(learner, world, most):
    policy = learn_policy(learner, task_of(world), 0, TrainingRun(), **SETTINGS[learner])
    assert gain(world, policy).mean > 0.9 * most.mean


def test_a_multiplier_is_not_in_the_way_of_an_optimum_that_keeps_the_limit(world, most):
    task = task_of(world, ConstraintParameters(fairness=Fairness()))  # the groups are alike
    limits = MultiplierParameters(learning_rate=0.2)
    policy = learn_policy("maskable_ppo", task, 1, TrainingRun(), **_PPO, multipliers=limits)
    assert gain(world, policy).mean > 0.9 * most.mean
