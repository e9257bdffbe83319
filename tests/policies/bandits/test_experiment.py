"""An experiment states its chances exactly, keeps a control group, moves traffic to winners."""

import dataclasses

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.constraints.budgets import Rooms
from envs.constraints.parameters import ConstraintParameters, OfferBudget
from envs.decision import DecisionContext, GovernedPolicy
from envs.features import CENTRE, observe
from policies.bandits.experiment import ContinuousExperiment, ExperimentParameters
from policies.base import no_scores
from policies.heuristics import Random
from sim.market import LoyaltyMarket
from sim.offers import Offer, OfferBook, action_table
from sim.programme import ProgrammeParameters

KEY = derive_seed(3, "plan")
SETTINGS = ExperimentParameters(control_share=0.1, window=1, log_share=1.0)


class Always:
    """One action for everybody."""

    def __init__(self, name, action):
        self.name, self.action = name, action

    def propose(self, observation, mask, context):
        score = no_scores(observation, context.table)
        score[:, self.action] = np.maximum(context.table.commitment[self.action], 1)
        return score


class Half:
    """Thanks for the customers of even or odd ids."""

    def __init__(self, name, parity):
        self.name, self.parity = name, parity

    def propose(self, observation, mask, context):
        score = no_scores(observation, context.table)
        score[context.customer_id % np.uint64(2) == self.parity, 2] = 1.0
        return score


def experiment(parameters=SETTINGS, key=KEY):
    return ContinuousExperiment((Always("gifts", 1), Always("thanks", 2)), key, parameters)


def live(policy, world, pool, weeks, constraints=None):
    customers = pool.take(slice(None))
    governed = GovernedPolicy(policy, constraints or ConstraintParameters(), customers.n)
    market = LoyaltyMarket(world, customers, np.uint64(5), decider=governed)
    for _ in range(weeks):
        market.step()
    market.finish()
    return governed


@pytest.fixture(scope="module")
def lived(clear_world, clear_pool):
    policy = experiment()
    live(policy, clear_world, clear_pool, 30)
    return policy


def test_chances_sum_to_one_and_are_those_met(lived):
    log = lived.log().randomised()
    np.testing.assert_allclose(log.propensity.sum(axis=1), 1.0)
    assert (log.propensity >= 0).all()
    assert (log.propensity[~log.mask] == 0).all()
    drawn = np.bincount(log.drawn, minlength=3) / log.drawn.size
    error = np.sqrt((log.propensity * (1 - log.propensity)).sum(axis=0)) / log.drawn.size
    assert (np.abs(drawn - log.propensity.mean(axis=0)) < 4 * error + 1e-12).all()
    assert log.overridden == 0.0


def test_chances_mix_arms_and_exploration_as_stated(clear_world, clear_pool):
    policy = experiment(dataclasses.replace(SETTINGS, explore_share=0.2, control_share=0.0))
    observation = observe(clear_pool.profile, 10, clear_world.rules())
    mask = np.ones((clear_pool.n, 3), bool)
    policy.propose(
        observation, mask, DecisionContext(10, clear_pool.traits["id"], clear_world.table)
    )
    # Three arms of a third each; of the contacts, a fifth is one of two offers by lot.
    expected = [1 / 3, 0.8 / 3 + 0.2 * 2 / 3 / 2, 0.8 / 3 + 0.2 * 2 / 3 / 2]
    np.testing.assert_allclose(policy._decided["propensity"][0], expected)


def test_traffic_moves_to_the_winner_and_keeps_its_floor(lived):
    arms = {one.arm: one for one in lived.standings()}
    assert list(arms) == ["control_group", "gifts", "thanks"]
    assert arms["thanks"].traffic > 0.85
    assert arms["thanks"].low > 0 > arms["gifts"].high
    assert min(one.traffic for one in arms.values()) >= SETTINGS.floor - 1e-12
    assert sum(one.traffic for one in arms.values()) == pytest.approx(1.0)


def test_where_nothing_has_an_effect_traffic_is_as_even_as_chance(dull_world, members):
    """Two arms for a half of the customers each, who thank for nothing.

    Their gains are independent, so no offers is best in a quarter of the experiments and either
    arm in three eighths. Bars are 4 standard errors: a false alarm in some thousands of seeds.
    """
    n = 40
    pool = members(dull_world, 200)
    traffic, z = [], []
    for seed in range(n):
        halves = (Half("one", 0), Half("other", 1))
        policy = ContinuousExperiment(
            halves, derive_seed(seed, "plan"), ExperimentParameters(window=2, draws=1000)
        )
        pool.state["replica"] = seed
        live(policy, dull_world, pool, 8)
        traffic.append(policy.traffic.shares(policy.key, 8))
        z += [1.96 * one.gain / (one.high - one.gain) for one in policy.standings()[1:]]
    error = np.std(traffic, axis=0, ddof=1) / np.sqrt(n)
    floor = policy.parameters.floor
    expected = floor + (1 - 3 * floor) * np.array([1 / 4, 3 / 8, 3 / 8])
    assert (np.abs(np.mean(traffic, axis=0) - expected) < 4 * error).all()
    assert abs(np.mean(z)) < 4 / np.sqrt(2 * n)
    assert abs(np.var(z) - 1) < 4 * np.sqrt(2 / (2 * n))


def test_a_share_of_the_customers_is_kept_whole(clear_world, clear_pool):
    policy = experiment(dataclasses.replace(SETTINGS, log_share=0.2))
    live(policy, clear_world, clear_pool, 3)
    log = policy.log()
    kept = np.unique(log.customer_id)
    assert abs(kept.size / clear_pool.n - 0.2) < 4 * np.sqrt(0.16 / clear_pool.n)
    assert log.week.size == 3 * kept.size == len(policy.arm_actions())


def test_the_control_group_is_permanent_and_never_contacted(lived, clear_pool):
    log = lived.log()
    members = np.unique(log.customer_id[log.control])
    assert not np.isin(log.customer_id[~log.control], members).any()
    assert (log.drawn[log.control] == 0).all()
    assert (log.propensity[log.control, 0] == 1).all()
    share = members.size / clear_pool.n
    assert abs(share - 0.1) < 4 * np.sqrt(0.09 / clear_pool.n)
    low, high = lived.lift()[1:]
    assert low < high


def test_a_tight_budget_thins_the_lottery_and_next_to_nothing_is_refused(clear_world, clear_pool):
    policy = experiment(dataclasses.replace(SETTINGS, floor=0.3))
    budget = ConstraintParameters(offer_budget=OfferBudget(weekly_per_customer=100.0))
    governed = live(policy, clear_world, clear_pool, 5, budget)
    log = policy.log()
    assert governed.audit.total_violations == 0
    assert governed.overrides == 0
    assert log.overridden == 0.0
    contacted = log.mask[:, 1] & ~log.control
    assert 0 < log.propensity[contacted, 1].mean() < 0.3


def test_a_room_of_nothing_leaves_nothing_that_costs(clear_world, clear_pool):
    policy = experiment()
    observation = observe(clear_pool.profile, 10, clear_world.rules())
    context = DecisionContext(10, clear_pool.traits["id"], clear_world.table, Rooms(0))
    score = policy.propose(observation, np.ones((clear_pool.n, 3), bool), context)
    assert not (score[:, 1] > 0).any()
    assert (score[:, 2] > 0).any()  # costs nothing


def test_the_same_key_draws_the_same_whoever_else_is_asked(clear_world, clear_pool):
    observation = observe(clear_pool.profile, 10, clear_world.rules())
    mask = np.ones((clear_pool.n, 3), bool)
    context = DecisionContext(10, clear_pool.traits["id"], clear_world.table)
    whole = experiment().propose(observation, mask, context)
    some = context._replace(customer_id=context.customer_id[100:])
    part = experiment().propose(observation[100:], mask[100:], some)
    np.testing.assert_array_equal(part, whole[100:])
    other = experiment(key=derive_seed(4, "plan")).propose(observation, mask, context)
    assert (other != whole).any()


def test_experiments_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="names must differ"):
        ContinuousExperiment((Always("a", 1), Always("a", 2)), KEY)
    with pytest.raises(ValueError, match="at least one candidate"):
        ContinuousExperiment((), KEY)
    with pytest.raises(ValueError, match=r"floor=0\.4"):
        experiment(ExperimentParameters(floor=0.4))
    with pytest.raises(ValueError, match=r"explore_share=1\.2"):
        ExperimentParameters(explore_share=1.2)
    with pytest.raises(ValueError, match="log_share"):
        experiment().log()


def test_an_arm_that_draws_lots_of_its_own_shares_none_with_the_experiment():
    """Among customers for whom the random arm drew an action, it is drawn as often as stated."""
    two = (Offer("thanks", "recognition"), Offer("item", "free_item", item_cost=1.0))
    table = action_table(OfferBook("two", two), ProgrammeParameters())
    policy = ContinuousExperiment((Random(KEY, 1.0),), KEY, SETTINGS)
    n = 20_000
    ids = np.arange(n, dtype=np.uint64)
    observation = np.tile(CENTRE, (n, 1))
    mask = np.ones((n, table.n), bool)
    context = DecisionContext(1, ids, table)
    arm = policy.candidates[0].propose(observation, mask, context).argmax(axis=1)
    drawn = policy.propose(observation, mask, context).argmax(axis=1)
    propensity = policy._decided["propensity"]
    for action in range(1, table.n):
        rows = arm == action
        assert rows.sum() > 1000
        stated = propensity[rows, action]
        error = np.sqrt((stated * (1 - stated)).sum()) / rows.sum()
        assert abs((drawn[rows] == action).mean() - stated.mean()) < 4 * error
