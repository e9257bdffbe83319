"""Run branches side by side: every customer gets the outcome of each, on the same luck.

Draws have addresses (docs/contracts.md §3), so branches share their luck whatever else differs
between them: programme, response world, what is switched off, who decides.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.network import Network
from agents.records import OUTCOME, Customers
from sim.branch_totals import BranchTotals, RunningTotals, add_deadweight
from sim.branches import Branch, begin, differ_in_decider_only
from sim.direct_effects import FrozenNeighbours
from sim.market import LoyaltyMarket

if TYPE_CHECKING:
    import pandas as pd


class Luck(NamedTuple):
    """What draws depend on besides the customer: key, first week, replica number of each row."""

    key: int
    first_week: int
    replica: NDArray[np.uint32]

    def same(self, other: "Luck") -> bool:
        """Do both meet the same draws?"""
        return (self.key, self.first_week) == (other.key, other.first_week) and np.array_equal(
            self.replica, other.replica
        )


@dataclass(frozen=True)
class BranchRun:
    """What one branch brought.

    Attributes
    ----------
    branch
        As it was given.
    totals
        Per customer.
    frame
        Totals by week, as the market's data collector has them, shape (weeks, columns).
    starting
        Head counts when counting began (``sim.market.STOCKS``).
    customer_id, group
        Of each customer, shape (n,).
    luck
        What draws depend on besides the customer.
    control
        The branch that ``direct`` and ``deadweight`` are measured against; None for the
        first branch, which is the control of the others.
    direct
        Totals of the same actions with neighbours and rivals as in the control, if asked for.
    deadweight
        Offer cost settled on purchases that the control made too, minor units, shape (n,). Under
        the monotone coupling the first ``k`` purchases of a week exist in both branches where the
        control made at least ``k``. None where the control makes offers or has another world.
    kept
        Fields of OUTCOME by week, shape (weeks, n) each, if asked for.
    """

    branch: Branch
    totals: BranchTotals
    frame: "pd.DataFrame"
    starting: dict[str, int]
    customer_id: NDArray[np.uint64]
    group: NDArray[np.uint8]
    luck: "Luck"
    control: Branch | None = None
    direct: BranchTotals | None = None
    deadweight: NDArray[np.int64] | None = None
    kept: dict[str, NDArray[np.generic]] = field(default_factory=dict)


def run_branches(
    branches: Sequence[Branch],
    customers: Customers,
    key: np.uint64,
    weeks: int,
    *,
    warmup_weeks: int = 0,
    network: Network | None = None,
    direct: Collection[str] = (),
    keep: Sequence[str] = (),
    tell: Callable[[], None] | None = None,
    watch: Callable[[Sequence[LoyaltyMarket]], None] | None = None,
) -> list[BranchRun]:
    """Run the same customers in every branch, week by week side by side.

    Holds one copy of the cohort per branch (and one more per direct effect), nothing per week.

    Parameters
    ----------
    branches
        At least one; the first is the control that direct effects and deadweight are against.
    customers
        Copied, not changed; all rows at one week.
    key
        64-bit seed of the luck.
    weeks
        Weeks that count, at least 1.
    warmup_weeks
        Weeks before them without offers, each branch in its own world; branches of one world
        share theirs.
    network
        Word-of-mouth graph, that of an earlier warm-up for example. By default one is drawn from
        the customers and the key; branches whose worlds ask for the same graph share it.
    direct
        Names of branches to run also with neighbours and rivals as in the first.
    keep
        Fields of OUTCOME to keep by week and customer.
    tell
        Called after each week, those of the warm-up too.
    watch
        Called with the markets after each week that counts.

    Returns
    -------
    list of BranchRun
        In the order of ``branches``. Their order changes no digit of any of them but what is
        measured against the first.

    Raises
    ------
    ValueError
        Without a branch or a week, for names given twice, a decider that two branches share,
        worlds that tell other categories of these customers apart, a direct effect that is not of
        a branch on the first one's luck, or a field to keep that OUTCOME has not.
    """
    _check(branches, weeks, direct, keep)
    tell = tell or (lambda: None)
    markets = begin(branches, customers, key, warmup_weeks, network, tell)
    control = markets[0]
    starting = [dict(market.stocks) for market in markets]
    luck = [
        Luck(int(key), market.week, market.customers.state["replica"].copy()) for market in markets
    ]
    running = [RunningTotals(customers.n, weeks) for _ in markets]
    rows = np.arange(customers.n)
    frozen = {
        branch.name: FrozenNeighbours(
            control, market.customers.take(rows), market.engine.rules, rows, weeks
        )
        for branch, market in zip(branches, markets, strict=True)
        if branch.name in direct
    }
    deadweight = [np.zeros(customers.n, np.int64) for _ in markets[1:]]
    kept = [
        {
            name: np.zeros((weeks, customers.n), market.customers.outcome.dtype[name])
            for name in keep
        }
        for market in markets
    ]
    for week in range(weeks):
        for one in frozen.values():
            one.listen()
        for market, sums, memory in zip(markets, running, kept, strict=True):
            market.step()
            sums.add(market.customers.outcome)
            for name, values in memory.items():
                values[week] = market.customers.outcome[name]
        for branch, market in zip(branches, markets, strict=True):
            if branch.name in frozen:
                frozen[branch.name].advance(market.actions)
        for wasted, market in zip(deadweight, markets[1:], strict=True):
            add_deadweight(wasted, market.customers.outcome, control.customers.outcome)
        if watch is not None:
            watch(markets)
        tell()
    for market in markets:
        market.finish()
    totals = [sums.close(market.customers) for sums, market in zip(running, markets, strict=True)]
    idle = not totals[0].contacts.any()
    return [
        BranchRun(
            branch,
            totals[at],
            markets[at].datacollector.get_model_vars_dataframe(),
            starting[at],
            customers.traits["id"].copy(),
            customers.account["group"].copy(),
            luck[at],
            branches[0] if at else None,
            frozen[branch.name].totals() if branch.name in frozen else None,
            deadweight[at - 1]
            if at and idle and differ_in_decider_only(branch, branches[0])
            else None,
            kept[at],
        )
        for at, branch in enumerate(branches)
    ]


def _check(
    branches: Sequence[Branch], weeks: int, direct: Collection[str], keep: Sequence[str]
) -> None:
    if weeks < 1:
        raise ValueError(f"weeks={weeks} must be at least 1")
    for name in keep:
        if name not in (OUTCOME.names or ()):
            raise ValueError(f"keep={name!r}: choose among {', '.join(OUTCOME.names or ())}")
    known = [one.name for one in branches[1:] if one.replica == branches[0].replica]
    for name in direct:
        if name not in known:
            raise ValueError(
                f"direct={name!r} is no branch beside the first and on its luck: "
                f"choose among {', '.join(known) or 'none'}"
            )
