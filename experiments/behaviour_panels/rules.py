"""The rules of one customer-week, called as a figure needs them, and what a figure consists of."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from numpy.typing import ArrayLike

from agents.behaviour import (
    Intensities,
    Stimulus,
    begin_week,
    behaviour_record,
    intensities,
    live_through,
)
from agents.dynamics import Dynamics
from agents.response import MECHANISMS, ResponseParameters
from experiments.behaviour_table import row
from experiments.config import load_option
from experiments.config_schema import WorldConfig
from experiments.twins import (
    twins,
)

Kind = Literal["line", "dashed", "steps", "dots", "bars", "links"]
QUIET = Stimulus(0.0, 1.0, 0.0, -1, 0.0, -1, 0, 0, 0.0, 0, -1, -1)
HAZARD = 0.01


@dataclass(frozen=True)
class Series:
    """One curve: ``x`` and ``y`` of the same length, drawn in the panel's next colour."""

    label: str
    x: ArrayLike
    y: ArrayLike
    kind: Kind = "line"


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    ``ticks`` names places on the x axis; ``y_range`` fixes the y axis; ``bare`` draws no axes at
    all (for graphs).
    """

    x: str
    y: str
    series: tuple[Series, ...]
    title: str = ""
    x_log: bool = False
    y_log: bool = False
    ticks: tuple[str, ...] = ()
    y_range: tuple[float, float] | None = None
    bare: bool = False


Panels = tuple[Panel, ...]


# ---- the rules, one customer at a time ---------------------------------------------------------


@functools.cache
def literature() -> ResponseParameters:
    """The response world whose sizes the page shows."""
    world: ResponseParameters = load_option("response", "literature")
    return world


@functools.cache
def grocery() -> WorldConfig:
    """The world whose surroundings the page shows."""
    world: WorldConfig = load_option("world", "grocery")
    return world


def only(*mechanisms: str, **changes: Any) -> ResponseParameters:
    """The response world with all mechanisms off but these, then changed."""
    off = (name for name in MECHANISMS if name not in mechanisms)
    return replace(literature().without(*off), **changes)


def largest(parameter: str) -> float:
    """The end of a parameter's range that is farther from 0, where its default is 0."""
    return float(max(row(f"response.{parameter}").range, key=abs))


def expected(
    response: ResponseParameters,
    dynamics: Dynamics | None = None,
    traits: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    **stimulus: Any,
) -> Intensities:
    """Intensities of a customer with purchase rate 1 and hazard 1 % a week."""
    who = twins(1, rate=1.0, hazard=HAZARD)
    for name, value in (traits or {}).items():
        who.traits[name] = value
    for name, value in (state or {}).items():
        who.state[name] = value
    record = behaviour_record(response, dynamics or Dynamics())[0]
    found: Intensities = intensities(
        who.traits[0], who.state[0], QUIET._replace(**stimulus), record
    )
    return found


def weeks_of(
    response: ResponseParameters,
    weeks: int,
    happens: Mapping[int, Mapping[str, int]],
    ready: Sequence[int] = (),
) -> list[tuple[float, float, float]]:
    """Factors on rate and hazard, and satisfaction, at the start of each week.

    Parameters
    ----------
    happens
        By week: ``kind`` of an opened offer, ``contacted``, ``received`` rewards of any kind,
        points ``rewards``, ``tier_change``.
    ready
        Weeks in which a reward is within reach.
    """
    who = twins(1, rate=1.0, hazard=HAZARD)
    traits, state, outcome = who.traits[0], who.state[0], who.outcome[0]
    record = behaviour_record(response, Dynamics())[0]
    found = []
    for week in range(weeks):
        begin_week(state, record)
        now = intensities(
            traits, state, QUIET._replace(reward_ready=1.0 if week in ready else 0.0), record
        )
        found.append((now.rate, now.hazard / float(traits["hazard"]), float(state["satisfaction"])))
        event = happens.get(week, {})
        outcome["rewards"] = event.get("rewards", 0)
        outcome["tier_change"] = event.get("tier_change", 0)
        live_through(
            traits,
            state,
            outcome,
            bool(event.get("contacted", 0)),
            event.get("kind", -1),
            event.get("received", 0),
            record,
        )
    return found


def rate_factors(*arguments: Any, **keywords: Any) -> list[float]:
    """Factors on the purchase rate by week (``weeks_of``)."""
    return [rate for rate, _, _ in weeks_of(*arguments, **keywords)]


def hazard_factors(*arguments: Any, **keywords: Any) -> list[float]:
    """Factors on the churn hazard by week (``weeks_of``)."""
    return [hazard for _, hazard, _ in weeks_of(*arguments, **keywords)]


RATE = "purchase rate, relative"
CHURN = "churn hazard, relative"
