"""The loyalty programme: earn, pending points, FIFO lots with expiry, redemption, tiers.

Rules are data (``ProgrammeParameters``, conf/programme). One quarter is 13 weeks. A lot is the
points that matured in one quarter; it expires at the end of the quarter ``expiry_quarters`` later.
Tier qualification is spend over the running quarter and the four before it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.behaviour import check_range
from agents.compiled import kernel
from agents.profile import EARN, EXPIRE, POINTS, QUALIFY, REDEEM, TIER, post
from agents.records import (
    LOT_SLOTS,
    MAX_TIERS,
    PENDING_SLOTS,
    SPEND_SLOTS,
    WEEKS_PER_QUARTER,
    Field,
    record_dtype,
)
from sim.ledger import BASIS, MICRO, accrue, to_minor


@dataclass(frozen=True)
class Tier:
    """One tier: ``threshold`` in currency units of qualifying spend, ``multiplier`` on points."""

    name: str
    threshold: float
    multiplier: float = 1.0


@dataclass(frozen=True)
class ProgrammeParameters:
    """A points programme with tiers. ``active=False`` is no programme at all.

    Parameters
    ----------
    points_per_unit
        Points per currency unit paid, before the tier's multiplier.
    pending_weeks
        Weeks until points are spendable, 0 to 3.
    expiry_quarters
        Quarters after maturing, 1 to 5.
    points_price, reward_cost
        Price of a reward in points, and its cost to the firm in currency units.
    breakage
        Share of points expected never to be redeemed; lowers the liability accrued per point.
    """

    name: str = "no_programme"
    active: bool = False
    points_per_unit: float = 1.0
    pending_weeks: int = 1
    expiry_quarters: int = 4
    points_price: int = 500
    reward_cost: float = 5.0
    breakage: float = 0.30
    tiers: tuple[Tier, ...] = (Tier("base", 0.0),)

    def __post_init__(self) -> None:
        check_range("points_per_unit", self.points_per_unit, 0.0, 1000.0)
        check_range("pending_weeks", self.pending_weeks, 0, PENDING_SLOTS - 1)
        check_range("expiry_quarters", self.expiry_quarters, 1, LOT_SLOTS - 1)
        check_range("points_price", self.points_price, 1, 10_000_000)
        check_range("reward_cost", self.reward_cost, 0.0, 1e6)
        check_range("breakage", self.breakage, 0.0, 1.0)
        check_range("number of tiers", len(self.tiers), 1, MAX_TIERS)
        thresholds = [tier.threshold for tier in self.tiers]
        if thresholds[0] != 0 or sorted(set(thresholds)) != thresholds:
            raise ValueError(f"tier thresholds={thresholds} must start at 0 and rise")
        for tier in self.tiers:
            check_range(f"multiplier of tier {tier.name}", tier.multiplier, 0.0, 100.0)
            # The largest week of purchases must fit 32-bit points.
            points = self.points_per_unit * tier.multiplier
            check_range(f"points_per_unit x multiplier of tier {tier.name}", points, 0.0, 100.0)

    @property
    def reward_cost_minor(self) -> int:
        """Cost of one reward in minor units."""
        return to_minor(self.reward_cost)

    @property
    def point_cost(self) -> float:
        """Full cost of one redeemed point in minor units."""
        return self.reward_cost_minor / self.points_price

    @property
    def liability_per_point(self) -> int:
        """Expected cost per point outstanding, in micro minor units."""
        return round(self.point_cost * (1.0 - self.breakage) * MICRO)


PROGRAMME = record_dtype(
    (
        Field("active", "u1", (), "flag", "a programme runs"),
        Field("points_per_unit", "i8", (), "milli points", "per currency unit"),
        Field("pending_weeks", "i8", (), "weeks", "until points are spendable"),
        Field("expiry_quarters", "i8", (), "quarters", "life of a lot"),
        Field("points_price", "i8", (), "points", "price of a reward"),
        Field("reward_cost", "i8", (), "minor units", "cost of a reward"),
        Field("liability_per_point", "i8", (), "micro minor units", "expected cost per point"),
        Field("n_tiers", "i8", (), "", "number of tiers"),
        Field("threshold", "i8", (MAX_TIERS,), "minor units", "qualifying spend per tier"),
        Field("multiplier", "i8", (MAX_TIERS,), "basis points", "points multiplier per tier"),
    )
)


def programme_record(programme: ProgrammeParameters) -> NDArray[np.void]:
    """Compiled form of the rules, shape (1,)."""
    record = np.zeros(1, PROGRAMME)
    record["active"] = programme.active
    record["points_per_unit"] = round(programme.points_per_unit * 1000)
    for name in ("pending_weeks", "expiry_quarters", "points_price", "liability_per_point"):
        record[name] = getattr(programme, name)
    record["reward_cost"] = programme.reward_cost_minor
    record["n_tiers"] = len(programme.tiers)
    for at, tier in enumerate(programme.tiers):
        record["threshold"][0, at] = to_minor(tier.threshold)
        record["multiplier"][0, at] = math.floor(tier.multiplier * BASIS + 0.5)
    return record


@kernel
def qualifying_spend(account):  # type: ignore[no-untyped-def]
    """Spend in the qualification window, minor units."""
    total = np.int64(0)
    for slot in range(SPEND_SLOTS):
        total += account.quarter_spend[slot]
    return total


@kernel
def tier_for(spend, programme):  # type: ignore[no-untyped-def]
    """Highest tier whose threshold the spend reaches."""
    tier = 0
    for at in range(1, programme.n_tiers):
        if spend >= programme.threshold[at]:
            tier = at
    return tier


@kernel
def goal_progress(account, programme):  # type: ignore[no-untyped-def]
    """Share of the next reward's points already there, 0 to 1."""
    if programme.active == 0 or account.enrolled == 0:
        return 0.0
    return min(1.0, account.points / programme.points_price)


@kernel
def grant(account, outcome, programme, week, points):  # type: ignore[no-untyped-def]
    """Issue points as pending; they are a liability from this moment."""
    account.pending[week % PENDING_SLOTS] += points
    outcome.points_earned += points
    accrue(outcome, points, programme.liability_per_point)


@kernel
def earn(account, outcome, programme, week, revenue):  # type: ignore[no-untyped-def]
    """Points for what was paid (after discount), times the tier's multiplier, rounded down."""
    points = (
        np.int64(revenue) * programme.points_per_unit * programme.multiplier[account.tier]
    ) // (100 * 1000 * BASIS)
    grant(account, outcome, programme, week, points)


@kernel
def qualify(account, profile, log, customer, time, week, revenue):  # type: ignore[no-untyped-def]
    """Count what was paid towards a tier."""
    account.quarter_spend[(week // WEEKS_PER_QUARTER) % SPEND_SLOTS] += revenue
    post(profile, log, customer, time, QUALIFY, 0, 0, revenue)


@kernel
def take_oldest(account, week, points):  # type: ignore[no-untyped-def]
    """Take points from the lots, oldest first; the balance must suffice."""
    account.points -= points
    quarter = week // WEEKS_PER_QUARTER
    for age in range(LOT_SLOTS - 1, -1, -1):
        slot = (quarter - age + LOT_SLOTS) % LOT_SLOTS
        taken = min(points, account.lots[slot])
        account.lots[slot] -= taken
        points -= taken


@kernel
def redeem_reward(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme
):
    """Hand out one reward: FIFO from the lots, cash cost booked, liability released."""
    price = programme.points_price
    take_oldest(account, week, price)
    outcome.points_redeemed += price
    outcome.reward_cost += programme.reward_cost
    accrue(outcome, -price, programme.liability_per_point)
    post(profile, log, customer, time, POINTS, REDEEM, 0, -price)


@kernel
def close_programme_week(  # type: ignore[no-untyped-def]
    account, profile, outcome, log, customer, time, week, programme
):
    """Mature pending points, expire lots at quarter ends, set the tier.

    Tiers rise as soon as the spend is there and fall only at a quarter's end.
    """
    quarter = week // WEEKS_PER_QUARTER
    slot = (week - programme.pending_weeks + PENDING_SLOTS) % PENDING_SLOTS
    matured = account.pending[slot]
    if matured > 0:
        account.pending[slot] = 0
        account.lots[quarter % LOT_SLOTS] += matured
        account.points += matured
        post(profile, log, customer, time, POINTS, EARN, 0, matured)
    quarter_ends = (week + 1) % WEEKS_PER_QUARTER == 0
    if quarter_ends:
        slot = (quarter - programme.expiry_quarters + LOT_SLOTS) % LOT_SLOTS
        expired = account.lots[slot]
        if expired > 0:
            account.lots[slot] = 0
            account.points -= expired
            outcome.points_expired += expired
            accrue(outcome, -expired, programme.liability_per_point)
            post(profile, log, customer, time, POINTS, EXPIRE, 0, -expired)
        slot = (quarter + 1) % SPEND_SLOTS
        lapsed = account.quarter_spend[slot]
        if lapsed > 0:
            account.quarter_spend[slot] = 0
            post(profile, log, customer, time, QUALIFY, 0, 0, -lapsed)
    if quarter_ends or profile.week_revenue > 0:
        tier = tier_for(qualifying_spend(account), programme)
        if tier > account.tier or (tier < account.tier and quarter_ends):
            account.tier = tier
            post(profile, log, customer, time, TIER, tier, 0, 0)
