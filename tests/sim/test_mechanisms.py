"""Every mechanism shows in what customers do, at the size its source gives.

Customers who are alike but for their luck live through the real engine, so what to expect of a week
follows exactly from what is known at its start. Each comparison allows LIMIT standard errors of its
own sample: one false alarm in 150,000. There are about 160 of them, so correct rules would fail
on a fresh key with probability 1.1e-3; the key is fixed. What needs a market is in
test_mechanisms_market.py, switching off in test_mechanisms_off.py.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sampling import at, compare, compare_hazards, memory
from scipy import special, stats

from agents.dynamics import SurveyParameters
from agents.population import (
    GROCERY,
    MembershipParameters,
    draw_population,
    dynamics_from,
    filter_from,
)
from agents.records import Customers
from agents.response import KindEffects, ResponseParameters
from experiments.twins import (
    ALWAYS,
    BONUS,
    COFFEE,
    COUPON,
    EMAIL,
    KEY,
    SMS,
    TENTH,
    THANKS,
    alive,
    bought,
    lived,
    plain_programme,
    quiet_world,
    twins,
)
from sim.offers import OfferBook
from sim.programme import Tier
from sim.scenario import CompetitorParameters, SeasonParameters, calendar
from sim.world import World

pytestmark = pytest.mark.usefixtures("one_thread")
N = 50_000


# ---- what an offer does ------------------------------------------------------------------------

ALL_KINDS = (TENTH, BONUS, COFFEE, THANKS)
SIZES = KindEffects(0.10, 0.06, 0.06, 0.02)


@pytest.mark.parametrize("kind", range(4))
def test_an_opened_offer_lifts_buying_by_its_kind_and_by_each_customers_response(kind) -> None:
    """Complete Journey bounds the spread between customers: .10 (0 to .19)."""
    customers = twins(N)
    response = np.random.default_rng(kind).normal(size=N).astype(np.float32)
    customers.traits["response"][:, kind] = response
    rules = quiet_world(
        {"offer_log_rate": SIZES, "offer_log_rate_sd": 0.10}, offers=ALL_KINDS,
        programme=plain_programme(),
    )  # fmt: skip
    during, after = bought(rules, customers, 2, {0: EMAIL + 3 * kind})
    lifted = 4.0 * np.exp(SIZES.values[kind] + 0.10 * response)
    compare("week of the offer", during - lifted)
    compare("slope in the response", (during - lifted) * response)
    compare("week after it", after, 4.0)


def test_an_offer_acts_while_it_is_open_and_as_strongly_as_it_is_worded() -> None:
    rules = quiet_world({"offer_log_rate": SIZES}, offers=(replace(TENTH, weeks=3, strength=2.0),))
    for week, purchases in enumerate(bought(rules, twins(N), 5, {0: EMAIL})):
        compare(f"week {week}", purchases, 4.0 * math.exp(0.2 if week < 3 else 0.0))


def test_an_offer_that_is_used_up_acts_no_more() -> None:
    effects = {"offer_log_rate": SIZES, "redemption_logit": KindEffects(ALWAYS)}
    rules = quiet_world(effects, offers=(replace(COUPON, weeks=3),))
    first, second = bought(rules, twins(N, rate=1.0), 2, {0: EMAIL})
    compare("still open", second[first == 0], math.exp(0.1))
    compare("used up", second[first > 0], 1.0)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_messages_are_opened_by_the_channels_openness_and_act_on_those_who_opened(channel) -> None:
    openness = (0.35, 0.5, 0.25)
    for inattention in (1.0, 0.5, 0.0):
        customers = twins(N)
        customers.traits["openness"] = openness
        rules = quiet_world({"offer_log_rate": SIZES, "inattention": inattention}, offers=(TENTH,))
        share = 1 - inattention * (1 - openness[channel])
        for outcome in lived(rules, customers, 1, {0: EMAIL + channel}):
            opened = outcome["opened"] > 0
            compare("purchases", outcome["purchases"] - opened * 4.0 * math.expm1(0.1), 4.0)
            if inattention > 0:
                compare("opened", opened, share)
                compare("not opened", outcome["purchases"][~opened], 4.0)
            else:
                assert opened.all()


def test_baskets_under_an_opened_discount_are_larger_by_what_was_measured() -> None:
    """Complete Journey, campaigns of type A: +.046 (.011) on log baskets."""
    rules = quiet_world(
        {"basket_uplift": KindEffects(discount=0.046)},
        offers=ALL_KINDS,
        programme=plain_programme(),
    )
    for kind, uplifted in enumerate((round(5000 * math.exp(0.046)), 5000, 5000, 5000)):
        customers = twins(1000, basket=5000.0)
        for week, outcome in enumerate(lived(rules, customers, 2, {0: EMAIL + 3 * kind})):
            size = uplifted if week == 0 else 5000
            np.testing.assert_array_equal(outcome["gross"], outcome["purchases"] * size)


def with_tastes(n: int, categories: int) -> tuple[Customers, NDArray[np.float64]]:
    customers = twins(n, basket=2000.0)
    shares = np.random.default_rng(0).dirichlet((2.0,) * categories, n).astype(np.float32)
    customers.traits["category"][:, :categories] = shares
    return customers, shares.astype(float)


def test_a_discount_on_a_category_costs_its_share_of_the_basket_only() -> None:
    customers, shares = with_tastes(2000, 3)
    rules = quiet_world(
        {"redemption_logit": KindEffects(ALWAYS)}, offers=(replace(TENTH, category="home"),),
        categories=("food", "home", "toys"),
    )  # fmt: skip
    for outcome in lived(rules, customers, 1, {0: EMAIL}):
        part = np.floor((2000 * np.floor(shares[:, 1] * 10_000 + 0.5) + 5000) / 10_000)
        discount = np.floor((part * 1000 + 5000) / 10_000)
        np.testing.assert_array_equal(outcome["discount"], outcome["purchases"] * discount)
        np.testing.assert_array_equal(outcome["gross"], outcome["purchases"] * 2000)
    assert discount.mean() == pytest.approx(200 / 3, rel=0.05)


def test_an_offer_for_a_category_works_by_what_the_customer_buys_of_it() -> None:
    customers, shares = with_tastes(N, 2)
    rules = quiet_world(
        {"offer_log_rate": KindEffects(0.10), "category_match": 1.0},
        offers=(replace(TENTH, category="food"),), categories=("food", "home"),
    )  # fmt: skip
    fit = 2 * shares[:, 0]
    assert fit.mean() == pytest.approx(1.0, abs=0.01)
    start = customers.take(slice(None))
    (purchases,) = bought(rules, customers, 1, {0: EMAIL})
    compare("purchases", purchases - 4 * np.exp(0.10 * fit))
    compare("slope in the fit", (purchases - 4 * np.exp(0.10 * fit)) * (fit - 1))
    (alike,) = bought(rules._replace(off=("category",)), start, 1, {0: EMAIL})
    compare("without the mechanism", alike, 4 * math.exp(0.10))
    compare("its slope in the fit", (alike - 4 * math.exp(0.10)) * (fit - 1))


def test_offers_are_redeemed_by_a_logit_in_inclination_and_purchase_rate() -> None:
    """Complete Journey: sd 2.08 between households, slope .68 (.10) on the log rate."""
    effects = {
        "redemption_logit": KindEffects(0.9), "redemption_sd": 2.08, "redemption_rate_slope": 0.68,
    }  # fmt: skip
    rules = quiet_world(effects, {"log_rate_centre": math.log(8.0)}, offers=(COUPON,))
    inclination = np.random.default_rng(1).normal(size=N)
    for rate in (8.0, 16.0):
        customers = twins(N, rate=rate)
        customers.traits["redemption"] = inclination
        intends = special.expit(0.9 + 2.08 * inclination + 0.68 * math.log(rate / 8.0))
        for outcome in lived(rules, customers, 1, {0: EMAIL}):
            redeemed = outcome["redeemed"] > 0
            compare("redeemed", redeemed - intends * -math.expm1(-rate))
            compare("slope", (redeemed - intends * -math.expm1(-rate)) * inclination)


def test_a_sixth_of_the_discounts_sent_to_a_grocers_customers_are_redeemed() -> None:
    """Complete Journey, campaigns of type A: 16.6 % per household and campaign."""
    customers = draw_population(GROCERY, 20_000, KEY)
    response = ResponseParameters(
        redemption_logit=KindEffects(0.9), redemption_sd=2.08, redemption_rate_slope=0.68
    )
    book = OfferBook("book", (replace(COUPON, weeks=2),), channels=("email",))
    rules = World(response, dynamics_from(GROCERY), filter_from(GROCERY), book=book)
    redeemed = sum(o["redeemed"].sum() for o in lived(rules, customers, 2, {0: EMAIL}))
    assert 0.12 < redeemed / customers.n < 0.20


def test_a_reward_within_reach_is_taken_in_a_share_of_the_weeks_with_a_purchase() -> None:
    customers = twins(N, rate=1.0)
    customers.profile["points"] = customers.account["lots"][:, 0] = 100
    rules = quiet_world(
        {"points_use_probability": 0.3}, programme=plain_programme(100, points_per_unit=0.0)
    )
    for outcome in lived(rules, customers, 1):
        compare("rewards", outcome["rewards"], 0.3 * -math.expm1(-1.0))
        assert outcome["rewards"][outcome["purchases"] == 0].max() == 0
        np.testing.assert_array_equal(outcome["points_redeemed"], 100 * outcome["rewards"])


def test_a_promotion_is_followed_by_a_dip_that_gives_part_of_its_gain_back() -> None:
    effects = {
        "offer_log_rate": KindEffects(0.10), "redemption_logit": KindEffects(ALWAYS),
        "pull_forward": 0.05, "pull_forward_weeks": 2.0,
    }  # fmt: skip
    rules = quiet_world(effects, offers=(COUPON,))
    promoted, quiet = bought(rules, twins(N), 7, {0: EMAIL}), bought(rules, twins(N), 7)
    compare("gain", promoted[0] - quiet[0], 4 * math.expm1(0.10))
    used = promoted[0] > 0
    for week in range(1, 7):
        dip = math.expm1(-0.05 * math.exp(-week / 2))
        compare(f"dip in week {week}", promoted[week, used] - quiet[week, used], 4 * dip)
        np.testing.assert_array_equal(promoted[week, ~used], quiet[week, ~used])
    gain = (promoted[0] - quiet[0]).sum()
    assert 0.1 * gain < (quiet[1:] - promoted[1:]).sum() < gain


def test_waiting_for_deals_lowers_full_price_buying_and_is_forgotten_when_they_stop() -> None:
    """The belief is Beta; its mean is computed here by hand, with a prior worth 8 weeks at .1."""
    rules = quiet_world({"deal_waiting": 0.5}, offers=(TENTH,))
    last_deal, weeks = 24, 64
    lost = {}
    for every in (8, 2):
        deals = (np.arange(weeks) % every == 0) & (np.arange(weeks) < last_deal)
        customers = twins(10_000)
        customers.traits["price_sensitivity"], customers.traits["deal_learning"] = 1.2, 0.8
        purchases = bought(rules, customers, weeks, dict.fromkeys(np.flatnonzero(deals), EMAIL))
        seen, unseen = 0.8 * memory(deals, 26), 0.8 * memory(~deals, 26)
        belief = (0.8 + seen) / (8 + seen + unseen)
        waiting = np.where(deals, 0.0, 0.5 * 1.2 * np.maximum(belief - 0.1, 0))
        error = purchases - 4 * np.exp(-waiting)[:, None]
        during = np.arange(weeks) < last_deal
        compare(f"every {every} weeks, full price", error[during & ~deals].sum(axis=0))
        compare(f"every {every} weeks, discounted", error[deals].sum(axis=0))
        compare(f"every {every} weeks, afterwards", error[~during].sum(axis=0))
        full = during & ~deals & (np.arange(weeks) >= 8)
        lost[every] = 1 - purchases[full].mean() / 4, 1 - purchases[-8:].mean() / 4
    assert lost[2][0] > 2 * lost[8][0] > 0.01  # the more deals, the less is bought at full price
    assert lost[2][1] < lost[2][0] / 4  # and half a year without them mends it


# ---- what contacts do --------------------------------------------------------------------------


def test_contacts_that_got_attention_tire_and_rest_mends() -> None:
    """Complete Journey: no fatigue found; the stress range is -.05 to -.10 per contact."""
    effects = {"fatigue_log_rate": -0.05, "fatigue_log_hazard": 0.10, "fatigue_weeks": 4.0}
    rules = quiet_world(effects, offers=ALL_KINDS, programme=plain_programme())
    plan = dict.fromkeys(range(4), EMAIL + 9)
    tired = memory(at(12, 0, 1, 2, 3), 4.0)
    for week, purchases in enumerate(bought(rules, twins(N), 12, plan)):
        compare(f"week {week}", purchases, 4 * math.exp(-0.05 * tired[week]))
    there = alive(rules, twins(N, hazard=0.1), 12, plan)
    compare_hazards("hazard", there, 0.1 * np.exp(0.10 * tired))
    long = quiet_world(effects, offers=(replace(TENTH, weeks=3),))
    tired_once = memory(at(5, 0), 4.0)  # an offer that stays open is one message
    for week, purchases in enumerate(bought(long, twins(N), 5, {0: EMAIL})):
        compare(f"long offer, week {week}", purchases, 4 * math.exp(-0.05 * tired_once[week]))
    deaf = twins(N)
    deaf.traits["openness"] = 0
    compare("unread messages", bought(rules, deaf, 5, plan)[4], 4.0)


def test_contacting_everybody_raises_churn_over_three_months_from_six_to_ten_per_cent() -> None:
    """Ascarza et al. (2016): 6 % became 10 %; as a hazard × 1.7 while the contact is remembered."""
    weekly = -math.log(1 - 0.06) / 13
    rules = quiet_world({"contact_log_hazard": math.log(1.7), "contact_weeks": 13}, offers=(TENTH,))
    quiet = alive(rules, twins(100_000, hazard=weekly, rate=0.1), 13)
    contacted = alive(rules, twins(100_000, hazard=weekly, rate=0.1), 13, {0: EMAIL})
    compare("churn without contact", ~quiet[-1], 0.06)
    raised = weekly * np.where(np.arange(13) == 0, 1.0, 1.7)
    compare("churn with a contact", ~contacted[-1], -math.expm1(-raised.sum()))
    compare_hazards("week by week", contacted, raised)
    assert 0.09 < (~contacted[-1]).mean() < 0.11


def test_a_contact_may_cost_the_channel_and_a_second_one_in_a_row_rather_does() -> None:
    customers = twins(100_000)
    rules = quiet_world({"opt_out_per_contact": 0.01, "fatigue_weeks": 4.0}, offers=(TENTH,))
    left = [o["opted_out"] > 0 for o in lived(rules, customers, 3, {0: SMS, 1: SMS})]
    compare("first contact", left[0], 0.01)
    compare("second contact", left[1], 0.01 * (1 + math.exp(-1 / 4)))
    assert not left[2].any()
    gone = left[0] | left[1]
    np.testing.assert_array_equal(customers.account["consent"][:, 1], ~gone)
    np.testing.assert_array_equal(customers.profile["opted_out"], np.where(gone, 2, 0))
    assert customers.account["consent"][:, [0, 2]].all()


def test_rewards_keep_customers_a_little_and_further_ones_not_the_more() -> None:
    """Verhoef (2003): rather small; -.1 on the log hazard, fading over 13 weeks, is assumed."""
    effects = {
        "reward_log_hazard": -0.1, "reward_weeks": 13.0, "redemption_logit": KindEffects(ALWAYS),
    }  # fmt: skip
    # At nine purchases a week practically everybody redeems: once, or about nine times.
    once = alive(quiet_world(effects, offers=(COUPON,)), twins(N, 9.0, 0.1), 26, {0: EMAIL})
    compare_hazards("one reward", once, 0.1 * np.exp(-0.1 * memory(at(26, 0), 13.0)))
    often = alive(quiet_world(effects, offers=(TENTH,)), twins(N, 9.0, 0.1), 13, {0: EMAIL})
    compare_hazards("many rewards", often, 0.1 * np.exp(-0.1 * (np.arange(13) > 0)))


# ---- what the programme does -------------------------------------------------------------------

TIERS = (Tier("base", 0.0), Tier("silver", 1e6), Tier("gold", 2e6))


def test_members_buy_four_per_cent_more_and_naive_comparisons_show_several_times_that() -> None:
    """Leenheer et al. (2007): naive estimates exceed the true effect 7 times, by self-selection."""
    true = 0.04
    rules = World(
        ResponseParameters(member_log_rate=true, points_use_probability=0.0),
        dynamics_from(GROCERY), filter_from(GROCERY), programme=plain_programme(),
    )  # fmt: skip
    drawn = draw_population(GROCERY, 20_000, KEY, MembershipParameters(enrolment_slope=0.5))
    drawn.traits["hazard"] = 0.0
    member = drawn.account["enrolled"] > 0
    members, others = drawn.take(slice(None)), drawn.take(slice(None))
    members.account["enrolled"], others.account["enrolled"] = 1, 0
    total = [bought(rules, who, 26).sum(axis=0) for who in (members, others, drawn)]
    compare("paired", total[0] - total[1] * math.exp(true))
    naive = math.log(total[2][member].mean() / total[2][~member].mean())
    print(f"naive {naive:.3f} is {naive / true:.1f} times the true effect")
    assert 4 * true < naive < 20 * true


def test_customers_enrol_when_they_buy_and_heavy_buyers_sooner() -> None:
    effects = {"enrol_probability": 0.02, "enrol_rate_slope": 0.5}
    rules = quiet_world(
        effects, {"log_rate_centre": 0.0}, programme=plain_programme(welcome_points=30)
    )
    for rate in (0.5, 4.0):
        customers = twins(100_000, rate=rate)
        customers.account["enrolled"] = 0
        for _ in lived(rules, customers, 1):
            enrols = customers.outcome["enrolled"] > 0
            compare(f"rate {rate}", enrols, -math.expm1(-rate) * 0.02 * math.sqrt(rate))
            assert enrols[customers.outcome["purchases"] == 0].max() == 0
            np.testing.assert_array_equal(customers.account["enrolled"], enrols)
            np.testing.assert_array_equal(customers.outcome["points_earned"], 30 * enrols)


def test_heavy_buyers_gain_nothing_and_light_ones_most() -> None:
    """Liu (2007): heavy buyers did not grow, light and moderate ones did."""
    effects = {"member_log_rate": 0.2, "saturation": 0.5}
    rules = quiet_world(effects, {"log_rate_centre": math.log(1.5)}, programme=plain_programme())
    for own, kept in ((-3.0, 2.0), (-1.0, 1.5), (0.0, 1.0), (1.0, 0.5), (2.0, 0.0), (2.5, 0.0)):
        rate = 1.5 * math.exp(own)
        (purchases,) = bought(rules, twins(100_000, rate=rate))
        compare(f"own log rate {own:+}", purchases, rate * math.exp(0.2 * kept))


def test_a_tier_held_raises_buying_and_lowers_churn_a_step_at_a_time() -> None:
    effects = {"tier_log_rate": 0.04, "tier_log_hazard": -0.1}
    rules = quiet_world(effects, programme=plain_programme(tiers=TIERS))
    for tier in range(3):
        buyers, leavers = twins(N), twins(N, hazard=0.3)
        buyers.account["tier"] = leavers.account["tier"] = tier
        compare("purchases", bought(rules, buyers), 4 * math.exp(0.04 * tier))
        compare_hazards("hazard", alive(rules, leavers, 1), [0.3 * math.exp(-0.1 * tier)])


def test_reaching_a_tier_raises_buying_for_a_while() -> None:
    """Wang et al. (2016): success raises later buying; a tenth, fading over 13 weeks: assumed."""
    effects = {"tier_change_log_rate": 0.1, "tier_change_weeks": 13.0, "downgrade_log_hazard": 0.5}
    tiers = (Tier("base", 0.0), Tier("silver", 10.0), Tier("gold", 1e6))
    rules = quiet_world(effects, programme=plain_programme(tiers=tiers))
    customers = twins(N, rate=3.0, hazard=0.02)
    risen, purchases = None, []
    for outcome in lived(rules, customers, 11):
        risen = outcome["tier_change"] > 0 if risen is None else risen
        purchases.append(outcome["purchases"].astype(float))
        if len(purchases) == 1:
            first = customers.state["alive"] > 0
    np.testing.assert_array_equal(risen, purchases[0] > 0)
    living = risen & (customers.state["alive"] > 0)
    for week in (1, 4, 10):
        compare(f"week {week}", purchases[week][living], 3 * math.exp(0.1 * math.exp(-week / 13)))
    compare("hazard", ~living[risen & first], -math.expm1(-0.2))


def test_losing_a_tier_lowers_buying_and_raises_churn_for_a_while() -> None:
    """Wang et al. (2016): failure lowers later buying."""
    effects = {"tier_change_log_rate": 0.1, "tier_change_weeks": 13.0, "downgrade_log_hazard": 0.3}
    rules = quiet_world(effects, programme=plain_programme(tiers=TIERS))
    fallen, leaving = twins(N), twins(100_000, hazard=0.1)
    for customers in (fallen, leaving):
        customers.account["tier"] = 1
        customers.state["week"] = 12  # the last of a quarter, in which tiers are reviewed
    memory_of_it = memory(at(14, 0), 13.0)
    for week, purchases in enumerate(bought(rules, fallen, 14)):
        if week in (0, 1, 5, 13):
            compare(f"week {week}", purchases, 4 * math.exp(-0.1 * memory_of_it[week]))
    assert (fallen.account["tier"] == 0).all()
    compare_hazards("hazard", alive(rules, leaving, 14), 0.1 * np.exp(0.3 * memory_of_it))


@pytest.mark.parametrize("shape", [1, 3])
def test_purchases_come_faster_towards_the_reward_and_start_again_after_it(shape: int) -> None:
    """Kivetz, Urminsky & Zheng (2006): a stamp card of ten; intervals shorten by about 20 %."""
    rules = quiet_world(
        {"goal_gradient": 0.22, "goal_gradient_shape": shape, "points_use_probability": 1.0},
        programme=plain_programme(10),
    )
    customers = twins(N, rate=1.0, basket=100.0)  # one point each
    stamps, count, rewarded = [], [], []
    for _ in range(30):
        stamps.append(customers.profile["points"].copy())
        for outcome in lived(rules, customers, 1):
            count.append(outcome["purchases"].copy())
            rewarded.append(outcome["rewards"] > 0)
    had, did, got = np.array(stamps), np.array(count), np.array(rewarded)
    # A full card can be handed in; what is on top of it is the next one's.
    card = had % 10
    error = did - np.exp(0.22 * (card / 10) ** shape)
    for low, high in ((0, 0), (1, 3), (4, 6), (7, 8), (9, 9)):
        compare(f"{low} to {high} stamps", error[(low <= card) & (card <= high)])
    compare("card full", error[had >= 10])
    first, last = did[card == 0].mean(), did[card == 9].mean()
    print(f"the last interval is {1 - first / last:.1%} shorter than the first")
    assert 1 - first / last == pytest.approx(1 - math.exp(-0.22 * 0.9**shape), abs=0.01)
    assert (had[:-1][got[:-1]] >= 10).all()
    compare("week after the reward", error[1:][got[:-1]])
    assert did[1:][got[:-1]].mean() < 0.95 * last


def test_momentum_is_there_before_a_reward_is_taken_and_fades_after_it() -> None:
    """Dorotic et al. (2014): both directions; .05 and two weeks are assumed."""
    customers = twins(100_000)
    customers.profile["points"] = customers.account["lots"][:, 0] = 100
    effects = {"momentum_log_rate": 0.05, "momentum_weeks": 2.0, "points_use_probability": 0.4}
    rules = quiet_world(effects, programme=plain_programme(100, points_per_unit=0.0))
    taken, purchases = [], []
    for outcome in lived(rules, customers, 5):
        taken.append(outcome["rewards"] > 0)
        purchases.append(outcome["purchases"].astype(float))
    compare("before", purchases[0], 4 * math.exp(0.05))
    first = taken[0]
    for week in (1, 2, 4):
        after = 4 * math.exp(0.05 * math.exp(-week / 2))
        compare(f"{week} weeks after", purchases[week][first], after)
    compare("still before", purchases[1][~first], 4 * math.exp(0.05))


# ---- satisfaction and surveys ------------------------------------------------------------------


def test_satisfied_customers_stay_and_annoyed_ones_leave() -> None:
    base = {"satisfaction_log_hazard": -0.3, "satisfaction_weeks": 13.0, "fatigue_weeks": 4.0}
    rewarded = quiet_world(
        {**base, "satisfaction_reward": 1.0, "redemption_logit": KindEffects(ALWAYS)},
        offers=(COUPON,),
    )
    there = alive(rewarded, twins(N, 9.0, 0.1), 13, {0: EMAIL})
    compare_hazards("after a reward", there, 0.1 * np.exp(-0.3 * memory(at(13, 0), 13.0)))
    tiring = quiet_world({**base, "satisfaction_contact": -0.2}, offers=(TENTH,))
    there = alive(tiring, twins(N, 1.0, 0.1), 13, dict.fromkeys(range(5), EMAIL))
    contacts = at(13, *range(5))
    annoyance = contacts * (memory(contacts, 4.0) + contacts)
    compare_hazards("contacts", there, 0.1 * np.exp(0.06 * memory(annoyance, 13.0)))
    thanked = quiet_world({**base, "satisfaction_recognition": 1.0}, offers=ALL_KINDS[3:])
    there = alive(thanked, twins(N, 1.0, 0.1), 13, {0: EMAIL})
    compare_hazards("recognition", there, 0.1 * np.exp(-0.3 * memory(at(13, 0), 13.0)))
    downgraded = twins(N, 1.0, 0.1)
    downgraded.account["tier"], downgraded.state["week"] = 1, 12
    strict = quiet_world(
        {**base, "satisfaction_downgrade": -1.0}, programme=plain_programme(tiers=TIERS)
    )
    there = alive(strict, downgraded, 13)
    compare_hazards("downgrade", there, 0.1 * np.exp(0.3 * memory(at(13, 0), 13.0)))


def answer_moments(mean: float, noise: float, low: int, high: int) -> tuple[float, float]:
    """Mean and mean square of a normal answer, clipped and rounded half up."""
    edges = np.arange(low, high) + 0.5
    below = np.concatenate(([0.0], stats.norm.cdf(edges, mean, noise), [1.0]))
    values = np.arange(low, high + 1)
    return float(values @ np.diff(below)), float(values**2 @ np.diff(below))


@pytest.mark.parametrize("satisfaction", [-1.5, 0.0, 1.0])
def test_a_survey_is_answered_by_some_with_the_stated_mean_and_noise(satisfaction: float) -> None:
    """7.5 + 1.5 s with noise 2.0, and 3.9 + .6 s with noise .8, for a fifth of those asked."""
    customers = twins(200_000, rate=0.1)
    customers.state["satisfaction"] = satisfaction * math.exp(1 / 13)  # it fades before
    rules = quiet_world(dynamics={"survey": SurveyParameters(every_weeks=4)})
    for outcome in lived(rules, customers, 1):
        asked = np.arange(customers.n) % 4 == 0
        assert outcome["nps"][~asked].max() == outcome["csat"][~asked].max() == 0
        answered = outcome["nps"] > 0
        np.testing.assert_array_equal(answered, outcome["csat"] > 0)
        compare("answers", answered[asked], 0.2)
        for name, mean, noise, low, high in (
            ("nps", 7.5 + 1.5 * satisfaction, 2.0, 0, 10),
            ("csat", 3.9 + 0.6 * satisfaction, 0.8, 1, 5),
        ):
            found = outcome[name][answered].astype(float) - (name == "nps")
            first, second = answer_moments(mean, noise, low, high)
            compare(name, found, first)
            compare(f"{name} squared", found**2, second)


def test_the_firm_learns_of_satisfaction_from_answers_alone() -> None:
    rules = quiet_world(
        dynamics={"survey": SurveyParameters(every_weeks=4)}, programme=plain_programme()
    )
    usual, upset = twins(4000), twins(4000)
    upset.state["satisfaction"] = -3.0
    for _ in zip(lived(rules, usual, 8), lived(rules, upset, 8), strict=True):
        for part in ("account", "profile", "outcome"):
            one, other = getattr(usual, part), getattr(upset, part)
            differing = {name for name in one.dtype.names if (one[name] != other[name]).any()}
            assert differing <= {"nps", "csat"}
    np.testing.assert_array_equal(usual.profile["nps"] > 0, upset.profile["nps"] > 0)
    assert (usual.profile["nps"] != upset.profile["nps"]).mean() > 0.2


# ---- what comes from outside -------------------------------------------------------------------


def test_the_season_moves_purchases_and_baskets_by_the_measured_amounts() -> None:
    """Complete Journey: waves .024 and .044, Christmas +12 % trips and +28 % baskets."""
    season = SeasonParameters(0.024, 0.044, 26.0, 0.12, 0.28, 2)
    table = calendar(season)
    error = np.zeros((52, 20_000))
    rules = quiet_world(season=season)
    for week, outcome in enumerate(lived(rules, twins(20_000), 52)):
        error[week] = outcome["purchases"] - 4 * math.exp(table["log_rate"][week])
        basket = math.floor(1000 * table["spend"][week] + 0.5)
        np.testing.assert_array_equal(outcome["gross"], outcome["purchases"] * basket)
    compare("year", error.mean(axis=0))
    compare("wave", (error * np.cos(2 * np.pi * (np.arange(52) - 26) / 52)[:, None]).mean(axis=0))
    compare("Christmas", error[50:].mean(axis=0))
    assert np.exp(table["log_rate"]).mean() == pytest.approx(1.0)
    assert table["spend"].mean() == pytest.approx(1.0)
    plain = calendar(replace(season, christmas_rate=0.0, christmas_spend=0.0))
    ratio = {
        "log_rate": np.exp(table["log_rate"] - plain["log_rate"]),
        "spend": table["spend"] / plain["spend"],
    }
    for name, effect in (("log_rate", 1.12), ("spend", 1.28)):
        np.testing.assert_allclose(ratio[name][50:] / ratio[name][0], effect, rtol=1e-12)
    np.testing.assert_allclose(np.log(plain["spend"][26] / plain["spend"][0]), 0.088, rtol=1e-9)


def test_drift_has_the_measured_spread_and_memory() -> None:
    """Complete Journey: sd .94, time constant 154 weeks; correlations .97 and .75 at 4 and 44."""
    sd, weeks = 0.94, 154.0
    customers = twins(100_000, rate=0.5)
    customers.state["drift"] = sd * np.random.default_rng(2).normal(size=customers.n)
    rules = quiet_world(dynamics={"drift_sd": sd, "drift_weeks": weeks})
    path, purchases = [customers.state["drift"].astype(float)], []
    for outcome in lived(rules, customers, 45):
        path.append(customers.state["drift"].astype(float))
        purchases.append(outcome["purchases"].astype(float))
    for lag in (0, 4, 44):
        kept = math.exp(-lag / weeks)
        compare(f"drift, lag {lag}", path[0] * path[lag], sd**2 * kept)
        compare(f"spread, lag {lag}", path[lag] ** 2, sd**2)
        rate = 0.5 * math.exp(sd**2 / 2)
        if lag > 0:
            together = rate**2 * math.exp(sd**2 * kept)
            compare(f"purchases, lag {lag}", purchases[0] * purchases[lag], together)
    assert math.exp(-4 / weeks) == pytest.approx(0.97, abs=0.01)
    assert math.exp(-44 / weeks) == pytest.approx(0.75, abs=0.01)
    still = twins(100)
    still.state["drift"] = 1.0
    bought(rules._replace(off=("drift",)), still, 10)
    assert (still.state["drift"] == 1.0).all()


def test_rivals_planned_campaigns_take_purchases_and_customers_while_they_run() -> None:
    rivals = CompetitorParameters(every_weeks=5, first_week=2, weeks=2, intensity=1.5)
    rules = quiet_world(
        {"competitor_log_rate": -0.1, "competitor_log_hazard": 0.3}, competitor=rivals
    )
    runs = np.isin(np.arange(10), (2, 3, 7, 8))
    for sensitivity in (1.0, 2.0):
        buyers, leavers = twins(N), twins(N, hazard=0.1)
        buyers.traits["price_sensitivity"] = leavers.traits["price_sensitivity"] = sensitivity
        purchases = bought(rules, buyers, 10)
        compare("campaign", purchases[runs].mean(axis=0), 4 * math.exp(-0.15 * sensitivity))
        compare("in between", purchases[~runs].mean(axis=0), 4.0)
        there = alive(rules, leavers, 10)
        compare_hazards("hazard", there, 0.1 * np.exp(0.45 * sensitivity * runs))
