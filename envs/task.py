"""What an episode is about: worlds and pools of customers to start from, constraints, horizon."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.population import GROCERY, draw_population, dynamics_from, filter_from
from agents.records import Customers
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters, ContactCap
from sim.engine import Engine
from sim.offers import Offer, OfferBook
from sim.programme import ProgrammeParameters, Tier
from sim.world import World

HORIZON = 52
CAPPED = ConstraintParameters(contact_cap=ContactCap())
WARMUP = 52


def default_world() -> World:
    """A small example with grocery customers; the real worlds are in conf/."""
    return World(
        response=ResponseParameters(
            name="example",
            offer_log_rate=KindEffects(0.10, 0.06, 0.06, 0.02),
            offer_log_rate_sd=0.10,
            goal_gradient=0.22,
            reward_log_hazard=-0.1,
        ),
        dynamics=dynamics_from(GROCERY),
        filter=filter_from(GROCERY),
        programme=ProgrammeParameters(
            "tiered",
            active=True,
            tiers=(Tier("base", 0), Tier("silver", 1800, 1.25), Tier("gold", 3600, 1.5)),
        ),
        book=OfferBook(
            "standard",
            (
                Offer("discount_5", "discount", depth=0.05, cap=3.0, weeks=2, strength=0.6),
                Offer("bonus_points", "points", points=200, weeks=2),
                Offer("thank_you", "recognition"),
            ),
        ),
    )


@dataclass(frozen=True)
class OfferTask:
    """What an episode is about: worlds, customers, constraints, horizon.

    With several worlds every episode lives in one of them, drawn by seed and episode and never
    told: domain randomisation over response worlds, programmes and, with a pool for each world,
    draws of a population's posterior.

    Parameters
    ----------
    worlds
        All have the same actions and the same ``filter``: the firm's offers and beliefs do not
        depend on a world that it does not know. Points, tiers and goals in the observation are
        those of the episode's own programme, which a firm knows.
    pool
        Customers who start episodes, one cohort for all worlds or one for each, each at one
        week, usually after a warm-up; prospects and those who have closed their account are
        passed over. Worlds of different programmes need a pool each, and the same cost of a point.
    constraints
        Masks always bind. Budgets are shared by all rows of a vector environment; a single
        customer's has that customer's share alone, which may be less than any offer costs.
    horizon
        Weeks per episode.
    paired
        Reward is the difference to a twin with the same luck and no offers. The twin does not
        depend on the actions, so the optimum over the horizon is the same and the variance far
        smaller. An episode then ends early only when both have closed their accounts.

    Raises
    ------
    ValueError
        Naming the world or pool and what does not fit.
    """

    worlds: tuple[World, ...]
    pool: Customers | tuple[Customers, ...]
    constraints: ConstraintParameters = CAPPED
    horizon: int = HORIZON
    paired: bool = False

    def __post_init__(self) -> None:
        if not self.worlds:
            raise ValueError("worlds is empty: give at least one")
        if self.horizon < 1:
            raise ValueError(f"horizon={self.horizon} must be at least 1")
        if not self._shared and len(self.pools) != len(self.worlds):
            raise ValueError(
                f"{len(self.pools)} pools for {len(self.worlds)} worlds: give one, or one for each"
            )
        for at, pool in enumerate(self.pools):
            if starts(pool).size == 0:
                raise ValueError(f"pool {at} has no customer with an open account")
        for at in range(1, len(self.worlds)):
            self._require_fit(at)

    @property
    def _shared(self) -> bool:
        return isinstance(self.pool, Customers)

    @property
    def pools(self) -> tuple[Customers, ...]:
        """The pool of each world; the same one where it is shared."""
        if isinstance(self.pool, Customers):
            return (self.pool,) * len(self.worlds)
        return self.pool

    def in_world(self, world: int) -> "OfferTask":
        """The same task in one world only, for evaluation."""
        return replace(self, worlds=(self.worlds[world],), pool=self.pools[world])

    def _require_fit(self, at: int) -> None:
        first, other = self.worlds[0], self.worlds[at]
        mine, theirs = first.table, other.table
        if mine.labels != theirs.labels:
            raise ValueError(
                f"worlds[{at}] has actions {theirs.labels}, worlds[0] {mine.labels}: "
                "all worlds of a task need the same"
            )
        # Masks and budgets are those of worlds[0]'s tables: only how customers respond may differ.
        for name in mine.offers.dtype.names or ():
            if name != "strength" and (mine.offers[name] != theirs.offers[name]).any():
                raise ValueError(f"worlds[{at}]: offers differ in {name} from those of worlds[0]")
        for name in mine.actions.dtype.names or ():
            if (mine.actions[name] != theirs.actions[name]).any():
                raise ValueError(f"worlds[{at}]: actions differ in {name} from those of worlds[0]")
        if mine.categories != theirs.categories:
            raise ValueError(
                f"worlds[{at}] has categories {theirs.categories}, worlds[0] {mine.categories}"
            )
        if first.filter != other.filter:
            raise ValueError(
                f"worlds[{at}].filter differs from worlds[0].filter: the firm believes the same "
                "in every world; set it with world._replace(filter=...)"
            )
        if self._shared and first.programme != other.programme:
            raise ValueError(
                f"worlds[{at}] has another programme than worlds[0]: give each world a pool "
                "that has lived under its programme"
            )


def starts(pool: Customers) -> NDArray[np.intp]:
    """Rows of a pool that episodes may start from."""
    return np.flatnonzero((pool.account["closed"] == 0) & (pool.profile["joined"] >= 0))


def make_pool(world: World, n: int, seed: int, warmup: int = WARMUP) -> Customers:
    """Grocery customers after ``warmup`` weeks of the programme without offers."""
    pool = draw_population(GROCERY, n, derive_seed(seed, "population"))
    engine = Engine(pool, world.rules(), derive_seed(seed, "train"))
    for _ in range(warmup):
        engine.advance()
    return pool


def default_task(seed: int = 0, pool_size: int = 512) -> OfferTask:
    """The task of the registered ids."""
    world = default_world()
    return OfferTask((world,), make_pool(world, pool_size, seed))
