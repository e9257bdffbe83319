"""What a designer sees: one table of KPIs of the last quarter, from what a firm may know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.records import WEEKS_PER_QUARTER
from envs.design.levers import Design, Levers
from envs.features import Feature
from sim.kept_terms import members, own_prices, own_thresholds, points_saved
from sim.ledger import MICRO
from sim.market import LoyaltyMarket
from sim.notices import Notices
from sim.programme import ProgrammeParameters
from sim.redesign import close_to
from sim.scenario import WEEKS_PER_YEAR

QUARTERS_PER_YEAR = WEEKS_PER_YEAR // WEEKS_PER_QUARTER


@dataclass(frozen=True)
class Quarter:
    """Sums of one quarter over the cohort, minor units and points, as Python integers."""

    purchases: int = 0
    margin: int = 0
    discount: int = 0
    item_cost: int = 0
    contact_cost: int = 0
    reward_cost: int = 0
    liability_change: int = 0
    points_earned: int = 0
    points_redeemed: int = 0
    points_expired: int = 0
    contacts: int = 0
    settled: int = 0
    rose: int = 0
    fell: int = 0

    @classmethod
    def of(cls, collected: Mapping[str, Sequence[Any]], weeks: int) -> "Quarter":
        """The last ``weeks`` that a market collected (``datacollector.model_vars``)."""
        return cls(**{f.name: int(sum(collected[f.name][-weeks:])) for f in fields(cls)})

    @property
    def offer_cost(self) -> int:
        """Discounts, items and messages, minor units."""
        return self.discount + self.item_cost + self.contact_cost

    @property
    def profit(self) -> float:
        """Margin less cash cost less change of the points liability, minor units."""
        cash = self.offer_cost + self.reward_cost
        return self.margin - cash - self.liability_change / MICRO


def _flow(name: str, high: float, centre: float, scale: float, purpose: str) -> Feature:
    return Feature(name, "currency/customer", -high, high, centre, scale, purpose)


_QUARTER = (
    _flow("profit", 1e4, 80, 60, "what the reward is made of"),
    _flow("margin", 1e4, 90, 60, "what customers bring"),
    _flow("offer_cost", 1e4, 1, 2, "discounts, items and messages"),
    _flow("reward_cost", 1e4, 3, 4, "rewards handed out"),
    _flow("liability_change", 1e4, 1, 3, "points issued, used, expired, valued anew"),
    _flow("liability", 1e5, 8, 8, "points owed at the quarter's end"),
    Feature("purchases", "1/week", 0, 60, 1.0, 0.7, "purchases per customer"),
    Feature("points_earned", "points/customer", 0, 1e6, 400, 300, "points issued"),
    Feature("redemption_rate", "share", 0, 10, 0.7, 0.4, "points redeemed of those earned"),
    Feature("breakage_rate", "share", 0, 10, 0.1, 0.15, "points expired of those earned"),
    Feature("active", "share", 0, 1, 0.8, 0.2, "customers whom the filter believes alive"),
    Feature("members", "share", 0, 1, 0.8, 0.2, "members with an open account"),
    Feature("close_to_tier", "share", 0, 1, 0.1, 0.1, "members close to their next tier"),
    Feature("close_to_reward", "share", 0, 1, 0.2, 0.2, "members close to a reward not reached"),
    Feature("keeping", "share", 0, 1, 0.1, 0.2, "members who keep old terms"),
    Feature("rose", "share", 0, 13, 0.05, 0.05, "rises of tier per member"),
    Feature("fell", "share", 0, 13, 0.05, 0.05, "falls of tier per member"),
    Feature("offers", "offers/customer", 0, 13, 1, 2, "offers sent"),
    Feature("budget_settled", "share", 0, 100, 0.3, 0.3, "of the quarter's budget spent"),
    Feature("budget_reserved", "share", 0, 100, 0.5, 0.4, "of the weekly budget open"),
)
_END = (
    Feature("weeks_to_change", "weeks", 0, 104, 6, 7, "until announced terms hold, 0 = none"),
    *(
        Feature(f"quarter_{at + 1}", "flag", 0, 1, 0.25, 0.43, "the quarter about to start")
        for at in range(QUARTERS_PER_YEAR)
    ),
    Feature("horizon_left", "share", 0, 1, 0.5, 0.3, "quarters left"),
)


def _ratio(name: str, meaning: str, scale: float = 0.5) -> Feature:
    return Feature(name, "ratio", 0, 100, 1, scale, meaning)


def kpi_table(levers: Levers) -> tuple[Feature, ...]:
    """The observation's columns: the quarter, members by tier, terms in force and announced.

    Thresholds, prices and points per unit are ratios to their starting values.
    """
    programme = levers.start.programme
    found = list(_QUARTER)
    for tier in programme.tiers:
        found.append(Feature(f"tier_{tier.name}", "share", 0, 1, 0.3, 0.3, "members in it"))
    for prefix, when in (("", "in force"), ("announced_", "announced last")):
        for tier in programme.tiers[1:]:
            found.append(_ratio(f"{prefix}threshold_{tier.name}", f"{when}, to the start's"))
        for tier in programme.tiers[1:]:
            name = f"{prefix}multiplier_{tier.name}"
            found.append(Feature(name, "multiple", 0, 100, 1.25, 0.3, when))
        for reward in programme.rewards:
            found.append(_ratio(f"{prefix}price_{reward.name}", f"{when}, to the start's"))
        found.append(_ratio(f"{prefix}earn_rate", f"{when}, to the start's"))
    found.append(
        Feature("budget", "currency/customer/week", 0, 1e4, 0.5, 0.5, "offer budget in force")
    )
    for kind in levers.kinds:
        found.append(Feature(f"split_{kind}", "share", 0, 1, 0.3, 0.3, "of the budget"))
    found += _END
    return tuple(found)


def terms(programme: ProgrammeParameters, start: ProgrammeParameters) -> list[float]:
    """Thresholds, multipliers, prices, earn rate, as ``kpi_table`` has them."""
    values = [
        tier.threshold / first.threshold
        for tier, first in zip(programme.tiers[1:], start.tiers[1:], strict=True)
    ]
    values += [tier.multiplier for tier in programme.tiers[1:]]
    values += [
        reward.points_price / first.points_price
        for reward, first in zip(programme.rewards, start.rewards, strict=True)
    ]
    first_rate = start.points_per_unit
    values.append(programme.points_per_unit / first_rate if first_rate > 0 else 1.0)
    return values


def kpis(
    market: LoyaltyMarket,
    quarter: Quarter,
    design: Design,
    notices: Notices,
    levers: Levers,
    open_share: float,
    horizon_left: float,
) -> NDArray[np.float64]:
    """Values of ``kpi_table`` at the end of a quarter, before clipping to their ranges."""
    customers = market.customers
    n = customers.n
    account, profile = customers.account, customers.profile
    there = members(customers)
    heads = max(int(there.sum()), 1)
    known = (profile["joined"] >= 0) & (account["closed"] == 0)
    alive = float((1.0 / (1.0 + profile["dead_odds"][known].astype(np.float64))).sum())
    share = notices.goalposts.close_share
    rules = market.engine.rules["programme"]
    goal = own_thresholds(customers, rules)
    near = there & (goal > 0) & close_to(profile["qualifying"], goal, share)
    saved = points_saved(customers)[:, None]
    prices = own_prices(customers, rules)
    saving = there & ((saved < prices) & close_to(saved, prices, share)).any(axis=1)
    money = 100.0 * n
    earned = max(quarter.points_earned, 1)
    budget = 100.0 * design.weekly_budget * n
    values = [
        quarter.profit / money,
        quarter.margin / money,
        quarter.offer_cost / money,
        quarter.reward_cost / money,
        quarter.liability_change / MICRO / money,
        market.ledger.liability / MICRO / money,
        quarter.purchases / n / WEEKS_PER_QUARTER,
        quarter.points_earned / n,
        quarter.points_redeemed / earned,
        quarter.points_expired / earned,
        alive / n,
        float(there.sum()) / n,
        float(near.sum()) / heads,
        float(saving.sum()) / heads,
        float((there & (account["kept"] > 0)).sum()) / heads,
        quarter.rose / heads,
        quarter.fell / heads,
        quarter.contacts / n,
        quarter.settled / (budget * WEEKS_PER_QUARTER) if budget > 0 else 0.0,
        open_share,
    ]
    tiers = np.bincount(account["tier"][there], minlength=len(design.programme.tiers))
    values += [float(count) / heads for count in tiers]
    start = levers.start.programme
    values += terms(notices.in_force, start)
    values += terms(notices.latest, start)
    values += [design.weekly_budget, *design.split]
    weeks = [notice.week - market.week for notice in notices.pending]
    values.append(float(min(weeks, default=0)))
    coming = market.week // WEEKS_PER_QUARTER % QUARTERS_PER_YEAR
    values += [float(coming == at) for at in range(QUARTERS_PER_YEAR)]
    values.append(horizon_left)
    return np.array(values, np.float64)
