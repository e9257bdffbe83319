"""What a firm observes after a decision: profit by week, summed over the weeks that follow."""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.ledger import cash_cost, profit


def weekly_profit(outcome: NDArray[np.void]) -> NDArray[np.float64]:
    """Margin less cash cost less change of the points liability, minor units, shape (n,)."""
    earned: NDArray[np.float64] = profit(
        outcome["margin"].astype(np.float64), cash_cost(outcome), outcome["liability_change"]
    )
    return earned


class Matured(NamedTuple):
    """Decisions of one week with all that came of them.

    Attributes
    ----------
    known
        What was handed over with the decision, arrays of first axis n.
    total
        Sum of the amounts over the window, shape (n,).
    whole
        Rows whose window was watched to its end, shape (n,).
    """

    known: dict[str, NDArray[np.generic]]
    total: NDArray[np.float64]
    whole: NDArray[np.bool_]


class _Waiting:
    def __init__(self, known: dict[str, NDArray[np.generic]], whole: NDArray[np.bool_]) -> None:
        self.known = known
        self.total = np.zeros(whole.size)
        self.running = whole.copy()
        self.whole = whole.copy()
        self.weeks = 0


class OutcomeWindows:
    """Decisions that wait for their outcome: the sum of ``weeks`` weeks, the first included.

    Parameters
    ----------
    weeks
        Length of the window, at least 1.
    """

    def __init__(self, weeks: int) -> None:
        if weeks < 1:
            raise ValueError(f"weeks={weeks} must be at least 1")
        self.weeks = weeks
        self._waiting: deque[_Waiting] = deque()

    def clear(self) -> None:
        """Forget decisions whose window is not over."""
        self._waiting.clear()

    def decided(self, valid: NDArray[np.bool_], **known: NDArray[np.generic]) -> None:
        """A week's decisions; rows that are not valid are left out when they mature."""
        self._waiting.append(_Waiting(known, valid))

    def observed(
        self,
        amount: NDArray[np.float64],
        ended: NDArray[np.bool_] | None = None,
        cut: NDArray[np.bool_] | None = None,
    ) -> Matured | None:
        """Add a week; returns the decisions whose window is over now, None in the first weeks.

        Parameters
        ----------
        amount
            Of this week, shape (n,).
        ended
            Rows with nothing more to come: their windows are whole. None: no row.
        cut
            Rows that can be watched no longer: windows that go on are not whole.
        """
        for one in self._waiting:
            one.total[one.running] += amount[one.running]
            one.weeks += 1
            if ended is not None:
                one.running &= ~ended
            if cut is not None:
                if one.weeks < self.weeks:
                    one.whole &= ~(cut & one.running)
                one.running &= ~cut
        if not self._waiting or self._waiting[0].weeks < self.weeks:
            return None
        done = self._waiting.popleft()
        return Matured(done.known, done.total, done.whole)
