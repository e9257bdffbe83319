"""One market under one programme: its KPIs week by week and what each customer brought."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.population import PosteriorLike
from agents.records import Customers
from agents.rng import derive_seed
from envs.decision import GovernedPolicy
from experiments.config import SimulateConfig
from experiments.evaluation import make_policy
from experiments.worlds import build_world, draw_customers
from policies.heuristics import NoOffers
from sim.ledger import MICRO
from sim.market import LoyaltyMarket
from sim.metrics import weekly_kpis

if TYPE_CHECKING:
    import pandas as pd

# Sums over the run of each customer; money in currency units.
PER_CUSTOMER = (
    "purchases",
    "revenue",
    "margin",
    "offer_cost",
    "reward_cost",
    "liability_change",
    "profit",
    "still_there",
)
_SUMMED = (
    "purchases", "gross", "discount", "voucher", "fees", "margin", "item_cost", "contact_cost",
    "reward_cost", "liability_change",
)  # fmt: skip
_MINOR = 100.0


class MarketRun(NamedTuple):
    """What a market brought in the weeks that count.

    Attributes
    ----------
    frame
        Totals by week, as the market's data collector has them.
    kpis
        ``week``, the columns of ``sim.metrics.KPIS`` and, under a programme with several tiers,
        ``tier_<name>``: the share of members in each.
    per_customer
        ``PER_CUSTOMER`` by name, shape (n,); prospects are among them, with zeros until they join.
    governed
        The policy under its constraints; None where no offers are made.
    starting
        Customers when counting began.
    """

    frame: "pd.DataFrame"
    kpis: "pd.DataFrame"
    per_customer: dict[str, NDArray[np.float64]]
    governed: GovernedPolicy | None
    starting: int


def run_market(
    config: SimulateConfig,
    posterior: PosteriorLike,
    response: str,
    tell: Callable[[], None] | None = None,
) -> MarketRun:
    """Run a market; the same seed gives the same customers and luck whatever the programme.

    Parameters
    ----------
    config
        Its ``warmup_weeks`` run without offers and are not counted.
    posterior
        What customers are drawn from.
    response
        Name of the response world.
    tell
        Called after each week.
    """
    world = build_world(config, posterior, response)
    customers = draw_customers(config, posterior, "population", config.customers)
    market = LoyaltyMarket(world, customers, derive_seed(config.seed, "world"))
    tell = tell or (lambda: None)
    for _ in range(config.warmup_weeks):
        market.step()
        tell()
    starting = market.stocks["customers"]
    governed = None
    if config.policy != "no_offers":
        policy = make_policy(config.policy, config, NoOffers())
        governed = GovernedPolicy(policy, config.constraints, config.customers)
        market.firm.decider = governed
    sums = {name: np.zeros(customers.n, np.int64) for name in _SUMMED}
    tiers = np.zeros((config.weeks, len(config.programme.tiers)))
    for week in range(config.weeks):
        market.step()
        for name, total in sums.items():
            total += customers.outcome[name]
        tiers[week] = tier_shares(customers, tiers.shape[1])
        tell()
    market.finish()
    frame = market.datacollector.get_model_vars_dataframe().iloc[config.warmup_weeks :]
    if not config.programme.active:  # accounts stay enrolled, but in nothing
        frame = frame.assign(members=0)
    kpis = weekly_kpis(frame)
    if config.programme.active and tiers.shape[1] > 1:
        for tier, shares in zip(config.programme.tiers, tiers.T, strict=True):
            kpis[f"tier_{tier.name}"] = shares
    return MarketRun(frame, kpis, _per_customer(sums, customers), governed, starting)


def _per_customer(
    sums: dict[str, NDArray[np.int64]], customers: Customers
) -> dict[str, NDArray[np.float64]]:
    money = {name: total / _MINOR for name, total in sums.items()}
    offers = money["discount"] + money["item_cost"] + money["contact_cost"]
    owed = money["liability_change"] / MICRO
    there = (customers.state["alive"] > 0) & (customers.state["prospect"] == 0)
    return {
        "purchases": sums["purchases"].astype(float),
        "revenue": money["gross"] - money["discount"] - money["voucher"] + money["fees"],
        "margin": money["margin"],
        "offer_cost": offers,
        "reward_cost": money["reward_cost"],
        "liability_change": owed,
        "profit": money["margin"] - offers - money["reward_cost"] - owed,
        "still_there": there.astype(float),
    }


def tier_shares(customers: Customers, tiers: int) -> NDArray[np.float64]:
    """Share of members with an open account in each tier; zeros without members."""
    account = customers.account
    members = (account["enrolled"] > 0) & (account["closed"] == 0)
    counts = np.bincount(account["tier"][members], minlength=tiers)
    return np.asarray(counts / max(int(members.sum()), 1))
