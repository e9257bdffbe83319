"""What the firm does: attention, offers, redemption, and what they cost later."""

import math

import numpy as np

from agents.dynamics import Dynamics
from agents.population import (
    GROCERY,
    draw_population,
    dynamics_from,
)
from agents.records import CHANNELS, DISCOUNT, FREE_ITEM, KINDS, POINTS_OFFER, RECOGNITION
from agents.response import KindEffects
from experiments.behaviour_panels.rules import (
    RATE,
    Kind,
    Panel,
    Panels,
    Series,
    expected,
    grocery,
    largest,
    literature,
    only,
    rate_factors,
)
from experiments.twins import (
    ALWAYS,
    COUPON,
    EMAIL,
    KEY,
    bought,
    quiet_world,
    twins,
)


def attention() -> Panels:
    """Openness over customers, by channel."""
    people = draw_population(GROCERY, 20_000, KEY, grocery().membership)
    edges = np.linspace(0.0, 1.0, 21)
    return (
        Panel(
            "probability that this customer opens a message",
            "customers (%)",
            tuple(
                Series(
                    f"{channel}, mean {people.traits['openness'][:, at].mean():.2f}",
                    (edges[1:] + edges[:-1]) / 2,
                    100 * np.histogram(people.traits["openness"][:, at], edges)[0] / people.n,
                )
                for at, channel in enumerate(CHANNELS)
            ),
        ),
    )


def offers() -> Panels:
    """Rate under an opened offer by the customer's own response."""
    response, own = only("offers"), np.linspace(-2.0, 2.0, 21)
    kinds: tuple[tuple[str, int, Kind], ...] = (
        ("discount", DISCOUNT, "line"),
        ("bonus points", POINTS_OFFER, "line"),
        ("free item", FREE_ITEM, "dashed"),
        ("recognition", RECOGNITION, "line"),
    )
    return (
        Panel(
            "customer's own response to this kind (sd)",
            RATE,
            tuple(
                Series(
                    name,
                    own,
                    [
                        expected(
                            response,
                            traits={"response": np.eye(len(KINDS))[kind] * one},
                            offer_kind=kind,
                            offer_strength=1.0,
                        ).rate
                        for one in own
                    ],
                    style,
                )
                for name, kind, style in kinds
            ),
        ),
    )


def basket_uplift() -> Panels:
    """Mean basket under an opened offer by its strength."""
    response, strength = only("basket_uplift"), np.linspace(0.0, 3.0, 13)
    usual = expected(response).spend_mean

    def curve(kind: int) -> list[float]:
        return [
            expected(response, offer_kind=kind, offer_strength=s).spend_mean / usual
            for s in strength
        ]

    return (
        Panel(
            "strength of the offer",
            "mean basket, relative",
            (
                Series("discount", strength, curve(DISCOUNT)),
                Series("other kinds", strength, curve(POINTS_OFFER)),
            ),
        ),
    )


def category() -> Panels:
    """Rate under a discount on one of three categories by the customer's share of it."""
    share = np.linspace(0.0, 1.0, 21)
    return (
        Panel(
            "share of the category in the customer's baskets",
            RATE,
            tuple(
                Series(
                    f"category_match {match:g}",
                    share,
                    [
                        expected(
                            only("offers", "category", category_match=match, offer_log_rate_sd=0.0),
                            Dynamics(category_shares=(1 / 3, 1 / 3, 1 / 3)),
                            traits={"category": (s, (1 - s) / 2, (1 - s) / 2, 0.0)},
                            offer_kind=DISCOUNT,
                            offer_strength=1.0,
                            offer_category=0,
                        ).rate
                        for s in share
                    ],
                )
                for match in (1.0, 0.5, 0.0)
            ),
        ),
    )


def redemption() -> Panels:
    """Probability of meaning to redeem an opened discount by purchase rate and inclination."""
    response, rate = only("redemption"), np.geomspace(0.1, 10.0, 25)
    dynamics = dynamics_from(GROCERY)

    def curve(kind: int, inclination: float) -> list[float]:
        return [
            100
            * expected(
                response,
                dynamics,
                traits={"log_rate": math.log(r), "redemption": inclination},
                contact_channel=0,
                contact_kind=kind,
            ).intention
            for r in rate
        ]

    return (
        Panel(
            "customer's purchases per week",
            "redeem it once opened (%)",
            (
                Series("discount, inclination +1 sd", rate, curve(DISCOUNT, 1.0)),
                Series("discount, ordinary", rate, curve(DISCOUNT, 0.0)),
                Series("discount, inclination −1 sd", rate, curve(DISCOUNT, -1.0)),
                Series("other kinds, ordinary", rate, curve(POINTS_OFFER, 0.0), "dashed"),
            ),
            x_log=True,
            y_range=(0.0, 100.0),
        ),
    )


def pull_forward() -> Panels:
    """Purchases with a redeemed discount in week 0 against the same customers without."""
    response = only(
        "offers", "pull_forward", redemption_logit=KindEffects(ALWAYS), redemption_sd=0.0,
        offer_log_rate_sd=0.0,
    )  # fmt: skip
    world = quiet_world(offers=(COUPON,))._replace(response=response)
    promoted = bought(world, twins(100_000), 12, {2: EMAIL}).mean(axis=1)
    quiet = bought(world, twins(100_000), 12).mean(axis=1)
    return (
        Panel(
            "weeks from the promotion (simulated)",
            "purchases, change (%)",
            (Series("", np.arange(-2, 10), 100 * (promoted / quiet - 1), "bars"),),
        ),
    )


def deal_waiting() -> Panels:
    """Rate at full price while discounts come, and after they stop."""
    weeks, last = np.arange(104), 52
    end = largest("deal_waiting")

    def curve(every: int, size: float) -> list[float]:
        deals = {week: {"kind": DISCOUNT, "contacted": 1} for week in range(0, last, every)}
        return rate_factors(only("deal_waiting", deal_waiting=size), 104, deals)

    usual = literature().deal_waiting
    return (
        Panel(
            "week (discounts until week 52)",
            "rate at full price, relative",
            (
                Series("every 8 weeks", weeks, curve(8, usual)),
                Series("every 4 weeks", weeks, curve(4, usual)),
                Series("every 2 weeks", weeks, curve(2, usual)),
                Series(f"every 2 weeks, deal_waiting {end:g}", weeks, curve(2, end), "dashed"),
            ),
        ),
    )
