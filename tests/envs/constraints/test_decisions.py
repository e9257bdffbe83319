"""Constraints bind whatever a policy proposes, and the audit can tell when they do not."""

import numpy as np
import pytest

from agents.rng import derive_seed
from envs.constraints.ledger import ViolationLedger
from envs.constraints.masks import blocking, limits_record
from envs.constraints.names import Constraint
from envs.constraints.parameters import ConstraintParameters, ContactCap, OfferBudget
from envs.decision import GovernedPolicy, decide
from sim.market import LoyaltyMarket

LIMITED = ConstraintParameters(OfferBudget(weekly_per_customer=30.0), ContactCap(2, 4))


class Dearest:
    """Always wants the dearest action for everybody, allowed or not."""

    name = "dearest"

    def propose(self, observation, mask, context):
        return np.broadcast_to(
            context.table.commitment.astype(float), (observation.shape[0], context.table.n)
        ).copy()


class Noise:
    """Random scores."""

    name = "noise"

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def propose(self, observation, mask, context):
        return self.rng.normal(size=(observation.shape[0], context.table.n))


def run(world, customers, policy, constraints, weeks=60):
    governed = GovernedPolicy(policy, constraints, customers.n)
    market = LoyaltyMarket(world, customers, derive_seed(1, "evaluate"), decider=governed)
    market.advance(weeks)
    market.finish()
    return market, governed


def test_the_audit_needs_no_outcome_by_customer(world, population):
    audits = [
        run(world, customers, Noise(), LIMITED, weeks=8)[1].audit
        for customers in (population(200), population(200).without_outcome())
    ]
    assert audits[0].settled == audits[1].settled > 0
    assert audits[0].violations == audits[1].violations
    assert audits[0].weeks == audits[1].weeks == 8


@pytest.mark.parametrize("policy", [Dearest(), Noise()])
def test_no_policy_breaks_a_hard_constraint(world, population, policy):
    market, governed = run(world, population(600), policy, LIMITED)
    assert governed.audit.total_violations == 0
    assert 0.5 < governed.audit.peak_reserved_share <= 1
    assert governed.override_rate > 0
    weekly = market.datacollector.get_model_vars_dataframe()["settled"]
    assert weekly.max() <= LIMITED.offer_budget.weekly_limit(600)
    assert weekly.sum() > 0


def test_even_with_every_redemption_forced_the_weekly_budget_holds(world, population):
    customers = population(600)
    customers.traits["openness"] = 1.0
    customers.traits["redemption"] = 50.0
    customers.account["consent"] = 1
    customers.traits["log_rate"] = 2.0
    market, governed = run(world, customers, Dearest(), LIMITED, weeks=30)
    weekly = market.datacollector.get_model_vars_dataframe()["settled"]
    limit = LIMITED.offer_budget.weekly_limit(600)
    assert governed.audit.total_violations == 0
    assert 0.5 * limit < weekly.max() <= limit


def test_a_total_budget_is_never_exceeded(world, population):
    limited = ConstraintParameters(OfferBudget(30.0, total_weeks=3.0), ContactCap(2, 4))
    market, governed = run(world, population(400), Dearest(), limited)
    assert governed.audit.total_violations == 0
    assert 0 < market.ledger.settled <= limited.offer_budget.total_limit(400)


def test_every_refusal_names_what_bound_it(world, population):
    customers = population(400)
    customers.account["closed"][:50] = 1
    customers.account["enrolled"][50:100] = 0
    customers.account["consent"][100:150] = 0
    table = world.table
    blocked = blocking(customers.account, customers.profile, table, limits_record(LIMITED))
    score = np.broadcast_to(1.0 + table.commitment, (400, table.n))
    ids = customers.traits["id"]
    decision = decide(score, blocked, table, 1000, ids, week=0)
    assert (decision.binding[:50] == Constraint.ACCOUNT_CLOSED).all()
    open_and_out = customers.account["closed"][50:100] == 0
    assert (decision.binding[50:100][open_and_out] == Constraint.NOT_ENROLLED).all()
    refused = decision.proposed != decision.executed
    assert (decision.binding[refused] != Constraint.NONE).all()
    assert (decision.binding[~refused & (decision.executed > 0)] == Constraint.NONE).all()
    assert Constraint.OFFER_BUDGET in decision.binding
    assert decision.reserved <= 1000


def test_vulnerable_customers_get_no_pressure_and_no_discount_on_rising_spend(world, population):
    customers = population(4)
    customers.account["enrolled"] = 1
    customers.account["consent"] = 1
    customers.account["vulnerable"] = (0, 1, 1, 0)
    customers.profile["revenue_fast"] = (200, 200, 100, 100)
    customers.profile["revenue_slow"] = 100
    table = world.table
    allowed = blocking(customers.account, customers.profile, table, limits_record(LIMITED)) == 0
    pressure = table.offers["pressure"][table.actions["offer"][1:]] > 0
    discount = table.offers["kind"][table.actions["offer"][1:]] == 0
    assert allowed[0].all()
    assert not allowed[1, 1:][pressure | discount].any()
    assert not allowed[2, 1:][pressure].any()
    assert allowed[2, 1:][discount & ~pressure].all()


def test_the_ledger_counts_from_its_own_books(world, population):
    customers = population(3)
    customers.account["enrolled"] = 1
    customers.account["consent"] = 1
    customers.account["closed"] = 0
    customers.account["vulnerable"] = 0
    limits = ConstraintParameters(contact_cap=ContactCap(1, 3))
    ledger = ViolationLedger(limits, world.table, 3, customers.profile)
    contact = np.array([1, 0, 1])
    ledger.decided(contact, customers.account, customers.profile)
    assert ledger.total_violations == 0
    ledger.decided(contact, customers.account, customers.profile)
    assert ledger.violations["contact_cap"] == 2


class Meddler(Dearest):
    """Wants the dearest, and makes every offer free in the price list it is shown."""

    def propose(self, observation, mask, context):
        score = super().propose(observation, mask, context)
        context.table.actions["commitment"][:] = 0
        context.table.offers["cap"][:] = 0
        assert context.customer_id.base is None  # no way to the traits beside the ids
        context.customer_id[:] = 0
        return np.maximum(score, 1.0)


def test_a_policy_that_edits_what_it_is_shown_changes_no_limit(world, population):
    market, governed = run(world, population(300), Meddler(), LIMITED, weeks=12)
    assert governed.audit.total_violations == 0
    assert governed.audit.peak_reserved_share <= 1.0
    assert market.table.commitment.max() > 0
    assert len(np.unique(market.customers.traits["id"])) == 300
