"""LinUCB and LinTS find the offer that pays, and can be taken up again."""

import dataclasses

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext, GovernedPolicy
from envs.features import observe
from policies.bandits.learning import BanditParameters, learn_lin_ts, learn_lin_ucb
from policies.bandits.linear import N_BASIS, LinearModels
from policies.bandits.policies import LinTs, LinUcb
from policies.training_run import TrainingRun
from sim.counterfactual import paired_run
from sim.market import LoyaltyMarket
from sim.metrics import incremental_margin

SETTINGS = BanditParameters(total_steps=40_000, environments=512)
LEARNERS = (learn_lin_ucb, learn_lin_ts)


def scores(policy, task, pool):
    world = task.worlds[0]
    observation = observe(pool.profile, 10, world.rules())
    context = DecisionContext(10, pool.traits["id"], world.table)
    return policy.propose(observation, np.ones((pool.n, world.table.n), bool), context)


@pytest.mark.parametrize("learn", LEARNERS)
def test_a_bandit_finds_the_offer_that_pays(learn, paired_task, clear_pool):
    run = TrainingRun()
    policy = learn(paired_task, SETTINGS, 0, run)
    score = scores(policy, paired_task, clear_pool)
    assert (score[:, 0] == 0).all()
    assert (score.argmax(axis=1) == 2).mean() > 0.9
    assert (score[:, 1] < 0).mean() > 0.98
    assert run.history[-1]["reward_per_week"] > run.history[0]["reward_per_week"]


@pytest.mark.parametrize("learn", LEARNERS)
def test_a_frozen_bandit_leaves_the_null_world_alone(learn, null_task, clear_pool):
    policy = learn(null_task, SETTINGS, 0, TrainingRun())
    assert (scores(policy, null_task, clear_pool).max(axis=1) > 0).mean() < 0.05


@pytest.mark.parametrize("learn", LEARNERS)
def test_a_run_taken_up_again_equals_one_that_went_through(
    learn, paired_task, clear_pool, tmp_path
):
    brief = dataclasses.replace(SETTINGS, total_steps=3 * 64 * 12, environments=64)
    through = learn(paired_task, brief, 1, TrainingRun())
    learn(paired_task, dataclasses.replace(brief, total_steps=64 * 12), 1, TrainingRun(tmp_path))
    again = learn(paired_task, brief, 1, TrainingRun(tmp_path))
    assert through.models.count.sum() > 0
    for name, value in through.models.state().items():
        np.testing.assert_array_equal(value, again.models.state()[name])
    other = learn(paired_task, brief, 2, TrainingRun())
    assert (through.models.moment != other.models.moment).any()


@pytest.mark.parametrize("kind", [LinUcb, LinTs])
def test_a_bandit_learns_in_a_market_from_what_the_firm_observes(kind, clear_world, clear_pool):
    customers = clear_pool.take(slice(None))
    policy = kind(clear_world.table.n, derive_seed(0, "plan"), window=2)
    governed = GovernedPolicy(policy, ConstraintParameters(), customers.n)
    market = LoyaltyMarket(clear_world, customers, np.uint64(5), decider=governed)
    for _ in range(30):
        market.step()
    market.finish()
    learned = policy.models.count.sum()
    assert learned > 20 * customers.n  # some had left, or an offer open
    assert policy.models.count[2] > policy.models.count[1]
    policy.frozen()
    fresh = GovernedPolicy(policy, ConstraintParameters(), customers.n)
    run = paired_run(clear_world, clear_pool, np.uint64(8), fresh, weeks=12)
    assert incremental_margin(run)["all"].low > 0
    assert policy.models.count.sum() == learned  # frozen


def test_a_learner_needs_a_market_that_keeps_outcomes(clear_world, clear_pool):
    customers = clear_pool.take(slice(None)).without_outcome()
    policy = LinTs(clear_world.table.n, np.uint64(1))
    governed = GovernedPolicy(policy, ConstraintParameters(), customers.n)
    market = LoyaltyMarket(clear_world, customers, np.uint64(5), decider=governed)
    market.step()
    with pytest.raises(ValueError, match=r"lin_ts.*OUTCOME"):
        market.step()


def test_draws_do_not_depend_on_who_else_is_asked(clear_world, clear_pool):
    policy = LinTs(clear_world.table.n, np.uint64(1))
    observation = observe(clear_pool.profile, 10, clear_world.rules())
    mask = np.ones((clear_pool.n, clear_world.table.n), bool)
    context = DecisionContext(10, clear_pool.traits["id"], clear_world.table)
    whole = policy.propose(observation, mask, context)
    some = context._replace(customer_id=context.customer_id[100:])
    np.testing.assert_allclose(policy.propose(observation[100:], mask[100:], some), whole[100:])


def test_models_are_ridge_regression_by_action():
    random = np.random.default_rng(0)
    x = random.normal(size=(5000, N_BASIS))
    action = random.integers(0, 2, 5000)
    weight = random.normal(size=(2, N_BASIS))
    y = (x * weight[action]).sum(axis=1) + 0.5 * random.normal(size=5000)
    models = LinearModels(3, prior=2.0)
    models.learn(x[:2000], action[:2000], y[:2000])
    models.learn(x[2000:], action[2000:], y[2000:])
    rows = action == 1
    gram = x[rows].T @ x[rows] + 2.0 * np.eye(N_BASIS)
    np.testing.assert_allclose(models.weight[1], np.linalg.solve(gram, x[rows].T @ y[rows]))
    np.testing.assert_allclose(models.noise[:2], 0.5, rtol=0.1)
    variance = np.einsum("ni,ij,nj->n", x[:9], np.linalg.inv(gram), x[:9])
    np.testing.assert_allclose(models.sd(x[:9])[:, 1], np.sqrt(variance) * models.noise[1])
    assert (models.mean(x[:9])[:, 2] == 0).all()  # never tried: nothing known


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="exploration=-1"):
        BanditParameters(exploration=-1)
    with pytest.raises(ValueError, match="window=0"):
        LinUcb(3, np.uint64(1), window=0)
