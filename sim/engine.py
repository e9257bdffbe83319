"""Parallel driver: a cohort, block by block, through ``step_block``; the same bits as Mesa."""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.records import EVENT, LOG, MAX_WEEKS, OUTCOME, Customers
from sim.block import BLOCK, WORK
from sim.totals import N_SUMS, add_standing, add_week, chunks
from sim.week import step_block
from sim.world import Rules


@kernel
def advance_row(traits, state, account, profile, outcome, log, actions, rules, key, row):  # type: ignore[no-untyped-def]
    """Advance one row by a week; what a CustomerAgent asks its model to do."""
    work = np.empty(1, WORK)
    size = np.int64(1)  # a literal would be compiled apart
    step_block(
        traits, state, account, profile, outcome[row : row + 1], log, actions, row, size, work[0],
        rules[0], key,
    )  # fmt: skip


@parallel_kernel
def advance_rows(  # type: ignore[no-untyped-def]
    traits, state, account, profile, outcome, log, actions, rules, key, rows, sums
):
    """Advance all rows by as many weeks as ``sums`` has room for, on numba's threads.

    A block of rows lives through all weeks before the next one does, so that it stays in cache.
    ``sums`` has shape (chunks of ``rows`` rows, weeks, N_SUMS), or (…, 0) where nobody wants them.
    Where ``outcome`` has no rows, what a week brings is summed and forgotten.
    """
    n = traits.shape[0]
    kept = outcome.shape[0] > 0
    weeks = sums.shape[1]
    counting = sums.shape[2] > 0
    for chunk in prange(sums.shape[0]):
        work = np.empty(1, WORK)
        passing = np.empty(BLOCK, OUTCOME)
        first = np.int64(chunk) * rows
        last = min(first + rows, n)
        for top in range(first, last, BLOCK):
            size = min(BLOCK, last - top)
            own = outcome[top : top + size] if kept else passing[:size]
            for week in range(weeks):
                step_block(
                    traits, state, account, profile, own, log, actions, top, size, work[0],
                    rules[0], key,
                )  # fmt: skip
                if counting:
                    add_week(own, sums[chunk, week])
                    add_standing(state, account, top, top + size, sums[chunk, week])


class EventLog:
    """Room for the events of one week: a LOG row per customer, or one without room for all.

    Pages that are never written cost no memory, so a recording row takes about 4 kB; record
    cohorts of up to some hundred thousand.
    """

    def __init__(self, n: int, recording: bool) -> None:
        self.recording = recording
        self.rows = np.zeros(n if recording else 1, LOG)
        if recording:
            self.rows["room"] = LOG["words"].shape[0]

    def clear(self) -> None:
        """Forget the week."""
        self.rows["used"] = 0

    def events(self) -> NDArray[np.void]:
        """Events of the week ordered by (customer, time, sequence), shape (m,)."""
        if not self.recording:
            raise ValueError("no events were written down: start with recording=True")
        used = self.rows["used"]
        row = np.repeat(np.arange(used.size), used)
        column = np.arange(row.size) - np.repeat(np.cumsum(used) - used, used)
        words = np.ascontiguousarray(self.rows["words"][row, column])
        events = words.view(EVENT).reshape(-1)
        return events[np.lexsort((events["sequence"], events["time"], events["customer"]))]


class Engine:
    """A cohort and the rules it lives under.

    Parameters
    ----------
    customers
        Changed in place, week by week. Without OUTCOME rows (``Customers.without_outcome``) what
        a week brings is only summed.
    rules
        Compiled rules (``World.rules()``).
    key
        64-bit seed of the luck (``derive_seed``).
    recording
        Whether to write events down; see ``EventLog``.
    """

    def __init__(
        self, customers: Customers, rules: Rules, key: np.uint64, recording: bool = False
    ) -> None:
        self.customers = customers
        self.rules = rules
        self.key = np.uint64(key)
        self.log = EventLog(customers.n, recording)
        self._nothing = np.zeros(customers.n, np.uint8)
        self._weeks_left = MAX_WEEKS - int(customers.state["week"].max(initial=0))

    def require(self, weeks: int) -> None:
        """Count weeks about to be lived through.

        Raises
        ------
        ValueError
            Beyond week ``MAX_WEEKS``, after which times no longer fit PROFILE.
        """
        if weeks > self._weeks_left:
            raise ValueError(f"{weeks} more weeks: a run ends with week {MAX_WEEKS} at the latest")
        self._weeks_left -= weeks

    def checked(self, actions: NDArray[np.integer] | None) -> NDArray[np.uint8]:
        """Actions as the kernels take them, shape (n,); None is nothing for anyone.

        Raises
        ------
        ValueError
            For another shape, or an action that is no row of the action table.
        """
        if actions is None:
            return self._nothing
        chosen = np.asarray(actions)
        if chosen.shape != (self.customers.n,):
            raise ValueError(f"actions have shape {chosen.shape}, not ({self.customers.n},)")
        last = int(self.rules["n_actions"][0]) - 1
        if chosen.size and (chosen.min() < 0 or chosen.max() > last):
            raise ValueError(f"actions must lie in 0..{last}")
        return chosen.astype(np.uint8)

    def advance(self, actions: NDArray[np.integer] | None = None) -> None:
        """One week for all rows; ``actions`` shape (n,), default nothing for anyone."""
        self.log.clear()
        self._run(self.checked(actions), 1, 0)

    def run(self, weeks: int = 1, actions: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
        """Several weeks with the same actions in each, and their sums.

        Several weeks at once are faster than one by one. Events are those of the last week.

        Parameters
        ----------
        weeks
            Number of weeks.
        actions
            Shape (n,), default nothing for anyone.

        Returns
        -------
        numpy.ndarray
            Shape (weeks, N_SUMS), see ``sim.totals``.
        """
        chosen = self.checked(actions)
        if self.log.recording and weeks > 1:
            return np.concatenate([self.run(1, chosen) for _ in range(weeks)])
        self.log.clear()
        return self._run(chosen, weeks, N_SUMS)

    def _run(self, actions: NDArray[np.uint8], weeks: int, columns: int) -> NDArray[np.int64]:
        self.require(weeks)
        number, rows = chunks(self.customers.n)
        sums = np.zeros((number, weeks, columns), np.int64)
        advance_rows(*self.customers, self.log.rows, actions, self.rules, self.key, rows, sums)
        return np.asarray(sums.sum(axis=0))

    def advance_one(self, row: int, actions: NDArray[np.uint8]) -> None:
        """One week for one row, without checks: the Mesa path."""
        advance_row(*self.customers, self.log.rows, actions, self.rules, self.key, row)
