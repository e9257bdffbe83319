"""A small world in which everything happens, and customers to live in it."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from agents.behaviour import Dynamics, KindEffects, ResponseParameters
from agents.population import GROCERY, MembershipParameters, draw_population, filter_from
from agents.records import Customers
from agents.rng import derive_seed
from sim.offers import Offer, OfferBook
from sim.programme import ProgrammeParameters, Tier
from sim.scenario import SeasonParameters
from sim.week import World

# Fixed examples: a run that fails here fails everywhere; compilation has no deadline.
settings.register_profile("contracts", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("contracts")


@pytest.fixture(scope="session")
def world() -> World:
    """Every mechanism on, all four kinds of offer, three tiers, a season."""
    return World(
        response=ResponseParameters(
            name="everything",
            offer_log_rate=KindEffects(0.3, 0.2, 0.3, 0.1),
            offer_log_rate_sd=0.1,
            basket_uplift=KindEffects(0.1, 0.05, 0.0, 0.0),
            redemption_logit=KindEffects(0.5, 0.5, 0.5, 0.5),
            tier_log_rate=0.04,
            tier_log_hazard=-0.1,
            goal_gradient=0.2,
            momentum_log_rate=0.05,
            pull_forward=0.05,
            fatigue_log_rate=-0.02,
            fatigue_log_hazard=0.05,
            reward_log_hazard=-0.1,
            opt_out_per_contact=0.01,
        ),
        dynamics=Dynamics(0.94, 154.0, log_rate_centre=-0.25, close_account_probability=0.3),
        filter=filter_from(GROCERY),
        season=SeasonParameters(0.1, 0.05, 26, 0.2, 0.3),
        programme=ProgrammeParameters(
            "tiered",
            True,
            points_price=200,
            tiers=(Tier("base", 0), Tier("silver", 400, 1.25), Tier("gold", 1000, 1.5)),
        ),
        book=OfferBook(
            "all",
            (
                Offer("tenth", "discount", depth=0.1, cap=5, weeks=2),
                Offer("half", "discount", depth=0.5, cap=10, uses=3, weeks=4, pressure=True),
                Offer("bonus", "points", points=100, uses=2, weeks=3),
                Offer("coffee", "free_item", item_cost=2.0),
                Offer("thanks", "recognition"),
            ),
            channels=("email", "sms", "push"),
            contact_cost={"email": 0.01, "sms": 0.05},
        ),
    )


@pytest.fixture(scope="session")
def population() -> Callable[..., Customers]:
    """Factory of ``n`` grocery customers who just joined; they die within years, not decades."""

    def draw(n: int, **options: object) -> Customers:
        customers = draw_population(
            GROCERY, n, derive_seed(7, "population"), MembershipParameters(), **options
        )
        customers.traits["hazard"] *= 10
        return customers

    return draw
