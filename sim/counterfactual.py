"""Exact lift: what a branch brings each customer above another, on the same luck."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.network import Network
from agents.records import Customers
from sim.branch_runs import BranchRun, run_branches
from sim.branch_totals import BranchTotals, RunningTotals
from sim.branches import Branch, begin
from sim.direct_effects import FrozenNeighbours
from sim.market import Decider
from sim.world import World

__all__ = [
    "EFFECTS",
    "Branch",
    "BranchRun",
    "Effect",
    "PairedRun",
    "branch_values",
    "paired",
    "paired_run",
    "run_branches",
]

Effect = Literal["total", "direct", "spillover"]
EFFECTS: tuple[Effect, ...] = ("total", "direct", "spillover")


@dataclass(frozen=True)
class PairedRun:
    """A treated and a control branch of the same customers on the same luck.

    Attributes
    ----------
    treated, control
        Totals per customer.
    deadweight
        See ``BranchRun``; shape (n,), minor units, None where it has no meaning.
    weekly_lift
        Mean profit per customer above the control in each week, minor units, shape (weeks,).
    group
        Group of each customer, for audits.
    direct
        Totals of the treated branch's actions with neighbours and rivals as in the control; None
        if that was not run.
    """

    treated: BranchTotals
    control: BranchTotals
    deadweight: NDArray[np.int64] | None
    weekly_lift: NDArray[np.float64]
    group: NDArray[np.uint8]
    direct: BranchTotals | None = None

    def lift(self, outcome: str, effect: Effect = "total") -> NDArray[np.float64]:
        """Treated less control per customer, shape (n,), in the units of ``OUTCOMES``.

        Parameters
        ----------
        outcome
            One of ``sim.branch_totals.OUTCOMES``.
        effect
            ``total``: both whole markets. ``direct``: neighbours and rivals as in the control.
            ``spillover``: what comes on top through others, total less direct.

        Raises
        ------
        ValueError
            For an unknown outcome or effect, or where the direct effect was not run.
        """
        if effect not in EFFECTS:
            raise ValueError(f"effect={effect!r}: choose one of {', '.join(EFFECTS)}")
        if effect == "total":
            return self.treated.outcome(outcome) - self.control.outcome(outcome)
        if self.direct is None:
            raise ValueError(
                f"effect={effect!r} was not run: name the branch in run_branches(…, direct=…)"
            )
        if effect == "direct":
            return self.direct.outcome(outcome) - self.control.outcome(outcome)
        return self.treated.outcome(outcome) - self.direct.outcome(outcome)


def paired(treated: BranchRun, control: BranchRun) -> PairedRun:
    """Two branches as lifts; runs of different calls pair too, if customers and luck agree.

    Direct effect and deadweight are there if they were measured against this control.

    Raises
    ------
    ValueError
        If the branches have other customers, weeks or luck: their difference is no paired lift.
    """
    names = f"{treated.branch.name!r} and {control.branch.name!r}"
    if not np.array_equal(treated.customer_id, control.customer_id):
        raise ValueError(f"branches {names} have different customers: run both on one cohort")
    first = treated.luck.first_week
    if len(treated.frame) != len(control.frame) or first != control.luck.first_week:
        raise ValueError(f"branches {names} cover different weeks: give both the same")
    if not treated.luck.same(control.luck):
        raise ValueError(
            f"branches {names} met different luck (key, replica): a paired lift needs the same"
        )
    against = treated.control == control.branch
    gain = treated.frame["profit"].to_numpy(float) - control.frame["profit"].to_numpy(float)
    return PairedRun(
        treated.totals,
        control.totals,
        treated.deadweight if against else None,
        gain / treated.totals.n,
        treated.group,
        treated.direct if against else None,
    )


def paired_run(
    world: World,
    customers: Customers,
    key: np.uint64,
    decider: Decider,
    weeks: int,
    tell: Callable[[], None] | None = None,
    network: Network | None = None,
    direct: bool = False,
) -> PairedRun:
    """The commonest pair: a decider against no offers in one world; see ``run_branches``."""
    branches = (Branch("no_offers", world), Branch("offers", world, decider))
    control, treated = run_branches(
        branches,
        customers,
        key,
        weeks,
        network=network,
        direct=("offers",) if direct else (),
        tell=tell,
    )
    return paired(treated, control)


def branch_values(
    world: World,
    customers: Customers,
    key: np.uint64,
    weeks: int,
    replicas: int,
    first_replica: int = 1,
    network: Network | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Incremental value and cost of every action: each customer branched against action 0.

    Every branch takes the action in the first week and nothing after, with the luck of its
    replica; all branches of one customer and replica share it. They are direct effects: neighbours
    and rivals are those of a market without offers.

    Returns
    -------
    value, cost
        Shape (n, n_actions) each, minor units, means over replicas: profit over ``weeks``
        incremental to action 0 with the offer's own settled cost added back, and that cost.
    """
    n, others = customers.n, world.table.n - 1
    first = np.tile(np.arange(1, others + 1, dtype=np.uint8), n)
    source = np.repeat(np.arange(n), others)
    value, cost = np.zeros((n, others + 1)), np.zeros((n, others + 1))
    for replica in range(first_replica, first_replica + replicas):
        (market,) = begin(
            (Branch("nothing", world, replica=replica),), customers, key, 0, network, lambda: None
        )
        network = market.network  # the same friends in every replica
        running = RunningTotals(n, weeks)
        rows = FrozenNeighbours(
            market, market.customers.take(source), market.engine.rules, source, weeks
        )
        for week in range(weeks):
            rows.listen()
            market.step()
            running.add(market.customers.outcome)
            rows.advance(first if week == 0 else None)
        nothing, branched = running.close(market.customers), rows.totals()
        gained = (branched.profit + branched.settled).reshape(n, others)
        value[:, 1:] += gained - (nothing.profit + nothing.settled)[:, None]
        cost[:, 1:] += branched.settled.reshape(n, others)
        cost[:, 0] += nothing.settled
    return value / replicas, cost / replicas
