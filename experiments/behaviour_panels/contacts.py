"""What contacts and rewards do to customers over time, and what surveys tell of it."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.records import POINTS_OFFER, RECOGNITION
from experiments.behaviour_panels.rules import (
    CHURN,
    RATE,
    Panel,
    Panels,
    Series,
    grocery,
    hazard_factors,
    largest,
    literature,
    only,
    rate_factors,
    weeks_of,
)
from experiments.twins import (
    EMAIL,
    THANKS,
    Plan,
    alive,
    lived,
    quiet_world,
    twins,
)


def fatigue() -> Panels:
    """Rate during and after eight weekly messages that were opened."""
    messages = {week: {"kind": RECOGNITION, "contacted": 1} for week in range(8)}
    weeks, end = np.arange(24), largest("fatigue_log_rate")
    return (
        Panel(
            "week (an opened message in each of weeks 0 to 7)",
            RATE,
            tuple(
                Series(
                    label, weeks, rate_factors(only("fatigue", fatigue_log_rate=size), 24, messages)
                )
                for label, size in (
                    ("literature: none", literature().fatigue_log_rate),
                    (f"stress, {end / 2:g} per message", end / 2),
                    (f"stress, {end:g} per message", end),
                )
            ),
        ),
    )


def opt_out() -> Panels:
    """Customers still reachable by e-mail, by how often they are written to."""
    response = only("opt_out", "attention")
    world = quiet_world(offers=(THANKS,))._replace(response=response)

    def reachable(every: int) -> list[float]:
        customers = twins(20_000, rate=0.1)
        customers.traits["openness"] = grocery().membership.openness["email"]
        plan = dict.fromkeys(range(0, 104, every), EMAIL)
        return [
            100 * customers.account["consent"][:, 0].mean()
            for _ in lived(world, customers, 104, plan)
        ]

    return (
        Panel(
            "week (simulated)",
            "still reachable (%)",
            tuple(
                Series(label, np.arange(1, 105), reachable(every))
                for label, every in (
                    ("a message every week", 1),
                    ("every 2 weeks", 2),
                    ("every 4 weeks", 4),
                )
            ),
        ),
    )


def proactive_contact() -> Panels:
    """Customers lost, all contacted in week 0, against none."""
    weekly = -math.log(1 - 0.06) / 13
    end = largest("contact_log_hazard")
    world = quiet_world(offers=(THANKS,))

    def lost(size: float, plan: Plan) -> NDArray[np.float64]:
        raised = world._replace(response=only("proactive_contact", contact_log_hazard=size))
        there = alive(raised, twins(100_000, rate=0.1, hazard=weekly), 26, plan)
        return 100 * (1 - there.mean(axis=1))

    weeks = np.arange(27)
    usual = literature().contact_log_hazard
    return (
        Panel(
            "weeks since the contact (simulated)",
            "customers lost (%)",
            (
                Series(f"contact, hazard × {math.exp(end):.1f}", weeks, lost(end, {0: EMAIL})),
                Series(
                    f"contact, literature (× {math.exp(usual):g})", weeks, lost(usual, {0: EMAIL})
                ),
                Series("no contact", weeks, lost(end, {}), "dashed"),
            ),
        ),
    )


def reward_retention() -> Panels:
    """Hazard after a reward, and after a second one."""
    weeks, response = np.arange(40), only("reward_retention")
    one, two = {2: {"received": 1}}, {2: {"received": 1}, 10: {"received": 1}}
    return (
        Panel(
            "week",
            CHURN,
            (
                Series("reward in week 2", weeks, hazard_factors(response, 40, one)),
                Series("and in week 10", weeks, hazard_factors(response, 40, two), "dashed"),
            ),
        ),
    )


def satisfaction() -> Panels:
    """Satisfaction after what may happen in week 2, and the hazard it makes."""
    weeks, response = np.arange(40), only("satisfaction")
    happenings: tuple[tuple[str, dict[int, dict[str, int]]], ...] = (
        ("a reward", {2: {"received": 1}}),
        ("recognition", {2: {"kind": RECOGNITION, "contacted": 1}}),
        (
            "six weekly messages",
            {week: {"kind": POINTS_OFFER, "contacted": 1} for week in range(2, 8)},
        ),
        ("a fall of the tier", {2: {"tier_change": -1}}),
    )
    paths = [(name, weeks_of(response, 40, event)) for name, event in happenings]
    return (
        Panel(
            "week",
            "satisfaction (sd)",
            tuple(Series(name, weeks, [s for _, _, s in path]) for name, path in paths),
        ),
        Panel(
            "week",
            CHURN,
            tuple(Series("", weeks, [h for _, h, _ in path]) for _, path in paths),
        ),
    )


def survey() -> Panels:
    """Answers of customers at three levels of satisfaction."""
    ask = replace(grocery().survey, every_weeks=1, answer_probability=1.0)
    panels = []
    for name, values, question in (
        ("nps", np.arange(11), "recommendation, 0 to 10"),
        ("csat", np.arange(1, 6), "satisfaction, 1 to 5"),
    ):
        series = []
        for level in (-1.0, 0.0, 1.0):
            customers = twins(50_000, rate=0.1)
            response = only("satisfaction", satisfaction_weeks=520.0)
            customers.state["satisfaction"] = level
            world = quiet_world(dynamics={"survey": ask})._replace(response=response)
            for outcome in lived(world, customers, 1):
                given = outcome[name].astype(int) - (1 if name == "nps" else 0)
            share = [100 * (given == value).mean() for value in values]
            name_of_it = f"satisfaction {level:+g} sd" if level else "usual satisfaction"
            series.append(Series(name_of_it.replace("-", "−"), values, share))
        panels.append(Panel(question, "answers (%)", tuple(series)))
    return tuple(panels)
