"""Worlds in which it is known which offers pay."""

from dataclasses import replace

import numpy as np
import pytest

from agents.response import KindEffects, ResponseParameters
from envs.constraints.parameters import ConstraintParameters
from envs.task import OfferTask
from sim.engine import Engine
from sim.offers import Offer, OfferBook


@pytest.fixture(scope="session")
def clear_world(world):
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
def null_world(clear_world):
    """Nothing that the firm does changes what customers do; contacts cost a little."""
    return clear_world._replace(
        response=ResponseParameters(
            redemption_logit=KindEffects(free_item=4.0),
            redemption_sd=0.0,
            opt_out_per_contact=0.0,
        ),
        book=replace(clear_world.book, contact_cost={"email": 0.01}),
    )


@pytest.fixture(scope="session")
def clear_pool(clear_world, population):
    """Members who may be contacted and read what they get, after some weeks of history."""
    pool = population(500)
    pool.account["enrolled"] = 1
    pool.account["consent"] = 1
    pool.account["vulnerable"] = 0
    pool.traits["openness"] = 0.9
    engine = Engine(pool, clear_world.rules(), np.uint64(1))
    for _ in range(10):
        engine.advance()
    return pool


@pytest.fixture(scope="session")
def clear_task(clear_world, clear_pool):
    """Paired, without budgets."""
    return OfferTask((clear_world,), clear_pool, ConstraintParameters(), horizon=12, paired=True)


@pytest.fixture(scope="session")
def null_task(null_world, clear_pool):
    """The same where nothing works."""
    return OfferTask((null_world,), clear_pool, ConstraintParameters(), horizon=12, paired=True)
