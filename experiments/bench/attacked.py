"""What adversaries attack: limits, worlds, customers who make offers cost all they can."""

import functools
from dataclasses import replace

import numpy as np

from agents.records import CHANNELS, Customers
from envs.constraints.names import Constraint
from envs.constraints.parameters import (
    ConstraintParameters,
    ContactCap,
    DiscountExposure,
    LiabilityAlarm,
    OfferBudget,
    PriceSpread,
)
from experiments.config import SimulateConfig, compose_simulate, load_option, options
from experiments.worlds import build_world, draw_customers, population_of
from sim.world import World

SEED = 0
_CLOSED, _OPTED_OUT = 0.02, 0.03  # shares of a cohort, so that these rules have whom to protect


def limits() -> dict[str, ConstraintParameters]:
    """Limits that are attacked: default and strict, and one where discounts are what is short."""
    strict = load_option("constraints", "strict")
    short = replace(
        strict,
        name="few_discounts",
        offer_budget=OfferBudget(500.0),
        discount_exposure=DiscountExposure(0.0002),
        price_spread=PriceSpread(0.30),
    )
    return {"default": load_option("constraints", "default"), "strict": strict, short.name: short}


def cohort(name: str, n: int) -> tuple[World, Customers]:
    """A world of conf/world, and customers of whom some have left and some have opted out."""
    worlds, customers = responding(name, n)
    return worlds[0], customers


def responding(name: str, n: int) -> tuple[tuple[World, ...], Customers]:
    """The same under every response world of conf/response, the configured one first."""
    config, worlds = _composed(name)
    customers = draw_customers(config, population_of(config), "population", n)
    luck = np.random.default_rng(SEED).random((n, 2))
    customers.account["closed"][luck[:, 0] < _CLOSED] = 1
    leavers = luck[:, 1] < _OPTED_OUT
    customers.account["consent"][leavers] = 0
    customers.profile["opted_out"][leavers] = (1 << len(CHANNELS)) - 1
    return worlds, customers


@functools.cache
def _composed(name: str) -> tuple[SimulateConfig, tuple[World, ...]]:
    """Reading configuration takes longer than an attack."""
    config = compose_simulate([f"world={name}"])
    if "drinks" in config.world.categories:
        config = replace(config, offers=load_option("offers", "categories"))
    posterior = population_of(config)
    responses = dict.fromkeys((config.response.name, *options("response")))
    return config, tuple(build_world(config, posterior, response) for response in responses)


def force_worst_case(customers: Customers) -> None:
    """Everybody opens, means to redeem, comes often and fills large baskets: offers cost their
    cap.
    """
    traits = customers.traits
    traits["openness"] = 1.0
    traits["redemption"] = 50.0
    traits["log_rate"] = 2.0
    traits["spend_mean"] = 50_000.0


def mutants() -> dict[Constraint, ConstraintParameters]:
    """Limits under which a missing constraint shows: no other one stands in for it."""
    found = dict.fromkeys((code for code in Constraint if code), ConstraintParameters())
    return found | {
        Constraint.CONTACT_CAP: ConstraintParameters(contact_cap=ContactCap(1, 4)),
        Constraint.QUIET_WEEKS: ConstraintParameters(quiet_weeks=4),
        Constraint.PRICE_SPREAD: ConstraintParameters(price_spread=PriceSpread(0.1)),
        Constraint.LIABILITY_ALARM: ConstraintParameters(
            liability_alarm=LiabilityAlarm(0.0, stops_bonus_points=True)
        ),
        Constraint.OFFER_BUDGET: ConstraintParameters(OfferBudget(10.0)),
        Constraint.DISCOUNT_EXPOSURE: ConstraintParameters(
            discount_exposure=DiscountExposure(0.001)
        ),
    }
