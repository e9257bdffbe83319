"""Parallel driver: every row of a cohort through ``step_customer``, with the same bits as Mesa."""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.records import EVENT, Customers
from agents.rng import MAX_PURCHASES
from sim.week import Rules, step_customer

# A purchase brings at most redemption, purchase and qualification; the rest comes once a week.
_MOST_EVENTS = 3 * MAX_PURCHASES + 16


@kernel
def advance_row(customers, log, cursor, actions, rules, key, row):  # type: ignore[no-untyped-def]
    """Advance one row by a week; what a CustomerAgent asks its model to do."""
    step_customer(
        customers.traits[row],
        customers.state[row],
        customers.account[row],
        customers.profile[row],
        customers.outcome[row],
        log[row],
        cursor[row],
        actions[row],
        rules,
        key,
    )


@parallel_kernel
def advance_rows(customers, log, cursor, actions, rules, key):  # type: ignore[no-untyped-def]
    """Advance all rows by a week on numba's threads."""
    for row in prange(customers.traits.shape[0]):
        step_customer(
            customers.traits[row],
            customers.state[row],
            customers.account[row],
            customers.profile[row],
            customers.outcome[row],
            log[row],
            cursor[row],
            actions[row],
            rules,
            key,
        )


class EventLog:
    """Room for the events of one week, shape (n, k); k = 0 writes nothing down.

    A recording log has room for the most events a week can bring. Pages that are never written
    cost no memory, so a row takes about 4 kB; record cohorts of up to some hundred thousand.
    """

    def __init__(self, n: int, recording: bool) -> None:
        self.rows = np.zeros((n, _MOST_EVENTS if recording else 0), EVENT)
        self.cursor = np.zeros((n, 1), np.int64)

    def clear(self) -> None:
        """Forget the week."""
        self.cursor[:] = 0

    def events(self) -> NDArray[np.void]:
        """Events of the week ordered by (customer, time, sequence), shape (m,)."""
        if self.rows.shape[1] == 0:
            raise ValueError("no events were written down: start with recording=True")
        used = self.cursor[:, 0]
        row = np.repeat(np.arange(used.size), used)
        column = np.arange(row.size) - np.repeat(np.cumsum(used) - used, used)
        events = self.rows[row, column]
        return events[np.lexsort((events["sequence"], events["time"], events["customer"]))]


class Engine:
    """A cohort and the rules it lives under.

    Parameters
    ----------
    customers
        Changed in place, week by week.
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
        if chosen.size and (chosen.min() < 0 or chosen.max() >= self.rules.actions.shape[0]):
            raise ValueError(f"actions must lie in 0..{self.rules.actions.shape[0] - 1}")
        return chosen.astype(np.uint8)

    def advance(self, actions: NDArray[np.integer] | None = None) -> None:
        """One week for all rows; ``actions`` shape (n,), default nothing for anyone."""
        self.log.clear()
        advance_rows(
            self.customers,
            self.log.rows,
            self.log.cursor,
            self.checked(actions),
            self.rules,
            self.key,
        )

    def advance_one(self, row: int, actions: NDArray[np.uint8]) -> None:
        """One week for one row, without checks: the Mesa path."""
        advance_row(
            self.customers, self.log.rows, self.log.cursor, actions, self.rules, self.key, row
        )
