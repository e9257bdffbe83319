"""Switching a mechanism off gives exactly the run without it, in a market where all are on."""

from collections.abc import Iterator
from dataclasses import replace

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from agents.dynamics import Dynamics, SubscriptionParameters, SurveyParameters
from agents.mechanisms import PLUGGED
from agents.network import NetworkParameters
from agents.population import (
    GROCERY,
    MembershipParameters,
    draw_population,
    dynamics_from,
    filter_from,
)
from agents.records import Customers
from agents.response import MECHANISMS, KindEffects, ResponseParameters
from experiments.twins import BONUS, COFFEE, COUPON, KEY, THANKS, plain_programme
from sim.market import FirmView, LoyaltyMarket
from sim.offers import OfferBook
from sim.programme import Tier
from sim.scenario import CompetitorParameters, SeasonParameters
from sim.world import SURROUNDINGS, World

MONTHLY = SubscriptionParameters(fee=5.0, period_weeks=4, margin=0.8)
SIZES = KindEffects(0.10, 0.06, 0.06, 0.02)
EVERYTHING = World(
    ResponseParameters(
        "everything", offer_log_rate=SIZES, offer_log_rate_sd=0.1, category_match=0.8,
        basket_uplift=KindEffects(0.05, 0.05, 0.05, 0.05), member_log_rate=0.05,
        redemption_logit=KindEffects(1.0, 1.0, 1.0, 1.0), enrol_probability=0.1, tier_log_rate=0.1,
        tier_log_hazard=-0.3, tier_change_log_rate=0.2, downgrade_log_hazard=0.5, goal_gradient=0.3,
        momentum_log_rate=0.1, saturation=0.3, pull_forward=0.1, fatigue_log_rate=-0.1,
        fatigue_log_hazard=0.2, deal_waiting=0.5, reward_log_hazard=-0.5, contact_log_hazard=0.5,
        opt_out_per_contact=0.05, satisfaction_log_hazard=-0.3, satisfaction_reward=0.3,
        satisfaction_recognition=0.2, satisfaction_contact=-0.1, satisfaction_downgrade=-0.5,
        competitor_log_rate=-0.3, competitor_log_hazard=0.3, neighbour_log_rate=0.05,
        contagion_log_hazard=0.588, referral_hazard=0.05,
    ),
    dynamics_from(
        GROCERY, close_account_probability=0.3, join_hazard=0.01,
        subscription=replace(MONTHLY, cancel_probability=0.05, habit_effect=0.3),
        survey=SurveyParameters(every_weeks=4),
    ),
    filter_from(GROCERY),
    SeasonParameters(0.1, 0.1, 26.0, 0.2, 0.3),
    plain_programme(60, tiers=(Tier("base", 0.0), Tier("silver", 100.0)), window_quarters=2),
    OfferBook(
        "all",
        (
            replace(COUPON, weeks=2, category="food"), replace(BONUS, points=20), COFFEE, THANKS,
        ),
    ),
    competitor=CompetitorParameters(every_weeks=8, reaction=1.0),
    network=NetworkParameters("small_world"),
    categories=("food", "home"),
)  # fmt: skip
_RESPONSE, _DYNAMICS = EVERYTHING.response, EVERYTHING.dynamics

# Each mechanism without effect, as one would write it by hand; scales that then must not matter
# have other values.
WITHOUT = {
    "attention": {"inattention": 0.0},
    "offers": {"offer_log_rate": KindEffects(), "offer_log_rate_sd": 0.0},
    "basket_uplift": {"basket_uplift": KindEffects()},
    "category": {"category_match": 0.0},
    "redemption": {
        "redemption_logit": KindEffects(-49.0, -49.0, -49.0, -49.0), "redemption_sd": 1.0,
        "redemption_rate_slope": 0.1, "points_use_probability": 0.0,
    },
    "membership": {"member_log_rate": 0.0},
    "enrolment": {"enrol_probability": 0.0, "enrol_rate_slope": 2.0},
    "tier": {"tier_log_rate": 0.0, "tier_log_hazard": 0.0},
    "tier_change": {
        "tier_change_log_rate": 0.0, "downgrade_log_hazard": 0.0, "tier_change_weeks": 3.0,
    },
    "goal_gradient": {"goal_gradient": 0.0, "goal_gradient_shape": 4},
    "momentum": {"momentum_log_rate": 0.0, "momentum_weeks": 9.0},
    "saturation": {"saturation": 0.0},
    "pull_forward": {"pull_forward": 0.0, "pull_forward_weeks": 9.0},
    "fatigue": {"fatigue_log_rate": 0.0, "fatigue_log_hazard": 0.0},
    "deal_waiting": {
        "deal_waiting": 0.0, "deal_prior": 0.5, "deal_prior_weeks": 1.0, "deal_memory_weeks": 5.0,
    },
    "reward_retention": {"reward_log_hazard": 0.0, "reward_weeks": 2.0},
    "proactive_contact": {"contact_log_hazard": 0.0, "contact_weeks": 2},
    "opt_out": {"opt_out_per_contact": 0.0},
    "satisfaction": {
        "satisfaction_log_hazard": 0.0, "satisfaction_reward": 0.0, "satisfaction_contact": 0.0,
        "satisfaction_recognition": 0.0, "satisfaction_downgrade": 0.0, "satisfaction_weeks": 2.0,
    },
    "competitor": {"competitor_log_rate": 0.0, "competitor_log_hazard": 0.0},
    "neighbours": {"neighbour_log_rate": 0.0},
    "contagion": {"contagion_log_hazard": 0.0, "contagion_weeks": 1.0},
    "referral": {"referral_hazard": 0.0},
    "season": {"season": SeasonParameters(peak_week=3.0, christmas_weeks=9)},
    "drift": {"dynamics": replace(_DYNAMICS, drift_sd=0.0)},
    "survey": {"dynamics": replace(_DYNAMICS, survey=SurveyParameters(0, 0.9, 5.0))},
    "subscription": {"dynamics": replace(_DYNAMICS, subscription=replace(MONTHLY, fee=0.0))},
    "word_of_mouth": {"network": NetworkParameters("none", 10)},
    "joining": {"dynamics": replace(_DYNAMICS, join_hazard=0.0)},
}  # fmt: skip


def written_by_hand(mechanism: str) -> World:
    changes = dict(WITHOUT[mechanism])
    response = {name: changes.pop(name) for name in list(changes) if hasattr(_RESPONSE, name)}
    return EVERYTHING._replace(response=replace(_RESPONSE, **response), **changes)


class Scattergun:
    """Something else for everyone now and then."""

    def decide(self, view: FirmView) -> NDArray[np.integer]:
        turn = view.customer_id.astype(np.int64) * 7 + view.week * 11
        free = (view.account["offer"] == 0) & (view.account["closed"] == 0) & (turn % 2 == 0)
        return np.where(free, turn % view.table.n, 0)

    def finish(self, view: FirmView) -> None:
        """Nothing to learn."""


def history(rules: World, start: Customers, weeks: int = 40) -> dict[str, bytes]:
    """Each week's totals, and in the end all that can be observed and who is there."""
    place = LoyaltyMarket(rules, start.take(slice(None)), KEY, decider=Scattergun())
    found = {}
    for week in range(weeks):
        place.step()
        found[f"totals of week {week}"] = repr(place.totals).encode()
    place.finish()
    for part in ("account", "profile", "outcome"):
        record = getattr(place.customers, part)
        found |= {f"{part}.{name}": record[name].tobytes() for name in record.dtype.names}
    return found | {"alive": place.customers.state["alive"].tobytes()}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bits do not depend on threads; many short weeks go faster on one."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


@pytest.fixture(scope="module")
def cohort() -> Customers:
    membership = MembershipParameters(
        enrolled_share=0.6, prospect_share=0.2, category_shares={"food": 0.7, "home": 0.3}
    )
    customers = draw_population(GROCERY, 500, KEY, membership)
    customers.traits["hazard"] = 0.01
    return customers


@pytest.fixture(scope="module")
def with_everything(cohort: Customers) -> dict[str, bytes]:
    return history(EVERYTHING, cohort)


@pytest.mark.parametrize("mechanism", WITHOUT)
def test_switching_a_mechanism_off_gives_exactly_the_run_without_it(
    mechanism: str, cohort: Customers, with_everything: dict[str, bytes]
) -> None:
    off = history(EVERYTHING._replace(off=(mechanism,)), cohort)
    assert off != with_everything  # it did matter
    by_hand = history(written_by_hand(mechanism), cohort)
    assert [name for name in off if off[name] != by_hand[name]] == []
    if mechanism in MECHANISMS:
        response = replace(_RESPONSE, off=(mechanism,))
        assert history(EVERYTHING._replace(response=response), cohort) == off


def test_all_mechanisms_off_is_the_plain_market() -> None:
    names = tuple(WITHOUT)
    start = draw_population(GROCERY, 500, KEY)
    bare = World(
        ResponseParameters().without(*MECHANISMS), Dynamics(close_account_probability=0.3),
        EVERYTHING.filter, programme=EVERYTHING.programme, book=EVERYTHING.book,
        categories=EVERYTHING.categories,
    )  # fmt: skip
    off = history(EVERYTHING._replace(off=names), start)
    by_hand = history(bare, start)
    assert [name for name in off if off[name] != by_hand[name]] == []


def test_every_mechanism_is_switched_off_above() -> None:
    plugged = {one.name for one in PLUGGED}
    assert set(WITHOUT) == (set(MECHANISMS) - plugged) | set(SURROUNDINGS)


def test_an_unknown_mechanism_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="off='fatige' is no mechanism: choose among attention, "):
        EVERYTHING._replace(off=("fatige",)).rules()
