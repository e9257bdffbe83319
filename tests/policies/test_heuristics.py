"""Heuristics ask for what they say, for whom they say."""

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.decision import DecisionContext
from envs.features import CENTRE, column
from policies.base import actions_of_kind
from policies.heuristics import Blanket, NoOffers, Random, RfmRules, Triggers

N = 200


@pytest.fixture
def setting(world):
    """Typical customers, everything allowed."""
    observation = np.tile(CENTRE, (N, 1)).astype(np.float32)
    mask = np.ones((N, world.table.n), bool)
    return observation, mask, DecisionContext(5, np.arange(N, dtype=np.uint64), world.table)


def wanted(policy, observation, mask, context):
    score = policy.propose(observation, mask, context)
    assert score.shape == mask.shape
    assert (score[:, 0] == 0).all()
    return np.where(score.max(axis=1) > 0, score.argmax(axis=1), 0)


def test_no_offers_wants_nothing(setting):
    assert not wanted(NoOffers(), *setting).any()


def test_blanket_wants_the_cheapest_discount_for_all(setting, world):
    assert set(wanted(Blanket(), *setting)) == {actions_of_kind(world.table, "discount")[0]}


def test_random_contacts_its_share_and_only_what_is_allowed(setting):
    observation, mask, context = setting
    mask[:, 1:] = np.random.default_rng(0).random(mask[:, 1:].shape) < 0.5
    action = wanted(Random(derive_seed(0, "plan"), 0.5), observation, mask, context)
    assert mask[np.arange(N), action].all()
    assert 0.35 < (action > 0).mean() < 0.65  # 4 standard deviations
    again = wanted(Random(derive_seed(0, "plan"), 0.5), observation, mask, context)
    np.testing.assert_array_equal(action, again)


def test_random_draws_do_not_depend_on_who_else_is_asked(setting):
    observation, mask, context = setting
    policy = Random(derive_seed(0, "plan"))
    some = context._replace(customer_id=context.customer_id[50:])
    np.testing.assert_array_equal(
        wanted(policy, *setting)[50:], wanted(policy, observation[50:], mask[50:], some)
    )


def test_triggers_win_back_the_silent_and_nudge_those_near_a_reward(setting, world):
    observation, mask, context = setting
    observation[:, column("gap_ratio")] = 1
    observation[:, column("goal_progress")] = 0.1
    observation[0, column("gap_ratio")] = 5
    observation[1, column("goal_progress")] = 0.9
    action = wanted(Triggers(), observation, mask, context)
    assert action[0] in actions_of_kind(world.table, "discount")
    assert action[1] in actions_of_kind(world.table, "points")
    assert not action[2:].any()


def test_rfm_rules_treat_segments_differently(setting, world):
    observation, mask, context = setting
    observation[:, column("expected_rate")] = 0.1
    observation[0, column("expected_rate")] = 2
    observation[0, column("gap_ratio")] = 4
    observation[1, column("expected_rate")] = 2
    observation[1, column("gap_ratio")] = 0.2
    observation[1, column("revenue_slow")] = 1
    action = wanted(RfmRules(), observation, mask, context)
    assert action[0] in actions_of_kind(world.table, "discount")
    assert action[1] in actions_of_kind(world.table, "points")
    assert not action[2:].any()


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="share=2"):
        Random(np.uint64(0), 2)
