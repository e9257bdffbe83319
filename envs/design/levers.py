"""What a designer moves: from an action in [-1, 1] to the next design of a programme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.ranges import check_range
from agents.records import KINDS
from sim.offers import OfferBook
from sim.programme import ProgrammeParameters

_MOST_POINTS_PER_UNIT = 100.0  # times the multiplier, see ProgrammeParameters
_TOO_MANY = (
    f"more than {_MOST_POINTS_PER_UNIT:g} points per unit, with terms in force, announced or kept"
)
_LEAST_SHARE = 0.01  # of the budget, so that a kind can come back


class Design(NamedTuple):
    """A programme's terms, the offer budget in currency units per customer and week, and its
    split: a share for each kind of offer in ``Levers.kinds``, sum 1.
    """

    programme: ProgrammeParameters
    weekly_budget: float
    split: tuple[float, ...]


@dataclass(frozen=True)
class LeverParameters:
    """How far one action moves.

    Parameters
    ----------
    step
        Action 1 multiplies by 1 + ``step``, action -1 divides by it: gaps between thresholds, gaps
        between prices, points per unit, budget, and each kind's weight in the split.
    multiplier_step
        Action 1 adds this to a tier's multiplier above the tier below, action -1 takes it off.
    dead_band
        Actions nearer to 0 than this change nothing: continuous policies can leave terms alone.
    reach
        A gap, price, rate or budget stays within its starting value divided and multiplied by it.
    """

    step: float = 0.25
    multiplier_step: float = 0.1
    dead_band: float = 0.1
    reach: float = 4.0

    def __post_init__(self) -> None:
        check_range("step", self.step, 0.0, 4.0)
        check_range("multiplier_step", self.multiplier_step, 0.0, 1.0)
        check_range("dead_band", self.dead_band, 0.0, 0.99)
        check_range("reach", self.reach, 1.0, 100.0)


class Lever(NamedTuple):
    """One entry of the action."""

    name: str
    meaning: str


class Move(NamedTuple):
    """The design that an action leads to, and why a lever went less far than asked, by lever."""

    design: Design
    clamped: dict[str, str]


class Levers:
    """The action of a programme and an offer book.

    Thresholds, and prices, are made of gaps that stay above 0, and multipliers of premiums that
    stay at least 0, so they rise from tier to tier and reward to reward whatever the action.

    Parameters
    ----------
    start
        The design at the start; what it lacks (tiers, rewards, offers) has no lever.
    book
        Offers: kinds in it share the budget.
    """

    def __init__(self, start: Design, book: OfferBook, parameters: LeverParameters) -> None:
        self.start = start
        self.parameters = parameters
        self.kinds = kinds_of(book)
        programme = start.programme
        fixed = programme.redemption_weeks > 0 and any(r.multiple for r in programme.rewards)
        rewards = () if fixed else programme.rewards
        found = []
        for tier in programme.tiers[1:]:
            found.append(Lever(f"threshold_{tier.name}", "gap to the threshold below"))
        for tier in programme.tiers[1:]:
            found.append(Lever(f"multiplier_{tier.name}", "multiplier above the tier below"))
        for reward in rewards:
            found.append(Lever(f"price_{reward.name}", "gap to the price below, or the price"))
        if programme.points_per_unit > 0:
            found.append(Lever("earn_rate", "points per currency unit"))
        if self.kinds and start.weekly_budget > 0:
            found.append(Lever("budget", "offer budget per customer and week"))
            if len(self.kinds) > 1:
                found += [Lever(f"split_{kind}", "weight in the budget") for kind in self.kinds]
        self.table = tuple(found)
        self.names = tuple(lever.name for lever in found)

    @property
    def n(self) -> int:
        """Length of the action."""
        return len(self.table)

    def checked(self, action: ArrayLike) -> NDArray[np.float64]:
        """The action, shape (n,), within [-1, 1].

        Raises
        ------
        ValueError
            For another shape, or a value that is no number or out of range, naming its lever.
        """
        values = np.asarray(action, dtype=np.float64)
        if values.shape != (self.n,):
            raise ValueError(f"action has shape {values.shape}, not ({self.n},)")
        for name, value in zip(self.names, values, strict=True):
            if not abs(value) <= 1.0:
                raise ValueError(f"action {name}={value} must be a number from -1 to 1")
        return values

    def move(
        self, action: ArrayLike, design: Design, standing: Sequence[ProgrammeParameters] = ()
    ) -> Move:
        """The design that the action asks for, starting from ``design``.

        Parameters
        ----------
        standing
            Terms in force, announced, and kept by members. While a change waits, and after it, they
            have the better of old and new for each term, so rate × multiplier must be allowed
            across them too.
        """
        values = self.checked(action)
        values = np.where(np.abs(values) < self.parameters.dead_band, 0.0, values)
        by_name = dict(zip(self.names, values.tolist(), strict=True))
        programme, clamped = self._programme(by_name, design.programme, standing)
        budget = self._budget(by_name, design.weekly_budget)
        return Move(Design(programme, budget, self._split(by_name, design.split)), clamped)

    def dearest_points(
        self, design: Design, standing: Sequence[ProgrammeParameters], decisions: int
    ) -> list[float]:
        """Full cost of a redeemed point at the lowest prices of ``standing`` and those that further
        decisions, starting from ``design``, can lead to; minor units, after 0 to ``decisions``.
        """
        cheaper = np.array([-1.0 if name.startswith("price_") else 0.0 for name in self.names])
        costs = [max(programme.point_cost for programme in (design.programme, *standing))]
        for _ in range(decisions):
            design = self.move(cheaper, design).design
            costs.append(max(costs[-1], design.programme.point_cost))
        return costs

    def _factor(self, value: float) -> float:
        return float((1.0 + self.parameters.step) ** value)

    def _scaled(self, value: float, now: float, start: float) -> float:
        """``now`` moved by an action, within reach of ``start``; untouched by action 0."""
        if value == 0.0:
            return now
        reach = self.parameters.reach
        return min(max(now * self._factor(value), start / reach), start * reach)

    def _programme(
        self,
        by_name: dict[str, float],
        programme: ProgrammeParameters,
        standing: Sequence[ProgrammeParameters],
    ) -> tuple[ProgrammeParameters, dict[str, str]]:
        start = self.start.programme
        tiers = [tier.name for tier in programme.tiers[1:]]
        values = [by_name[f"threshold_{name}"] for name in tiers]
        thresholds = [tier.threshold for tier in programme.tiers]
        if any(values):
            first = [tier.threshold for tier in start.tiers]
            thresholds = [0.0, *self._gaps(values, thresholds, first, 0.0)]
        asked = self._multipliers([by_name[f"multiplier_{name}"] for name in tiers], programme)
        wish = self._scaled(
            by_name.get("earn_rate", 0.0), programme.points_per_unit, start.points_per_unit
        )
        multipliers, rate = _within_bounds(asked, wish, programme, standing)
        clamped = {
            f"multiplier_{name}": _TOO_MANY
            for name, most, found in zip(tiers, asked[1:], multipliers[1:], strict=True)
            if found < most
        }
        if rate < wish:
            clamped["earn_rate"] = _TOO_MANY
        moved_tiers = tuple(
            replace(tier, threshold=threshold, multiplier=multiplier)
            for tier, threshold, multiplier in zip(
                programme.tiers, thresholds, multipliers, strict=True
            )
        )
        values = [by_name.get(f"price_{reward.name}", 0.0) for reward in programme.rewards]
        rewards = programme.rewards
        if any(values):
            prices = [0.0, *(float(reward.points_price) for reward in rewards)]
            first = [0.0, *(float(reward.points_price) for reward in start.rewards)]
            moved = self._gaps(values, prices, first, 0.0)
            rewards = tuple(
                replace(reward, points_price=int(price))
                for reward, price in zip(rewards, moved, strict=True)
            )
        if rate != programme.points_per_unit:
            rate = max(math.floor(rate * 1000 + 1e-6) / 1000, 0.001)
        moved_programme = replace(
            programme, tiers=moved_tiers, points_per_unit=rate, rewards=rewards
        )
        return moved_programme, clamped

    def _gaps(
        self, values: list[float], now: list[float], start: list[float], base: float
    ) -> list[float]:
        """Rising amounts whose gaps are scaled, each at least 1, in whole units."""
        amounts = []
        for at, value in enumerate(values):
            gap, first = now[at + 1] - now[at], start[at + 1] - start[at]
            base += max(float(round(self._scaled(value, gap, first))), 1.0)
            amounts.append(base)
        return amounts

    def _multipliers(self, values: list[float], programme: ProgrammeParameters) -> list[float]:
        """Multipliers whose premiums over the tier below are moved, to two decimals."""
        now = [tier.multiplier for tier in programme.tiers]
        if not any(values):
            return now
        moved = now[:1]
        for at, value in enumerate(values):
            premium = max(now[at + 1] - now[at] + value * self.parameters.multiplier_step, 0.0)
            moved.append(min(round(moved[-1] + premium, 2), max(10.0, now[at + 1])))
        return moved

    def _budget(self, by_name: dict[str, float], budget: float) -> float:
        return self._scaled(by_name.get("budget", 0.0), budget, self.start.weekly_budget)

    def _split(self, by_name: dict[str, float], split: tuple[float, ...]) -> tuple[float, ...]:
        values = [by_name.get(f"split_{kind}", 0.0) for kind in self.kinds]
        if not any(values):
            return split
        weights = [
            max(share * self._factor(value), _LEAST_SHARE)
            for share, value in zip(split, values, strict=True)
        ]
        return tuple(weight / sum(weights) for weight in weights)


def _within_bounds(
    multipliers: list[float],
    rate: float,
    programme: ProgrammeParameters,
    standing: Sequence[ProgrammeParameters],
) -> tuple[list[float], float]:
    """Multipliers and points per unit that rise no further than is allowed beside all terms that
    stand, ``programme`` among them, which fit one another.
    """
    standing = (programme, *standing)
    rates = [terms.points_per_unit for terms in standing if terms.points_per_unit > 0]
    most = min((math.floor(100 * _MOST_POINTS_PER_UNIT / one) / 100 for one in rates), default=100)
    now = [tier.multiplier for tier in programme.tiers]
    found = [
        min(asked, max(most, present)) for asked, present in zip(multipliers, now, strict=True)
    ]
    dearest = max([*found, *(tier.multiplier for terms in standing for tier in terms.tiers)])
    if dearest > 0:
        rate = min(rate, max(_MOST_POINTS_PER_UNIT / dearest, programme.points_per_unit))
    return found, rate


def kinds_of(book: OfferBook) -> tuple[str, ...]:
    """Kinds of offer in a book, in the order of ``KINDS``."""
    there = {offer.kind for offer in book.offers}
    return tuple(kind for kind in KINDS if kind in there)


def even_split(book: OfferBook) -> tuple[float, ...]:
    """The same share for each kind in the book."""
    kinds = kinds_of(book)
    return (1.0 / len(kinds),) * len(kinds) if kinds else ()
