"""Exact lift: the same customers and the same luck, with and without the offers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.network import Network
from agents.records import Customers
from sim.engine import Engine
from sim.ledger import cash_cost, profit
from sim.market import Decider, LoyaltyMarket
from sim.world import World


@dataclass(frozen=True)
class BranchTotals:
    """What one branch brought per customer over the horizon, arrays of shape (n,).

    Money in minor units; ``profit`` = margin - cash cost - change of points liability.
    ``alive`` is the truth at the end (simulator only; prospects are not), ``active`` bought in the
    last 13 weeks.
    """

    purchases: NDArray[np.int64]
    margin: NDArray[np.int64]
    cash_cost: NDArray[np.int64]
    liability_change: NDArray[np.int64]
    settled: NDArray[np.int64]
    reserved: NDArray[np.int64]
    contacts: NDArray[np.int64]
    opted_out: NDArray[np.int64]
    offer_cost: NDArray[np.int64]
    alive: NDArray[np.bool_]
    active: NDArray[np.bool_]

    @property
    def profit(self) -> NDArray[np.float64]:
        """Margin less cash cost less change of liability, minor units."""
        result: NDArray[np.float64] = profit(self.margin, self.cash_cost, self.liability_change)
        return result


@dataclass(frozen=True)
class PairedRun:
    """A treated and an untreated branch of the same customers.

    Attributes
    ----------
    treated, control
        Totals per customer.
    deadweight
        Offer cost settled on purchases that the customer made without offers too, shape (n,),
        minor units. Under the monotone coupling the first ``k`` purchases of a week exist in
        both branches where the control made at least ``k``.
    weekly_lift
        Mean profit per customer above the control in each week, minor units, shape (weeks,).
    group
        Group of each customer, for audits.
    """

    treated: BranchTotals
    control: BranchTotals
    deadweight: NDArray[np.int64]
    weekly_lift: NDArray[np.float64]
    group: NDArray[np.uint8]


class _Sums:
    """Running per-customer sums of one market."""

    _names = ("purchases", "margin", "liability_change", "settled", "reserved", "opted_out")

    def __init__(self, n: int) -> None:
        names = (*self._names, "cash_cost", "contacts", "offer_cost", "recent")
        self.values = {name: np.zeros(n, np.int64) for name in names}

    def add(self, outcome: NDArray[np.void], recent: bool) -> None:
        for name in self._names:
            self.values[name] += outcome[name]
        self.values["cash_cost"] += cash_cost(outcome)
        self.values["contacts"] += outcome["action"] > 0
        self.values["offer_cost"] += outcome["settled"] - outcome["contact_cost"]
        if recent:
            self.values["recent"] += outcome["purchases"]

    def totals(self, customers: Customers) -> BranchTotals:
        values = dict(self.values)
        recent = values.pop("recent")
        there = (customers.state["alive"] > 0) & (customers.state["prospect"] == 0)
        return BranchTotals(**values, alive=there, active=recent > 0)


def _week_profit(market: LoyaltyMarket) -> float:
    totals = market.totals
    assert totals is not None
    return totals.profit


def paired_run(
    world: World,
    customers: Customers,
    key: np.uint64,
    decider: Decider,
    weeks: int,
    tell: Callable[[], None] | None = None,
    network: Network | None = None,
) -> PairedRun:
    """Run the same customers with a decider and with no offers, on common random numbers.

    Parameters
    ----------
    world, customers, key
        As for ``LoyaltyMarket``; ``customers`` is copied, not changed.
    decider
        Of the treated branch.
    weeks
        Horizon.
    tell
        Called after each week.
    network
        Word-of-mouth graph of both branches, that of a warm-up for example; by default a new one.
    """
    everyone = np.arange(customers.n)
    treated = LoyaltyMarket(world, customers.take(everyone), key, decider=decider, network=network)
    control = LoyaltyMarket(world, customers.take(everyone), key, network=treated.network)
    sums = _Sums(customers.n), _Sums(customers.n)
    deadweight = np.zeros(customers.n, np.int64)
    weekly_lift = np.zeros(weeks)
    for week in range(weeks):
        treated.step()
        control.step()
        with_offers, without = treated.customers.outcome, control.customers.outcome
        for total, outcome in zip(sums, (with_offers, without), strict=True):
            total.add(outcome, recent=week >= weeks - 13)
        redeemed = with_offers["redeemed"].astype(np.int64)
        anyway = np.minimum(redeemed, without["purchases"])
        cost = (with_offers["settled"] - with_offers["contact_cost"]).astype(np.int64)
        deadweight += np.where(redeemed > 0, cost * anyway // np.maximum(redeemed, 1), 0)
        weekly_lift[week] = (_week_profit(treated) - _week_profit(control)) / customers.n
        if tell is not None:
            tell()
    treated.finish()
    control.finish()
    return PairedRun(
        sums[0].totals(treated.customers),
        sums[1].totals(control.customers),
        deadweight,
        weekly_lift,
        customers.account["group"].copy(),
    )


def branch_values(
    world: World,
    customers: Customers,
    key: np.uint64,
    weeks: int,
    replicas: int,
    first_replica: int = 1,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Incremental value and cost of every action, by branching each customer against action 0.

    Every branch takes the action in the first week and nothing after, with the luck of its
    replica; all branches of one customer and replica share it.

    Returns
    -------
    value, cost
        Shape (n, n_actions) each, minor units, means over replicas: profit over ``weeks``
        incremental to action 0 with the offer's own settled cost added back, and that cost.
    """
    n, n_actions = customers.n, world.table.n
    rules = world.rules()
    base = customers.take(np.repeat(np.arange(n), n_actions))
    first = np.tile(np.arange(n_actions, dtype=np.uint8), n)
    value = np.zeros((n, n_actions))
    cost = np.zeros((n, n_actions))
    for replica in range(first_replica, first_replica + replicas):
        branch = base.take(slice(None))
        branch.state["replica"] = replica
        engine = Engine(branch, rules, key)
        sums = _Sums(branch.n)
        for week in range(weeks):
            engine.advance(first if week == 0 else None)
            sums.add(branch.outcome, recent=False)
        totals = sums.totals(branch)
        profit = (totals.profit + totals.settled).reshape(n, n_actions)
        value += profit - profit[:, :1]
        cost += totals.settled.reshape(n, n_actions)
    return value / replicas, cost / replicas
