"""A small world in which everything happens, and customers to live in it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import numba
import pytest
from hypothesis import settings

from agents.dynamics import Dynamics, SubscriptionParameters, SurveyParameters
from agents.network import NetworkParameters
from agents.population import GROCERY, MembershipParameters, draw_population, filter_from
from agents.records import Customers
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from sim.offers import Offer, OfferBook
from sim.programme import Challenge, ProgrammeParameters, Reward, Streak, Tier
from sim.scenario import CompetitorParameters, SeasonParameters
from sim.world import World

# Fixed examples: a run that fails here fails everywhere; compilation has no deadline.
settings.register_profile("contracts", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("contracts")


def pytest_configure() -> None:
    """Threads that wait for each other sleep, here and in processes that tests start.

    Spinning, the default of OpenMP, takes the cores from whoever else works, the other workers of
    pytest-xdist among them. Read when the first parallel kernel runs.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="accept the figures of this golden run"
    )


@pytest.fixture(scope="session")
def world() -> World:
    """All that a customer alone does is on, all four kinds of offer, three tiers, a season."""
    return World(
        response=ResponseParameters(
            name="everything",
            offer_log_rate=KindEffects(0.3, 0.2, 0.3, 0.1),
            offer_log_rate_sd=0.1,
            basket_uplift=KindEffects(0.1, 0.05, 0.0, 0.0),
            category_match=0.8,
            redemption_logit=KindEffects(0.5, 0.5, 0.5, 0.5),
            member_log_rate=0.04,
            enrol_probability=0.02,
            tier_log_rate=0.04,
            tier_log_hazard=-0.1,
            tier_change_log_rate=0.1,
            downgrade_log_hazard=0.2,
            goal_gradient=0.2,
            goal_gradient_shape=2,
            momentum_log_rate=0.05,
            saturation=0.3,
            pull_forward=0.05,
            fatigue_log_rate=-0.02,
            fatigue_log_hazard=0.05,
            deal_waiting=0.3,
            reward_log_hazard=-0.1,
            contact_log_hazard=0.1,
            opt_out_per_contact=0.01,
            satisfaction_log_hazard=-0.1,
            satisfaction_reward=0.2,
            satisfaction_recognition=0.1,
            satisfaction_contact=-0.05,
            satisfaction_downgrade=-0.5,
            competitor_log_rate=-0.1,
            competitor_log_hazard=0.1,
            neighbour_log_rate=0.02,
            contagion_log_hazard=0.588,
            referral_hazard=0.01,
        ),
        dynamics=Dynamics(
            0.94,
            154.0,
            log_rate_centre=-0.25,
            close_account_probability=0.3,
            survey=SurveyParameters(every_weeks=13, answer_probability=0.5),
        ),
        filter=filter_from(GROCERY),
        season=SeasonParameters(0.1, 0.05, 26, 0.2, 0.3),
        programme=ProgrammeParameters(
            "tiered",
            True,
            rewards=(Reward("voucher", 200, 5.0, voucher=True), Reward("dinner", 700, 15.0)),
            tiers=(Tier("base", 0), Tier("silver", 400, 1.25), Tier("gold", 1000, 1.5)),
            challenge=Challenge(purchases=4, weeks=4, points=20),
            streak=Streak(weeks=5, points=30),
            expiry_quarters=2,
            window_quarters=2,
            referral_points=50,
            welcome_points=25,
        ),
        book=OfferBook(
            "all",
            (
                Offer("tenth", "discount", depth=0.1, cap=5, weeks=2),
                Offer(
                    "half",
                    "discount",
                    depth=0.5,
                    cap=10,
                    uses=3,
                    weeks=4,
                    pressure=True,
                    category="fresh",
                ),
                Offer("bonus", "points", points=100, uses=2, weeks=3),
                Offer("coffee", "free_item", item_cost=2.0),
                Offer("thanks", "recognition"),
            ),
            channels=("email", "sms", "push"),
            contact_cost={"email": 0.01, "sms": 0.05},
        ),
        competitor=CompetitorParameters(every_weeks=10),
        categories=("fresh", "pantry", "household"),
    )


@pytest.fixture(scope="session")
def society(world: World) -> World:
    """The same, and what needs others: word of mouth, prospects, rivals who react; and a fee."""
    subscription = SubscriptionParameters(10.0, 4, cancel_probability=0.02, habit_effect=0.5)
    return world._replace(
        dynamics=replace(world.dynamics, subscription=subscription, join_hazard=0.002),
        network=NetworkParameters("small_world"),
        competitor=CompetitorParameters(every_weeks=10, reaction=0.5),
    )


@pytest.fixture(scope="session")
def population() -> Callable[..., Customers]:
    """Factory of ``n`` grocery customers who just joined; they die within years, not decades."""

    def draw(n: int, prospects: float = 0.0, **options: object) -> Customers:
        shares = {"fresh": 0.5, "pantry": 0.3, "household": 0.2}
        membership = MembershipParameters(category_shares=shares, prospect_share=prospects)
        customers = draw_population(GROCERY, n, derive_seed(7, "population"), membership, **options)
        customers.traits["hazard"] *= 10
        return customers

    return draw


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Bits do not depend on threads; many short weeks go faster on one."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)
