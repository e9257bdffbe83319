"""The programme's rules, one by one and against a reference written with lists."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.profile import PURCHASE, post
from agents.records import ACCOUNT, LOG, LOT_SLOTS, OUTCOME, PROFILE
from sim.programme import (
    ProgrammeParameters,
    Tier,
    close_programme_week,
    earn,
    goal_progress,
    programme_record,
    qualify,
    qualifying_spend,
    redeem_reward,
    tier_for,
)

QUARTER = 13
THREE = (Tier("base", 0), Tier("silver", 100, 1.25), Tier("gold", 300, 1.5))


class Member:
    """One account under the compiled rules."""

    def __init__(self, **rules: object) -> None:
        self.parameters = ProgrammeParameters(active=True, **rules)
        self.rules = programme_record(self.parameters)[0]
        self._rows = [np.zeros(1, dtype) for dtype in (ACCOUNT, PROFILE, OUTCOME)]
        self.account, self.profile, self.outcome = (row[0] for row in self._rows)
        self.account["enrolled"] = 1
        self._log = np.zeros(1, LOG)[0]

    def spend(self, week: int, cents: int) -> None:
        earn(self.account, self.outcome, self.rules, week, cents)
        post(self.profile, self._log, np.uint64(0), 0, PURCHASE, 0, 0, cents)
        qualify(self.account, self.profile, self._log, np.uint64(0), 0, week, cents)

    def redeem(self, week: int) -> None:
        redeem_reward(
            self.account, self.profile, self.outcome, self._log, np.uint64(0), 0, week, self.rules
        )

    def close(self, week: int) -> None:
        close_programme_week(
            self.account, self.profile, self.outcome, self._log, np.uint64(0), 0, week, self.rules
        )

    def live(self, weeks: range) -> "Member":
        for week in weeks:
            self.close(week)
        return self

    def lots(self, week: int) -> list[int]:
        """Points by quarter of maturity, oldest first."""
        quarter = week // QUARTER
        return [int(self.account["lots"][(quarter - age) % LOT_SLOTS]) for age in range(5, -1, -1)]


@pytest.mark.parametrize("pending_weeks", range(4))
@pytest.mark.parametrize("week", [0, 11, 12, 30])
def test_points_are_spendable_at_the_close_of_the_week_they_stop_pending(
    pending_weeks: int, week: int
) -> None:
    member = Member(pending_weeks=pending_weeks)
    member.spend(week, 5000)
    for now in range(week, week + pending_weeks):
        member.close(now)
        assert (member.account["points"], member.account["pending"].sum()) == (0, 50)
    member.close(week + pending_weeks)
    assert (member.account["points"], member.account["pending"].sum()) == (50, 0)


@pytest.mark.parametrize("expiry_quarters", range(1, 6))
@pytest.mark.parametrize("week", [0, 5, 12, 13, 40])
def test_a_lot_expires_at_the_end_of_the_quarter_stated(expiry_quarters: int, week: int) -> None:
    member = Member(pending_weeks=0, expiry_quarters=expiry_quarters)
    member.spend(week, 5000)
    last = (week // QUARTER + expiry_quarters + 1) * QUARTER - 1
    member.live(range(week, last))
    assert member.account["points"] == 50
    member.close(last)
    assert (member.account["points"], member.account["lots"].sum()) == (0, 0)
    assert member.outcome["points_expired"] == 50
    assert member.outcome["liability_change"] == 0


def test_points_that_mature_in_the_next_quarter_expire_a_quarter_later() -> None:
    member = Member(pending_weeks=1, expiry_quarters=1)
    member.spend(12, 5000)
    member.live(range(12, 3 * QUARTER - 1))
    assert member.account["points"] == 50
    member.close(3 * QUARTER - 1)
    assert member.account["points"] == 0


def test_a_reward_takes_the_oldest_points_first() -> None:
    member = Member(pending_weeks=0, points_price=70, expiry_quarters=5)
    for quarter, points in enumerate([50, 40, 30]):
        member.spend(quarter * QUARTER, points * 100)
        member.live(range(quarter * QUARTER, (quarter + 1) * QUARTER))
    assert member.lots(3 * QUARTER) == [0, 0, 50, 40, 30, 0]
    member.redeem(3 * QUARTER)
    assert member.lots(3 * QUARTER) == [0, 0, 0, 20, 30, 0]
    assert member.account["points"] == 50
    assert member.outcome["reward_cost"] == 500


def test_a_tier_rises_at_once_and_falls_only_when_its_quarter_ends() -> None:
    member = Member(tiers=THREE)
    member.spend(3, 9_999)
    assert member.live(range(3, 4)).account["tier"] == 0
    member.spend(4, 1)
    assert member.live(range(4, 5)).account["tier"] == 1  # at the threshold, in mid-quarter
    member.spend(5, 20_000)
    assert member.live(range(5, 6)).account["tier"] == 2
    # Spent in quarter 0: it counts in that quarter and the four after it.
    member.live(range(6, 4 * QUARTER + 12))
    assert member.account["tier"] == member.profile["tier"] == 2
    assert qualifying_spend(member.account) == 30_000


def test_spend_counts_in_its_quarter_and_the_four_after_it() -> None:
    member = Member(tiers=THREE)
    member.spend(3, 30_000)
    last = 5 * QUARTER - 1
    member.live(range(3, last))
    assert (member.account["tier"], member.profile["qualifying"]) == (2, 30_000)
    member.close(last)
    assert (member.account["tier"], member.profile["qualifying"]) == (0, 0)


def test_a_fall_waits_for_the_end_of_the_quarter() -> None:
    member = Member(tiers=THREE)
    member.account["tier"] = 2  # a status given, not earned
    assert member.live(range(12)).account["tier"] == 2
    member.close(12)
    assert member.account["tier"] == 0


@given(
    st.integers(0, 10**7),
    st.sampled_from([0.0, 0.001, 0.5, 1.0, 3.333, 13.0]),
    st.sampled_from([0.0, 1.0, 1.25, 1.3333, 7.5]),
)
def test_earned_points_are_rounded_down(cents: int, per_unit: float, multiplier: float) -> None:
    member = Member(points_per_unit=per_unit, tiers=(Tier("base", 0, multiplier),))
    member.spend(0, cents)
    exact = Fraction(cents, 100) * Fraction(str(per_unit)) * Fraction(str(multiplier))
    assert member.account["pending"].sum() == math.floor(exact)


def test_points_are_a_liability_from_the_moment_they_are_issued() -> None:
    member = Member(points_price=300, reward_cost=5.0, breakage=0.3)
    # 500 cents / 300 points × 0.7, in millionths of a cent
    assert member.parameters.liability_per_point == 1_166_667
    member.spend(0, 60_000)
    assert member.outcome["liability_change"] == 600 * 1_166_667
    member.live(range(2))
    assert member.outcome["liability_change"] == 600 * 1_166_667
    member.redeem(2)
    assert member.outcome["liability_change"] == 300 * 1_166_667


def test_progress_to_the_next_reward_runs_from_0_to_1() -> None:
    member = Member(points_price=200)
    for points, share in [(0, 0.0), (50, 0.25), (200, 1.0), (900, 1.0)]:
        member.account["points"] = points
        assert goal_progress(member.account, member.rules) == share
    member.account["enrolled"] = 0
    assert goal_progress(member.account, member.rules) == 0.0


class Reference:
    """The same rules with lists of (quarter or week, amount), nothing reused, nothing modular."""

    def __init__(self, rules: ProgrammeParameters) -> None:
        self.rules = rules
        self.pending: list[tuple[int, int]] = []
        self.lots: list[list[int]] = []  # [quarter of maturity, points]
        self.spent: list[tuple[int, int]] = []
        self.tier = 0

    @property
    def points(self) -> int:
        return sum(points for _, points in self.lots)

    def spend(self, week: int, cents: int) -> None:
        multiplier = Fraction(str(self.rules.tiers[self.tier].multiplier))
        per_unit = Fraction(str(self.rules.points_per_unit))
        self.pending.append((week, math.floor(Fraction(cents, 100) * per_unit * multiplier)))
        self.spent.append((week // QUARTER, cents))

    def redeem(self) -> None:
        due = self.rules.points_price
        for lot in self.lots:
            taken = min(due, lot[1])
            lot[1] -= taken
            due -= taken

    def close(self, week: int) -> None:
        quarter = week // QUARTER
        for earned, points in self.pending:
            if earned + self.rules.pending_weeks == week:
                self.lots.append([quarter, points])
        self.pending = [p for p in self.pending if p[0] + self.rules.pending_weeks > week]
        ends = week % QUARTER == QUARTER - 1
        if ends:
            self.lots = [lot for lot in self.lots if lot[0] + self.rules.expiry_quarters > quarter]
            self.spent = [s for s in self.spent if s[0] + 4 > quarter]
        total = self.qualifying
        tier = max(at for at, t in enumerate(self.rules.tiers) if total >= t.threshold * 100)
        if tier > self.tier or ends:
            self.tier = tier

    @property
    def qualifying(self) -> int:
        return sum(cents for _, cents in self.spent)


@given(
    st.dictionaries(
        st.integers(0, 110),
        st.tuples(st.lists(st.integers(0, 20_000), max_size=3), st.booleans()),
        max_size=40,
    ),
    st.integers(0, 3),
    st.integers(1, 5),
    st.sampled_from([1, 30, 150]),
)
def test_any_history_gives_what_the_reference_gives(history, pending, expiry, price) -> None:
    rules = {
        "pending_weeks": pending, "expiry_quarters": expiry, "points_price": price,
        "points_per_unit": 1.5, "tiers": THREE,
    }  # fmt: skip
    member = Member(**rules)
    reference = Reference(member.parameters)
    for week in range(111):
        baskets, wants_reward = history.get(week, ([], False))
        for cents in baskets:
            member.spend(week, cents)
            reference.spend(week, cents)
        if wants_reward and reference.points >= price:
            member.redeem(week)
            reference.redeem()
        member.close(week)
        reference.close(week)
        account, profile = member.account, member.profile
        by_quarter = [0] * LOT_SLOTS
        for quarter, points in reference.lots:
            by_quarter[quarter - week // QUARTER + LOT_SLOTS - 1] += points
        assert member.lots(week) == by_quarter
        assert account["points"] == profile["points"] == reference.points
        assert account["pending"].sum() == sum(points for _, points in reference.pending)
        assert account["tier"] == profile["tier"] == reference.tier
        assert qualifying_spend(account) == profile["qualifying"] == reference.qualifying


def test_the_highest_tier_reached_counts_from_its_threshold_on() -> None:
    rules = programme_record(ProgrammeParameters(active=True, tiers=THREE))[0]
    spends = [0, 9_999, 10_000, 29_999, 30_000, 10**9]
    assert [tier_for(spend, rules) for spend in spends] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"pending_weeks": 4}, r"pending_weeks=4 is outside \[0, 3\]"),
        ({"expiry_quarters": 6}, r"expiry_quarters=6 is outside \[1, 5\]"),
        ({"points_price": 0}, r"points_price=0 is outside \[1, 10000000\]"),
        ({"breakage": 1.2}, r"breakage=1.2 is outside \[0.0, 1.0\]"),
        ({"tiers": (Tier("a", 5),)}, r"thresholds=\[5\] must start at 0 and rise"),
        ({"tiers": (Tier("a", 0), Tier("b", 9), Tier("c", 9))}, r"must start at 0 and rise"),
        ({"tiers": (Tier("a", 0, -1.0),)}, r"multiplier of tier a=-1.0 is outside"),
        ({"tiers": ()}, r"number of tiers=0 is outside \[1, 6\]"),
    ],
)
def test_rules_out_of_range_are_named(rules, message) -> None:
    with pytest.raises(ValueError, match=message):
        ProgrammeParameters(**rules)
