"""Rollout learns what pays, leaves what does not, and can be taken up again."""

import math
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch

from envs.constraints.parameters import ConstraintParameters
from envs.decision import DecisionContext, GovernedPolicy, NoOffers
from envs.features import observe
from envs.task import OfferTask
from policies.rollout.clairvoyant import govern
from policies.rollout.gathering import Iterate
from policies.rollout.learner import Learner
from policies.rollout.learning import learn_clairvoyant_rollout, learn_rollout
from policies.rollout.parameters import Guard, RolloutParameters
from policies.training_run import TrainingRun
from sim.counterfactual import paired_run
from sim.market import LatentDecider
from sim.metrics import incremental_margin

QUICK = RolloutParameters(
    iterations=3, states=600, weeks=4, replicas=4, members=3, hidden=16, epochs=40, batch=128,
    learning_rate=3e-3, guards=(Guard(0.001, 0.5), Guard(0.1, 0.0)),
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(clear_task):
    run = TrainingRun()
    return learn_rollout(clear_task, QUICK, 0, run), run


def weights(policy):
    return {name: value.numpy() for name, value in policy.module.state_dict().items()}


def assert_same(one, two):
    assert weights(one).keys() == weights(two).keys()
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(two)[name], err_msg=name)


def test_rollout_finds_the_offer_that_pays(trained, clear_task):
    policy, run = trained
    world, pool = clear_task.worlds[0], clear_task.pool
    alive = pool.state["alive"] > 0
    observation = observe(pool.profile, 10, world.rules())
    context = DecisionContext(10, pool.traits["id"], world.table)
    score = policy.propose(observation, np.ones((pool.n, 3), bool), context)
    assert (score[:, 0] == 0).all()
    assert (score[alive].argmax(axis=1) == 2).mean() > 0.95
    assert (score[:, 1] < 0).mean() > 0.95
    assert run.history[0]["kept"] == 1
    assert run.history[0]["change_low"] > 0


def test_the_learned_policy_earns_more_than_no_offers_on_other_customers(
    trained, clear_world, members
):
    customers = members(clear_world, 400, first_id=10_000)
    governed = GovernedPolicy(trained[0], ConstraintParameters(), customers.n)
    run = paired_run(clear_world, customers, np.uint64(8), governed, weeks=12)
    assert incremental_margin(run)["all"].low > 0


def test_where_nothing_works_next_to_nobody_is_contacted(dull_task, dull_world, members):
    policy = learn_rollout(dull_task, QUICK, 0, TrainingRun())
    customers = members(dull_world, 300, first_id=10_000)
    governed = GovernedPolicy(policy, ConstraintParameters(), customers.n)
    run = paired_run(dull_world, customers, np.uint64(8), governed, weeks=12)
    assert run.treated.contacts.sum() < 0.01 * customers.n * 12
    assert run.treated.settled.sum() < 0.01 * 100 * customers.n * 12


def test_the_same_seed_learns_the_same_policy_and_another_does_not(trained, clear_task):
    again = learn_rollout(clear_task, QUICK, 0, TrainingRun())
    assert_same(trained[0], again)
    other = learn_rollout(clear_task, QUICK, 1, TrainingRun())
    assert (weights(other)["values.weights.0"] != weights(again)["values.weights.0"]).any()


def test_a_training_taken_up_again_ends_as_if_it_had_not_stopped(trained, clear_task, tmp_path):
    class Killed(Exception):
        pass

    def kill(row):
        if row["step"] == 2:
            raise Killed

    with pytest.raises(Killed):
        learn_rollout(clear_task, QUICK, 0, TrainingRun(tmp_path, tell=kill))
    run = TrainingRun(tmp_path)
    assert_same(learn_rollout(clear_task, QUICK, 0, run), trained[0])
    assert [row["step"] for row in run.history] == [1, 2, 3]
    with pytest.raises(ValueError, match="other parameters or seed"):
        learn_rollout(clear_task, QUICK, 1, TrainingRun(tmp_path))


def test_a_training_whose_time_is_over_makes_no_offers(clear_task):
    policy = learn_rollout(clear_task, QUICK, 0, TrainingRun(seconds=0.0))
    observation = np.zeros((5, trained_features(policy)), np.float32)
    with torch.no_grad():
        assert (policy.module(torch.from_numpy(observation))[:, 1:] < 0).all()


def trained_features(policy):
    return policy.values.get_buffer("centre").shape[0]


def test_training_over_several_worlds_reports_the_worst(clear_world, dull_world, members):
    task = OfferTask(
        (clear_world, dull_world), members(clear_world, 300), ConstraintParameters(), horizon=6
    )
    run = TrainingRun()
    learn_rollout(task, QUICK, 0, run)
    last = run.history[-1]
    assert last["gain"] > last["worst_gain"]
    assert last["worst_regret"] >= 0


def test_latent_states_are_shown_to_the_reference_only_and_it_is_governed(
    clear_task, clear_world, members
):
    brief = replace(QUICK, iterations=1, states=300, epochs=10)
    policy = learn_clairvoyant_rollout(clear_task, brief, 0, TrainingRun())
    customers = members(clear_world, 200, first_id=10_000)
    governed = govern(policy, ConstraintParameters(), customers.n)
    run = paired_run(clear_world, customers, np.uint64(8), governed, weeks=8)
    assert incremental_margin(run)["all"].mean > 0
    assert governed.audit.total_violations == 0
    plain = govern(learn_rollout(clear_task, brief, 0, TrainingRun()), ConstraintParameters(), 200)
    assert not isinstance(plain, LatentDecider)
    assert isinstance(governed, LatentDecider)


def test_a_round_takes_its_time_and_something_of_every_world(clear_world, dull_world, members):
    pools = (members(clear_world, 200), members(dull_world, 200, first_id=50_000))
    task = OfferTask((clear_world, dull_world), pools, ConstraintParameters(), horizon=6)
    ticks = count()
    run = TrainingRun(seconds=40.0, clock=lambda: 0.5 * next(ticks))
    endless = replace(QUICK, iterations=1000, states=100_000, passes=1000)
    learner = Learner(task, endless, 0, False)
    assert learner.rounds(40.0) == 2
    assert learner.rounds(5.0) == 1
    assert learner.rounds(math.inf) == 1000
    nobody = Iterate(0, NoOffers(), None, 0.0)
    found = learner.gatherer.gather(nobody, 0.0, run)  # over before it began
    for pool in pools:
        assert np.isin(found.customer, pool.traits["id"].astype(np.int64)).any()
    run = TrainingRun(seconds=40.0, clock=lambda: 0.5 * next(ticks))
    learn_rollout(task, endless, 0, run)
    assert [row["step"] for row in run.history] == [1, 2]


def test_an_iterate_that_is_kept_is_followed_and_decides_on_the_decay(trained):
    _, run = trained
    first, second, third = run.history
    assert first["kept"] == 1
    assert first["followed"] == 0
    assert second["followed"] == 1
    assert second["weight_decay"] == first["weight_decay"]
    assert third["followed"] == second["kept"]  # where following was no better, nobody follows


def test_where_nobody_may_be_offered_anything_learning_says_so(clear_world, members):
    pool = members(clear_world, 50)
    pool.account["consent"][:] = 0
    task = OfferTask((clear_world,), pool, ConstraintParameters(), horizon=4)
    with pytest.raises(ValueError, match="may be offered anything"):
        learn_rollout(task, QUICK, 0, TrainingRun())
