"""With marketing and drift off the engine is Pareto/NBD; in any case a week averages to its rules.

Every comparison allows LIMIT standard errors of its own sample. The chance that a correct engine
fails any of the 41 on a fresh key is 3e-4; the key is fixed.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from sampling import compare
from scipy import integrate

from agents.dynamics import Dynamics
from agents.population import (
    MUSIC_STORE,
    PopulationParameters,
    draw_population,
    dynamics_from,
    filter_from,
    mean_basket,
)
from agents.records import Customers
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from sim.engine import Engine
from sim.offers import Offer, OfferBook
from sim.programme import ProgrammeParameters, Reward
from sim.world import World

KEY = derive_seed(1, "world")
N = 200_000
WEEKS = (1, 4, 13, 26, 52)


# Lives of a few weeks: here "buy, then maybe die" would be wrong by 15 %, not by 1 %.
SHORT_LIVES = replace(
    MUSIC_STORE,
    parameters={
        **MUSIC_STORE.parameters,
        "rate_shape": np.array([2.0]),
        "rate_rate": np.array([2.0]),
        "dropout_shape": np.array([1.5]),
        "dropout_rate": np.array([4.0]),
    },
)


class Cohort(NamedTuple):
    """What a cohort did without marketing; ``counts`` and ``alive`` by number of weeks."""

    posterior: PopulationParameters
    counts: dict[int, np.ndarray]
    alive: dict[int, np.ndarray]
    gross: np.ndarray

    def __call__(self, name: str) -> float:
        return float(self.posterior.parameters[name][0])

    def survival(self, weeks: float) -> float:
        return (1 + weeks / self("dropout_rate")) ** -self("dropout_shape")

    def lifetime_moment(self, power: int, weeks: int) -> float:
        """Mean of min(lifetime, weeks) to a power, by parts."""
        density = lambda u: power * u ** (power - 1) * self.survival(u)  # noqa: E731
        return integrate.quad(density, 0, weeks)[0]


@pytest.fixture(scope="module", params=["music_store", "short_lives"])
def cohort(request) -> Cohort:
    posterior = {"music_store": MUSIC_STORE, "short_lives": SHORT_LIVES}[request.param]
    customers = draw_population(posterior, N, derive_seed(1, "population"))
    world = World(ResponseParameters(), dynamics_from(posterior), filter_from(posterior))
    engine = Engine(customers, world.rules(), KEY)
    found = Cohort(posterior, {}, {}, np.zeros(N, np.int64))
    for week in range(1, max(WEEKS) + 1):
        engine.advance()
        found.gross[:] += customers.outcome["gross"]
        if week in WEEKS:
            found.counts[week] = customers.profile["repeats"].copy()
            found.alive[week] = customers.state["alive"].copy()
    return found


@pytest.mark.parametrize("weeks", WEEKS)
def test_counts_and_survival_are_those_of_pareto_nbd(cohort: Cohort, weeks: int) -> None:
    """Schmittlein, Morrison & Colombo (1987): mean, variance, survival."""
    r, alpha = cohort("rate_shape"), cohort("rate_rate")
    s, beta = cohort("dropout_shape"), cohort("dropout_rate")
    mean = r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + weeks)) ** (s - 1))
    assert mean == pytest.approx(r / alpha * cohort.lifetime_moment(1, weeks))
    second = mean + r * (r + 1) / alpha**2 * cohort.lifetime_moment(2, weeks)
    counts = cohort.counts[weeks]
    compare(f"week {weeks}, mean count", counts, mean)
    # The square about the exact mean is the variance, without a bias of its own.
    compare(f"week {weeks}, variance", (counts - mean) ** 2, second - mean**2)
    compare(f"week {weeks}, alive", cohort.alive[weeks], cohort.survival(weeks))


def test_spend_is_independent_of_counts_with_the_mean_of_gamma_gamma(cohort: Cohort) -> None:
    counts = cohort.counts[max(WEEKS)]
    excess = cohort.gross - counts * mean_basket(cohort.posterior)
    compare("gross less count × mean basket", excess, 0.0)


def twins(n: int = 200_000) -> Customers:
    """The same customer many times: only luck differs."""
    customers = draw_population(MUSIC_STORE, n, derive_seed(1, "population"))
    for part in (customers.traits, customers.account):
        ids = part["id"].copy() if "id" in part.dtype.names else None
        part[:] = part[0]
        if ids is not None:
            part["id"] = ids
    customers.traits["log_rate"] = math.log(0.6)
    customers.traits["hazard"] = 0.1
    customers.traits["openness"] = 0.4
    customers.traits["redemption"] = 0.0
    customers.traits["price_sensitivity"] = 1.0
    customers.account["enrolled"] = 1
    return customers


def test_a_contacted_week_averages_to_its_intensities() -> None:
    """Attention, lift of the opened offer, intention, redemption, discount, points use, opt-out."""
    customers = twins()
    customers.profile["points"] = customers.account["lots"][:, 0] = 100
    world = World(
        ResponseParameters(
            offer_log_rate=KindEffects(discount=0.5),
            redemption_logit=KindEffects(discount=0.3),
            redemption_rate_slope=0.0,
            opt_out_per_contact=0.2,
            points_use_probability=0.3,
        ),
        Dynamics(close_account_probability=0.25),
        filter_from(MUSIC_STORE),
        programme=ProgrammeParameters(active=True, rewards=(Reward("r", 100, 5.0),)),
        book=OfferBook(offers=(Offer("o", "discount", depth=0.1, cap=1000),)),
    )
    Engine(customers, world.rules(), KEY).advance(np.ones(customers.n, np.uint8))
    outcome = customers.outcome
    open_, alive = 0.4, -math.expm1(-0.1) / 0.1

    def some(rate: float) -> float:
        """Chance of a purchase in the week: 1 - E exp(-rate × min(lifetime, 1))."""
        return 1 - (0.1 + rate * math.exp(-0.1 - rate)) / (0.1 + rate)

    lifted = 0.6 * math.exp(0.5)
    intends = 1 / (1 + math.exp(-0.3))
    bought = open_ * some(lifted) + (1 - open_) * some(0.6)
    compare("opened", outcome["opened"], open_)
    compare("purchases", outcome["purchases"], (open_ * lifted + (1 - open_) * 0.6) * alive)
    compare("a purchase", outcome["purchases"] > 0, bought)
    compare("redeemed", outcome["redeemed"], open_ * intends * some(lifted))
    mean = float(customers.traits["spend_mean"][0])
    compare("discount", outcome["discount"], open_ * intends * some(lifted) * 0.1 * mean)
    compare("points", outcome["points_redeemed"], 100 * 0.3 * bought)
    compare("opt-out", outcome["opted_out"], 0.2)
    compare("alive", customers.state["alive"], math.exp(-0.1))
    compare("closed", outcome["closed"], -math.expm1(-0.1) * 0.25)
