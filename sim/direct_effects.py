"""Direct effects: rows branched with their neighbours and rivals as a control market has them.

Between weeks a row meets others in three ways only, and each is taken from the control market's
same week: what neighbours told (``buzz``) and who of them left (``defections``), newcomers that
are credited to the row (``referrals``), and the rivals' reaction. So one pass gives every row
what it would have had if it alone had been branched and nobody had answered to it.
"""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import parallel_kernel
from agents.network import may_refer
from agents.records import Customers
from agents.rng import JOIN, block
from sim.branch_totals import BranchTotals, RunningTotals
from sim.engine import Engine
from sim.market import LoyaltyMarket
from sim.world import Rules

# Fields of STATE that come from neighbours alone.
HEARD = ("buzz", "defections")


@parallel_kernel
def _who_may_refer(state, account, outcome, may):  # type: ignore[no-untyped-def]
    for row in prange(state.shape[0]):
        may[row] = may_refer(state[row], account[row], outcome[row])


@parallel_kernel
def _credit_rows(  # type: ignore[no-untyped-def]
    start, neighbours, newcomer, may, traits, others, source, state, account, outcome, week, key
):
    for row in prange(source.shape[0]):
        here = source[row]
        credited = 0
        if may_refer(state[row], account[row], outcome[row]):
            for link in range(start[here], start[here + 1]):
                other = neighbours[link]
                if newcomer[other] == 0:
                    continue
                members = 0
                place = 0
                for second in range(start[other], start[other + 1]):
                    if neighbours[second] == here:
                        place = members
                        members += 1
                    else:
                        members += may[neighbours[second]]
                word = block(key, traits[other].id, week, JOIN, 0, others[other].replica)[1]
                if np.int64(word * np.uint64(members) >> np.uint64(32)) == place:
                    credited += 1
        state[row].referrals = min(credited, 255)


class FrozenNeighbours:
    """Branched rows that live beside a control market without touching it.

    Each week: ``listen()``, then the control market's ``step()``, then ``advance(actions)``.

    A newcomer of the control market, who would have come anyway, is credited among the neighbours
    as they are with this row branched. Customers that a row's own telling would bring, keep or
    lose are no part of its direct effect.

    Parameters
    ----------
    control
        The market whose neighbours and rivals the rows meet.
    customers
        The branched rows, changed in place; at the control market's week.
    rules
        Rules they live under.
    source
        Row of the control market that each is a branch of, shape (customers.n,).
    weeks
        Weeks that will be advanced.
    """

    def __init__(
        self,
        control: LoyaltyMarket,
        customers: Customers,
        rules: Rules,
        source: NDArray[np.int64],
        weeks: int,
    ) -> None:
        self._control = control
        self._source = source
        self._running = RunningTotals(customers.n, weeks)
        self.engine = Engine(customers, rules.copy(), control.engine.key)

    def listen(self) -> None:
        """Take over what the control's rows heard so far; before the control's week."""
        state = self.engine.customers.state
        for name in HEARD:
            state[name] = self._control.customers.state[name][self._source]

    def advance(self, actions: NDArray[np.integer] | None) -> None:
        """One week under these actions, shape (n,); after the control's week."""
        control = self._control
        self.engine.rules["competitor"] = control.engine.rules["competitor"]
        self.engine.advance(actions)
        self._running.add(self.engine.customers.outcome)
        newcomer = (control.customers.outcome["joined"] == 2).astype(np.uint8)
        if control.network is None or not newcomer.any():
            return
        traits, state, account, _, outcome = control.customers
        may = np.zeros(newcomer.size, np.uint8)
        _who_may_refer(state, account, outcome, may)
        ours = self.engine.customers
        _credit_rows(
            control.network.start, control.network.neighbours, newcomer, may, traits, state,
            self._source, ours.state, ours.account, ours.outcome, control.week - 1,
            control.engine.key,
        )  # fmt: skip

    def totals(self) -> BranchTotals:
        """What the rows brought so far."""
        return self._running.close(self.engine.customers)
