"""What a designer is worth: whole episodes beside programmes that never change, lever by lever."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from agents.records import WEEKS_PER_QUARTER, Customers
from agents.rng import derive_seed
from envs.design.environment import ProgrammeDesignEnv
from envs.design.kpis import Quarter
from envs.design.running import with_replica
from envs.design.task import DesignTask
from sim.market import LoyaltyMarket
from sim.programme import ProgrammeParameters
from sim.world import World

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_FIRST_EPISODE = 1  # of a seed: its replica number


def lift_of(task: DesignTask, act: Act, seeds: range) -> NDArray[np.float64]:
    """Lift per customer of whole episodes above the programme that never changes.

    Currency units, shape (seeds,). The task must be paired; give it test customers.

    Raises
    ------
    ValueError
        If it is not paired.
    """
    env = _paired(task)
    return np.array([_play(env, seed, act)[0] for seed in seeds])


def effect_of_levers(task: DesignTask, act: Act, seeds: range) -> dict[str, NDArray[np.float64]]:
    """What each lever brings alone: the episode's own moves of it, all others left.

    Lift per customer above the programme that never changes, currency units, shape (seeds,); by
    lever, of those that were moved in any episode. Moves are those of the whole episode, repeated:
    the designer does not look again. The task must be paired, on the same luck as ``lift_of``.
    """
    env = _paired(task)
    names = env.levers.names
    effects = {name: np.zeros(len(seeds)) for name in names}
    moved: set[str] = set()
    for at, seed in enumerate(seeds):
        actions = _play(env, seed, act)[1]
        for lever, name in enumerate(names):
            alone = np.zeros_like(actions)
            alone[:, lever] = actions[:, lever]
            if not (np.abs(alone) >= task.levers.dead_band).any():
                continue
            moved.add(name)
            effects[name][at] = _play(env, seed, _repeating(alone))[0]
    return {name: effects[name] for name in names if name in moved}


def profits_beside(
    task: DesignTask, programmes: Mapping[str, ProgrammeParameters], seeds: range
) -> dict[str, NDArray[np.float64]]:
    """Profit per customer of programmes that never change, on the customers and luck of episodes.

    Currency units, shape (seeds,), by name. Each programme is in force from the warm-up's first
    week on, and counts after it, as the episode does. Without offers, as there is no budget.

    Parameters
    ----------
    programmes
        By name; one without rules is no programme.
    """
    env = ProgrammeDesignEnv(task)
    warmed: dict[tuple[int, str], Customers] = {}  # by world and programme
    profits = {name: np.zeros(len(seeds)) for name in programmes}
    for at, seed in enumerate(seeds):
        env.reset(seed=seed)
        for name, programme in programmes.items():
            own = task.worlds[env.world]._replace(programme=programme)
            if (env.world, name) not in warmed:
                start = task.cohort.take(slice(None))
                _live(own, start, derive_seed(0, "train"), task.warmup)
                warmed[env.world, name] = start
            customers = with_replica(warmed[env.world, name], _FIRST_EPISODE)
            profits[name][at] = _live(own, customers, derive_seed(seed, "train"), task.horizon)
    return profits


def _paired(task: DesignTask) -> ProgrammeDesignEnv:
    if not task.paired:
        raise ValueError("task.paired is false: there is no lift without a twin")
    return ProgrammeDesignEnv(task)


def _play(env: ProgrammeDesignEnv, seed: int, act: Act) -> tuple[float, NDArray[np.float32]]:
    """Reward of a whole episode, and its actions, shape (quarters, levers)."""
    observation, _ = env.reset(seed=seed)
    total, actions, ended = 0.0, [], False
    while not ended:
        action = act(observation)
        actions.append(action)
        observation, reward, _, ended, _ = env.step(action)
        total += reward
    return total, np.array(actions, np.float32)


def _repeating(actions: NDArray[np.float32]) -> Act:
    steps = iter(actions)
    return lambda kpis: next(steps)


def _live(world: World, customers: Customers, key: np.uint64, quarters: int) -> float:
    """Profit per customer of some quarters, currency units; customers are changed in place."""
    market = LoyaltyMarket(world, customers, key)
    weeks = quarters * WEEKS_PER_QUARTER
    market.advance(weeks)
    return Quarter.of(market.datacollector.model_vars, weeks).profit / 100.0 / customers.n
