"""Heuristics ask for what they say, for whom they say."""

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.decision import DecisionContext, decide
from envs.features import CENTRE, column
from policies.base import actions_of_kind
from policies.heuristics import (
    Blanket,
    ChurnClv,
    ClvGreedy,
    NoOffers,
    Random,
    RfmRules,
    Triggers,
)

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


def test_triggers_win_back_after_a_longer_gap_with_a_deeper_discount(setting, world):
    observation, mask, context = setting
    observation[:, column("gap_ratio")] = 1
    observation[:, column("goal_progress")] = 0.1
    observation[:3, column("gap_ratio")] = (4, 7, 7)
    observation[2, column("p_alive")] = 0.1  # given up
    mask[1, actions_of_kind(world.table, "discount")[-1]] = False
    action = wanted(Triggers(), observation, mask, context)
    discounts = actions_of_kind(world.table, "discount")
    assert action[0] == discounts[0]
    assert action[1] == discounts[-2]  # the deepest allowed
    assert action[2] == 0
    with pytest.raises(ValueError, match="win_back_gaps=2"):
        Triggers(gaps=3, win_back_gaps=2)


def test_clv_greedy_serves_the_most_valuable_first_with_what_they_use(setting, world):
    observation, mask, context = setting
    value = np.linspace(1, N, N)
    observation[:, column("residual_value")] = value
    observation[:, column("redemption_rate_discount")] = 0.1
    observation[:, column("redemption_rate_free_item")] = np.where(value > N / 2, 0.5, 0.05)
    policy = ClvGreedy()
    action = wanted(policy, observation, mask, context)
    gift, discount = (actions_of_kind(world.table, kind)[0] for kind in ("free_item", "discount"))
    assert set(action[value > N / 2]) == {gift}
    assert set(action[value < N / 2]) == {discount}
    budget = int(world.table.commitment[gift]) * 10
    score = policy.propose(observation, mask, context)
    served = decide(
        score, (~mask).astype(np.uint8), world.table, budget, context.customer_id, 5
    ).executed
    assert set(np.flatnonzero(served)) == set(range(N - 10, N))


def test_churn_clv_ranks_by_value_at_risk_among_the_silent(setting, world):
    observation, mask, context = setting
    observation[:, column("gap_ratio")] = 0.5
    observation[:3, column("gap_ratio")] = 3
    observation[:3, column("residual_value")] = 100
    observation[:3, column("p_alive")] = (0.9, 0.5, 1.0)
    score = ChurnClv().propose(observation, mask, context).max(axis=1)
    assert score[1] > score[0] > 0
    assert not (score[2:] > 0).any()


def test_every_heuristic_says_why_in_a_sentence(setting, world):
    observation, mask, context = setting
    observation[:, column("expected_rate")] = 0.1
    observation[:, column("gap_ratio")] = 0.5
    observation[:, column("goal_progress")] = 0.1
    observation[0, column("expected_rate")] = 2
    observation[0, column("gap_ratio")] = 4
    observation[1, column("expected_rate")] = 2
    observation[1, column("revenue_slow")] = 1
    observation[2, column("goal_progress")] = 0.9
    observation[3, column("gap_ratio")] = 8
    observation[:, column("redemption_rate_points")] = 0.6
    said = {
        policy.name: policy.explain(observation, mask, context)
        for policy in (
            NoOffers(), Blanket(), Random(derive_seed(0, "plan"), 0.5), RfmRules(), Triggers(),
            ClvGreedy(), ChurnClv(),
        )
    }  # fmt: skip
    for reasons in said.values():
        assert reasons.code.shape == (N,)
        assert reasons.code.min() >= 0
        assert reasons.code.max() < len(reasons.sentences)
        assert all(text.endswith(".") and text[0].isupper() for text in reasons.sentences)
    assert "no offers" in said["no_offers"].of(0)
    assert "smallest discount" in said["blanket"].of(0)
    assert "At risk" in said["rfm_rules"].of(0)
    assert "Loyal" in said["rfm_rules"].of(1)
    assert "No rule" in said["rfm_rules"].of(2)
    assert "Silent for 3" in said["triggers"].of(0)
    assert "for the next reward" in said["triggers"].of(2)
    assert "win back" in said["triggers"].of(3)
    assert "No rule" in said["triggers"].of(4)
    assert "kind points" in said["clv_greedy"].of(0)
    assert "may be leaving" in said["churn_clv"].of(0)
    assert "no value seems at risk" in said["churn_clv"].of(1)


@pytest.mark.parametrize("policy", [Blanket(), RfmRules(), Triggers(), ClvGreedy(), ChurnClv()])
def test_those_with_a_reason_are_those_who_are_wanted(policy, setting):
    observation, mask, context = setting
    random = np.random.default_rng(0)
    observation[:] = observation * random.uniform(0.1, 4, observation.shape)
    action = wanted(policy, observation, mask, context)
    assert (action > 0).sum() > 0
    np.testing.assert_array_equal(policy.explain(observation, mask, context).code > 0, action > 0)


def test_a_lottery_says_who_was_drawn_and_states_its_chances(setting):
    observation, mask, context = setting
    mask[0, 1:] = False
    policy = Random(derive_seed(0, "plan"), 0.5)
    action = wanted(policy, observation, mask, context)
    np.testing.assert_array_equal(policy.explain(observation, mask, context).code > 0, action > 0)
    chance = policy.propensity(mask)
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    assert chance[0, 0] == 1.0
    assert chance[1, 0] == 0.5


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
