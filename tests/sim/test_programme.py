"""The programme as data, and its rules together against a reference written with lists."""

import itertools
import math
import random
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from agents.profile import fold
from agents.records import LOT_SLOTS, PROFILE
from sim.points import goal_progress, reward_ready
from sim.programme import (
    Challenge,
    ProgrammeParameters,
    Reward,
    Streak,
    Tier,
    programme_record,
)

QUARTER = 13
WEEKS = 3 * 52 + 1
QUARTER_ENDS = set(range(QUARTER - 1, WEEKS, QUARTER))
YEAR_ENDS = set(range(4 * QUARTER - 1, WEEKS, 4 * QUARTER))
LATE = [end - weeks for end in sorted(QUARTER_ENDS) for weeks in range(3)]


class Reference:
    """The same rules with lists of (when, amount), nothing reused, nothing modular."""

    def __init__(self, rules: ProgrammeParameters) -> None:
        self.rules = rules
        self.pending: list[tuple[int, int]] = []  # (week, points)
        self.lots: list[list[int]] = []  # [quarter of maturity, points]
        self.order: tuple[int, Reward, int] | None = None  # (week due, reward, units)
        self.counted: list[tuple[int, int]] = []  # (week, amount towards a tier)
        self.now = 0  # a balance or a predicted value
        self.baskets = [0] * WEEKS  # purchases by week
        self.streak: list[int] = []
        self.tier = 0
        self.below: list[int] = []  # reviews in a row
        self.tier_change = 0
        self.earned = self.redeemed = self.expired = self.rewards = self.cost = self.voucher = 0

    @property
    def points(self) -> int:
        return sum(points for _, points in self.lots)

    @property
    def ordered(self) -> int:
        return 0 if self.order is None else self.order[1].points_price * self.order[2]

    def grant(self, week: int, points: int) -> None:
        self.pending.append((week, points))
        self.earned += points

    def spend(self, week: int, gross: int, discount: int, voucher: int) -> None:
        rules = self.rules
        base = {
            "shelf": gross,
            "paid_before_redemption": gross - discount,
            "paid": gross - discount - voucher,
        }[rules.earn_on]
        multiplier = Fraction(str(rules.tiers[self.tier].multiplier))
        per_unit = Fraction(str(rules.points_per_unit))
        base_points = Fraction(base, 100) * per_unit + rules.points_per_purchase
        points = math.floor(base_points * multiplier)
        self.grant(week, points)
        self.counted.append((week, base if rules.tier_basis == "spend" else points))
        self.baskets[week] += 1
        if rules.challenge is not None and self.in_window(week) == rules.challenge.purchases:
            self.grant(week, rules.challenge.points)

    def in_window(self, week: int) -> int:
        """Purchases in the challenge's window that holds the week."""
        windows = range(0, WEEKS + 52, self.rules.challenge.weeks)
        start, end = next(pair for pair in itertools.pairwise(windows) if pair[1] > week)
        return sum(self.baskets[start:end])

    def redeem(self, week: int, due: int) -> int:
        affordable = [
            reward
            for reward in self.rules.rewards
            if reward.points_price <= self.points and not (reward.voucher and due == 0)
        ]
        if self.order is not None or not affordable:
            return 0
        reward = max(affordable, key=lambda r: r.points_price)
        worth = round(reward.unit_cost * 100)
        units = 1
        while (
            reward.multiple
            and reward.points_price * (units + 1) <= self.points
            and not (reward.voucher and worth * (units + 1) > due)
        ):
            units += 1
        if self.rules.redemption_weeks > 0:
            self.order = (week + self.rules.redemption_weeks, reward, units)
            return 0
        cost = min(worth * units, due) if reward.voucher else worth * units
        self.hand_out(reward, units, cost)
        if not reward.voucher:
            return 0
        self.voucher += cost
        return cost

    def hand_out(self, reward: Reward, units: int, cost: int) -> None:
        self.cost += cost
        self.rewards += 1
        due = reward.points_price * units
        self.redeemed += due
        self.lots.sort()
        for lot in self.lots:
            taken = min(due, lot[1])
            lot[1] -= taken
            due -= taken
        assert due == 0

    def close(self, week: int, predicted: float) -> None:
        rules, quarter = self.rules, week // QUARTER
        if rules.streak is not None:
            self.streak = [*self.streak, week] if self.baskets[week] else []
            if len(self.streak) == rules.streak.weeks:
                self.grant(week, rules.streak.points)
                self.streak = []
        for earned, points in self.pending:
            if earned + rules.pending_weeks == week:
                self.lots.append([quarter, points])
        self.pending = [p for p in self.pending if p[0] + rules.pending_weeks > week]
        if self.order is not None and self.order[0] == week:
            _, reward, units = self.order
            if self.points >= self.ordered:
                self.hand_out(reward, units, round(reward.unit_cost * 100) * units)
            self.order = None
        if week in QUARTER_ENDS and rules.expiry_quarters > 0:
            self.expire(quarter)
        self.close_tier(week, predicted)

    def expire(self, quarter: int) -> None:
        earmarked = self.ordered if self.rules.expiry_spares_ordered else 0
        for lot in sorted(self.lots):
            if lot[0] + self.rules.expiry_quarters == quarter:
                spared = min(lot[1], earmarked)
                earmarked -= spared
                self.expired += lot[1] - spared
                lot[0], lot[1] = quarter - self.rules.expiry_quarters + 1, spared

    def amount(self, week: int) -> int:
        """What qualifies for a tier in the week."""
        if self.rules.tier_basis in ("points_balance", "predicted_value"):
            return self.now
        if self.rules.window == "calendar":
            first = max(start for start in range(0, week + 1, 4 * QUARTER))
        else:
            first = (week // QUARTER - self.rules.window_quarters + 1) * QUARTER
        return sum(amount for when, amount in self.counted if first <= when)

    def close_tier(self, week: int, predicted: float) -> None:
        rules = self.rules
        calendar = rules.window == "calendar"
        review = week in (YEAR_ENDS if calendar else QUARTER_ENDS)
        if rules.tier_basis == "points_balance":
            self.now = self.points
        if rules.tier_basis == "predicted_value" and review:
            self.now = math.floor(predicted + 0.5)
        # A rolling review judges the window of the quarter that begins.
        amount = self.amount(week + 1 if review and not calendar else week)
        unit = 100 if rules.tier_basis in ("spend", "predicted_value") else 1
        deserved = max(at for at, t in enumerate(rules.tiers) if amount >= t.threshold * unit)
        before = self.tier
        if deserved > before:
            self.tier = deserved
        elif review and deserved < before and rules.downgrade != "none":
            patience = rules.grace_reviews if rules.downgrade == "grace" else 0
            self.below.append(week)
            if len(self.below) > patience:
                self.tier = before - 1 if rules.soft_landing else deserved
        elif review:
            self.below = []
        self.tier_change = (self.tier > before) - (self.tier < before)
        if self.tier_change != 0:
            self.below = []

    @property
    def progress(self) -> float:
        free = max(0, self.points - self.ordered)
        prices = [reward.points_price for reward in self.rules.rewards]
        beyond = [price for price in prices if price > free]
        if beyond:
            return free / min(beyond)
        return free % prices[-1] / prices[-1] if prices else 0.0  # on to one more of the dearest


ITEM = Reward("item", 70, 0.7)
ITEMS = (
    (),
    (ITEM,),
    (Reward("items", 40, 0.4, multiple=True),),
    (Reward("small", 20, 0.0, multiple=True), ITEM, Reward("big", 400, 9.0)),
)
CATALOGUES = (
    *ITEMS[1:],
    (Reward("voucher", 100, 1.0, voucher=True),),
    (Reward("cashback", 30, 0.35, voucher=True, multiple=True),),
    (ITEM, Reward("vouchers", 150, 2.5, voucher=True, multiple=True)),
    (Reward("voucher", 60, 9.0, voucher=True), Reward("items", 90, 1.0, multiple=True)),
)
LADDERS = (
    (Tier("base", 0, 1.1),),
    (Tier("base", 0), Tier("silver", 100, 1.25), Tier("gold", 300, 1.5)),
    (Tier("base", 0), Tier("silver", 200), Tier("gold", 500), Tier("black", 2000, 2.5)),
)


def any_programme(draw: random.Random) -> dict[str, object]:
    """Every option as likely as its alternatives, which hypothesis alone would not give."""
    redemption_weeks = draw.choice([0, 0, 0, 1, 2, 3])
    challenge = Challenge(draw.randint(1, 6), draw.randint(1, 9), 17)
    return {
        "points_per_unit": draw.choice([0.0, 0.3, 1.0, 1.5]),
        "points_per_purchase": draw.choice([0, 0, 7]),
        "earn_on": draw.choice(["shelf", "paid_before_redemption", "paid"]),
        "pending_weeks": draw.randint(0, 3),
        "expiry_quarters": draw.choice([0, 1, 1, 2, 2, 3, 4, 5]),
        "rewards": draw.choice(CATALOGUES if redemption_weeks == 0 else ITEMS),
        "redemption_weeks": redemption_weeks,
        "expiry_spares_ordered": draw.choice([False, True]),
        "tiers": draw.choice(LADDERS),
        "tier_basis": draw.choice(["spend", "points_earned", "points_balance", "predicted_value"]),
        "window": draw.choice(["rolling", "calendar"]),
        "window_quarters": draw.randint(2, 5),
        "downgrade": draw.choice(["none", "immediate", "grace"]),
        "grace_reviews": draw.randint(1, 3),
        "soft_landing": draw.choice([False, True]),
        "challenge": draw.choice([None, challenge]),
        "streak": draw.choice([None, Streak(draw.randint(2, 4), 23)]),
    }


class Stretch(NamedTuple):
    """Some weeks of the same habit."""

    weeks: range
    baskets: int
    cents: int
    discount: float
    redeems: bool
    dead_odds: float


def any_history(draw: random.Random) -> list[Stretch]:
    """Stretches that may overlap; many begin shortly before a quarter ends."""
    stretches = []
    for _ in range(draw.randint(2, 8)):
        start = draw.choice([draw.randrange(WEEKS), draw.choice(LATE)])
        stretches.append(
            Stretch(
                range(start, start + draw.choice([1, 2, 5, 13, 20])),
                draw.randint(1, 3),
                draw.choice([draw.randrange(20_000), draw.randrange(3_000)]),
                draw.choice([0.0, 0.1, 1.0]),
                draw.choice([False, True]),
                draw.choice([0.0, 0.5, 4.0, 100.0]),
            )
        )
    return stretches


@settings(max_examples=400)
@given(st.integers(0, 2**64 - 1))
def test_any_history_under_any_programme_gives_what_the_reference_gives(enrolled, luck) -> None:
    draw = random.Random(luck)
    rules, stretches = any_programme(draw), any_history(draw)
    note(f"{rules=}\n{stretches=}")
    member = enrolled(**rules)
    reference = Reference(member.parameters)
    profile = member.profile
    profile["effective_repeats"], profile["exposure"], profile["age"] = 10, 10, 10
    seen = np.zeros(1, PROFILE)[0]  # what the events alone tell
    member.log["room"] = 1
    for week in range(WEEKS):
        for stretch in stretches:
            if week not in stretch.weeks:
                continue
            profile["dead_odds"] = stretch.dead_odds
            for basket in range(stretch.baskets):
                cents = stretch.cents
                discount = round(cents * stretch.discount)
                redeem = stretch.redeems and basket == 0
                assert reward_ready(member.account, member.profile, member.rules) == (
                    reference.order is None
                    and any(r.points_price <= reference.points for r in member.parameters.rewards)
                )
                voucher = reference.redeem(week, cents - discount) if redeem else 0
                assert member.spend(week, cents, discount, redeem) == voucher
                reference.spend(week, cents, discount, voucher)
        predicted = member.predicted_value()
        member.close(week)
        reference.close(week, predicted)
        for event in member.events():
            fold(seen, *(event[name] for name in ("kind", "time", "code", "channel", "amount")))
        compare(member, reference, week)
        for name in ("points", "qualifying", "tier", "repeats"):
            assert seen[name] == profile[name], name


def compare(member, reference: Reference, week: int) -> None:
    """The state after a week, and what all weeks so far brought."""
    account, profile, outcome = member.account, member.profile, member.outcome
    rules, points = member.parameters, reference.points
    if rules.expiry_quarters > 0:
        by_quarter = [0] * LOT_SLOTS
        for quarter, lot in reference.lots:
            if lot > 0:
                by_quarter[quarter - week // QUARTER + LOT_SLOTS - 1] += lot
        assert member.lots(week) == by_quarter
    else:
        assert list(account["lots"]) == [points, 0, 0, 0, 0, 0]
    assert account["lots"].sum() == profile["points"] == points
    assert account["pending"].sum() == sum(pending for _, pending in reference.pending)
    assert account["ordered"] == reference.ordered
    assert account["tier"] == profile["tier"] == reference.tier
    assert outcome["tier_change"] == reference.tier_change
    assert account["grace"] == len(reference.below)
    assert account["streak"] == len(reference.streak)
    ends = week in (YEAR_ENDS if rules.window == "calendar" else QUARTER_ENDS)
    amount = reference.amount(week + 1 if ends else week)
    assert profile["qualifying"] == amount
    earlier = 0
    if rules.window == "rolling" and rules.tier_basis in ("spend", "points_earned"):
        running = (week + 1 if ends else week) // QUARTER * QUARTER
        earlier = amount - sum(counted for when, counted in reference.counted if when >= running)
    assert account["qualifying"].sum() == earlier
    progress = reference.progress
    if rules.challenge is not None:
        asked = rules.challenge.purchases
        ended = week + 1 in range(0, WEEKS + 1, rules.challenge.weeks)
        done = 0 if ended else min(asked, reference.in_window(week))
        assert account["challenge"] == done
        if done < asked:
            progress = max(progress, done / asked)
    assert goal_progress(account, profile, member.rules) == progress
    for name in ("earned", "redeemed", "expired"):
        assert outcome[f"points_{name}"] == getattr(reference, name), name
    assert outcome["reward_cost"] == reference.cost
    assert outcome["voucher"] == reference.voucher
    assert outcome["rewards"] == reference.rewards % 256
    outstanding = points + account["pending"].sum(dtype=np.int64)
    assert outcome["liability_change"] == outstanding * rules.liability_per_point


def test_the_cost_of_a_point_is_that_of_the_dearest_reward() -> None:
    """Prudent: customers may spend every point on the reward that costs the firm most per point."""
    rewards = (Reward("a", 100, 0.5), Reward("b", 200, 3.0), Reward("c", 500, 5.0))
    programme = ProgrammeParameters(rewards=rewards, breakage=0.2)
    assert programme.point_cost == 1.5
    assert programme.liability_per_point == 1_200_000
    assert ProgrammeParameters(rewards=()).point_cost == 0.0


def test_thresholds_are_money_or_points_as_the_basis_has_it() -> None:
    tiers = (Tier("base", 0), Tier("top", 12.5))
    for basis, threshold in [
        ("spend", 1250),
        ("points_earned", 13),  # 12 points do not reach it
        ("points_balance", 13),
        ("predicted_value", 1250),
    ]:
        record = programme_record(ProgrammeParameters(tiers=tiers, tier_basis=basis))
        assert record["threshold"][0, 1] == threshold


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"points_per_unit": -1.0}, r"points_per_unit=-1.0 is outside \[0.0, 1000.0\]"),
        ({"points_per_purchase": -1}, r"points_per_purchase=-1 is outside \[0, 10000\]"),
        ({"points_per_unit": 101.0}, r"points_per_unit x multiplier of tier base=101.0 is outside"),
        ({"earn_on": "gross"}, r"earn_on='gross': choose one of \('shelf', "),
        ({"pending_weeks": 4}, r"pending_weeks=4 is outside \[0, 3\]"),
        ({"expiry_quarters": 6}, r"expiry_quarters=6 is outside \[0, 5\]"),
        ({"redemption_weeks": 4}, r"redemption_weeks=4 is outside \[0, 3\]"),
        ({"breakage": 1.2}, r"breakage=1.2 is outside \[0.0, 1.0\]"),
        ({"tiers": (Tier("a", 5),)}, r"thresholds=\[5\] must start at 0 and rise"),
        ({"tiers": (Tier("a", 0), Tier("b", 9), Tier("c", 9))}, r"must start at 0 and rise"),
        ({"tiers": ()}, r"number of tiers=0 is outside \[1, 6\]"),
        ({"tier_basis": "points"}, r"tier_basis='points': choose one of \('spend', "),
        ({"window": "year"}, r"window='year': choose one of \('rolling', 'calendar'\)"),
        ({"window_quarters": 1}, r"window_quarters=1 is outside \[2, 5\]"),
        ({"downgrade": "soft"}, r"downgrade='soft': choose one of \('none', "),
        ({"grace_reviews": 9}, r"grace_reviews=9 is outside \[1, 8\]"),
        ({"welcome_points": -1}, r"welcome_points=-1 is outside \[0, 1000000\]"),
        ({"referral_points": 10**7}, r"referral_points=10000000 is outside \[0, 1000000\]"),
        ({"rewards": (ITEM,) * 5}, r"number of rewards=5 is outside \[0, 4\]"),
        ({"rewards": (ITEM, ITEM)}, r"points_price of the rewards=\[70, 70\] must rise"),
        ({"rewards": (ITEM, Reward("b", 9, 1.0))}, r"rewards=\[70, 9\] must rise"),
        (
            {"rewards": (Reward("v", 9, 1.0, voucher=True),), "redemption_weeks": 2},
            r"redemption_weeks=2 must be 0 for vouchers \['v'\]",
        ),
    ],
)
def test_rules_out_of_range_are_named(rules, message) -> None:
    with pytest.raises(ValueError, match=message):
        ProgrammeParameters(**rules)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reward("mug", 0, 1.0), r"points_price of reward mug=0 is outside \[1, 10000000\]"),
        (lambda: Reward("mug", 5, -1.0), r"unit_cost of reward mug=-1.0 is outside \[0.0, "),
        (lambda: Reward("off", 5, 0.0, voucher=True), r"reward off=0.0 is outside \[0.01, "),
        (lambda: Tier("a", -1.0), r"threshold of tier a=-1.0 is outside \[0.0, "),
        (lambda: Tier("a", math.nan), r"threshold of tier a=nan is outside"),
        (lambda: Tier("a", 0, -1.0), r"multiplier of tier a=-1.0 is outside \[0.0, 100.0\]"),
        (lambda: Challenge(51, 4, 9), r"challenge.purchases=51 is outside \[1, 50\]"),
        (lambda: Challenge(5, 53, 9), r"challenge.weeks=53 is outside \[1, 52\]"),
        (lambda: Challenge(5, 4, -9), r"challenge.points=-9 is outside \[0, 1000000\]"),
        (lambda: Streak(1, 9), r"streak.weeks=1 is outside \[2, 52\]"),
        (lambda: Streak(4, -1), r"streak.points=-1 is outside \[0, 1000000\]"),
    ],
)
def test_a_part_out_of_range_is_named(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()
