"""Every learner finds the optimum of a problem that is small enough to know it."""

from dataclasses import replace

import pytest
from two_types import OPTIMUM, ThankTheResponsive, gain, task_of, two_types

from envs.constraints.parameters import ConstraintParameters, Fairness
from policies.ppo.lagrange import MultiplierParameters
from policies.ppo.training import PpoParameters, learn_ppo
from policies.training_run import TrainingRun

_PPO = PpoParameters(
    total_steps=60_000, environments=512, rollout_length=8, batch_size=1024, network=(32,),
    learning_rate=3e-3, gamma=0.3, ent_coef=0.003,
)  # fmt: skip


def _learn_ppo(world):
    return learn_ppo(task_of(world), _PPO, 0, TrainingRun())


def _learn_lagrangian_ppo(world):
    # The groups are alike: the optimum keeps the limit, and the multiplier must not be in the way.
    limits = replace(_PPO, multipliers=MultiplierParameters(learning_rate=0.2))
    task = task_of(world, ConstraintParameters(fairness=Fairness()))
    return learn_ppo(task, limits, 1, TrainingRun())


def _learn_price_ppo(world):
    priced = replace(_PPO, highest_price=2.0)
    return learn_ppo(task_of(world), priced, 2, TrainingRun())


LEARNERS = {
    "maskable_ppo": _learn_ppo,
    "lagrangian_ppo": _learn_lagrangian_ppo,
    "price_ppo": _learn_price_ppo,
}


def test_the_known_policy_earns_what_the_formula_says():
    found = gain(two_types(), ThankTheResponsive())
    half_width = found.high - found.mean
    assert abs(found.mean - OPTIMUM) < 1.5 * half_width  # 3 standard errors, a fixed seed
    assert half_width < 0.05 * OPTIMUM


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_reaches_nine_tenths_of_the_optimum(learner):
    world = two_types()
    policy = LEARNERS[learner](world)
    assert gain(world, policy).mean > 0.9 * gain(world, ThankTheResponsive()).mean
