"""The customer environment under the eyes of a ledger that believes nothing it says."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.records import OUTCOME, Customers
from envs.constraints.ledger import ViolationLedger
from envs.offers import OfferVectorEnv
from sim.engine import Engine
from sim.ledger import points_outstanding


class WatchedOffers:
    """``OfferVectorEnv`` and, beside it, the same customers in engines of the watcher's own.

    They live each week with the actions that the environment says it carried out; from them the
    ledger has accounts, revenue and what offers cost. If the environment's customers come out
    otherwise, it did not do as it said.

    Parameters
    ----------
    env
        Watched from its first reset on.
    seed
        Of that reset.

    Attributes
    ----------
    ledger
        Finds violations.
    settled, released
        Of offers, minor units.
    """

    def __init__(self, env: OfferVectorEnv, seed: int) -> None:
        self.env = env
        self.observation, info = env.reset(seed=seed)
        self.mask: NDArray[np.bool_] = info["action_mask"]
        self._own = _with_outcome(env.customers)
        self._rules = [world.rules() for world in env.task.worlds]
        self._world = env.episodes.world.copy()
        self._ended = np.zeros(env.num_envs, np.bool_)
        self._spent = np.zeros(env.num_envs, np.int64)
        self.settled = self.released = 0
        self.ledger = ViolationLedger(
            env.task.constraints, env.table, env.num_envs, self._own.profile.copy()
        )

    def step(self, actions: NDArray[np.integer]) -> NDArray[np.int64]:
        """A week; returns the actions carried out, shape (n,).

        Raises
        ------
        AssertionError
            If customers came out otherwise than by these actions.
        """
        at_once = self.env.autoreset_mode == AutoresetMode.SAME_STEP
        restarting = self._ended if self.env.autoreset_mode == AutoresetMode.NEXT_STEP else None
        self.observation, _, terminated, truncated, info = self.env.step(actions)
        executed: NDArray[np.int64] = info["executed"]
        self._decided(executed)
        self._live(executed)
        self._ended = terminated | truncated
        gone = np.zeros_like(self._ended) if restarting is None else restarting
        self._book(~gone)
        gone = gone | self._ended if at_once else gone
        self._compare(~gone)
        self._replaced(gone)
        self.mask = info["action_mask"]
        return executed

    def restart(self, others: NDArray[np.bool_]) -> None:
        """New episodes for rows that have ended and for ``others``, shape (n,); mode DISABLED."""
        chosen = self._ended | others
        if chosen.any():
            self.observation, info = self.env.reset(options={"reset_mask": chosen})
            self.mask = info["action_mask"]
            self._replaced(chosen)
            self._ended = np.zeros_like(chosen)

    def _decided(self, executed: NDArray[np.int64]) -> None:
        own = self._own
        liability = 0
        for at, world in enumerate(self.env.task.worlds):
            there = own.take(np.flatnonzero(self._world == at))
            liability += points_outstanding(there) * world.programme.liability_per_point
        self.ledger.decided(executed, own.account, own.profile, liability=liability)

    def _live(self, executed: NDArray[np.int64]) -> None:
        for at, rules in enumerate(self._rules):
            rows = np.flatnonzero(self._world == at)
            if rows.size:
                part = self._own.take(rows)
                Engine(part, rules, self.env.episodes.key).advance(executed[rows])
                self._own.put(rows, part)

    def _book(self, counted: NDArray[np.bool_]) -> None:
        """The week of these rows; what others lived through was cut off with their episode."""
        week = self._own.outcome[counted]
        revenue = _sum(week, "gross") - _sum(week, "discount") - _sum(week, "voucher")
        spent = week["settled"].astype(np.int64)
        self._spent[counted] += spent
        self.settled += int(spent.sum())
        self.released += _sum(week, "released")
        self.ledger.settled_week(
            int(spent.sum()), revenue + _sum(week, "fees"), _sum(week, "discount")
        )

    def _compare(self, rows: NDArray[np.bool_]) -> None:
        for part in ("state", "account", "profile"):
            mine, theirs = (getattr(c, part)[rows] for c in (self._own, self.env.customers))
            if (mine != theirs).any():
                raise AssertionError(f"the environment did not do what it says: {part} differs")

    def _replaced(self, rows: NDArray[np.bool_]) -> None:
        if not rows.any():
            return
        at = np.flatnonzero(rows)
        self.ledger.replaced(at, int(self._spent[at].sum()))
        self._spent[at] = 0
        self._own.put(at, _with_outcome(self.env.customers.take(at)))
        self._world[at] = self.env.episodes.world[at]


def _with_outcome(customers: Customers) -> Customers:
    own = customers.take(slice(None))
    return own._replace(outcome=np.zeros(customers.n, OUTCOME))


def _sum(week: NDArray[Any], name: str) -> int:
    return int(week[name].sum(dtype=np.int64))
