"""What the programme does: membership, tiers, the way to a reward, a subscription."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from agents.behaviour import behaviour_record, cancelling
from agents.dynamics import Dynamics
from agents.population import (
    GROCERY,
    MembershipParameters,
    draw_population,
    dynamics_from,
    filter_from,
)
from experiments.behaviour_panels.rules import (
    CHURN,
    HAZARD,
    RATE,
    Panel,
    Panels,
    Series,
    expected,
    grocery,
    hazard_factors,
    largest,
    only,
    rate_factors,
)
from experiments.behaviour_table import row
from experiments.config import load_option
from experiments.config_schema import WorldConfig
from experiments.twins import (
    KEY,
    bought,
    lived,
    plain_programme,
    quiet_world,
    twins,
)
from sim.world import World


def membership() -> Panels:
    """What members buy more: compared with themselves, and with those who did not enrol."""
    world = World(
        only("membership"),
        dynamics_from(GROCERY),
        filter_from(GROCERY),
        programme=plain_programme(),
    )
    drawn = draw_population(GROCERY, 20_000, KEY, grocery().membership)
    drawn.traits["hazard"] = 0.0
    member = drawn.account["enrolled"] > 0
    inside, outside = drawn.take(slice(None)), drawn.take(slice(None))
    inside.account["enrolled"], outside.account["enrolled"] = 1, 0
    total = [bought(world, who, 26).sum(axis=0) for who in (inside, outside, drawn)]
    paired = total[0].sum() / total[1].sum() - 1
    naive = total[2][member].mean() / total[2][~member].mean() - 1
    return (
        Panel(
            "",
            "more purchases (%)",
            (Series("", (0, 1), (100 * paired, 100 * naive), "bars"),),
            ticks=(
                f"the same customers, as members\nand not: {100 * paired:+.1f} %",
                f"members against those who\ndid not enrol: {100 * naive:+.0f} %",
            ),
        ),
    )


def enrolment() -> Panels:
    """Share enrolled over two years, by thirds of the purchase rate; nobody is at the start."""
    world = World(
        only("enrolment"), dynamics_from(GROCERY), filter_from(GROCERY), programme=plain_programme()
    )
    people = draw_population(GROCERY, 9000, KEY, MembershipParameters(enrolled_share=0.0))
    people.account["enrolled"] = 0
    third = np.argsort(np.argsort(people.state["drift"])) // 3000
    share = [
        [people.account["enrolled"][third == at].mean() for at in range(3)]
        for _ in lived(world, people, 104)
    ]
    return (
        Panel(
            "weeks since the programme began",
            "enrolled (%)",
            tuple(
                Series(name, np.arange(1, 105), 100 * np.array(share)[:, at])
                for at, name in ((2, "heavy buyers"), (1, "middle third"), (0, "light buyers"))
            ),
            y_range=(0.0, 100.0),
        ),
    )


def saturation() -> Panels:
    """Lift of membership by purchase rate, with and without saturation."""
    own = np.linspace(-3.0, 3.0, 25)

    def lift(*mechanisms: str) -> list[float]:
        response = only(*mechanisms)
        rates = (
            [expected(response, traits={"log_rate": o}, enrolled=flag).rate for o in own]
            for flag in (1, 0)
        )
        return [100 * (one / other - 1) for one, other in zip(*rates, strict=True)]

    return (
        Panel(
            "customer's purchase rate, relative to the typical one",
            "membership adds (%)",
            (
                Series("with saturation", np.exp(own), lift("membership", "saturation")),
                Series("without", np.exp(own), lift("membership"), "dashed"),
            ),
            x_log=True,
            y_range=(0.0, 9.0),
        ),
    )


def tier() -> Panels:
    """Rate and hazard by tier, at the far end of the ranges."""
    tiers = np.arange(4)
    response = only(
        "tier",
        tier_log_rate=largest("tier_log_rate"),
        tier_log_hazard=largest("tier_log_hazard"),
    )
    found = [expected(response, tier=int(t)) for t in tiers]
    plain = [expected(only("tier"), tier=int(t)) for t in tiers]
    return (
        Panel(
            "tier",
            RATE,
            (
                Series("end of the range", tiers, [e.rate for e in found], "dots"),
                Series("literature: none", tiers, [e.rate for e in plain], "dashed"),
            ),
        ),
        Panel(
            "tier",
            CHURN,
            (
                Series("end of the range", tiers, [e.hazard / HAZARD for e in found], "dots"),
                Series("literature: none", tiers, [e.hazard / HAZARD for e in plain], "dashed"),
            ),
        ),
    )


def tier_change() -> Panels:
    """Rate and hazard after a rise and after a fall of the tier."""
    weeks, response = np.arange(1, 53), only("tier_change")
    rise, fall = ({0: {"tier_change": change}} for change in (1, -1))

    def after(factors: Callable[..., list[float]], event: Mapping[int, Any]) -> list[float]:
        return factors(response, 53, event)[1:]

    return (
        Panel(
            "weeks after the change",
            RATE,
            (
                Series("rise", weeks, after(rate_factors, rise)),
                Series("fall", weeks, after(rate_factors, fall)),
            ),
        ),
        Panel(
            "weeks after the change",
            CHURN,
            (
                Series("rise", weeks, after(hazard_factors, rise)),
                Series("fall", weeks, after(hazard_factors, fall)),
            ),
        ),
    )


def goal_gradient() -> Panels:
    """Weeks between purchases on the way to a reward: a stamp card of ten."""
    response = only("goal_gradient", points_use_probability=1.0)
    world = quiet_world(programme=plain_programme(10))._replace(response=response)
    customers = twins(50_000, rate=1.0, basket=100.0)
    stamps, count = [], []
    for _ in range(40):
        stamps.append(customers.profile["points"] % 10)
        count.append(bought(world, customers)[0])
    had, did = np.concatenate(stamps), np.concatenate(count)
    points = np.arange(10)

    def rule(shape: int) -> list[float]:
        bent = replace(response, goal_gradient_shape=shape)
        return [1 / expected(bent, goal_progress=p / 10).rate for p in points]

    usual = response.goal_gradient_shape
    return (
        Panel(
            "stamps on a card of ten (dots: simulated)",
            "weeks between purchases",
            (
                Series(f"goal_gradient_shape {usual}", points, rule(usual)),
                Series("", points, [1 / did[had == p].mean() for p in points], "dots"),
                *(
                    Series(f"goal_gradient_shape {shape}", points, rule(shape), "dashed")
                    for shape in row("response.goal_gradient_shape").range
                    if shape != usual
                ),
            ),
        ),
    )


def momentum() -> Panels:
    """Rate before and after a reward is taken, in week 0, with a reward within reach till then."""
    happens = {8: {"rewards": 1, "received": 1}}
    rate = rate_factors(only("momentum"), 21, happens, ready=(5, 6, 7, 8))
    return (
        Panel(
            "weeks from the reward taken (within reach for three weeks before)",
            "purchase rate, change (%)",
            (Series("", np.arange(-8, 13), 100 * (np.array(rate) - 1), "bars"),),
        ),
    )


def subscription() -> Panels:
    """Accounts and truth in a fitness app with and without a fee, and cancelling by habit."""
    app: WorldConfig = load_option("world", "fitness_app")
    posterior = app.population.posterior

    def accounts(period_weeks: int, fee: float) -> tuple[list[float], list[float]]:
        paid = replace(app.subscription, period_weeks=period_weeks, fee=fee, cancel_probability=0.0)
        dynamics = dynamics_from(
            posterior, close_account_probability=app.close_account_probability, subscription=paid
        )
        people = draw_population(posterior, 20_000, KEY, replace(app.membership, prospect_share=0))
        held, there = [100.0], [100.0]
        for _ in lived(World(only(), dynamics, filter_from(posterior)), people, 104):
            held.append(100 * (people.account["closed"] == 0).mean())
            there.append(100 * (people.state["alive"] > 0).mean())
        return held, there

    quarterly, there = accounts(13, app.subscription.fee)
    free, _ = accounts(13, 0.0)
    visits = np.linspace(0.0, 5.0, 26)
    record = behaviour_record(only(), Dynamics(subscription=app.subscription))[0]
    who = twins(1)

    def chance(habit: float) -> float:
        who.state["habit"] = habit
        return float(100 * cancelling(who.state[0], record))

    weeks = np.arange(105)
    return (
        Panel(
            "week (world fitness_app, nobody cancels)",
            "customers (%)",
            (
                Series("account open, no fee", weeks, free),
                Series("account open, quarterly fee", weeks, quarterly),
                Series("truly there", weeks, there, "dashed"),
            ),
            y_range=(50.0, 100.0),
        ),
        Panel(
            "visits per week of late",
            "cancel when the fee is due (%)",
            (Series("", visits, [chance(v) for v in visits]),),
            y_range=(0.0, 10.0),
        ),
    )
