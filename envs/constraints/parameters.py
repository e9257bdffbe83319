"""Limits of a firm, as conf/constraints holds them: frozen, checked where they are made."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agents.ranges import check_range
from agents.records import CHANNELS, CONTACT_WEEKS, WEEKS_PER_QUARTER
from envs.features import FEATURE_NAMES
from sim.goalposts import Goalposts


@dataclass(frozen=True)
class OfferBudget:
    """Revolving. Money in minor units per customer; None = no limit.

    ``worst_case``: in every week, open commitments + new commitments <= ``weekly_per_customer`` ×
    customers, and settled so far + open + new <= that × ``total_weeks``; hard. ``tail``: the same
    with what is reserved in place of the commitments, see ``envs.constraints.tail``; it may be
    exceeded with probability ``delta`` where its assumptions hold.
    """

    weekly_per_customer: float | None = None
    total_weeks: float | None = None
    mode: Literal["worst_case", "tail"] = "worst_case"
    delta: float = 0.05

    def __post_init__(self) -> None:
        for name in ("weekly_per_customer", "total_weeks"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, 0.0, 1e9)
        if self.mode not in ("worst_case", "tail"):
            raise ValueError(f"mode={self.mode!r}: choose worst_case or tail")
        check_range("delta", self.delta, 1e-9, 0.5)

    def weekly_limit(self, n: int) -> int | None:
        """Weekly limit for a cohort of n, minor units."""
        return None if self.weekly_per_customer is None else int(self.weekly_per_customer * n)

    def total_limit(self, n: int) -> int | None:
        """Limit over the whole horizon for a cohort of n, minor units."""
        if self.weekly_per_customer is None or self.total_weeks is None:
            return None
        return int(self.weekly_per_customer * n * self.total_weeks)

    def reservable(self, n: int, settled: int) -> int | None:
        """What open and new offers together may reserve this week, minor units."""
        weekly, total = self.weekly_limit(n), self.total_limit(n)
        limits = [limit for limit in (weekly,) if limit is not None]
        limits += [limit - settled for limit in (total,) if limit is not None]
        return min(limits) if limits else None

    def free_share(self, n: int, available: int | None) -> float:
        """Free share of the weekly limit, 1 without a limit."""
        weekly = self.weekly_limit(n)
        if weekly is None or available is None:
            return 1.0
        return min(1.0, available / weekly) if weekly > 0 else 0.0


@dataclass(frozen=True)
class DiscountExposure:
    """Discounts settled in the last 13 weeks, open and new ones together, are at most ``share``
    of the revenue of these weeks. Hard: no discount is offered that would break it.
    """

    share: float

    def __post_init__(self) -> None:
        check_range("discount_exposure.share", self.share, 0.0, 1.0)


@dataclass(frozen=True)
class LiabilityAlarm:
    """Points liability above ``share`` of the revenue of the last ``weeks`` weeks: expected, since
    points are owed by rule. ``stops_bonus_points`` masks offers of points while it sounds.
    """

    share: float
    weeks: int = WEEKS_PER_QUARTER
    stops_bonus_points: bool = False

    def __post_init__(self) -> None:
        check_range("liability_alarm.share", self.share, 0.0, 1000.0)
        check_range("liability_alarm.weeks", self.weeks, 1, 52)


@dataclass(frozen=True)
class ContactCap:
    """At most ``contacts`` contacts in any ``weeks`` consecutive weeks, this one among them."""

    contacts: int = 2
    weeks: int = 4

    def __post_init__(self) -> None:
        check_range("contact_cap.contacts", self.contacts, 0, CONTACT_WEEKS)
        check_range("contact_cap.weeks", self.weeks, 1, CONTACT_WEEKS)


@dataclass(frozen=True)
class ChannelLimits:
    """Contact cap and quiet weeks of one channel."""

    contact_cap: ContactCap | None = None
    quiet_weeks: int = 0

    def __post_init__(self) -> None:
        check_range("quiet_weeks", self.quiet_weeks, 0, CONTACT_WEEKS - 1)


@dataclass(frozen=True)
class PriceSpread:
    """Nobody's personal discount is deeper than this share; others pay the full price.

    ``by_category`` holds other limits for discounts on one category; an offer on everything must
    keep all of them.
    """

    overall: float
    by_category: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range("price_spread.overall", self.overall, 0.0, 1.0)
        for name, share in self.by_category.items():
            check_range(f"price_spread.by_category.{name}", share, 0.0, 1.0)


@dataclass(frozen=True)
class Fairness:
    """Expected. Between groups, given eligibility (an action was allowed).

    Parameters
    ----------
    least_ratio
        Least over greatest group, of offer rates and of values offered, at least this.
    largest_difference
        Of offer rates, greatest group less least, at most this; None = no limit.
    largest_value_difference
        The same of values offered, minor units per eligible customer-week.
    minimum
        Groups with fewer eligible customers are not judged.
    """

    least_ratio: float = 0.8
    largest_difference: float | None = None
    largest_value_difference: float | None = None
    minimum: int = 100

    def __post_init__(self) -> None:
        check_range("fairness.least_ratio", self.least_ratio, 0.0, 1.0)
        if self.largest_difference is not None:
            check_range("fairness.largest_difference", self.largest_difference, 0.0, 1.0)
        if self.largest_value_difference is not None:
            check_range(
                "fairness.largest_value_difference", self.largest_value_difference, 0.0, 1e9
            )
        check_range("fairness.minimum", self.minimum, 1, 10**9)


@dataclass(frozen=True)
class ConstraintParameters:
    """All constraints of a firm. Consent and the vulnerable-customer rule default to on; opt-outs,
    open offers, closed accounts and non-members are respected always.

    Parameters
    ----------
    offer_budget, discount_exposure, liability_alarm, contact_cap, price_spread, fairness
        See their classes; None = no such limit.
    quiet_weeks
        Weeks of silence after a contact, whatever its channel.
    by_channel
        Further limits of single channels.
    goalposts
        Read by the design of programmes.
    features
        Names of the features policies may use, None: all.
    approval
        ``experiment`` lets limits run that nobody approved; every report and bundle then says so.
    """

    offer_budget: OfferBudget = OfferBudget()
    contact_cap: ContactCap | None = None
    consent: bool = True
    vulnerable: bool = True
    discount_exposure: DiscountExposure | None = None
    liability_alarm: LiabilityAlarm | None = None
    quiet_weeks: int = 0
    by_channel: dict[str, ChannelLimits] = field(default_factory=dict)
    price_spread: PriceSpread | None = None
    fairness: Fairness | None = None
    goalposts: Goalposts = field(default_factory=Goalposts)
    features: tuple[str, ...] | None = None
    approval: Literal["required", "experiment"] = "required"
    name: str = "unnamed"

    def __post_init__(self) -> None:
        check_range("quiet_weeks", self.quiet_weeks, 0, CONTACT_WEEKS - 1)
        for channel in self.by_channel:
            if channel not in CHANNELS:
                raise ValueError(f"by_channel={channel!r}: choose among {', '.join(CHANNELS)}")
        for name in self.features or ():
            if name not in FEATURE_NAMES:
                raise ValueError(f"features={name!r}: choose among {', '.join(FEATURE_NAMES)}")
        if self.approval not in ("required", "experiment"):
            raise ValueError(f"approval={self.approval!r}: choose required or experiment")


def constraints_from(values: Mapping[str, Any]) -> ConstraintParameters:
    """Parameters from their plain form, ``dataclasses.asdict`` or JSON of it.

    Raises
    ------
    TypeError, ValueError
        For unknown keys or values out of range.
    """
    given = dict(values)
    parts: dict[str, Any] = {
        "offer_budget": OfferBudget,
        "contact_cap": ContactCap,
        "discount_exposure": DiscountExposure,
        "liability_alarm": LiabilityAlarm,
        "price_spread": PriceSpread,
        "fairness": Fairness,
        "goalposts": Goalposts,
    }
    for name, kind in parts.items():
        if given.get(name) is not None:
            given[name] = kind(**given[name])
    channels = {}
    for channel, limits in given.get("by_channel", {}).items():
        cap = limits.get("contact_cap")
        channels[channel] = ChannelLimits(
            **{**limits, "contact_cap": None if cap is None else ContactCap(**cap)}
        )
    given["by_channel"] = channels
    if given.get("features") is not None:
        given["features"] = tuple(given["features"])
    return ConstraintParameters(**given)


def as_plain(parameters: ConstraintParameters) -> dict[str, Any]:
    """Plain dicts, lists and scalars; ``constraints_from`` reads them back."""
    plain = dataclasses.asdict(parameters)
    plain["features"] = None if parameters.features is None else list(parameters.features)
    return plain
