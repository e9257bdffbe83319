"""The loyalty programme as data: what is earned, how long it lives, what it buys, which tier.

Rules are ``ProgrammeParameters`` (conf/programme), compiled into one PROGRAMME record; the scalar
rules that read it are in ``sim/points.py`` and ``sim/tiers.py``. One quarter is 13 weeks, one year
4 quarters, both counted from week 0.
"""

import math
import typing
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.ranges import check_range
from agents.records import (
    KEPT_SLOTS,
    LOT_SLOTS,
    MAX_REWARDS,
    MAX_TIERS,
    PENDING_SLOTS,
    QUALIFYING_SLOTS,
    Field,
    record_dtype,
)
from sim.ledger import BASIS, MICRO, to_minor

EarnOn = Literal["shelf", "paid_before_redemption", "paid"]
TierBasis = Literal["spend", "points_earned", "points_balance", "predicted_value"]
Window = Literal["rolling", "calendar"]
Downgrade = Literal["none", "immediate", "grace"]

# Codes of the options in PROGRAMME are their places in the lists above.
SHELF, PAID_BEFORE_REDEMPTION, PAID = range(3)
SPEND, POINTS_EARNED, POINTS_BALANCE, PREDICTED_VALUE = range(4)
_MOST_POINTS = 1_000_000


def _check_choice(name: str, value: str, options: object) -> None:
    choices = typing.get_args(options)
    if value not in choices:
        raise ValueError(f"{name}={value!r}: choose one of {choices}")


@dataclass(frozen=True)
class Reward:
    """One reward of the catalogue.

    Parameters
    ----------
    points_price
        Points for one unit.
    unit_cost
        Cost of one unit to the firm in currency units.
    voucher
        Money off the basket at hand: lowers what is paid by ``unit_cost``, at most by what is due;
        what it lowered is its cost. Otherwise an item, which costs ``unit_cost``.
    multiple
        As many units at once as the points allow; vouchers no more than the basket absorbs whole.
    """

    name: str
    points_price: int
    unit_cost: float
    voucher: bool = False
    multiple: bool = False

    def __post_init__(self) -> None:
        check_range(f"points_price of reward {self.name}", self.points_price, 1, 10_000_000)
        lowest = 0.01 if self.voucher else 0.0
        check_range(f"unit_cost of reward {self.name}", self.unit_cost, lowest, 1e6)


@dataclass(frozen=True)
class Tier:
    """One tier: the qualifying amount it needs (see ``tier_basis``), ``multiplier`` on points."""

    name: str
    threshold: float
    multiplier: float = 1.0

    def __post_init__(self) -> None:
        check_range(f"threshold of tier {self.name}", self.threshold, 0.0, 1e9)
        check_range(f"multiplier of tier {self.name}", self.multiplier, 0.0, 100.0)


@dataclass(frozen=True)
class Challenge:
    """``points`` for that many ``purchases`` within a window of ``weeks``, once a window.

    Windows are fixed and follow one another from week 0.
    """

    purchases: int
    weeks: int
    points: int

    def __post_init__(self) -> None:
        check_range("challenge.purchases", self.purchases, 1, 50)
        check_range("challenge.weeks", self.weeks, 1, 52)
        check_range("challenge.points", self.points, 0, _MOST_POINTS)


@dataclass(frozen=True)
class Streak:
    """``points`` for a purchase in each of so many ``weeks`` in a row; then it starts again."""

    weeks: int
    points: int

    def __post_init__(self) -> None:
        check_range("streak.weeks", self.weeks, 2, 52)
        check_range("streak.points", self.points, 0, _MOST_POINTS)


@dataclass(frozen=True)
class ProgrammeParameters:
    """A points programme with tiers. ``active=False`` is no programme at all.

    Parameters
    ----------
    points_per_unit
        Points per currency unit of the base, before the tier's multiplier; rounded down.
    points_per_purchase
        Points for a purchase or visit whatever it costs, before the tier's multiplier: a stamp.
    earn_on
        Base of points and of tiers by spend: ``shelf`` price; ``paid_before_redemption``, after
        an offer's discount; ``paid``, after discount and vouchers.
    pending_weeks
        Weeks until points are spendable, 0 to 3.
    expiry_quarters
        Quarters after the one of maturing at whose end a lot expires, 1 to 5; 0: never.
    rewards
        The catalogue by rising price, 4 at most. Customers take the dearest they can afford (an
        assumption).
    redemption_weeks
        Weeks from ordering a reward to the week close that hands it out, 0 to 3; meanwhile its
        points are earmarked. Vouchers need 0.
    expiry_spares_ordered
        Points earmarked for an order, the oldest ones, do not expire: they join the next lot.
        Otherwise they do, and an order that the balance no longer covers is cancelled when due.
    breakage
        Share of points expected never to be redeemed; lowers the liability accrued per point.
    tiers
        By rising threshold, the first at 0. Thresholds are in currency units for ``spend`` and
        ``predicted_value``, in points otherwise.
    tier_basis
        What qualifies: ``spend``; ``points_earned`` on purchases, tier multiplier included, bonus
        points not; ``points_balance``, spendable; ``predicted_value``, the margin of the next 52
        weeks that the firm's own filter expects, taken at reviews only.
    window, window_quarters
        ``rolling``: the running quarter and the ``window_quarters`` - 1 before it count (2 to 5),
        with a review at every quarter's end, when the oldest of them lapses first. ``calendar``:
        the running year counts, with a review at its end; then it restarts at 0 and the tier is
        held. A balance or a prediction has no window: only the reviews are meant.
    downgrade, grace_reviews
        Tiers rise as soon as deserved. They fall never (``none``), at the review that finds them
        undeserved (``immediate``) or at the review after ``grace_reviews`` such in a row
        (``grace``, 1 to 8).
    soft_landing
        Fall one tier a review at most.
    challenge, streak
        Bonus points for purchases in numbers or in a row; None: there is none.
    welcome_points, referral_points
        Granted at enrolment and for a newcomer brought along.
    """

    name: str = "no_programme"
    active: bool = False
    points_per_unit: float = 1.0
    points_per_purchase: int = 0
    earn_on: EarnOn = "paid_before_redemption"
    pending_weeks: int = 1
    expiry_quarters: int = 4
    rewards: tuple[Reward, ...] = (Reward("reward", 500, 5.0),)
    redemption_weeks: int = 0
    expiry_spares_ordered: bool = True
    breakage: float = 0.30
    tiers: tuple[Tier, ...] = (Tier("base", 0.0),)
    tier_basis: TierBasis = "spend"
    window: Window = "rolling"
    window_quarters: int = 5
    downgrade: Downgrade = "immediate"
    grace_reviews: int = 1
    soft_landing: bool = False
    challenge: Challenge | None = None
    streak: Streak | None = None
    welcome_points: int = 0
    referral_points: int = 0

    def __post_init__(self) -> None:
        _check_choice("earn_on", self.earn_on, EarnOn)
        _check_choice("tier_basis", self.tier_basis, TierBasis)
        _check_choice("window", self.window, Window)
        _check_choice("downgrade", self.downgrade, Downgrade)
        check_range("points_per_unit", self.points_per_unit, 0.0, 1000.0)
        check_range("points_per_purchase", self.points_per_purchase, 0, 10_000)
        check_range("pending_weeks", self.pending_weeks, 0, PENDING_SLOTS - 1)
        check_range("expiry_quarters", self.expiry_quarters, 0, LOT_SLOTS - 1)
        check_range("redemption_weeks", self.redemption_weeks, 0, 3)
        check_range("breakage", self.breakage, 0.0, 1.0)
        check_range("window_quarters", self.window_quarters, 2, QUALIFYING_SLOTS + 1)
        check_range("grace_reviews", self.grace_reviews, 1, 8)
        check_range("welcome_points", self.welcome_points, 0, _MOST_POINTS)
        check_range("referral_points", self.referral_points, 0, _MOST_POINTS)
        self._check_rewards()
        self._check_tiers()

    def _check_rewards(self) -> None:
        check_range("number of rewards", len(self.rewards), 0, MAX_REWARDS)
        prices = [reward.points_price for reward in self.rewards]
        if sorted(set(prices)) != prices:
            raise ValueError(f"points_price of the rewards={prices} must rise")
        vouchers = [reward.name for reward in self.rewards if reward.voucher]
        if vouchers and self.redemption_weeks > 0:
            raise ValueError(
                f"redemption_weeks={self.redemption_weeks} must be 0 for vouchers {vouchers}: "
                "they come off the basket at hand"
            )

    def _check_tiers(self) -> None:
        check_range("number of tiers", len(self.tiers), 1, MAX_TIERS)
        thresholds = [tier.threshold for tier in self.tiers]
        if thresholds[0] != 0 or sorted(set(thresholds)) != thresholds:
            raise ValueError(f"tier thresholds={thresholds} must start at 0 and rise")
        for tier in self.tiers:
            # The largest week of purchases must fit 32-bit points.
            points = self.points_per_unit * tier.multiplier
            check_range(f"points_per_unit x multiplier of tier {tier.name}", points, 0.0, 100.0)

    @property
    def point_cost(self) -> float:
        """Full cost of one redeemed point in minor units, by the reward that makes it dearest."""
        costs = (to_minor(reward.unit_cost) / reward.points_price for reward in self.rewards)
        return max(costs, default=0.0)

    @property
    def liability_per_point(self) -> int:
        """Expected cost per point outstanding, in micro minor units."""
        return round(self.point_cost * (1.0 - self.breakage) * MICRO)


PROGRAMME = record_dtype(
    (
        Field("active", "u1", (), "flag", "a programme runs"),
        Field("expiry_spares_ordered", "u1", (), "flag", "earmarked points do not expire"),
        Field("calendar_window", "u1", (), "flag", "the running year counts for tiers"),
        Field("falls", "u1", (), "flag", "tiers fall"),
        Field("soft_landing", "u1", (), "flag", "one tier a review at most"),
        Field("points_per_unit", "i8", (), "milli points", "per currency unit"),
        Field("points_per_purchase", "i8", (), "points", "per purchase"),
        Field("earn_on", "i8", (), "", "index into EarnOn"),
        Field("pending_weeks", "i8", (), "weeks", "until points are spendable"),
        Field("expiry_quarters", "i8", (), "quarters", "life of a lot, 0 = for ever"),
        Field("redemption_weeks", "i8", (), "weeks", "from a reward's order to its hand-out"),
        Field("n_rewards", "i8", (), "", "number of rewards"),
        Field("reward_price", "i8", (MAX_REWARDS,), "points", "price of a unit, rising"),
        Field("reward_cost", "i8", (MAX_REWARDS,), "minor units", "cost of a unit"),
        Field("reward_voucher", "u1", (MAX_REWARDS,), "flag", "money off the basket"),
        Field("reward_multiple", "u1", (MAX_REWARDS,), "flag", "many units at once"),
        Field("liability_per_point", "i8", (), "micro minor units", "expected cost per point"),
        Field("n_tiers", "i8", (), "", "number of tiers"),
        Field("threshold", "i8", (MAX_TIERS,), "minor units or points", "needed per tier"),
        Field("multiplier", "i8", (MAX_TIERS,), "basis points", "points multiplier per tier"),
        Field("tier_basis", "i8", (), "", "index into TierBasis"),
        Field("window_quarters", "i8", (), "quarters", "that count for tiers"),
        Field("grace_reviews", "i8", (), "reviews", "in a row below before a fall"),
        Field("challenge_purchases", "i8", (), "purchases", "asked for, 0 = no challenge"),
        Field("challenge_weeks", "i8", (), "weeks", "length of its window"),
        Field("challenge_points", "i8", (), "points", "bonus"),
        Field("streak_weeks", "i8", (), "weeks", "in a row asked for, 0 = no streak"),
        Field("streak_points", "i8", (), "points", "bonus"),
        Field("welcome_points", "i8", (), "points", "at enrolment"),
        Field("referral_points", "i8", (), "points", "for a newcomer brought along"),
        # Terms of before a change that are kept (sim.kept); all 0 where nothing was changed.
        Field("kept_last", "i8", (), "week", "from which nothing old is kept any more"),
        Field("kept_until", "i8", (KEPT_SLOTS,), "week", "from which a slot's are not kept"),
        Field("kept_threshold", "i8", (KEPT_SLOTS * MAX_TIERS,), "as threshold", "by slot, tier"),
        Field("kept_multiplier", "i8", (KEPT_SLOTS * MAX_TIERS,), "basis points", "by slot, tier"),
        Field("kept_price", "i8", (KEPT_SLOTS * MAX_REWARDS,), "points", "by slot, reward"),
    )
)

_AS_THEY_ARE = (
    "points_per_purchase",
    "active",
    "expiry_spares_ordered",
    "soft_landing",
    "pending_weeks",
    "expiry_quarters",
    "redemption_weeks",
    "liability_per_point",
    "window_quarters",
    "welcome_points",
    "referral_points",
)


def programme_record(programme: ProgrammeParameters) -> NDArray[np.void]:
    """Compiled form of the rules, shape (1,)."""
    record = np.zeros(1, PROGRAMME)
    for name in _AS_THEY_ARE:
        record[name] = getattr(programme, name)
    record["points_per_unit"] = round(programme.points_per_unit * 1000)
    record["earn_on"] = typing.get_args(EarnOn).index(programme.earn_on)
    record["tier_basis"] = typing.get_args(TierBasis).index(programme.tier_basis)
    record["calendar_window"] = programme.window == "calendar"
    record["falls"] = programme.downgrade != "none"
    record["grace_reviews"] = programme.grace_reviews if programme.downgrade == "grace" else 0
    record["n_rewards"] = len(programme.rewards)
    for at, reward in enumerate(programme.rewards):
        record["reward_price"][0, at] = reward.points_price
        record["reward_cost"][0, at] = to_minor(reward.unit_cost)
        record["reward_voucher"][0, at] = reward.voucher
        record["reward_multiple"][0, at] = reward.multiple
    in_money = programme.tier_basis in ("spend", "predicted_value")
    record["n_tiers"] = len(programme.tiers)
    for at, tier in enumerate(programme.tiers):
        threshold = to_minor(tier.threshold) if in_money else math.ceil(tier.threshold)
        record["threshold"][0, at] = threshold
        record["multiplier"][0, at] = math.floor(tier.multiplier * BASIS + 0.5)
    if programme.challenge is not None:
        record["challenge_purchases"] = programme.challenge.purchases
        record["challenge_weeks"] = programme.challenge.weeks
        record["challenge_points"] = programme.challenge.points
    if programme.streak is not None:
        record["streak_weeks"] = programme.streak.weeks
        record["streak_points"] = programme.streak.points
    return record
