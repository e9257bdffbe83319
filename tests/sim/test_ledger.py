"""Money and points balance, exactly, whatever happens."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.dynamics import Dynamics
from agents.population import GROCERY, filter_from
from agents.profile import PURCHASE, REDEEM_OFFER
from agents.records import ACCOUNT, OUTCOME, Customers
from agents.response import ResponseParameters
from agents.rng import derive_seed
from sim.engine import Engine
from sim.ledger import (
    Ledger,
    accrue,
    points_outstanding,
    release,
    reserve,
    settle,
    share_of,
)
from sim.market import LoyaltyMarket
from sim.programme import Challenge, ProgrammeParameters, Reward, Streak, Tier
from sim.totals import totals_of, week_sums
from sim.world import World

ITEMS = [
    (Reward("item", 1, 0.0),),
    (Reward("small", 70, 0.7), Reward("big", 500, 5.0)),
    (Reward("many", 50, 0.7, multiple=True),),
]
VOUCHERS = [
    (Reward("off", 500, 5.0, voucher=True),),
    (Reward("item", 70, 0.7), Reward("cashback", 100, 1.0, voucher=True, multiple=True)),
]


def programmes(**options: st.SearchStrategy) -> st.SearchStrategy[ProgrammeParameters]:
    return st.builds(
        ProgrammeParameters,
        active=st.booleans(),
        points_per_unit=st.sampled_from([0.5, 1.0, 3.333, 20.0]),
        earn_on=st.sampled_from(["shelf", "paid_before_redemption", "paid"]),
        pending_weeks=st.integers(0, 3),
        expiry_quarters=st.integers(0, 5),
        expiry_spares_ordered=st.booleans(),
        breakage=st.sampled_from([0.0, 0.3, 1.0]),
        tiers=st.sampled_from(
            [
                (Tier("base", 0),),
                (Tier("base", 0), Tier("silver", 100, 1.3), Tier("gold", 500.5, 2.0)),
            ]
        ),
        tier_basis=st.sampled_from(["spend", "points_earned", "points_balance", "predicted_value"]),
        window=st.sampled_from(["rolling", "calendar"]),
        challenge=st.sampled_from([None, Challenge(3, 4, 100)]),
        streak=st.sampled_from([None, Streak(3, 50)]),
        **options,
    )


PROGRAMMES = programmes(
    rewards=st.sampled_from(ITEMS), redemption_weeks=st.integers(0, 3)
) | programmes(rewards=st.sampled_from(VOUCHERS))


def busy(customers: Customers) -> Customers:
    """Customers who buy, open and redeem a lot."""
    customers.traits["log_rate"] = math.log(2.0)
    customers.traits["openness"] = 0.9
    customers.traits["redemption"] = 3.0
    return customers


@given(
    programme=PROGRAMMES,
    luck=st.integers(0, 2**32 - 1),
    busyness=st.sampled_from([0.05, 0.4, 1.0]),
    opening=st.integers(0, 5000),
)
def test_the_books_balance_after_any_sequence_of_weeks_and_actions(
    world: World, population, programme, luck, busyness, opening
) -> None:
    """Offers may even replace one another while open, which the constraints would not allow."""
    customers = busy(population(6))
    customers.profile["points"] = customers.account["lots"][:, 0] = opening
    engine = Engine(
        customers, world._replace(programme=programme).rules(), np.uint64(luck), recording=True
    )
    ledger = Ledger.open(customers, programme.liability_per_point)
    draw = np.random.default_rng(luck)
    n_actions = int(engine.rules["n_actions"][0])
    for _ in range(75):
        held = customers.account["commitment"].astype(np.int64)
        sent = draw.random(6) < busyness
        engine.advance(np.where(sent, draw.integers(0, n_actions, 6), 0))
        account, outcome, profile = customers.account, customers.outcome, customers.profile
        totals, events = totals_of(week_sums(customers)), engine.log.events()
        ledger.add(totals)
        assert ledger.imbalances(customers) == {}
        for name in ("pending", "lots", "qualifying", "ordered", "commitment"):
            assert account[name].min() >= 0, name
        # No luck settles more than was reserved.
        assert np.all(outcome["settled"] <= held + outcome["reserved"])
        assert ledger.settled <= ledger.reserved
        assert np.all((account["commitment"] > 0) <= (account["offer"] > 0))

        def amounts(kind: int, events=events) -> int:
            return int(events["amount"][events["kind"] == kind].sum())

        assert totals.settled == totals.contact_cost + amounts(REDEEM_OFFER)
        assert totals.revenue == amounts(PURCHASE)
        assert np.all(outcome["discount"] + outcome["voucher"] <= outcome["gross"])
        assert np.all(outcome["voucher"] <= outcome["reward_cost"])
        np.testing.assert_array_equal(profile["points"], account["lots"].sum(axis=1))
        np.testing.assert_array_equal(profile["tier"], account["tier"])
        assert (profile["qualifying"] >= account["qualifying"].sum(axis=1)).all()


@pytest.mark.parametrize("field", ["points", "pending", "lots", "commitment"])
def test_an_imbalance_is_named(population, field: str) -> None:
    customers = population(3)
    ledger = Ledger.open(customers, 1000)
    assert ledger.imbalances(customers) == {}
    part = customers.profile if field == "points" else customers.account
    part[field][1] += 1
    named = set(ledger.imbalances(customers))
    assert (
        named
        == {
            "points": {"points", "lots", "liability"},
            "pending": {"points", "liability"},
            "lots": {"lots"},
            "commitment": {"commitment"},
        }[field]
    )


@given(st.integers(0, 2**31 - 1), st.integers(0, 100_000))
def test_a_share_is_rounded_half_up(amount: int, basis_points: int) -> None:
    assert share_of(amount, basis_points) == math.floor(
        Fraction(amount * basis_points, 10_000) + Fraction(1, 2)
    )


def test_half_a_cent_goes_up() -> None:
    assert [share_of(amount, 5000) for amount in (1, 2, 3, 5)] == [1, 1, 2, 3]


def test_accrual_is_exact_at_any_size() -> None:
    outcome = np.zeros(1, OUTCOME)
    for points in (2_000_000_000, -1_999_999_999):
        accrue(outcome[0], np.int32(points), 700_001)
    assert outcome["liability_change"] == 700_001


def test_an_offer_reserves_its_commitment_settles_its_uses_and_releases_the_rest() -> None:
    account, outcome = np.zeros(1, ACCOUNT), np.zeros(1, OUTCOME)
    reserve(account[0], outcome[0], 3 * 500, 5)
    assert (outcome["reserved"], outcome["settled"], account["commitment"]) == (1505, 5, 1500)
    settle(account[0], outcome[0], 500, 420)
    assert (outcome["settled"], outcome["released"], account["commitment"]) == (425, 80, 1000)
    release(account[0], outcome[0])
    assert (outcome["released"], account["commitment"]) == (1080, 0)
    assert outcome["reserved"] == outcome["settled"] + outcome["released"]


def test_totals_do_not_depend_on_the_order_of_the_customers(world: World, population) -> None:
    customers = busy(population(500))
    Engine(customers, world.rules(), derive_seed(0, "world")).advance(np.arange(500) % 16)
    shuffled = customers.take(np.random.default_rng(1).permutation(500))
    totals = totals_of(week_sums(customers))
    assert totals == totals_of(week_sums(shuffled))
    assert all(isinstance(getattr(totals, name), int) for name in totals.__dataclass_fields__)
    assert totals.contacts == np.count_nonzero(np.arange(500) % 16)
    assert totals.cash_cost == (
        totals.discount + totals.item_cost + totals.contact_cost + totals.reward_cost
    )
    assert points_outstanding(customers) == totals.points_earned


def test_a_closed_account_holds_no_points_and_gets_nothing_more(society: World, population) -> None:
    programme = replace(
        society.programme, rewards=(Reward("mug", 70, 2.0),), redemption_weeks=2, expiry_quarters=0
    )
    customers = population(3000, prospects=0.2)
    market = LoyaltyMarket(society._replace(programme=programme), customers, np.uint64(5))
    lost = 0
    before = customers.account["closed"].copy()
    for _ in range(40):
        market.step()
        account, outcome = customers.account, customers.outcome
        gone = account["closed"] == 1
        for name in ("pending", "lots", "ordered"):
            assert not account[name][gone].any(), name
        np.testing.assert_array_equal(customers.profile["points"], account["lots"].sum(axis=1))
        long_gone = gone & (before == 1)
        for name in ("rewards", "points_earned", "points_expired", "tier_change", "fees", "nps"):
            assert not outcome[name][long_gone].any(), name
        lost += int(outcome["points_expired"][gone].sum())
        before = account["closed"].copy()
    market.finish()
    assert before.sum() > 300
    assert lost > 1000  # forfeited, and the liability with them


def test_no_rules_make_a_balance_overflow(population) -> None:
    programme = ProgrammeParameters(
        "absurd", True, points_per_purchase=10_000, expiry_quarters=0, rewards=(),
        tiers=(Tier("base", 0, 100.0),), points_per_unit=1.0,
    )  # fmt: skip
    customers = busy(population(20))
    customers.traits["log_rate"] = math.log(50.0)
    customers.account["enrolled"] = 1
    world = World(ResponseParameters(), Dynamics(), filter_from(GROCERY), programme=programme)
    market = LoyaltyMarket(world, customers, np.uint64(5))
    market.advance(60)
    market.finish()
    assert 400_000_000 <= customers.profile["points"].max() < 2**31 - 1
    assert customers.profile["points"].min() >= 0
