"""What an action is worth in expectation: every customer branched for it, on common luck."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from sim.expected_engine import ExpectedEngine
from sim.world import World

# Account and profile of the rows and the week about to start, shape (n,) each, to actions (n,).
Continuation = Callable[
    [NDArray[np.void], NDArray[np.void], NDArray[np.int64]], NDArray[np.integer]
]
_FAREWELL = ("buzz", "defections")  # what others tell; nobody talks to a branched row


class ExpectedBranches(NamedTuple):
    """Profit and settled offer cost of each branch, minor units, shape (replicas, branches)."""

    profit: NDArray[np.float64]
    settled: NDArray[np.float64]


class ActionValues(NamedTuple):
    """Per customer and action, shape (n, n_actions), minor units, incremental to action 0.

    ``value`` excludes the offer's own settled ``cost``; ``error`` is the standard error of
    ``value`` less ``cost`` over replicas. Actions that were not asked for have NaN.
    """

    value: NDArray[np.float64]
    cost: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Value less cost."""
        return self.value - self.cost


def spread(replica: int, replicas: int) -> tuple[float, float]:
    """Turns of one replica: a point of Hammersley's set, evenly spread over the unit square."""
    radical, base, number = 0.0, 0.5, replica
    while number:
        radical += base * (number & 1)
        number >>= 1
        base *= 0.5
    return replica / replicas, radical


def expected_branches(
    world: World,
    customers: Customers,
    source: NDArray[np.integer],
    action: NDArray[np.integer],
    key: np.uint64,
    weeks: int,
    replicas: int,
    *,
    first_replica: int = 1,
    onward_weeks: float = 0.0,
    follow: Continuation | None = None,
) -> ExpectedBranches:
    """Branches scored by expectations: an action now, then nothing or what ``follow`` chooses.

    They are direct effects: rivals do not answer, and nobody tells the customer anything.

    Parameters
    ----------
    world
        Where they live.
    customers
        Where branches begin; rows may stand at different weeks. Not changed.
    source, action
        Row of ``customers`` and first action of each branch, shape (branches,).
    key
        Seed of the luck, which branches of one customer and replica share.
    weeks, replicas
        Length of a branch, and how often it is lived through; replicas spread the outcomes of
        contacts evenly.
    first_replica
        Number of the first; others bring other luck.
    onward_weeks
        Weeks after the branch whose margin is added in closed form.
    follow
        Chooses the actions of the later weeks.

    Raises
    ------
    ValueError
        For no week or no replica.
    """
    if weeks < 1 or replicas < 1:
        raise ValueError(f"{weeks=} and {replicas=} must be at least 1")
    rules = world.rules()
    start = customers.take(source)._replace(outcome=customers.without_outcome().outcome)
    for name in _FAREWELL:
        start.state[name] = 0.0
    shape = (replicas, source.shape[0])
    result = ExpectedBranches(np.empty(shape), np.empty(shape))
    for replica in range(replicas):
        rows = start.take(slice(None))
        rows.state["replica"] = first_replica + replica
        engine = ExpectedEngine(rows, rules, key, spread(replica, replicas), first_replica)
        engine.advance(action)
        if follow is None:
            if weeks > 1:
                engine.run(weeks - 1)
        else:
            for _ in range(weeks - 1):
                now = rows.state["week"].astype(np.int64)
                engine.advance(follow(rows.account, rows.profile, now))
        if onward_weeks > 0:
            engine.add_onward(onward_weeks)
        result.profit[replica] = engine.scores["profit"]
        result.settled[replica] = engine.scores["settled"]
    return result


def expected_values(
    world: World,
    customers: Customers,
    allowed: NDArray[np.bool_],
    key: np.uint64,
    weeks: int,
    replicas: int,
    *,
    first_replica: int = 1,
    onward_weeks: float = 0.0,
    follow: Continuation | None = None,
) -> ActionValues:
    """Value and cost of every allowed action against action 0; see ``expected_branches``.

    Parameters
    ----------
    allowed
        Actions to branch for, shape (n, n_actions); action 0 is always branched where any is.

    Notes
    -----
    With ``follow``, cost is that of the first action's offer and of later offers alike, less
    those of the branch that begins with action 0.
    """
    wanted = np.array(allowed, dtype=bool)
    wanted[:, 0] = wanted[:, 1:].any(axis=1)
    source, action = np.nonzero(wanted)  # ordered by customer, action 0 first
    shape = wanted.shape
    values = ActionValues(*(np.full(shape, np.nan) for _ in range(3)))
    if source.size == 0:
        return values
    found = expected_branches(
        world, customers, source, action, key, weeks, replicas, first_replica=first_replica,
        onward_weeks=onward_weeks, follow=follow,
    )  # fmt: skip
    base = np.flatnonzero(action == 0)
    control = base[np.cumsum(action == 0) - 1]
    gain = found.profit - found.profit[:, control]
    cost = found.settled - found.settled[:, control]
    values.value[source, action] = (gain + cost).mean(axis=0)
    values.cost[source, action] = cost.mean(axis=0)
    error = gain.std(axis=0, ddof=1) / np.sqrt(replicas) if replicas > 1 else np.inf
    values.error[source, action] = error
    values.error[:, 0] = np.where(wanted[:, 0], 0.0, np.nan)
    return values
