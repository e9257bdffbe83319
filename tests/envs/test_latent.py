"""Latent is latent: nothing of TRAITS or STATE reaches an observation or a mask."""

import numpy as np
import pytest

from agents.records import ACCOUNT_FIELDS, PROFILE, STATE, TRAITS
from envs.constraints.masks import blocking, limits_record
from envs.constraints.parameters import ConstraintParameters, ContactCap
from envs.decision import GovernedPolicy
from envs.features import FEATURE_NAMES, N_FEATURES, observe
from policies.heuristics import RfmRules
from sim.market import LATENT_OUTCOMES, FirmView, LoyaltyMarket


@pytest.fixture
def market(world, population):
    """A year in the everything-world."""
    market = LoyaltyMarket(world, population(400), np.uint64(3))
    market.advance(52)
    return market


def scramble(records, keep=()):
    rng = np.random.default_rng(0)
    for name in records.dtype.names:
        if name in keep:
            continue
        column = records[name]
        if np.issubdtype(column.dtype, np.floating):
            records[name] = rng.normal(size=column.shape)
        else:
            records[name] = rng.integers(0, 2, size=column.shape)


def test_perturbing_every_latent_field_changes_no_observation_mask_or_decision(market):
    limits = limits_record(ConstraintParameters(contact_cap=ContactCap()))
    governed = GovernedPolicy(RfmRules(), ConstraintParameters(), market.customers.n)

    def seen():
        view = market.firm_view()
        return (
            observe(view.profile, view.week, view.rules),
            blocking(view.account, view.profile, view.table, limits),
            governed.decide(view),
        )

    before = seen()
    scramble(market.customers.traits, keep=("id",))
    scramble(market.customers.state)
    for one, two in zip(before, seen(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_perturbing_the_profile_does_change_the_observation(market):
    view = market.firm_view()
    before = observe(view.profile, view.week, view.rules)
    view.profile["effective_repeats"] += 10
    assert (observe(view.profile, view.week, view.rules) != before).any()


def test_the_firm_is_never_handed_traits_or_state(market):
    view = market.firm_view()
    for value in view:
        assert getattr(value, "dtype", None) not in (TRAITS, STATE)
    assert "traits" not in FirmView._fields
    assert "state" not in FirmView._fields
    # Who silently left or came through a friend stands in OUTCOME for the market alone.
    hidden = set(market.customers.outcome.dtype.names) - set(view.outcome.dtype.names)
    assert hidden == {"left", "joined"} == set(LATENT_OUTCOMES)
    assert view.outcome["settled"].sum() == market.customers.outcome["settled"].sum()


def test_the_group_is_no_feature(market):
    view = market.firm_view()
    before = observe(view.profile, view.week, view.rules)
    view.account["group"] = 1 - view.account["group"]
    np.testing.assert_array_equal(before, observe(view.profile, view.week, view.rules))
    assert "group" in {field.name for field in ACCOUNT_FIELDS}
    assert not {"group", "vulnerable"} & (set(PROFILE.names) | set(FEATURE_NAMES))


def test_a_customer_without_history_has_a_defined_observation(world):
    cold = np.zeros(1, PROFILE)
    cold["joined"] = -1
    observation = observe(cold, 0, world.rules())
    assert observation.shape == (1, N_FEATURES)
    assert np.isfinite(observation).all()
