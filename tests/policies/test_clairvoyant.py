"""The clairvoyant knows its customers, keeps the limits, and plans on luck of its own."""

from dataclasses import replace

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters, ContactCap, OfferBudget
from envs.decision import GovernedPolicy, NoOffers
from policies.clairvoyant import Clairvoyant, ClairvoyantParameters
from sim.counterfactual import paired_run
from sim.market import LatentDecider, LoyaltyMarket
from sim.metrics import incremental_margin

PLAN = derive_seed(0, "plan")
QUICK = ClairvoyantParameters(weeks=3, replicas=4, screening_replicas=2)
FREE = ConstraintParameters()


def test_it_finds_the_offer_that_pays_and_sends_the_dead_nothing_that_costs(
    clear_world, members
) -> None:
    customers = members(clear_world, 200)
    decider = Clairvoyant(clear_world, FREE, 200, PLAN, QUICK)
    market = LoyaltyMarket(clear_world, customers, np.uint64(5), decider=decider)
    alive = customers.state["alive"] > 0
    market.step()
    assert (market.actions[alive] == 2).mean() > 0.95
    assert not market.actions[~alive].any()


def test_its_gain_holds_on_luck_that_it_did_not_plan_with(clear_world, members) -> None:
    customers = members(clear_world, 200)
    decider = Clairvoyant(clear_world, FREE, 200, PLAN, QUICK)
    run = paired_run(clear_world, customers, np.uint64(8), decider, weeks=8)
    assert incremental_margin(run)["all"].low > 0


def test_it_decides_by_state_and_planning_luck_not_by_the_markets(clear_world, members) -> None:
    actions = []
    for key, plan in ((5, PLAN), (6, PLAN)):
        decider = Clairvoyant(clear_world, FREE, 100, plan, QUICK)
        customers = members(clear_world, 100)
        market = LoyaltyMarket(clear_world, customers, np.uint64(key), decider=decider)
        before = customers.state.copy()
        decider.see(customers)
        actions.append(decider.decide(market.firm_view()))
        assert (customers.state == before).all()
    np.testing.assert_array_equal(*actions)


def test_caps_and_budget_bind_it_as_they_bind_anybody(clear_world, members) -> None:
    limits = replace(
        FREE,
        contact_cap=ContactCap(contacts=1, weeks=4),
        offer_budget=OfferBudget(weekly_per_customer=1.0),
    )
    decider = Clairvoyant(clear_world, limits, 100, PLAN, QUICK)
    market = LoyaltyMarket(clear_world, members(clear_world, 100), np.uint64(5), decider=decider)
    contacts = np.zeros(100)
    for _ in range(4):
        market.step()
        contacts += market.actions > 0
    market.finish()
    assert contacts.max() == 1
    assert decider.audit is not None
    assert decider.audit.total_violations == 0


def test_where_nothing_works_it_does_nothing(dull_world, members) -> None:
    decider = Clairvoyant(dull_world, FREE, 100, PLAN, QUICK)
    market = LoyaltyMarket(dull_world, members(dull_world, 100), np.uint64(5), decider=decider)
    for _ in range(3):
        market.step()
        assert not market.actions.any()


def test_only_a_clairvoyant_is_shown_the_customers(clear_world, members) -> None:
    assert not isinstance(GovernedPolicy(NoOffers(), FREE, 1), LatentDecider)
    assert isinstance(Clairvoyant(clear_world, FREE, 1, PLAN), LatentDecider)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="replicas"):
        ClairvoyantParameters(replicas=1)
