"""Tasks of the customer environment in the world where everything happens."""

import dataclasses

import numpy as np
import pytest

from envs.task import OfferTask
from sim.engine import Engine


@pytest.fixture(scope="session")
def task(world, population):
    """Customers after half a year in the everything-world, episodes of 20 weeks."""
    pool = population(300)
    engine = Engine(pool, world.rules(), np.uint64(5))
    for _ in range(26):
        engine.advance()
    return OfferTask((world,), pool, horizon=20)


@pytest.fixture(scope="session")
def short(task):
    """Episodes of 8 weeks, of customers of whom many close their account."""
    pool = task.pool.take(slice(None))
    pool.traits["hazard"] = 0.2
    return dataclasses.replace(task, pool=pool, horizon=8)


@pytest.fixture(scope="session")
def varied(short, world):
    """Three worlds: other responses, another programme, other customers; a pool for each."""
    louder = world._replace(response=dataclasses.replace(world.response, goal_gradient=1.5))
    richer = world._replace(
        programme=dataclasses.replace(
            world.programme, tiers=(world.programme.tiers[0], world.programme.tiers[2])
        )
    )
    pools = []
    for at, own in enumerate((world, louder, richer)):
        pool = short.pool.take(slice(100 * at, 100 * at + 100))
        pool.account["tier"] = 0
        pool.profile["tier"] = 0
        Engine(pool, own.rules(), np.uint64(at)).run(3 + at)
        pools.append(pool)
    return dataclasses.replace(short, worlds=(world, louder, richer), pool=tuple(pools))


@pytest.fixture(scope="session")
def any_allowed():
    """Draws one allowed action a row from a mask (N, A)."""

    def draw(mask, rng):
        return (rng.random(mask.shape) * mask).argmax(axis=1)

    return draw
