"""The markets whose speed is measured, and who is contacted in them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import parallel_kernel
from agents.population import GROCERY, draw_population
from agents.records import Customers
from agents.rng import POLICY, block, derive_seed
from envs.constraints.masks import blocking, limits_record
from envs.task import default_world
from experiments.config import compose_simulate
from experiments.worlds import build_world, draw_customers, population_of
from sim.market import Decider, FirmView
from sim.world import World

CONTACT_SHARE = 0.1
_SEED = 0
# Rows whose actions are chosen at a time, so that ten million customers need little room for it.
_ROWS = 1 << 20
_WORD = 2.0**32


@dataclass(frozen=True)
class Market:
    """A world, where its customers come from, and who decides.

    Attributes
    ----------
    world
        Parameters.
    draw
        Makes n customers.
    decider
        Makes who contacts a tenth of the customers each week; None: nobody is contacted.
    keeps_outcome
        Whether customers have OUTCOME rows, because somebody reads them.
    """

    world: World
    draw: Callable[[int], Customers]
    decider: Callable[[], Decider] | None = None
    keeps_outcome: bool = False

    def cohort(self, n: int) -> Customers:
        """So many customers, as the market has them."""
        customers = self.draw(n)
        return customers if self.keeps_outcome else customers.without_outcome()


def _configured(*overrides: str, contacts: bool = True) -> Market:
    config = compose_simulate(overrides)
    posterior = population_of(config)
    world = build_world(config, posterior, config.response.name)
    limits = limits_record(config.constraints, world.table.categories)
    return Market(
        world,
        lambda n: draw_customers(config, posterior, "population", n),
        (lambda: RandomContacts(limits)) if contacts else None,
    )


def everything_on() -> Market:
    """Grocery customers with every mechanism of the literature, tiers, and a tenth contacted."""
    return _configured("world=grocery", "response=literature", "programme=tiered")


def by_agents() -> Market:
    """``everything_on`` for Mesa's agents, whose week is summed afterwards."""
    return replace(everything_on(), keeps_outcome=True)


def marketing_off() -> Market:
    """The same customers: no programme, no offers, and nothing the firm does moves anybody."""
    return _configured("world=grocery", "response=null", "programme=no_programme", contacts=False)


def music_store() -> Market:
    """Customers who seldom buy, everything else as in ``everything_on``."""
    return _configured("world=music_store", "response=literature", "programme=tiered")


def society() -> Market:
    """Coffee drinkers who talk to each other, rivals who answer, prospects who may join."""
    market = _configured("world=coffee_shop", "response=literature", "programme=tiered")
    return replace(market, keeps_outcome=True)


def example() -> Market:
    """The small example of ``envs.offers``, contacted without masks: the bench's first market."""
    return Market(
        default_world(),
        lambda n: draw_population(GROCERY, n, derive_seed(_SEED, "population")),
        AnyContacts,
    )


@parallel_kernel
def _pick(ids, blocked, week, key, chosen, luck):
    for row in prange(ids.shape[0]):
        allowed = 0
        for action in range(1, blocked.shape[1]):
            allowed += blocked[row, action] == 0
        words = block(key, ids[row], week, POLICY, 0, 0)
        left = np.int64(words[0] * np.uint64(allowed) >> np.uint64(32))
        chosen[row] = 0
        luck[row] = words[1]
        for action in range(1, blocked.shape[1]):
            if blocked[row, action] == 0:
                if left == 0:
                    chosen[row] = action
                    break
                left -= 1


class RandomContacts:
    """A decider that gives a tenth of the customers one of the actions allowed to them.

    Parameters
    ----------
    limits
        Masks (``envs.constraints.masks.limits_record``). No budget binds, so that a tenth it is
        wherever a tenth may be contacted at all.
    """

    def __init__(self, limits: NDArray[np.void]) -> None:
        self.limits = limits
        self._key = derive_seed(_SEED, "plan")

    def decide(self, view: FirmView) -> NDArray[np.uint8]:
        """Actions of this week, shape (n,)."""
        actions = np.empty(view.customer_id.shape[0], np.uint8)
        for at in range(0, actions.size, _ROWS):
            rows = slice(at, at + _ROWS)
            blocked = blocking(view.account[rows], view.profile[rows], view.table, self.limits)
            chosen = actions[rows]
            luck = np.empty(chosen.size, np.uint32)
            _pick(view.customer_id[rows], blocked, view.week, self._key, chosen, luck)
            able = max(int(np.count_nonzero(chosen)), 1)
            chosen[luck >= min(CONTACT_SHARE * chosen.size / able, 1.0) * _WORD] = 0
        return actions

    def finish(self, view: FirmView) -> None:
        """Nothing to look at."""


class AnyContacts:
    """A decider that gives a tenth of the customers any action, allowed or not."""

    def decide(self, view: FirmView) -> NDArray[np.uint8]:
        """Actions of this week, shape (n,)."""
        n = view.customer_id.shape[0]
        rng = np.random.default_rng(view.week)
        contacted = rng.random(n) < CONTACT_SHARE
        return np.where(contacted, rng.integers(1, view.table.n, n), 0).astype(np.uint8)

    def finish(self, view: FirmView) -> None:
        """Nothing to look at."""


class Recorder:
    """A decider that keeps what another one decides: ``weeks``, shape (n,) each."""

    def __init__(self, decider: Decider) -> None:
        self.decider = decider
        self.weeks: list[NDArray[np.uint8]] = []

    def decide(self, view: FirmView) -> NDArray[np.uint8]:
        """Actions of this week, shape (n,)."""
        self.weeks.append(self.decider.decide(view).astype(np.uint8))
        return self.weeks[-1]

    def finish(self, view: FirmView) -> None:
        """Nothing to look at."""


class Scripted:
    """A decider that repeats actions made before, so that only the market is timed.

    Parameters
    ----------
    weeks
        Actions from this week on, a row a week.
    """

    def __init__(self, weeks: list[NDArray[np.uint8]]) -> None:
        self._weeks = iter(weeks)

    def decide(self, view: FirmView) -> NDArray[np.uint8]:
        """Actions of the next week, shape (n,)."""
        return next(self._weeks)

    def finish(self, view: FirmView) -> None:
        """Nothing to look at."""
