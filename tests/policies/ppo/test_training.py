"""The learner learns: in a world where one kind of offer pays, it finds that kind."""

import dataclasses

import numpy as np
import pytest

from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext, GovernedPolicy
from envs.features import observe
from envs.task import OfferTask
from policies.heuristics import NoOffers
from policies.ppo.training import PpoParameters, learn_ppo
from policies.training_run import TrainingRun
from policies.values import learn_values
from sim.counterfactual import branch_values, paired_run
from sim.metrics import incremental_margin

SETTINGS = PpoParameters(
    total_steps=40_000, environments=256, rollout_length=16, batch_size=1024, network=(32,),
    learning_rate=2e-3, gamma=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(clear_world, clear_pool):
    task = OfferTask((clear_world,), clear_pool, ConstraintParameters(), horizon=12, paired=True)
    run = TrainingRun()
    return learn_ppo(task, SETTINGS, 0, run), run.history


def test_ppo_finds_the_offer_that_pays(trained, clear_world, clear_pool):
    observation = observe(clear_pool.profile, 10, clear_world.rules())
    context = DecisionContext(10, clear_pool.traits["id"], clear_world.table)
    policy, history = trained
    score = policy.propose(observation, np.ones((clear_pool.n, 3), bool), context)
    assert (score[:, 0] == 0).all()
    assert (score.argmax(axis=1) == 2).mean() > 0.95
    assert history[-1]["reward_per_week"] > history[0]["reward_per_week"]


def test_the_learned_policy_earns_more_than_no_offers_on_other_customers(
    trained, clear_world, population
):
    customers = population(400, first_id=10_000)
    customers.account["enrolled"] = 1
    customers.account["consent"] = 1
    governed = GovernedPolicy(trained[0], ConstraintParameters(), customers.n)
    run = paired_run(clear_world, customers, np.uint64(8), governed, weeks=12)
    assert incremental_margin(run)["all"].low > 0


def test_the_same_seed_trains_the_same_network(clear_world, clear_pool):
    task = OfferTask((clear_world,), clear_pool, ConstraintParameters(), horizon=12, paired=True)
    brief = dataclasses.replace(SETTINGS, total_steps=4096)
    first, second = (learn_ppo(task, brief, 4, TrainingRun()).module for _ in range(2))
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), two.detach().numpy())


def test_no_offers_lifts_nothing_exactly(clear_world, population):
    customers = population(200)
    governed = GovernedPolicy(NoOffers(), ConstraintParameters(), customers.n)
    run = paired_run(clear_world, customers, np.uint64(8), governed, weeks=12)
    assert (run.treated.profit == run.control.profit).all()
    assert (run.weekly_lift == 0).all()


def test_branches_tell_what_an_offer_is_worth(clear_world, clear_pool):
    value, cost = branch_values(clear_world, clear_pool, np.uint64(2), weeks=4, replicas=20)
    assert (value[:, 0] == 0).all()
    assert (cost[:, 0] == 0).all()
    assert value[:, 2].mean() > 100  # recognition: purchases double for a week
    assert (cost[:, 2] == 0).all()
    assert 0 < cost[:, 1].mean() <= 800
    assert abs(value[:, 1].mean()) < 0.2 * value[:, 2].mean()  # the item moves nobody


def test_value_heads_predict_the_branches_and_bound_from_below(clear_world, clear_pool):
    import torch

    heads = learn_values((clear_world,), clear_pool, np.uint64(2), weeks=4, replicas=20)
    observation = observe(clear_pool.profile, clear_pool.state["week"], clear_world.rules())
    value, lower, cost = (x.numpy() for x in heads(torch.from_numpy(observation)))
    assert (lower <= value).all()
    assert (value[:, 0] == 0).all()
    truth, spent = branch_values(clear_world, clear_pool, np.uint64(77), weeks=4, replicas=40)
    assert np.corrcoef(value[:, 2], truth[:, 2])[0, 1] > 0.5
    assert value[:, 2].mean() == pytest.approx(truth[:, 2].mean(), rel=0.25)
    assert cost[:, 1].mean() == pytest.approx(spent[:, 1].mean(), rel=0.25)
