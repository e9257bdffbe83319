"""Points: earned, pending, in lots, redeemed, ordered, expired; challenges and streaks."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.points import goal_progress, grant, reward_progress, reward_ready
from sim.programme import Challenge, Reward, Streak, Tier

QUARTER = 13
MUG = Reward("mug", 70, 2.0)


@pytest.mark.parametrize("pending_weeks", range(4))
@pytest.mark.parametrize("week", [0, 11, 12, 30])
def test_points_are_spendable_at_the_close_of_the_week_they_stop_pending(
    enrolled, pending_weeks: int, week: int
) -> None:
    member = enrolled(pending_weeks=pending_weeks)
    member.spend(week, 5000)
    for now in range(week, week + pending_weeks):
        member.close(now)
        assert (member.profile["points"], member.account["pending"].sum()) == (0, 50)
    member.close(week + pending_weeks)
    assert (member.profile["points"], member.account["pending"].sum()) == (50, 0)


@given(
    st.integers(0, 10**7),
    st.sampled_from([0.0, 0.001, 0.5, 1.0, 3.333, 13.0]),
    st.sampled_from([0.0, 1.0, 1.25, 1.3333, 7.5]),
)
def test_earned_points_are_rounded_down(
    enrolled, cents: int, per_unit: float, multiplier: float
) -> None:
    member = enrolled(points_per_unit=per_unit, tiers=(Tier("base", 0, multiplier),))
    member.spend(0, cents)
    exact = Fraction(cents, 100) * Fraction(str(per_unit)) * Fraction(str(multiplier))
    assert member.account["pending"].sum() == math.floor(exact)


@pytest.mark.parametrize(
    ("earn_on", "base"), [("shelf", 10_000), ("paid_before_redemption", 9_000), ("paid", 8_500)]
)
def test_points_and_tier_count_the_base_that_was_chosen(enrolled, earn_on, base) -> None:
    """Disputed: may points be earned on what a discount or a voucher paid?"""
    voucher = Reward("five off", 100, 5.0, voucher=True)
    member = enrolled(earn_on=earn_on, rewards=(voucher,))
    member.profile["points"] = member.account["lots"][0] = 100
    assert member.spend(0, 10_000, discount=1_000, redeem=True) == 500
    assert member.account["pending"].sum() == base // 100
    assert member.profile["qualifying"] == base


# ------------------------------------------------------------------------------------------ lots


@pytest.mark.parametrize("expiry_quarters", range(1, 6))
@pytest.mark.parametrize("week", [0, 5, 12, 13, 40])
def test_a_lot_expires_at_the_end_of_the_quarter_stated(
    enrolled, expiry_quarters: int, week: int
) -> None:
    member = enrolled(pending_weeks=0, expiry_quarters=expiry_quarters)
    member.spend(week, 5000)
    last = (week // QUARTER + expiry_quarters + 1) * QUARTER - 1
    member.live(range(week, last))
    assert member.profile["points"] == 50
    member.close(last)
    assert (member.profile["points"], member.account["lots"].sum()) == (0, 0)
    assert member.outcome["points_expired"] == 50
    assert member.outcome["liability_change"] == 0


def test_points_that_mature_in_the_next_quarter_expire_a_quarter_later(enrolled) -> None:
    member = enrolled(pending_weeks=1, expiry_quarters=1)
    member.spend(12, 5000)
    member.live(range(12, 3 * QUARTER - 1))
    assert member.profile["points"] == 50
    member.close(3 * QUARTER - 1)
    assert member.profile["points"] == 0


def test_points_that_never_expire_lie_in_one_lot(enrolled) -> None:
    member = enrolled(pending_weeks=0, expiry_quarters=0, rewards=(MUG,))
    for quarter in range(14):
        member.spend(quarter * QUARTER, 1000)
        member.live(range(quarter * QUARTER, (quarter + 1) * QUARTER))
    assert list(member.account["lots"]) == [140, 0, 0, 0, 0, 0]
    member.redeem(14 * QUARTER)
    assert list(member.account["lots"]) == [70, 0, 0, 0, 0, 0]
    assert member.outcome["points_expired"] == 0


def three_lots(enrolled, **rules):
    """50, 40 and 30 points from the quarters 0, 1 and 2; the next week is that of quarter 3."""
    member = enrolled(pending_weeks=0, **{"expiry_quarters": 5, **rules})
    for quarter, points in enumerate([50, 40, 30]):
        member.spend(quarter * QUARTER, points * 100)
        member.live(range(quarter * QUARTER, (quarter + 1) * QUARTER))
    return member


def test_a_reward_takes_the_oldest_points_first(enrolled) -> None:
    member = three_lots(enrolled, rewards=(MUG,))
    assert member.lots(3 * QUARTER) == [0, 0, 50, 40, 30, 0]
    member.redeem(3 * QUARTER)
    assert member.lots(3 * QUARTER) == [0, 0, 0, 20, 30, 0]
    assert member.profile["points"] == 50
    assert (member.outcome["reward_cost"], member.outcome["rewards"]) == (200, 1)


def test_points_are_a_liability_from_the_moment_they_are_issued(enrolled) -> None:
    member = enrolled(rewards=(Reward("r", 300, 5.0),), breakage=0.3)
    # 500 cents / 300 points × 0.7, in millionths of a cent
    assert member.parameters.liability_per_point == 1_166_667
    member.spend(0, 60_000)
    assert member.outcome["liability_change"] == 600 * 1_166_667
    member.live(range(2))
    assert member.outcome["liability_change"] == 600 * 1_166_667
    member.redeem(2)
    assert member.outcome["liability_change"] == 300 * 1_166_667


# --------------------------------------------------------------------------------------- rewards


def holding(enrolled, points: int, **rules):
    """A member with that balance."""
    member = enrolled(**rules)
    member.profile["points"] = member.account["lots"][0] = member.profile["points"] = points
    return member


CATALOGUE = (Reward("pen", 50, 0.5), Reward("mug", 70, 2.0), Reward("bag", 300, 7.0))


@pytest.mark.parametrize(
    ("points", "cost", "left"), [(49, 0, 49), (69, 50, 19), (299, 200, 229), (300, 700, 0)]
)
def test_customers_take_the_dearest_reward_they_can_afford(enrolled, points, cost, left) -> None:
    member = holding(enrolled, points, rewards=CATALOGUE)
    assert reward_ready(member.account, member.profile, member.rules) == (cost > 0)
    assert member.redeem(0) == 0
    assert (member.outcome["reward_cost"], member.profile["points"]) == (cost, left)


@pytest.mark.parametrize(("due", "money_off"), [(2_000, 500), (500, 500), (320, 320)])
def test_a_voucher_lowers_what_is_due_and_costs_what_it_lowered(enrolled, due, money_off) -> None:
    member = holding(enrolled, 250, rewards=(Reward("off", 100, 5.0, voucher=True),))
    assert member.redeem(0, due) == money_off
    assert member.outcome["voucher"] == member.outcome["reward_cost"] == money_off
    assert (member.profile["points"], member.outcome["points_redeemed"]) == (150, 100)


def test_a_basket_that_costs_nothing_takes_no_voucher_but_the_next_item(enrolled) -> None:
    rewards = (MUG, Reward("off", 100, 5.0, voucher=True))
    member = holding(enrolled, 250, rewards=rewards)
    assert member.redeem(0, 0) == 0
    assert (member.profile["points"], member.outcome["voucher"]) == (180, 0)
    only = holding(enrolled, 250, rewards=rewards[1:])
    assert only.redeem(0, 0) == 0
    assert (only.profile["points"], only.outcome["rewards"]) == (250, 0)


def test_an_item_costs_its_unit_cost_whatever_the_basket(enrolled) -> None:
    member = holding(enrolled, 250, rewards=(MUG,))
    assert member.redeem(0, 1) == 0
    assert (member.outcome["reward_cost"], member.outcome["voucher"]) == (200, 0)


def test_several_items_go_as_far_as_the_points_allow(enrolled) -> None:
    member = holding(enrolled, 250, rewards=(Reward("mug", 70, 2.0, multiple=True),))
    member.redeem(0, 1)
    assert (member.profile["points"], member.outcome["points_redeemed"]) == (40, 210)
    assert (member.outcome["reward_cost"], member.outcome["rewards"]) == (600, 1)


@pytest.mark.parametrize(
    ("points", "due", "money_off", "left"),
    [
        (1_250, 2_000, 1_200, 50),  # by the points
        (1_250, 730, 700, 550),  # by what the basket absorbs whole
        (1_250, 60, 60, 1_150),  # one at least
    ],
)
def test_vouchers_go_as_far_as_points_and_basket_allow(
    enrolled, points, due, money_off, left
) -> None:
    cashback = Reward("cashback", 100, 1.0, voucher=True, multiple=True)
    member = holding(enrolled, points, rewards=(cashback,))
    assert member.redeem(0, due) == money_off
    assert member.outcome["voucher"] == member.outcome["reward_cost"] == money_off
    assert member.profile["points"] == left


def test_a_great_many_items_stay_within_32_bits(enrolled) -> None:
    member = holding(enrolled, 2**31 - 1, rewards=(Reward("car", 10, 1e6, multiple=True),))
    member.redeem(0)
    assert member.outcome["reward_cost"] == 10**9
    assert member.outcome["points_redeemed"] == 100


def test_progress_runs_to_the_cheapest_reward_not_yet_affordable(enrolled) -> None:
    member = enrolled(rewards=CATALOGUE)
    for points, share in [(0, 0), (49, 0.98), (50, 50 / 70), (70, 70 / 300), (299, 299 / 300)]:
        member.profile["points"] = points
        assert goal_progress(member.account, member.profile, member.rules) == share
        assert reward_progress(points, member.rules) == share
    # What can be had is no goal any more: the next is one more of the dearest.
    for points, share in [(300, 0), (330, 0.1), (900, 0)]:
        member.profile["points"] = points
        assert goal_progress(member.account, member.profile, member.rules) == pytest.approx(share)
        assert reward_progress(points, member.rules) == 1.0
    member.account["enrolled"] = 0
    assert goal_progress(member.account, member.profile, member.rules) == 0.0


def test_without_rewards_there_is_no_goal_and_nothing_to_redeem(enrolled) -> None:
    member = holding(enrolled, 900, rewards=())
    assert goal_progress(member.account, member.profile, member.rules) == 0.0
    assert not reward_ready(member.account, member.profile, member.rules)
    assert member.redeem(0) == 0
    assert member.profile["points"] == 900


# ---------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize("weeks", [1, 2, 3])
def test_a_reward_ordered_is_handed_out_at_the_close_so_many_weeks_later(enrolled, weeks) -> None:
    member = holding(enrolled, 170, rewards=(MUG,), redemption_weeks=weeks)
    member.redeem(4)
    for week in range(4, 4 + weeks):
        member.close(week)
        assert (member.profile["points"], member.account["ordered"]) == (170, 70)
        assert (member.outcome["reward_cost"], member.outcome["points_redeemed"]) == (0, 0)
        assert member.outcome["liability_change"] == 0
    member.close(4 + weeks)
    assert (member.profile["points"], member.account["ordered"]) == (100, 0)
    assert (member.outcome["reward_cost"], member.outcome["rewards"]) == (200, 1)
    assert member.outcome["liability_change"] == -70 * member.parameters.liability_per_point


def test_points_of_an_order_are_not_spent_again(enrolled) -> None:
    member = holding(enrolled, 170, rewards=(MUG,), redemption_weeks=2)
    assert reward_ready(member.account, member.profile, member.rules)
    member.redeem(0)
    assert not reward_ready(member.account, member.profile, member.rules)
    member.redeem(0)
    member.close(0).redeem(1)
    assert member.account["ordered"] == 70
    member.profile["points"] = 90  # 20 of them free
    assert goal_progress(member.account, member.profile, member.rules) == 20 / 70


def test_several_items_may_be_ordered(enrolled) -> None:
    rewards = (Reward("mug", 70, 2.0, multiple=True),)
    member = holding(enrolled, 250, rewards=rewards, redemption_weeks=1)
    member.redeem(0)
    member.live(range(2))
    assert (member.profile["points"], member.outcome["reward_cost"]) == (40, 600)


def test_points_of_an_order_do_not_expire_where_they_are_spared(enrolled) -> None:
    """Disputed: expiry against pending debits, the customer's way."""
    member = enrolled(pending_weeks=0, expiry_quarters=1, rewards=(MUG,), redemption_weeks=3)
    member.spend(0, 12_000)
    member.live(range(2 * QUARTER - 2))
    member.redeem(2 * QUARTER - 2)
    member.live(range(2 * QUARTER - 2, 2 * QUARTER))
    assert (member.profile["points"], member.account["ordered"]) == (70, 70)
    assert member.outcome["points_expired"] == 50
    member.live(range(2 * QUARTER, 2 * QUARTER + 2))
    assert (member.profile["points"], member.account["ordered"]) == (0, 0)
    assert (member.outcome["reward_cost"], member.outcome["points_redeemed"]) == (200, 70)


def test_an_order_whose_points_expired_is_cancelled_when_due(enrolled) -> None:
    """Disputed: expiry against pending debits, the firm's way."""
    member = enrolled(
        pending_weeks=0,
        expiry_quarters=1,
        rewards=(MUG,),
        redemption_weeks=3,
        expiry_spares_ordered=False,
    )
    member.spend(0, 12_000)
    member.live(range(2 * QUARTER - 2))
    member.redeem(2 * QUARTER - 2)
    member.live(range(2 * QUARTER - 2, 2 * QUARTER))
    assert (member.profile["points"], member.account["ordered"]) == (0, 70)
    assert member.outcome["points_expired"] == 120
    # Earmarked more than there is.
    assert goal_progress(member.account, member.profile, member.rules) == 0.0
    member.live(range(2 * QUARTER, 2 * QUARTER + 2))
    assert (member.profile["points"], member.account["ordered"]) == (0, 0)
    assert (member.outcome["reward_cost"], member.outcome["rewards"]) == (0, 0)
    assert member.outcome["liability_change"] == 0


def test_newer_points_may_pay_an_order_whose_own_expired(enrolled) -> None:
    member = three_lots(
        enrolled,
        rewards=(MUG,),
        expiry_quarters=3,
        redemption_weeks=2,
        expiry_spares_ordered=False,
    )
    member.live(range(3 * QUARTER, 4 * QUARTER - 1))
    member.redeem(4 * QUARTER - 1)
    member.close(4 * QUARTER - 1)
    assert (member.profile["points"], member.outcome["points_expired"]) == (70, 50)
    member.live(range(4 * QUARTER, 4 * QUARTER + 2))
    assert (member.profile["points"], member.outcome["reward_cost"]) == (0, 200)


@pytest.mark.parametrize("expiry_quarters", range(1, 6))
def test_what_an_order_spares_joins_the_next_lot_and_gets_no_new_life(
    enrolled, expiry_quarters: int
) -> None:
    """With the longest life its place is that of the coming quarter: it must not turn young."""
    member = enrolled(
        pending_weeks=0, expiry_quarters=expiry_quarters, rewards=(MUG,), redemption_weeks=3
    )
    last = (expiry_quarters + 1) * QUARTER - 1
    member.spend(0, 10_000)
    member.live(range(QUARTER))
    member.spend(QUARTER, 2_000)
    member.live(range(QUARTER, last))
    member.redeem(last)
    member.close(last)
    assert (member.profile["points"], member.outcome["points_expired"]) == (70 + 20, 30)
    member.spend(last + 1, 900)
    member.live(range(last + 1, last + 4))
    by_quarter = [0] * 6
    by_quarter[-1] = 9
    by_quarter[-1 - expiry_quarters] = 20
    assert member.lots(last + 3) == by_quarter


# -------------------------------------------------------------------------- challenge and streak


def bonus(member) -> int:
    """Points earned without any spending."""
    return int(member.outcome["points_earned"])


def test_a_challenge_gives_its_bonus_once_a_window_when_reached(enrolled) -> None:
    member = enrolled(challenge=Challenge(3, 4, 100))
    for week, baskets, earned in [
        (0, 2, 0), (1, 0, 0), (2, 3, 100), (3, 4, 100),  # weeks 0 to 3: reached in week 2
        (4, 2, 100), (5, 0, 100), (6, 0, 100), (7, 0, 100),  # too few
        (8, 1, 100), (9, 1, 100), (10, 0, 100), (11, 1, 200),  # in the last week
        (12, 3, 300),  # all at once
    ]:  # fmt: skip
        for _ in range(baskets):
            member.spend(week, 0)
        assert bonus(member) == earned
        member.close(week)


def test_progress_to_the_challenge_counts_until_it_is_reached(enrolled) -> None:
    member = enrolled(challenge=Challenge(4, 3, 100), rewards=(Reward("r", 200, 1.0),))
    shares = []
    for _ in range(5):
        shares.append(goal_progress(member.account, member.profile, member.rules))
        member.spend(0, 0)
    assert shares == [0.0, 0.25, 0.5, 0.75, 0.0]
    member.live(range(3))
    assert member.account["challenge"] == 0
    member.spend(3, 0)
    # Half a reward is nearer.
    assert goal_progress(member.account, member.profile, member.rules) == 0.5
    member.profile["points"] = 20
    assert goal_progress(member.account, member.profile, member.rules) == 0.25


def test_a_streak_needs_a_purchase_in_each_week_and_then_starts_again(enrolled) -> None:
    member = enrolled(streak=Streak(3, 40))
    earned = []
    for week, baskets in enumerate([1, 2, 0, 1, 1, 1, 1, 3, 1, 0, 1, 1]):
        for _ in range(baskets):
            member.spend(week, 0)
        member.close(week)
        earned.append(bonus(member))
    assert earned == [0, 0, 0, 0, 0, 40, 40, 40, 80, 80, 80, 80]
    assert member.account["streak"] == 2


@pytest.mark.parametrize("pending_weeks", range(4))
def test_a_bonus_pends_like_any_other_points_of_its_week(enrolled, pending_weeks: int) -> None:
    member = enrolled(
        pending_weeks=pending_weeks, challenge=Challenge(2, 10, 100), streak=Streak(2, 40)
    )
    for week in (0, 1):
        member.spend(week, 0)
        member.close(week)
    member.live(range(2, 1 + pending_weeks))
    assert member.profile["points"] == (140 if pending_weeks == 0 else 0)
    member.live(range(max(2, 1 + pending_weeks), 2 + pending_weeks))
    assert member.profile["points"] == 140
    assert member.outcome["liability_change"] == 140 * member.parameters.liability_per_point


def test_bonus_points_do_not_qualify_for_a_tier(enrolled) -> None:
    member = enrolled(
        tier_basis="points_earned", challenge=Challenge(1, 4, 500), streak=Streak(2, 500)
    )
    grant(member.account, member.profile, member.outcome, member.rules, 0, 77)
    for week in (0, 1):
        member.spend(week, 1_000)
        member.close(week)
    assert bonus(member) == 77 + 20 + 500 + 500
    assert member.profile["qualifying"] == 20
