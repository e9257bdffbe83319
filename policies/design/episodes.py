"""What a designer is worth: whole episodes beside programmes that never change, lever by lever.

Money is currency units per customer of the episode's cohort. Customers and luck of an episode are
those of ``env.task.cohort`` and the seed, whoever decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.records import WEEKS_PER_QUARTER, Customers
from agents.rng import derive_seed
from envs.design.environment import ProgrammeDesignEnv
from envs.design.kpis import Quarter
from envs.design.running import with_replica
from sim.ledger import MICRO
from sim.market import LoyaltyMarket
from sim.programme import ProgrammeParameters
from sim.world import World

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_FIRST_EPISODE = 1  # of a seed: its replica number


@dataclass(frozen=True)
class Played:
    """An episode that was played to its end.

    Attributes
    ----------
    lift
        Profit above that of the starting programme, had it never changed.
    released
        Part of ``lift``: points owed to members that were worth less the day dearer rewards held
        (``RunningProgramme.released``).
    programme
        In force in the last week.
    actions
        Shape (quarters, levers).
    """

    lift: float
    released: float
    programme: ProgrammeParameters
    actions: NDArray[np.float32]


def play(env: ProgrammeDesignEnv, act: Act, seed: int) -> Played:
    """A whole episode under a designer.

    Raises
    ------
    ValueError
        If ``env.task`` is not paired.
    """
    if not env.task.paired:
        raise ValueError("task.paired is false: there is no lift without a twin")
    observation, _ = env.reset(seed=seed)
    lift, actions, ended = 0.0, [], False
    while not ended:
        action = act(observation)
        actions.append(action)
        observation, reward, _, ended, _ = env.step(action)
        lift += reward
    released = env.running.released / MICRO / 100.0 / env.task.cohort.n
    terms = env.running.lived_under
    return Played(lift, released, terms, np.array(actions, np.float32))


def play_levers_alone(env: ProgrammeDesignEnv, played: Played, seed: int) -> dict[str, Played]:
    """The episode's moves again, one lever at a time, by lever; levers that were not moved are left
    out. The designer does not look again: what it did is repeated.
    """
    found = {}
    for lever, name in enumerate(env.levers.names):
        alone = np.zeros_like(played.actions)
        alone[:, lever] = played.actions[:, lever]
        if (np.abs(alone) >= env.task.levers.dead_band).any():
            found[name] = play(env, _repeating(alone), seed)
    return found


def profits_beside(
    env: ProgrammeDesignEnv, programmes: Mapping[str, ProgrammeParameters], seed: int
) -> dict[str, float]:
    """Profit of programmes that never change, on the customers and luck of an episode, by name.

    Each is in force from the first week on, and that is where it is counted from: the warm-up has
    the cost of the points that a later change makes worth less. Without offers, as there is no
    budget.

    Parameters
    ----------
    programmes
        By name; one without rules is no programme.
    """
    env.reset(seed=seed)
    task, profits = env.task, {}
    for name, programme in programmes.items():
        world = task.worlds[env.world]._replace(programme=programme)
        customers = task.cohort.take(slice(None))
        before = _live(world, customers, derive_seed(0, "train"), task.warmup)
        customers = with_replica(customers, _FIRST_EPISODE)
        after = _live(world, customers, derive_seed(seed, "train"), task.horizon)
        profits[name] = before + after
    return profits


def _repeating(actions: NDArray[np.float32]) -> Act:
    steps = iter(actions)
    return lambda kpis: next(steps)


def _live(world: World, customers: Customers, key: np.uint64, quarters: int) -> float:
    """Profit of some quarters; customers are changed in place."""
    market = LoyaltyMarket(world, customers, key)
    weeks = quarters * WEEKS_PER_QUARTER
    market.advance(weeks)
    return Quarter.of(market.datacollector.model_vars, weeks).profit / 100.0 / customers.n
