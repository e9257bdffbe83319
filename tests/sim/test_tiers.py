"""Tiers: what qualifies, over which window, when they rise and how they fall."""

import math

import numpy as np
import pytest

from agents.profile import QUALIFY, TIER
from sim.programme import ProgrammeParameters, Reward, Tier, programme_record
from sim.tiers import qualify, tier_for

QUARTER = 13
YEAR = 52
THREE = (Tier("base", 0), Tier("silver", 100, 1.25), Tier("gold", 300, 1.5))


def tiers_over(member, weeks: range) -> list[int]:
    """Tier at the close of each week in which nothing happens."""
    return [int(member.close(week).account["tier"]) for week in weeks]


def test_the_highest_tier_reached_counts_from_its_threshold_on() -> None:
    rules = programme_record(ProgrammeParameters(active=True, tiers=THREE))[0]
    spends = [0, 9_999, 10_000, 29_999, 30_000, 10**9]
    assert [tier_for(spend, rules) for spend in spends] == [0, 0, 1, 1, 2, 2]


def test_a_tier_rises_at_once_and_falls_only_when_its_quarter_ends(enrolled) -> None:
    member = enrolled(tiers=THREE)
    member.spend(3, 9_999)
    assert member.close(3).account["tier"] == 0
    member.spend(4, 1)
    assert member.close(4).account["tier"] == 1  # at the threshold, in mid-quarter
    member.spend(5, 20_000)
    assert member.close(5).account["tier"] == 2
    # Spent in quarter 0: it counts in that quarter and the four after it.
    member.live(range(6, 4 * QUARTER + 12))
    assert member.account["tier"] == member.profile["tier"] == 2
    assert member.profile["qualifying"] == 30_000


def test_a_fall_waits_for_the_end_of_the_quarter(enrolled) -> None:
    member = enrolled(tiers=THREE)
    member.account["tier"] = 2  # a status given, not earned
    assert tiers_over(member, range(13)) == 12 * [2] + [0]


def test_the_week_of_a_change_says_so(enrolled) -> None:
    member = enrolled(tiers=THREE, window_quarters=2)
    member.spend(0, 30_000)
    changes = [int(member.close(week).outcome["tier_change"]) for week in range(3 * QUARTER)]
    assert changes == [1] + 24 * [0] + [-1] + 13 * [0]


def test_purchases_of_a_week_earn_by_the_tier_it_began_with(enrolled) -> None:
    member = enrolled(tiers=THREE)
    member.spend(0, 30_000)
    member.spend(0, 10_000)
    assert member.outcome["points_earned"] == 400
    member.close(0).spend(1, 10_000)
    assert member.outcome["points_earned"] == 550


# ----------------------------------------------------------------------------------------- basis


def test_by_spend_redeeming_costs_no_status(enrolled) -> None:
    member = enrolled(tiers=THREE, pending_weeks=0, rewards=(Reward("r", 100, 1.0),))
    member.spend(0, 10_000)
    member.close(0).redeem(1)
    member.live(range(1, 2 * QUARTER))
    assert (member.profile["points"], member.account["tier"]) == (0, 1)


def test_by_points_earned_multipliers_count_and_redeeming_does_not(enrolled) -> None:
    """Disputed: points earned or points held."""
    rewards = (Reward("r", 100, 1.0),)
    member = enrolled(tiers=THREE, tier_basis="points_earned", pending_weeks=0, rewards=rewards)
    member.spend(0, 10_000)
    assert member.close(0).account["tier"] == 1
    member.redeem(1)
    member.spend(1, 10_000)
    assert member.profile["qualifying"] == 100 + 125
    member.live(range(1, 2 * QUARTER))
    assert member.account["tier"] == 1


def test_by_points_balance_redeeming_costs_status(enrolled) -> None:
    """Disputed: points earned or points held."""
    rewards = (Reward("r", 100, 1.0),)
    member = enrolled(tiers=THREE, tier_basis="points_balance", pending_weeks=1, rewards=rewards)
    member.spend(0, 11_000)
    assert member.close(0).account["tier"] == 0  # pending points are not a balance
    assert member.close(1).account["tier"] == 1
    assert member.profile["qualifying"] == 110
    member.redeem(2)
    assert tiers_over(member, range(2, 13)) == 10 * [1] + [0]  # falls at the review
    assert member.profile["qualifying"] == 10


def test_by_points_balance_bonus_points_count(enrolled) -> None:
    member = enrolled(tiers=THREE, tier_basis="points_balance")
    member.profile["points"] = member.account["lots"][0] = 300
    assert member.close(5).account["tier"] == 2


def test_by_predicted_value_the_tier_moves_at_reviews_only(enrolled) -> None:
    member = enrolled(tiers=THREE, tier_basis="predicted_value")
    member.profile["effective_repeats"] = 20
    value = math.floor(member.predicted_value() + 0.5)
    assert value >= 30_000
    assert tiers_over(member, range(13)) == 12 * [0] + [2]
    assert member.profile["qualifying"] == value
    member.spend(13, 100_000)  # spending counts through the prediction alone
    member.profile["dead_odds"] = 1e6
    assert tiers_over(member, range(13, 26)) == 12 * [2] + [0]
    assert member.profile["qualifying"] < 10_000


def test_a_prediction_beyond_32_bits_is_cut(enrolled) -> None:
    member = enrolled(tier_basis="predicted_value")
    member.profile["effective_repeats"] = 1e9
    member.close(12)
    assert member.profile["qualifying"] == 2 * 10**9


# ---------------------------------------------------------------------------------------- window


@pytest.mark.parametrize("quarters", range(2, 6))
@pytest.mark.parametrize("week", [0, 12, 13, 20])
def test_a_rolling_window_holds_the_running_quarter_and_those_before_it(
    enrolled, quarters: int, week: int
) -> None:
    member = enrolled(tiers=THREE, window_quarters=quarters)
    member.spend(week, 30_000)
    last = (week // QUARTER + quarters) * QUARTER - 1
    member.live(range(week, last))
    assert (member.account["tier"] == 2) == (week < last)
    assert member.profile["qualifying"] == 30_000
    member.close(last)
    assert (member.account["tier"], member.profile["qualifying"]) == (0, 0)


def test_a_calendar_year_starts_again_at_0_and_the_tier_is_held_to_its_end(enrolled) -> None:
    member = enrolled(tiers=THREE, window="calendar")
    member.spend(40, 30_000)
    member.live(range(40, YEAR - 1))
    assert (member.account["tier"], member.profile["qualifying"]) == (2, 30_000)
    member.close(YEAR - 1)
    assert (member.account["tier"], member.profile["qualifying"]) == (2, 0)
    member.spend(60, 10_000)
    member.live(range(YEAR, 2 * YEAR - 1))
    assert (member.account["tier"], member.profile["qualifying"]) == (2, 10_000)
    member.close(2 * YEAR - 1)
    assert (member.account["tier"], member.profile["qualifying"]) == (1, 0)


def test_in_a_calendar_year_spend_of_five_quarters_ago_does_not_return(enrolled) -> None:
    member = enrolled(tiers=THREE, window="calendar")
    member.spend(0, 30_000)
    member.live(range(YEAR))
    member.spend(YEAR, 100)
    member.live(range(YEAR, 2 * YEAR))
    assert member.account["tier"] == 0


@pytest.mark.parametrize("basis", ["points_balance", "predicted_value"])
def test_without_a_window_a_calendar_means_a_review_a_year_and_no_restart(enrolled, basis) -> None:
    member = enrolled(tiers=THREE, tier_basis=basis, window="calendar", expiry_quarters=0)
    member.profile["points"] = member.account["lots"][0] = 300
    member.profile["effective_repeats"] = 20
    member.live(range(YEAR))
    held = member.profile["qualifying"]
    assert held >= 300
    assert member.account["tier"] == 2
    member.profile["points"] = member.account["lots"][0] = 0
    member.profile["dead_odds"] = 1e6
    assert tiers_over(member, range(YEAR, 2 * YEAR)) == 51 * [2] + [0]


# ------------------------------------------------------------------------------------- downgrade


def tiers_at_reviews(member, reviews: int) -> list[int]:
    """Of a gold member who never buys again."""
    member.account["tier"] = 2
    tiers = tiers_over(member, range(reviews * QUARTER))
    return tiers[QUARTER - 1 :: QUARTER]


@pytest.mark.parametrize(
    ("rules", "tiers"),
    [
        ({"downgrade": "none"}, [2, 2, 2, 2, 2, 2]),
        ({"downgrade": "none", "soft_landing": True}, [2, 2, 2, 2, 2, 2]),
        ({"downgrade": "immediate"}, [0, 0, 0, 0, 0, 0]),
        ({"downgrade": "immediate", "grace_reviews": 3}, [0, 0, 0, 0, 0, 0]),
        ({"downgrade": "immediate", "soft_landing": True}, [1, 0, 0, 0, 0, 0]),
        ({"downgrade": "grace", "grace_reviews": 1}, [2, 0, 0, 0, 0, 0]),
        ({"downgrade": "grace", "grace_reviews": 3}, [2, 2, 2, 0, 0, 0]),
        ({"downgrade": "grace", "grace_reviews": 1, "soft_landing": True}, [2, 1, 1, 0, 0, 0]),
        ({"downgrade": "grace", "grace_reviews": 2, "soft_landing": True}, [2, 2, 1, 1, 1, 0]),
    ],
)
def test_a_tier_falls_as_the_downgrade_rule_says(enrolled, rules, tiers) -> None:
    assert tiers_at_reviews(enrolled(tiers=THREE, **rules), len(tiers)) == tiers


def test_grace_starts_anew_once_the_tier_is_deserved_again(enrolled) -> None:
    rules = {"downgrade": "grace", "grace_reviews": 2, "window_quarters": 2}
    member = enrolled(tiers=THREE, **rules)
    member.account["tier"] = 1
    graces = []
    for quarter in range(6):
        if quarter == 1:
            member.spend(quarter * QUARTER, 10_000)
        member.live(range(quarter * QUARTER, (quarter + 1) * QUARTER))
        graces.append((int(member.account["grace"]), int(member.account["tier"])))
    assert graces == [(1, 1), (0, 1), (1, 1), (2, 1), (0, 0), (0, 0)]


def test_spending_between_reviews_saves_no_grace_but_a_rise_does(enrolled) -> None:
    member = enrolled(tiers=THREE, downgrade="grace", grace_reviews=8)
    member.account["tier"] = 1
    member.live(range(QUARTER))
    member.spend(QUARTER, 9_000)
    assert member.close(QUARTER).account["grace"] == 1
    member.spend(QUARTER + 1, 30_000)
    member.close(QUARTER + 1)
    assert (member.account["tier"], member.account["grace"]) == (2, 0)


# ---------------------------------------------------------------------------------------- events


@pytest.mark.parametrize("basis", ["spend", "points_earned", "points_balance", "predicted_value"])
@pytest.mark.parametrize("window", ["rolling", "calendar"])
def test_what_qualifies_is_the_sum_of_its_events(enrolled, basis, window) -> None:
    member = enrolled(tiers=THREE, tier_basis=basis, window=window, window_quarters=2)
    member.log["room"] = 1
    member.profile["effective_repeats"] = 20
    total, tier, kinds = 0, 0, set()
    for week in range(2 * YEAR):
        if week in (5, 30):
            member.spend(week, 20_000)
        events = member.close(week).events()
        total += int(events["amount"][events["kind"] == QUALIFY].sum())
        assert total == member.profile["qualifying"] >= member.account["qualifying"].sum()
        changes = events["code"][events["kind"] == TIER]
        assert len(changes) == abs(member.outcome["tier_change"]) <= 1
        tier = int(changes[0]) if len(changes) else tier
        assert tier == member.profile["tier"] == member.account["tier"]
        kinds |= set(events["kind"])
    assert {QUALIFY, TIER} <= kinds


@pytest.mark.parametrize(
    ("basis", "amount"),
    [("spend", 500), ("points_earned", 7), ("points_balance", 0), ("predicted_value", 0)],
)
def test_only_spend_and_points_earned_are_counted_by_purchase(enrolled, basis, amount) -> None:
    member = enrolled(tier_basis=basis)
    nobody = np.uint64(0)
    qualify(member.profile, member.log, nobody, 0, member.rules, 500, 7)
    assert member.profile["qualifying"] == amount
