"""Worlds are what their files say, and the null response world is truly null."""

from pathlib import Path

import numpy as np
import pytest

from agents.calibration.posterior import Posterior
from agents.mechanisms import PLUGGED
from agents.population import GROCERY, MUSIC_STORE, mean_basket, rate_moments
from agents.response import MECHANISMS
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters, ContactCap
from envs.decision import GovernedPolicy
from experiments.config import compose_demo, compose_simulate, options
from experiments.worlds import build_world, draw_customers, population_of
from policies.heuristics import Random
from sim.market import LoyaltyMarket
from sim.world import SURROUNDINGS

WORLDS = options("world")


@pytest.mark.parametrize(("name", "known"), [("grocery", GROCERY), ("music_store", MUSIC_STORE)])
def test_populations_of_the_logs_are_those_of_the_constants(name: str, known: object) -> None:
    population = compose_simulate([f"world={name}"]).world.population.posterior
    assert (population.purchase_model, population.spend_model) == (
        known.purchase_model,  # type: ignore[attr-defined]
        known.spend_model,  # type: ignore[attr-defined]
    )
    assert population.parameters == known.parameters  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "rate", "basket"),
    [
        ("coffee_shop", 1.5, 600.0),
        ("boutique", 0.06, 11_000.0),
        ("fitness_app", 1.6, 0.0),
    ],
)
def test_a_trade_has_the_rate_and_basket_its_comments_say(
    name: str, rate: float, basket: float
) -> None:
    population = compose_simulate([f"world={name}"]).world.population.posterior
    assert rate_moments(population)[0] == pytest.approx(rate)
    assert mean_basket(population) == pytest.approx(basket)


@pytest.mark.parametrize("name", WORLDS)
def test_every_part_of_a_world_reaches_the_market(name: str) -> None:
    config = compose_simulate([f"world={name}", "off=[fatigue,survey]"])
    own = config.world
    world = build_world(config, population_of(config), "literature")
    assert world.response == config.response
    assert world.programme == config.programme
    assert world.book == config.offers
    assert world.contribution_margin == own.contribution_margin
    assert (world.season, world.competitor, world.network) == (
        own.season,
        own.competitor,
        own.network,
    )
    assert world.categories == own.categories
    assert world.off == ("fatigue", "survey")
    dynamics = world.dynamics
    assert dynamics.close_account_probability == own.close_account_probability
    assert dynamics.join_hazard == own.join_hazard
    assert (dynamics.subscription, dynamics.survey) == (own.subscription, own.survey)
    assert (dynamics.drift_weeks > 0) == (own.population.purchase_model == "drift")


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_lives_a_year_with_books_that_balance(name: str) -> None:
    config = compose_simulate([f"world={name}", "response=optimistic", "customers=2000"])
    population = population_of(config)
    customers = draw_customers(config, population, "population", config.customers)
    share = config.world.membership.prospect_share
    assert abs(customers.state["prospect"].mean() - share) < 0.05  # 5 sd of a share of 2,000
    market = LoyaltyMarket(
        build_world(config, population, "optimistic"), customers, derive_seed(1, "world")
    )
    market.advance(52)
    market.finish()
    frame = market.datacollector.get_model_vars_dataframe()
    assert (frame["fees"].sum() > 0) == (config.world.subscription.fee > 0)
    assert (frame["joined"].sum() > 0) == (config.world.join_hazard > 0)
    assert frame["answers"].sum() > 0
    assert (frame["gross"].sum() > 0) == (config.world.population.spend_model != "none")
    assert (market.network is None) == (config.world.network.kind == "none")


@pytest.mark.parametrize("name", ["grocery", "boutique", "coffee_shop", "fitness_app"])
def test_in_the_null_world_nothing_the_firm_does_moves_anybody(name: str) -> None:
    """Exact: same luck, so baskets and survival agree customer by customer, week by week."""
    given = [f"world={name}", "response=null"]
    with_all = compose_simulate([*given, "programme=tiered"])
    without = compose_simulate([*given, "programme=no_programme"])
    cohort = draw_customers(with_all, population_of(with_all), "population", 1000)
    markets = []
    for config, policy in ((with_all, Random(derive_seed(1, "plan"))), (without, None)):
        customers = cohort.take(slice(None))
        constraints = ConstraintParameters(contact_cap=ContactCap(4, 4))
        decider = GovernedPolicy(policy, constraints, customers.n) if policy is not None else None
        world = build_world(config, population_of(config), "null")
        markets.append(LoyaltyMarket(world, customers, derive_seed(1, "world"), decider=decider))
    contacts = 0
    for _ in range(52):
        for market in markets:
            market.step()
        treated, control = (market.customers for market in markets)
        contacts += int((treated.outcome["action"] > 0).sum())
        for field in ("purchases", "gross", "fees"):
            np.testing.assert_array_equal(treated.outcome[field], control.outcome[field])
        np.testing.assert_array_equal(treated.state["alive"], control.state["alive"])
    assert contacts > 1000
    assert (treated.account["tier"].max() > 0) or name == "fitness_app"


def test_what_off_names_is_neutral_in_the_market() -> None:
    config = compose_simulate(
        ["world=coffee_shop", f"off=[{','.join(SURROUNDINGS)},goal_gradient]"]
    )
    world = build_world(config, population_of(config), "literature").effective()
    assert world.response.goal_gradient == 0.0
    assert world.response.momentum_log_rate > 0.0
    assert (world.season.rate_amplitude, world.network.kind) == (0.0, "none")
    assert (world.dynamics.join_hazard, world.dynamics.survey.every_weeks) == (0.0, 0)


def test_the_null_world_keeps_what_is_not_the_firms_doing() -> None:
    null = compose_simulate(["response=null"]).response
    kept = set(MECHANISMS) - set(null.off) - {one.name for one in PLUGGED}
    # Of those, category and saturation only scale what offers and the programme do.
    own = {"attention", "category", "redemption", "enrolment", "saturation", "opt_out"}
    assert kept == own | {"competitor", "contagion"}
    assert null.without().redemption_logit.discount == 0.9


def test_backfire_is_the_literature_but_for_contacts() -> None:
    literature = compose_simulate(["response=literature"]).response
    backfire = compose_simulate(["response=backfire"]).response
    assert np.exp(backfire.contact_log_hazard) == pytest.approx(1.7, abs=1e-3)
    for name in literature.__dataclass_fields__:
        if name not in ("name", "contact_log_hazard"):
            assert getattr(backfire, name) == getattr(literature, name), name


def test_a_fitted_population_replaces_the_worlds_own(tmp_path: Path) -> None:
    path = tmp_path / "posterior.nc"
    Posterior(MUSIC_STORE.purchase_model, MUSIC_STORE.spend_model, MUSIC_STORE.parameters, {}).save(
        path
    )
    config = compose_simulate([f"posterior={path}"])
    assert population_of(config).purchase_model == "pareto_nbd"
    assert population_of(compose_simulate()).purchase_model == "drift"


def test_roles_share_no_customer_in_either_application() -> None:
    for config in (compose_demo(), compose_simulate()):
        ids = [
            set(draw_customers(config, GROCERY, role, 100).traits["id"].tolist())
            for role in ("population", "train", "evaluate")
        ]
        assert len(set.union(*ids)) == 300
