"""What an episode of programme design is about: worlds, customers, offers inside, protection."""

from dataclasses import dataclass, field

import numpy as np

from agents.population import GROCERY, draw_population
from agents.ranges import check_range
from agents.records import Customers
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters
from envs.decision import Policy
from envs.design.kpis import Quarter, kpi_table
from envs.design.levers import Design, LeverParameters, Levers, even_split
from envs.design.offers import policy_named
from envs.design.running import RunningProgramme
from envs.task import CAPPED, default_world
from sim.world import World

HORIZON_QUARTERS = 12
WARMUP_QUARTERS = 4
WEEKLY_BUDGET = 0.25


@dataclass(frozen=True)
class DesignTask:
    """Worlds, cohort and rules of episodes.

    Parameters
    ----------
    worlds
        An episode lives in one of them, drawn by the seed and never told. They may differ in
        response and in the starting programme's terms (thresholds, multipliers, prices, points per
        unit), not in tiers, rewards or offers.
    cohort
        Customers who have just joined, all at week 0; ``draw_cohort``. Needs OUTCOME rows only
        where neighbours talk.
    policy
        Decides the offers inside: an object (``envs.decision.Policy``), ``no_offers``, or
        ``lottery``, in which every allowed offer takes part. It must not change from week to week.
    weekly_budget
        Offer budget at the start, currency units per customer and week; 0: there is none.
    constraints
        Bind every offer; their ``offer_budget`` is a limit that no action can raise. Their
        ``goalposts`` say how the programme may change.
    improve_at_once
        Better terms hold at once; otherwise they wait for the notice period too.
    levers
        How far an action moves.
    horizon, warmup
        Quarters of an episode, and before it under the starting programme and budget.
    paired
        Reward is the difference to a twin with the same customers and the same luck whose
        programme never changes: the exact effect of the redesign within the model.
    audited
        A ledger with books of its own watches budget shares and goalposts week by week
        (``env.running.ledger_rows()``); slower. Needs a cohort with OUTCOME rows.
    """

    worlds: tuple[World, ...]
    cohort: Customers
    policy: Policy | str = "no_offers"
    weekly_budget: float = WEEKLY_BUDGET
    constraints: ConstraintParameters = CAPPED
    improve_at_once: bool = True
    levers: LeverParameters = field(default_factory=LeverParameters)
    horizon: int = HORIZON_QUARTERS
    warmup: int = WARMUP_QUARTERS
    paired: bool = False
    audited: bool = False

    def __post_init__(self) -> None:
        if not self.worlds:
            raise ValueError("worlds is empty: give at least one")
        if not all(world.programme.active for world in self.worlds):
            raise ValueError("a world has no active programme: there is nothing to design")
        if self.cohort.n == 0 or np.any(self.cohort.state["week"] != 0):
            raise ValueError("cohort must have customers, all at week 0")
        if self.audited and not self.cohort.keeps_outcome:
            raise ValueError("audited=True needs a cohort with OUTCOME rows")
        check_range("weekly_budget", self.weekly_budget, 0.0, 1e4)
        check_range("horizon", self.horizon, 1, 200)
        check_range("warmup", self.warmup, 0, 40)
        policy_named(self.policy)
        shapes = [self._shape(at) for at in range(len(self.worlds))]
        for at, shape in enumerate(shapes):
            if shape != shapes[0]:
                raise ValueError(f"worlds[{at}] has other tiers, rewards or offers than worlds[0]")

    def _shape(self, at: int) -> tuple[object, ...]:
        levers = self.levers_of(at)
        return levers.names, kpi_table(levers), self.worlds[at].table.labels

    def start_of(self, at: int) -> Design:
        """The design that episodes of a world start from."""
        world = self.worlds[at]
        budget = self.weekly_budget if world.book.offers else 0.0
        return Design(world.programme, budget, even_split(world.book))

    def levers_of(self, at: int) -> Levers:
        """The action in a world."""
        return Levers(self.start_of(at), self.worlds[at].book, self.levers)

    def run(self, at: int, customers: Customers, key: np.uint64) -> RunningProgramme:
        """The starting programme of a world with these customers, who are changed in place."""
        return RunningProgramme(
            self.worlds[at],
            customers,
            key,
            self.start_of(at),
            policy_named(self.policy),
            self.constraints,
            self.levers_of(at),
            self.improve_at_once,
            audited=self.audited,
        )

    def warmed(self, at: int) -> tuple[Customers, Quarter]:
        """The cohort after the warm-up in a world, and its last quarter; the same each time."""
        own = self.run(at, self.cohort.take(slice(None)), derive_seed(0, "train"))
        for _ in range(self.warmup):
            own.live()
        return own.market.customers, own.quarter


def draw_cohort(n: int, seed: int) -> Customers:
    """Grocery customers who have just joined."""
    return draw_population(GROCERY, n, derive_seed(seed, "population"))


def default_design_task(seed: int = 0, customers: int = 2_000) -> DesignTask:
    """The task of the registered id."""
    return DesignTask((default_world(),), draw_cohort(customers, seed))
