"""A world in which one offer pays and another loses, one in which none does, and their tasks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from agents.records import Customers
from agents.response import KindEffects, ResponseParameters
from envs.constraints.parameters import ConstraintParameters
from envs.task import OfferTask
from sim.engine import Engine
from sim.offers import Offer, OfferBook
from sim.world import World


@pytest.fixture(scope="session")
def clear_world(world: World) -> World:
    """Recognition doubles purchases and costs nothing; a free item is money thrown away."""
    return world._replace(
        response=ResponseParameters(
            offer_log_rate=KindEffects(recognition=0.7),
            redemption_logit=KindEffects(free_item=4.0),
            redemption_sd=0.0,
            opt_out_per_contact=0.0,
        ),
        book=OfferBook(
            "clear",
            (Offer("gift", "free_item", item_cost=8.0), Offer("thanks", "recognition")),
            channels=("email",),
            contact_cost={"email": 0.0},
        ),
    )


@pytest.fixture(scope="session")
def dull_world(clear_world: World) -> World:
    """Nothing moves anybody; gifts are taken all the same."""
    response = ResponseParameters(
        redemption_logit=KindEffects(free_item=4.0), redemption_sd=0.0, opt_out_per_contact=0.0
    )
    return clear_world._replace(response=response)


@pytest.fixture(scope="session")
def members(population: Callable[..., Customers]) -> Callable[..., Customers]:
    """Factory of ``n`` members who may be mailed, after ten weeks in a world."""

    def draw(world: World, n: int, **options: object) -> Customers:
        pool = population(n, **options)
        pool.account["enrolled"] = 1
        pool.account["consent"] = 1
        pool.account["vulnerable"] = 0
        pool.traits["openness"] = 0.9
        engine = Engine(pool, world.rules(), np.uint64(1))
        for _ in range(10):
            engine.advance()
        return pool

    return draw


@pytest.fixture(scope="session")
def clear_task(clear_world: World, members: Callable[..., Customers]) -> OfferTask:
    return OfferTask((clear_world,), members(clear_world, 300), ConstraintParameters(), horizon=8)


@pytest.fixture(scope="session")
def dull_task(dull_world: World, members: Callable[..., Customers]) -> OfferTask:
    return OfferTask((dull_world,), members(dull_world, 300), ConstraintParameters(), horizon=8)


@pytest.fixture(scope="session")
def null_world(dull_world: World) -> World:
    """Nothing that the firm does changes what customers do, and every contact costs a little."""
    return dull_world._replace(book=replace(dull_world.book, contact_cost={"email": 0.01}))


@pytest.fixture(scope="session")
def clear_pool(clear_world: World, members: Callable[..., Customers]) -> Customers:
    return members(clear_world, 500)


@pytest.fixture(scope="session")
def paired_task(clear_world: World, clear_pool: Customers) -> OfferTask:
    """One offer pays; rewards are paired."""
    return OfferTask((clear_world,), clear_pool, ConstraintParameters(), horizon=12, paired=True)


@pytest.fixture(scope="session")
def null_task(null_world: World, clear_pool: Customers) -> OfferTask:
    """Nothing pays; rewards are paired."""
    return OfferTask((null_world,), clear_pool, ConstraintParameters(), horizon=12, paired=True)
