"""Rivals, friends, newcomers, the season and drift."""

import math

import numpy as np
from numpy.typing import NDArray

from agents.behaviour import Intensities, behaviour_record, joining
from agents.dynamics import Dynamics
from agents.network import NetworkParameters, word_of_mouth
from agents.population import (
    GROCERY,
    MembershipParameters,
    draw_population,
    dynamics_from,
    filter_from,
)
from agents.records import Customers
from experiments.behaviour_panels.rules import (
    CHURN,
    HAZARD,
    RATE,
    Panel,
    Panels,
    Series,
    expected,
    grocery,
    only,
)
from experiments.twins import (
    KEY,
    Planned,
    friends,
    lived,
    plain_programme,
    quiet_world,
    twins,
)
from sim.market import LoyaltyMarket
from sim.scenario import CompetitorParameters, calendar
from sim.world import World


def competitor() -> Panels:
    """Rate and hazard through a year with a rival's campaign every quarter."""
    planned = CompetitorParameters(every_weeks=13, first_week=8, weeks=2)
    strength = calendar(grocery().season, planned)["competitor"]
    weeks, response = np.arange(strength.size), only("competitor")

    def through(sensitivity: float) -> list[Intensities]:
        traits = {"price_sensitivity": sensitivity}
        return [expected(response, traits=traits, competitor=float(s)) for s in strength]

    runs = [(f"price sensitivity {s:g}", through(s)) for s in (0.5, 1.0, 2.0)]
    return (
        Panel(
            "week of the year",
            RATE,
            tuple(Series(name, weeks, [e.rate for e in run], "steps") for name, run in runs),
        ),
        Panel(
            "week of the year",
            CHURN,
            tuple(
                Series(name, weeks, [e.hazard / HAZARD for e in run], "steps") for name, run in runs
            ),
        ),
    )


def _ring(people: Customers, homophily: float) -> NDArray[np.int64]:
    """Rows in their order on the ring, walked along a network of nearest neighbours only."""
    ring = word_of_mouth(people, NetworkParameters("small_world", 2, 0.0, homophily), KEY)
    assert ring is not None
    order = [0]
    while len(order) < people.n:
        at = ring.start[order[-1]]
        order.append(next(int(o) for o in ring.neighbours[at : at + 2] if o not in order))
    return np.array(order)


def graph() -> Panels:
    """Two dozen customers and their links at three shares of rewired links."""
    n, homophily = 24, 0.9
    people = draw_population(GROCERY, n, KEY)
    angle = np.empty(n)
    angle[_ring(people, homophily)] = 2 * np.pi * np.arange(n) / n
    x, y = np.cos(angle), np.sin(angle)
    heavy = people.state["drift"] > np.median(people.state["drift"])
    panels = []
    for rewiring, title in ((0.0, "rewiring 0"), (0.1, "rewiring 0.1"), (1.0, "rewiring 1")):
        network = word_of_mouth(
            people, NetworkParameters("small_world", 4, rewiring, homophily), KEY
        )
        assert network is not None
        own = np.repeat(np.arange(n), np.diff(network.start))
        pairs = np.column_stack((own, network.neighbours))[own < network.neighbours]
        gap = np.full((len(pairs), 1), np.nan)
        panels.append(
            Panel(
                "",
                "",
                (
                    Series(
                        "",
                        np.hstack((x[pairs], gap)).ravel(),
                        np.hstack((y[pairs], gap)).ravel(),
                        "links",
                    ),
                    Series("heavy buyers", x[heavy], y[heavy], "dots"),
                    Series("light buyers", x[~heavy], y[~heavy], "dots"),
                ),
                title=title,
                bare=True,
            )
        )
    return tuple(panels)


def neighbours() -> Panels:
    """Rate by rewards that neighbours told of lately."""
    response, heard = only("neighbours"), np.linspace(0.0, 6.0, 25)
    return (
        Panel(
            "rewards that neighbours told of, fading",
            RATE,
            (Series("", heard, [expected(response, state={"buzz": h}).rate for h in heard]),),
        ),
    )


def contagion() -> Panels:
    """Hazard after neighbours left in week 0: the rule, and deaths in a market."""
    weeks, n, hazard = 16, 120_000, 0.03
    world = quiet_world()._replace(response=only("contagion"))
    member = np.arange(n) % 3
    series = []
    for gone in (2, 1):
        customers = twins(n, rate=0.1)
        customers.traits["hazard"] = np.where(
            member < gone, 1e6, np.where(member == 2, hazard, 0.0)
        )
        market = LoyaltyMarket(world, customers, KEY, network=friends(n, 3))
        rule, observed = [], []
        for _ in range(weeks):
            before = customers.state[member == 2].copy()
            rule.append(
                expected(world.response, state={"defections": before["defections"][0]}).hazard
                / HAZARD
            )
            market.step()
            died = (before["alive"] > 0) & (customers.state["alive"][member == 2] == 0)
            observed.append(-math.log1p(-died.sum() / before["alive"].sum()) / hazard)
        label = f"{gone} neighbour{'s' if gone > 1 else ''} left in week 0"
        series.append(Series(label, np.arange(weeks), rule))
        series.append(Series("", np.arange(weeks), observed, "dots"))
    return (Panel("week (line: rule, dots: simulated)", CHURN, tuple(series)),)


def referral() -> Panels:
    """Chance that a prospect joins in a week by rewards that neighbours told of."""
    heard = np.linspace(0.0, 6.0, 25)
    record = behaviour_record(only("referral"), Dynamics())[0]
    who = twins(1)

    def chance(buzz: float) -> float:
        who.state["buzz"] = buzz
        return -100 * math.expm1(-sum(joining(who.state[0], record)))

    return (
        Panel(
            "rewards that neighbours told of, fading",
            "prospects joining a week (%)",
            (Series("", heard, [chance(h) for h in heard]),),
        ),
    )


def newcomers() -> Panels:
    """Prospects who became customers, unasked and through friends, in a market with rewards."""
    membership = MembershipParameters(prospect_share=0.3)
    people = draw_population(GROCERY, 6000, KEY, membership)
    world = World(
        only("redemption", "referral"),
        dynamics_from(GROCERY, join_hazard=0.002),
        filter_from(GROCERY),
        programme=plain_programme(500),
        network=NetworkParameters("small_world"),
    )
    prospects = int((people.state["prospect"] > 0).sum())
    market = LoyaltyMarket(world, people, KEY, decider=Planned({}))
    counts = np.zeros((105, 2))
    for week in range(1, 105):
        market.step()
        how = people.outcome["joined"]
        counts[week] = counts[week - 1] + [(how == 1).sum(), (how == 2).sum()]
    share = 100 * counts / prospects
    return (
        Panel(
            "week (simulated)",
            "prospects who joined (%)",
            (
                Series("through friends who got rewards", np.arange(105), share[:, 1]),
                Series("unasked, hazard 0.002 a week", np.arange(105), share[:, 0]),
            ),
        ),
    )


def season() -> Panels:
    """Purchases and baskets through the year of a grocer."""
    year = calendar(grocery().season)
    weeks = np.arange(year.size)
    world = quiet_world(season=grocery().season)
    runs = [
        (o["purchases"].mean() / 4.0, o["gross"].sum() / o["purchases"].sum() / 1000.0)
        for o in lived(world, twins(40_000), weeks.size)
    ]
    return (
        Panel(
            "week of the year (line: rule, dots: simulated)",
            "relative to the year's mean",
            (
                Series("purchases", weeks, np.exp(year["log_rate"])),
                Series("", weeks, [p for p, _ in runs], "dots"),
                Series("baskets", weeks, year["spend"]),
                Series("", weeks, [b for _, b in runs], "dots"),
            ),
        ),
    )


def drift() -> Panels:
    """Rates of five customers through three years, and how long a rate is remembered."""
    world = quiet_world()._replace(dynamics=dynamics_from(GROCERY))
    people = draw_population(GROCERY, 20_000, KEY)
    people.traits["hazard"] = 0.0
    path = [people.state["drift"].astype(float)]
    path += [people.state["drift"].astype(float) for _ in lived(world, people, 156)]
    drifted = np.array(path)
    usual = np.exp(people.traits["log_rate"].astype(float))
    lags = np.arange(0, 157, 12)
    return (
        Panel(
            "week",
            "purchases per week",
            tuple(Series("", np.arange(157), usual[c] * np.exp(drifted[:, c])) for c in range(5)),
            y_log=True,
            title="five customers",
        ),
        Panel(
            "weeks apart (20,000 customers)",
            "correlation of log rates",
            (
                Series(
                    "", lags, [np.corrcoef(drifted[0], drifted[lag])[0, 1] for lag in lags], "dots"
                ),
            ),
            y_range=(0.0, 1.05),
        ),
    )
