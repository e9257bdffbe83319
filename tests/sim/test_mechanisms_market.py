"""What customers do to one another and with rivals: reaction, contagion, buzz, joining, fees.

As in test_mechanisms.py each comparison allows LIMIT standard errors: one false alarm in 150,000.
There are about 30, so correct rules would fail on a fresh key with probability 2e-4; the key
is fixed.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from sampling import at, compare, compare_hazards, memory

from agents.dynamics import SubscriptionParameters
from agents.network import Network
from agents.records import Customers
from agents.response import KindEffects
from experiments.twins import (
    ALWAYS,
    COUPON,
    EMAIL,
    KEY,
    TENTH,
    Plan,
    Planned,
    as_prospects,
    friends,
    lived,
    plain_programme,
    quiet_world,
    twins,
)
from sim.market import LoyaltyMarket
from sim.scenario import CompetitorParameters
from sim.world import World

pytestmark = pytest.mark.usefixtures("one_thread")
N = 50_000


def market(
    rules: World, customers: Customers, plan: Plan | None = None, network: Network | None = None
) -> LoyaltyMarket:
    return LoyaltyMarket(rules, customers, KEY, decider=Planned(plan or {}), network=network)


def test_rivals_answer_last_weeks_offers_in_proportion() -> None:
    rivals = CompetitorParameters(reaction=2.0)
    rules = quiet_world(
        {"competitor_log_rate": -0.5}, offers=(replace(TENTH, weeks=2),), competitor=rivals
    )
    held = (np.arange(N) % 5 < 2) * EMAIL
    firm = market(rules, twins(N), {0: held})
    for week, strength in enumerate((0.0, 2.0 * 0.4, 2.0 * 0.4, 0.0)):  # held for two weeks
        firm.step()
        purchases = firm.customers.outcome["purchases"]
        compare(f"week {week}", purchases, 4 * math.exp(-0.5 * strength))


def test_rivals_answer_offers_of_a_single_week_too() -> None:
    rules = quiet_world(
        {"competitor_log_rate": -0.5},
        offers=(TENTH,),
        competitor=CompetitorParameters(reaction=1.0),
    )
    firm = market(rules, twins(N), {0: EMAIL})
    firm.advance(2)
    compare("week after", firm.customers.outcome["purchases"], 4 * math.exp(-0.5))


def test_friends_of_leavers_leave_with_a_hazard_raised_by_four_fifths_each() -> None:
    """Nitzan & Libai (2011): +80 % per defecting neighbour, decaying; four weeks are assumed."""
    rules = quiet_world({"contagion_log_hazard": 0.588, "contagion_weeks": 4.0})
    n, member = 90_000, np.arange(90_000) % 3
    # From the week after; what is heard at a week's end has not faded when the next begins.
    heard = memory(at(12, 0), 4.0) * math.exp(1 / 4)
    for gone in (0, 1, 2):
        customers = twins(n, rate=0.1)
        customers.traits["hazard"] = np.where(member < gone, 1e6, np.where(member == 2, 0.04, 0.0))
        place = market(rules, customers, network=friends(n, 3))
        there = [np.ones(n // 3, bool)]
        for _ in range(12):
            place.step()
            there.append(customers.state["alive"][member == 2] > 0)
        compare_hazards(f"{gone} gone", np.array(there), 0.04 * 1.8 ** (gone * heard))
        first = 0.04 * 1.8**gone
        compare("week after", (there[1] & ~there[2])[there[1]], -math.expm1(-first))


def test_what_neighbours_tell_of_their_rewards_lifts_buying_up_to_three_at_a_time() -> None:
    effects = {
        "neighbour_log_rate": 0.1, "buzz_weeks": 4.0, "redemption_logit": KindEffects(ALWAYS),
    }  # fmt: skip
    rules = quiet_world(effects, offers=(COUPON,))
    n, member = 100_000, np.arange(100_000) % 5
    for influence in (0.5, 1.0):
        customers = twins(n, rate=9.0)
        customers.traits["influence"] = influence
        place = market(rules, customers, {0: (member > 0) * EMAIL}, network=friends(n, 5))
        heard = 4 * influence * memory(at(8, 0), 4.0) * math.exp(1 / 4)
        lift = np.exp(0.1 * np.minimum(heard, 3.0))
        error = np.zeros((8, n // 5))
        for week in range(8):
            place.step()
            error[week] = customers.outcome["purchases"][member == 0] - 9.0 * lift[week]
        # One in 8,000 does not buy in the week of the offer; its friends hear one reward less.
        for week in (0, 1, 2, 7):
            compare(f"week {week}", error[week])


def test_prospects_join_unasked_at_a_constant_hazard_and_buy_at_once() -> None:
    customers = as_prospects(twins(N, rate=0.5), np.ones(N, bool))
    rules = quiet_world(dynamics={"join_hazard": 0.05}, programme=plain_programme())
    outside = np.ones(N, bool)
    for outcome in lived(rules, customers, 6):
        joined = outcome["joined"] > 0
        assert not joined[~outside].any()
        compare("joined", joined[outside], -math.expm1(-0.05))
        assert (outcome["purchases"][joined] == 1).all()
        assert (outcome["gross"][joined] == 1000).all()
        outside &= ~joined
        assert outcome["purchases"][outside].max() == 0
        np.testing.assert_array_equal(customers.profile["joined"] < 0, outside)
    assert (customers.account["enrolled"] == 0).all()  # nobody brought them: no member yet


def test_prospects_join_through_friends_who_got_rewards_and_those_get_the_bonus() -> None:
    effects = {
        "referral_hazard": 0.2, "buzz_weeks": 4.0, "redemption_logit": KindEffects(ALWAYS),
        "enrol_probability": 1e-9,
    }  # fmt: skip
    rules = quiet_world(
        effects, {"join_hazard": 0.05}, (COUPON,),
        programme=plain_programme(referral_points=70, points_per_unit=0.0),
    )  # fmt: skip
    outside = np.arange(N) % 2 == 0
    customers = as_prospects(twins(N, rate=12.0), outside)
    customers.traits["influence"] = 1.5
    place = market(rules, customers, {0: ~outside * EMAIL}, network=friends(N))
    brought = np.zeros(N, bool)
    for week, asked in enumerate((0.0, 0.3, 0.3 * math.exp(-1 / 4))):
        place.step()
        outcome = customers.outcome
        hazard = 0.05 + asked
        compare("joined", (outcome["joined"] > 0)[outside], -math.expm1(-hazard))
        came = (outcome["joined"] == 2)[outside]
        if week == 0:
            assert not came.any()  # nobody has told yet
        else:
            compare("through friends", came, -math.expm1(-hazard) * asked / hazard)
        # Members are credited in the week after; the row next to a prospect is its only friend.
        np.testing.assert_array_equal(outcome["points_earned"][1::2], 70 * brought[::2])
        assert outcome["points_earned"][::2].max() == 0
        brought = outcome["joined"] == 2
        np.testing.assert_array_equal(customers.account["enrolled"][brought], 1)
        outside &= ~(outcome["joined"] > 0)
    assert brought.sum() > 1000


# ---- subscriptions -----------------------------------------------------------------------------

MONTHLY = SubscriptionParameters(fee=5.0, period_weeks=4, margin=0.8)


def test_subscribers_pay_while_they_are_there_and_leavers_are_found_out_when_a_fee_is_due() -> None:
    n = 4000
    due = (np.arange(12)[:, None] + np.arange(n)) % 4 == 0
    customers = twins(n, rate=0.5)
    last = np.random.default_rng(3).integers(0, 20, n)  # week of death, beyond the end for some
    rules = quiet_world(dynamics={"subscription": MONTHLY})
    closed = np.zeros(n, bool)
    for week in range(12):
        customers.traits["hazard"] = np.where(last == week, 1e6, 0.0)
        for outcome in lived(rules, customers, 1):
            pays = due[week] & (last > week)
            np.testing.assert_array_equal(outcome["fees"], 500 * pays)
            margin = 400 * pays + outcome["purchases"] * 250
            np.testing.assert_array_equal(outcome["margin"], margin)
            found_out = due[week] & (last <= week) & ~closed
            np.testing.assert_array_equal(outcome["closed"], found_out)
            np.testing.assert_array_equal(outcome["left"], last == week)
            closed |= found_out
            np.testing.assert_array_equal(customers.account["closed"], closed)
            np.testing.assert_array_equal(customers.profile["flags"] & 8 > 0, closed > 0)
    assert (closed & (last < 9)).sum() == (last < 9).sum()
    first_due = -np.arange(n) % 4
    np.testing.assert_array_equal(customers.profile["renewals"] > 0, last > first_due)


def test_subscribers_cancel_when_the_fee_is_due_and_habit_holds_them_back() -> None:
    cancelling = replace(MONTHLY, cancel_probability=0.3, habit_effect=0.5)
    rules = quiet_world(dynamics={"subscription": cancelling})
    for habit in (0.0, 2.0):
        customers = twins(200_000, rate=1e-9)
        customers.state["habit"] = habit
        due = np.arange(customers.n) % 4 == 0
        for outcome in lived(rules, customers, 1):
            cancelled = outcome["closed"] > 0
            compare("cancelled", cancelled[due], 0.3 * math.exp(-0.5 * habit))
            assert not cancelled[~due].any()
            np.testing.assert_array_equal(outcome["left"], cancelled)
            np.testing.assert_array_equal(customers.state["alive"] == 0, cancelled)
            np.testing.assert_array_equal(outcome["fees"], 500 * (due & ~cancelled))
            # The average takes in the week after the fee: nobody came.
            kept = customers.state["habit"][~cancelled]
            np.testing.assert_allclose(kept, habit * math.exp(-1 / 4), atol=1e-6)
