"""From configuration and posterior to worlds and cohorts."""

from collections.abc import Callable

import numpy as np

from agents.calibration.posterior import Posterior
from agents.population import PosteriorLike, draw_population, dynamics_from, filter_from
from agents.records import Customers
from agents.rng import SeedRole, derive_seed
from experiments.config import Config, SimulateConfig, TrainingConfig, response_world
from sim.market import LoyaltyMarket
from sim.scenario import WEEKS_PER_YEAR
from sim.world import World

# Customers of different roles never share an id.
FIRST_ID = {"population": 0, "train": 1_000_000_000, "evaluate": 2_000_000_000}


def population_of(config: SimulateConfig | TrainingConfig) -> PosteriorLike:
    """What customers are drawn from: the fitted posterior if one is named, else the world's own.

    Raises
    ------
    InputError
        If the file of the posterior cannot be used.
    """
    if config.posterior is not None:
        return Posterior.load(config.posterior)
    return config.world.population.posterior


def build_world(config: Config, posterior: PosteriorLike, response: str, draw: int = 0) -> World:
    """The market under one response world, by name.

    ``draw`` is the posterior draw that customers live by; what the firm believes of them stays
    that of the mode, which is all that a firm would have fitted.
    """
    world = config.world
    return World(
        response=response_world(config, response),
        dynamics=dynamics_from(
            posterior,
            draw,
            close_account_probability=world.close_account_probability,
            join_hazard=world.join_hazard,
            category_shares=tuple(world.membership.category_shares.values()),
            subscription=world.subscription,
            survey=world.survey,
        ),
        filter=filter_from(posterior),
        season=world.season,
        programme=config.programme,
        book=config.offers,
        contribution_margin=world.contribution_margin,
        competitor=world.competitor,
        network=world.network,
        categories=world.categories,
        off=config.off,
    )


def week_of_year(start_day: int) -> int:
    """Row of the calendar for a day of the year (1-366)."""
    return ((start_day - 1) // 7) % WEEKS_PER_YEAR


def draw_customers(
    config: Config,
    posterior: PosteriorLike,
    role: SeedRole,
    n: int,
    draw: int = 0,
    cohort: int = 0,
) -> Customers:
    """Customers of a role (population, train or evaluate), disjoint from the others'.

    ``draw`` is the posterior draw they are of; cohort 1 are the n customers after those of
    cohort 0, and so on.
    """
    return draw_population(
        posterior,
        n,
        derive_seed(config.seed, "population"),
        config.world.membership,
        first_id=FIRST_ID[role] + cohort * n,
        draw=draw,
    )


def warm_up(
    world: World,
    customers: Customers,
    key: np.uint64,
    weeks: int,
    tell: Callable[[], None] | None = None,
) -> LoyaltyMarket:
    """Run the programme without offers, so that profiles and balances have a history."""
    market = LoyaltyMarket(world, customers, key)
    for _ in range(weeks):
        market.step()
        if tell is not None:
            tell()
    return market
