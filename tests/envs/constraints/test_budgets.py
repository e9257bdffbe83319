"""Budgets: what they leave room for, both at once, and what mode tail reserves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.records import ACCOUNT, PROFILE
from agents.rng import derive_seed
from envs.constraints.budgets import FirmBudgets, Rooms, TrailingBooks, discounts
from envs.constraints.checks import tail_reservation
from envs.constraints.names import Constraint, all_but
from envs.constraints.parameters import (
    ConstraintParameters,
    DiscountExposure,
    LiabilityAlarm,
    OfferBudget,
)
from envs.constraints.tail import allocate_in_tail, tail_room
from envs.decision import GovernedPolicy, decide
from sim.ledger import MICRO
from sim.market import LoyaltyMarket

DELTA = 0.05
TAIL = ConstraintParameters(OfferBudget(30.0, mode="tail", delta=DELTA))


class Eager:
    """Wants the dearest action for everybody."""

    name = "eager"

    def propose(self, observation, mask, context):
        return np.broadcast_to(1.0 + context.table.commitment, mask.shape).copy()


def firm(parameters, table, profile, n=None, **keys):
    return FirmBudgets(parameters, table, n or len(profile), profile, **keys)


def test_weeks_before_the_books_count_with_the_average_that_profiles_bring_along():
    profile = np.zeros(3, PROFILE)
    profile["revenue_slow"] = (100, 50, 1000)
    profile["joined"] = (0, 5, -1)  # the last one is a prospect
    books = TrailingBooks(profile)
    assert books.revenue(13) == 13 * 150
    books.close_week(1000, 70)
    books.close_week(500, 30)
    assert books.revenue(13) == 11 * 150 + 1500
    assert books.revenue(1) == 500
    assert books.discounts(13) == 100
    assert books.discounts(1) == 30
    for _ in range(60):
        books.close_week(10, 1)
    assert books.revenue(52) == 520
    assert books.discounts(13) == 13


def test_exposure_leaves_what_share_of_revenue_is_not_yet_discounted(world):
    table = world.table
    account, profile = np.zeros(4, ACCOUNT), np.zeros(4, PROFILE)
    account["offer"] = (1, 1, 1 + list(table.offers["kind"]).index(2), 0)
    account["commitment"] = (300, 200, 1000, 0)
    budgets = firm(ConstraintParameters(discount_exposure=DiscountExposure(0.1)), table, profile)
    budgets.books.close_week(20_000, 400)
    kinds = table.offers["kind"]
    assert kinds[0] == 0
    rooms = budgets.rooms(account, profile)
    assert rooms == Rooms(None, 2000 - 400 - 500, None)
    assert budgets.rooms(account, profile, settled=10**9) == rooms
    budgets.books.close_week(0, 2000)
    assert budgets.rooms(account, profile).discount_exposure == 0
    free = firm(budgets.parameters, table, profile, enforced=all_but(Constraint.DISCOUNT_EXPOSURE))
    assert free.rooms(account, profile).discount_exposure is None


@given(st.integers(0, 2000), st.integers(0, 1500), st.integers(0, 2**32 - 1))
def test_no_decision_spends_more_than_either_room(world, offer_room, discount_room, seed):
    rng = np.random.default_rng(seed)
    table, n = world.table, 25
    score = rng.normal(1, 1, (n, table.n))
    blocked = (rng.random((n, table.n)) < 0.3).astype(np.uint8) * np.uint8(Constraint.CONSENT)
    blocked[:, 0] = 0
    rooms = Rooms(offer_room, discount_room)
    decision = decide(score, blocked, table, rooms, np.arange(n, dtype=np.uint64), 3)
    spent = table.commitment[decision.executed]
    assert spent.sum() == decision.reserved <= offer_room
    assert spent[discounts(table)[decision.executed]].sum() <= discount_room
    assert (blocked[np.arange(n), decision.executed] == 0).all()
    refused = (decision.binding > 0) & (decision.binding != Constraint.CONSENT)
    known = {Constraint.OFFER_BUDGET, Constraint.DISCOUNT_EXPOSURE}
    assert set(decision.binding[refused]) <= known
    wanted = decision.proposed != decision.executed
    same = table.actions["offer"][decision.proposed] == table.actions["offer"][decision.executed]
    assert ((decision.binding > 0) == (wanted & ~same)).all()


def test_the_exposure_is_named_where_it_refuses(world):
    table = world.table
    first = int(np.flatnonzero(discounts(table))[0])
    score = np.zeros((5, table.n))
    score[:, first] = 1.0
    blocked = np.zeros((5, table.n), np.uint8)
    ids = np.arange(5, dtype=np.uint64)
    cost = int(table.commitment[first])
    for room, given_ in ((0, 0), (2 * cost, 2), (5 * cost, 5)):
        decision = decide(score, blocked, table, Rooms(10**6, room), ids, 1)
        assert (decision.executed == first).sum() == given_
        expected = np.where(decision.executed == first, 0, Constraint.DISCOUNT_EXPOSURE)
        np.testing.assert_array_equal(decision.binding, expected)


def test_the_alarm_sounds_above_a_share_of_trailing_revenue(world):
    profile = np.zeros(2, PROFILE)
    budgets = firm(
        ConstraintParameters(liability_alarm=LiabilityAlarm(0.5, weeks=2)), world.table, profile
    )
    budgets.books.close_week(600, 0)
    budgets.books.close_week(400, 0)
    assert not budgets.alarm(500 * MICRO)
    assert budgets.alarm(500 * MICRO + 1)
    assert not budgets.stops_points(10**12)  # it is only told
    loud = ConstraintParameters(liability_alarm=LiabilityAlarm(0.5, 2, stops_bonus_points=True))
    assert firm(loud, world.table, profile).stops_points(1)


# ------------------------------------------------------------------------------- mode tail


def standing(world, population, n):
    customers = population(n)
    customers.account["enrolled"] = 1
    customers.account["consent"] = 1
    rng = np.random.default_rng(5)
    held = rng.random(n) < 0.3
    customers.account["offer"][held] = 1
    customers.account["commitment"][held] = 300
    customers.profile["sent"] = rng.integers(0, 9, customers.profile["sent"].shape)
    customers.profile["redeemed"] = customers.profile["sent"] // 2
    return customers


def test_tail_reserves_expected_cost_and_hoeffdings_bound(world):
    table = world.table
    account, profile = np.zeros(400, ACCOUNT), np.zeros(400, PROFILE)
    action = np.full(400, int(np.flatnonzero(discounts(table))[0]))
    one = table.actions[action[0]]
    cap = int(table.offers["cap"][one["offer"]])
    # Nobody has a history: a tenth of the offers is expected to be used.
    expected = 400 * (one["contact_cost"] + 0.1 * cap)
    bound = math.sqrt(math.log(1 / DELTA) / 2 * 400 * cap**2)
    found = tail_reservation(action, account, profile, table, DELTA)
    assert found == pytest.approx(expected + bound)
    room = tail_room(account, profile, table, 10**6, DELTA)
    worst = int(table.commitment[action].sum())
    ours = room.reserved(room.expected[np.arange(400), action].sum(), worst, 400 * cap**2)
    assert ours == pytest.approx(found)
    assert found < worst
    one_offer = tail_reservation(action[:1], account[:1], profile[:1], table, DELTA)
    assert one_offer == table.commitment[action[0]]  # the bound is of no use to one customer


@given(st.floats(0.001, 0.5), st.integers(0, 60_000))
def test_a_decision_in_mode_tail_stays_within_its_reservation(world, population, delta, limit):
    customers = standing(world, population, 120)
    table = world.table
    account, profile = customers.account, customers.profile
    room = tail_room(account, profile, table, limit, delta)
    score = np.random.default_rng(limit).normal(5, 3, (120, table.n))
    allowed = np.ones(score.shape, bool)
    ids = customers.traits["id"]
    found = allocate_in_tail(score, table.commitment, allowed, room, ids, 1)
    reserved = tail_reservation(found.action, account, profile, table, delta)
    if table.commitment[found.action].any():
        assert reserved <= limit + 1


def test_tail_grants_more_than_the_worst_case_does(world, population):
    customers = standing(world, population, 2000)
    table, limit = world.table, 300_000
    room = tail_room(customers.account, customers.profile, table, limit, DELTA)
    score = np.broadcast_to(1.0 + table.commitment, (2000, table.n)).copy()
    ids = customers.traits["id"]
    held = int(customers.account["commitment"].sum())
    blocked = np.zeros(score.shape, np.uint8)
    worst = decide(score, blocked, table, limit - held, ids, 1)
    tail = decide(score, blocked, table, Rooms(limit - held, None, room), ids, 1)
    assert tail.reserved > 1.5 * worst.reserved
    assert held + tail.reserved > limit  # which is why it is an expected constraint


def test_both_rooms_hold_in_mode_tail(world, population):
    customers = standing(world, population, 500)
    table = world.table
    room = tail_room(customers.account, customers.profile, table, 80_000, DELTA)
    score = np.broadcast_to(1.0 + table.commitment, (500, table.n)).copy()
    ids = customers.traits["id"]
    blocked = np.zeros(score.shape, np.uint8)
    decision = decide(score, blocked, table, Rooms(0, 9_000, room), ids, 1)
    drawn = table.commitment[decision.executed][discounts(table)[decision.executed]].sum()
    assert 0 < drawn <= 9_000
    reserved = tail_reservation(
        decision.executed, customers.account, customers.profile, table, DELTA
    )
    assert reserved <= 80_001
    assert {Constraint.DISCOUNT_EXPOSURE} <= set(decision.binding)


def test_the_ledger_counts_weeks_above_the_limit_as_breaches_beside_delta(world, population):
    customers = population(300)
    governed = GovernedPolicy(Eager(), TAIL, customers.n)
    market = LoyaltyMarket(world, customers, derive_seed(2, "evaluate"), decider=governed)
    market.advance(20)
    market.finish()
    ledger = governed.audit
    assert ledger.total_violations == 0
    row = next(row for row in ledger.rows() if row["constraint"] == "offer_budget")
    weekly = market.datacollector.get_model_vars_dataframe()["settled"]
    above = int((weekly > TAIL.offer_budget.weekly_limit(300)).sum())
    assert (row["kind"], row["tolerated_rate"]) == ("expected", DELTA)
    assert (row["breaches"], row["checked"]) == (above, 20)
    assert row["use_mean"] > 0  # above 1 where open offers weigh more as rates are learned
    assert max(ledger.committed) > TAIL.offer_budget.weekly_limit(300)


def test_a_reservation_that_is_not_kept_is_a_violation_in_mode_tail_too(world, population):
    customers = population(300)
    enforced = all_but(Constraint.OFFER_BUDGET)
    governed = GovernedPolicy(Eager(), TAIL, customers.n, enforced)
    market = LoyaltyMarket(world, customers, derive_seed(2, "evaluate"), decider=governed)
    market.advance(10)
    assert governed.audit.violations["offer_budget"] > 0
