"""Who is behind each row of the customer environment, and where new episodes come from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from envs.step import start_rows
from envs.task import OfferTask, starts

_RUNNING = ("customers", "twins", "world", "settled", "key", "fixed_world", "_number")


class Episodes:
    """Rows of customers, each in an episode of its own in one of the task's worlds.

    Simulators and audits look here; policies never do.

    Parameters
    ----------
    task
        Worlds, pools, and whether a twin lives beside each customer.
    n
        Rows.
    first_row, all_rows
        They are rows first_row.. of all_rows, which fixes their replica numbers.

    Attributes
    ----------
    customers, twins
        The rows as they stand, without OUTCOME; the twins, who share their traits, have none
        where rewards are not paired.
    world
        Place in ``task.worlds`` of each row, shape (n,).
    settled
        Offer cost since the row's episode began, minor units, shape (n,).
    first_week
        Week in which episodes of each world begin, shape (worlds,).
    key
        64-bit seed of all luck.
    fixed_world
        World of all new episodes, -1 to draw.
    """

    def __init__(self, task: OfferTask, n: int, first_row: int, all_rows: int) -> None:
        self._first_row, self._all_rows = first_row, all_rows
        self._pool, self._offsets = _gathered(task.pools)
        self.first_week = self._pool.state["week"][self._offsets[:-1]].astype(np.int64)
        anyone = np.zeros(n, np.intp)
        self.customers = self._pool.take(anyone)
        self.twins = self._pool.take(anyone if task.paired else anyone[:0])
        self._number = np.zeros(n, np.int64)
        self.world = np.zeros(n, np.int64)
        self.settled = np.zeros(n, np.int64)
        self.key = np.uint64(0)
        self.fixed_world = -1

    @property
    def replica(self) -> NDArray[np.uint64]:
        """What tells the episodes of all rows apart, shape (n,)."""
        found: NDArray[np.uint64] = self.customers.state["replica"].astype(np.uint64)
        return found

    def reseed(self, key: np.uint64) -> None:
        """Count episodes from the first again, under another seed."""
        self.key = key
        self._number[:] = 0

    def running(self) -> dict[str, Any]:
        """What episodes have come to; the rest is made of the task. Not a copy."""
        return {name: getattr(self, name) for name in _RUNNING}

    def resume(self, running: Mapping[str, Any]) -> None:
        """Go on from what ``running`` gave, of the same task and rows."""
        for name in _RUNNING:
            setattr(self, name, running[name])

    def start(self, rows: NDArray[np.intp]) -> None:
        """New episodes for some rows."""
        own, twins = self.customers, self.twins
        start_rows(
            rows,
            tuple(_bytes(part) for part in self._pool[:4]),
            tuple(_bytes(part) for part in own[:4]),
            tuple(_bytes(part) for part in twins[1:4]),
            own.state, twins.state, self.world, self._number, self.settled, self._first_row,
            self._all_rows, self.key, self._offsets, self.fixed_world,
        )  # fmt: skip


def _gathered(pools: tuple[Customers, ...]) -> tuple[Customers, NDArray[np.int64]]:
    """Customers that episodes may start from, world by world, and where each world's begin."""
    parts = [pool.without_outcome().take(starts(pool)) for pool in pools]
    offsets = np.cumsum([0, *(part.n for part in parts)])
    return Customers(*map(np.concatenate, zip(*parts, strict=True))), offsets


def _bytes(records: NDArray[np.void]) -> NDArray[np.uint8]:
    """The same memory as bytes, shape (n, bytes of a record)."""
    return records.view(np.uint8).reshape(records.shape[0], records.dtype.itemsize)
