"""Customers who are alike but for their luck, in worlds where nothing happens but what is named.

What they do is then exactly what the rules say of one customer-week, many times over. The tests of
the mechanisms and the figures of docs/behaviour.md are made with them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.dynamics import Dynamics
from agents.network import Network
from agents.population import MUSIC_STORE, draw_population, filter_from
from agents.records import Customers
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from sim.engine import Engine
from sim.market import FirmView
from sim.offers import Offer, OfferBook
from sim.programme import ProgrammeParameters, Reward
from sim.world import World

KEY = derive_seed(11, "world")
ALWAYS, NEVER = 50.0, -50.0  # logits of redeeming
EMAIL, SMS, PUSH = 1, 2, 3  # actions of the first offer of a quiet world; of the next 4, 5, 6
Plan = Mapping[int, ArrayLike]  # actions by week; weeks that are not named have none

TENTH = Offer("tenth", "discount", depth=0.1, cap=1000.0, uses=50)
COUPON = replace(TENTH, name="coupon", uses=1)
BONUS = Offer("bonus", "points", points=10)
COFFEE = Offer("coffee", "free_item", item_cost=1.0)
THANKS = Offer("thanks", "recognition")


def twins(n: int, rate: float = 4.0, hazard: float = 0.0, basket: float = 1000.0) -> Customers:
    """The same member n times, open to every message, to whom nothing has happened yet.

    Parameters
    ----------
    rate, hazard
        Per week.
    basket
        Minor units; every basket is of this size in a quiet world.
    """
    one = draw_population(MUSIC_STORE, 1, KEY)
    customers = one.take(np.zeros(n, np.int64))
    for name, value in {
        "log_rate": math.log(rate),
        "hazard": hazard,
        "spend_mean": basket,
        "spend_shape": 0.0,
        "response": 0.0,
        "openness": 1.0,
        "goal_gradient": 1.0,
        "fatigue_sensitivity": 1.0,
        "redemption": 0.0,
        "price_sensitivity": 1.0,
        "deal_learning": 1.0,
        "influence": 1.0,
        "category": 0.0,
    }.items():
        customers.traits[name] = value
    customers.traits["id"] = np.arange(n)
    customers.state["prospect"] = 0
    customers.account["enrolled"] = 1
    customers.account["consent"] = 1
    return customers


def as_prospects(customers: Customers, rows: NDArray[np.bool_]) -> Customers:
    """The same customers, of whom those rows have not joined yet."""
    customers.state["prospect"][rows] = 1
    customers.account["enrolled"][rows] = 0
    customers.profile["joined"][rows] = -1
    return customers


def friends(n: int, size: int = 2) -> Network:
    """Everybody knows the others of a group of ``size`` rows and nobody else."""
    rows = np.arange(n)
    group = rows - rows % size
    known = group[:, None] + np.arange(size)
    others = known[known != rows[:, None]]
    return Network(np.arange(n + 1) * (size - 1), others.astype(np.int32))


def plain_programme(price: int = 1_000_000, **changes: Any) -> ProgrammeParameters:
    """A point per currency unit, spendable at once; they matter once a reward is within reach."""
    plain = ProgrammeParameters(
        "plain", True, pending_weeks=0, rewards=(Reward("reward", price, 1.0),)
    )
    return replace(plain, **changes)


def quiet_world(
    response: dict[str, Any] | None = None,
    dynamics: dict[str, Any] | None = None,
    offers: tuple[Offer, ...] = (),
    **changes: Any,
) -> World:
    """Nothing but what is named: no drift, baskets of one size, nobody redeems anything.

    Parameters
    ----------
    response, dynamics
        Fields of ``ResponseParameters`` and ``Dynamics``.
    offers
        Actions 1 to 3 are the first by e-mail, sms and push, 4 to 6 the second, and so on.
    changes
        Further fields of ``World``.
    """
    quiet = {
        "redemption_logit": KindEffects(NEVER, NEVER, NEVER, NEVER),
        "redemption_sd": 0.0,
        "redemption_rate_slope": 0.0,
    }
    still = {"spend_family": "lognormal", "close_account_probability": 0.0}
    world = World(
        ResponseParameters(**{**quiet, **(response or {})}),
        Dynamics(**{**still, **(dynamics or {})}),
        filter_from(MUSIC_STORE),
        book=OfferBook("book", offers, channels=("email", "sms", "push"), contact_cost={}),
    )
    return world._replace(**changes)


def lived(
    world: World, customers: Customers, weeks: int, plan: Plan | None = None
) -> Iterator[NDArray[np.void]]:
    """OUTCOME records week by week, shape (n,); customers are changed in place."""
    engine = Engine(customers, world.rules(), KEY)
    for _ in range(weeks):
        week = int(customers.state["week"][0])
        engine.advance(np.broadcast_to((plan or {}).get(week, 0), customers.n))
        yield customers.outcome


def bought(
    world: World, customers: Customers, weeks: int = 1, plan: Plan | None = None
) -> NDArray[np.float64]:
    """Purchases, shape (weeks, n)."""
    return np.array([o["purchases"].astype(float) for o in lived(world, customers, weeks, plan)])


def alive(
    world: World, customers: Customers, weeks: int, plan: Plan | None = None
) -> NDArray[np.bool_]:
    """Who is there at the start of each week and at the end of the last, shape (weeks + 1, n)."""
    there = [customers.state["alive"] > 0]
    there += [customers.state["alive"] > 0 for _ in lived(world, customers, weeks, plan)]
    return np.array(there)


class Planned:
    """A firm that follows a plan whatever it sees."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def decide(self, view: FirmView) -> NDArray[np.integer]:
        """Actions of this week."""
        return np.broadcast_to(self.plan.get(view.week, 0), view.customer_id.shape)

    def finish(self, view: FirmView) -> None:
        """Nothing to learn."""
