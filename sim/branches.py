"""Branches: lives that the same customers are given, and the markets they begin in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agents.network import Network, NetworkParameters, word_of_mouth
from agents.records import WEEKS_PER_QUARTER, Customers
from sim.market import Decider, LoyaltyMarket
from sim.world import World


@dataclass(frozen=True)
class Branch:
    """One of the lives that the same customers are given.

    Parameters
    ----------
    name
        Its name in reports and messages.
    world
        Programme, response world, what is switched off: any of it may differ between branches.
    decider
        Chooses offers; None makes none. It may keep state, so no two branches can share one.
    replica
        Number of its luck (docs/contracts.md §3) in the weeks that count; None keeps the
        customers' own. Branches of other replicas meet independent luck after a common warm-up:
        same customers, same network, other draws.
    """

    name: str
    world: World
    decider: Decider | None = None
    replica: int | None = None

    def __post_init__(self) -> None:
        if self.replica is not None and not 0 <= self.replica < 2**32:
            raise ValueError(f"replica={self.replica} must be 0 to 2**32 - 1")


def begin(
    branches: Sequence[Branch],
    customers: Customers,
    key: np.uint64,
    warmup_weeks: int,
    network: Network | None,
    tell: Callable[[], None],
) -> list[LoyaltyMarket]:
    """A market per branch, at the first week that counts.

    Parameters are those of ``sim.branch_runs.run_branches``.

    Raises
    ------
    ValueError
        As there, for branches that do not go together.
    """
    _check(branches, warmup_weeks)
    graphs: list[tuple[NetworkParameters, Network | None]] = []

    def graph(world: World) -> Network | None:
        wanted = world.effective().network
        if network is not None:
            return None if "word_of_mouth" in world.off else network
        for parameters, known in graphs:
            if parameters == wanted:
                return known
        graphs.append((wanted, word_of_mouth(customers, wanted, key)))
        return graphs[-1][1]

    def market(branch: Branch, start: Customers, decider: Decider | None) -> LoyaltyMarket:
        own = start.take(slice(None))
        return LoyaltyMarket(branch.world, own, key, decider=decider, network=graph(branch.world))

    def counted(branch: Branch, start: Customers) -> LoyaltyMarket:
        begun = market(branch, start, branch.decider)
        if branch.replica is not None:
            begun.customers.state["replica"] = branch.replica
        return begun

    if warmup_weeks == 0:
        return [counted(branch, customers) for branch in branches]
    warm: list[tuple[Branch, LoyaltyMarket]] = []
    for branch in branches:
        if not any(branch.world == other.world for other, _ in warm):
            warm.append((branch, market(branch, customers, None)))
    for first in range(0, warmup_weeks, WEEKS_PER_QUARTER):  # several weeks at once are faster
        weeks = min(WEEKS_PER_QUARTER, warmup_weeks - first)
        for _, one in warm:
            one.advance(weeks)
        for _ in range(weeks):
            tell()
    begun = []
    for branch in branches:
        start = next(one for other, one in warm if branch.world == other.world)
        begun.append(counted(branch, start.customers))
    return begun


def differ_in_decider_only(one: Branch, other: Branch) -> bool:
    """Are world and luck the same, so that deadweight has a meaning?"""
    return one.world == other.world and one.replica == other.replica


def _check(branches: Sequence[Branch], warmup_weeks: int) -> None:
    if not branches:
        raise ValueError("branches is empty: give at least one")
    if warmup_weeks < 0:
        raise ValueError(f"warmup_weeks={warmup_weeks} must be at least 0")
    names = [branch.name for branch in branches]
    if len(set(names)) < len(names):
        raise ValueError(f"branches are named {names}: give each a name of its own")
    deciders = [id(branch.decider) for branch in branches if branch.decider is not None]
    if len(set(deciders)) < len(deciders):
        raise ValueError("two branches share one decider, whose state would mix: make one for each")
    categories = {branch.world.categories for branch in branches}
    if len(categories) > 1:
        raise ValueError(
            f"worlds of the branches tell different categories apart: {sorted(categories)}; "
            "the same customers have shares of one set only"
        )
