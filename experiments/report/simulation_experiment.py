"""A simulation's continuous experiment: who got the traffic, and what each arm is worth."""

from collections.abc import Mapping
from typing import Any

from experiments.report.console_text import aligned, wrapped
from experiments.report.elements import Column, Group, Markup, paragraph, section, table
from experiments.report.simulation_words import Summary
from experiments.report.wording import (
    NOTHING,
    decimal,
    number_or_none,
    part,
    percent,
    plain,
    policy_name,
    rows,
)

_HEAD = ("Arm", "traffic: first week", "half-way", "last week", "gain", "interval", "off-policy")


def arms(summary: Summary) -> Markup:
    """Section with a row for each arm; nothing where no experiment ran."""
    facts = part(summary, "experiment")
    if not facts:
        return Markup("")
    first, *others = _HEAD
    return section(
        "experiment",
        "The experiment",
        paragraph(_lift(facts, summary)),
        paragraph(
            f"Gain over no offers in currency units per decision, the profit of "
            f"{decimal(facts.get('window'))} weeks: by which traffic moves, and doubly robust from "
            f"{decimal(facts.get('decisions'))} decisions that were kept. Traffic is the "
            "probability that an arm is best, above a floor; where arms are alike it wanders. An "
            "arm's gain is that of one decision, not of a life under the arm."
        ),
        table(
            "Arms of the experiment",
            [Column(first, "text"), *(Column(name.capitalize()) for name in others)],
            Group("", _rows(facts)),
        ),
    )


def console(summary: Summary) -> list[str]:
    """The same for the console."""
    facts = part(summary, "experiment")
    if not facts:
        return []
    return ["", *wrapped(_lift(facts, summary)), *aligned([list(_HEAD), *_rows(facts)])]


def _lift(facts: Mapping[str, Any], summary: Summary) -> str:
    where = "The experiment is the side compared with. " if facts.get("side") == "against" else ""
    lift = part(facts, "lift")
    if not lift:
        return f"{where}Its control group is too small to compare with."
    low, high = (decimal(lift.get(end), 3, sign=True) for end in ("low", "high"))
    return where + (
        f"Everybody in the experiment brought {decimal(lift.get('mean'), 3, sign=True)} profit per "
        f"customer and week more than its control group "
        f"({percent(summary.get('confidence'))} interval {low} to {high})."
    )


def _rows(facts: Mapping[str, Any]) -> list[list[str]]:
    found = []
    for arm in rows(facts, "arms"):
        name = str(arm.get("arm"))
        shares = part(facts, "traffic").get(name) or [None]
        estimate = part(arm, "off_policy")
        found.append(
            [
                plain(name) if name == "control_group" else policy_name(name),
                *(percent(shares[at]) for at in (0, len(shares) // 2, -1)),
                decimal(arm.get("gain"), 3, sign=True),
                _ends(arm),
                f"{decimal(estimate.get('mean'), 3, sign=True)} ({_ends(estimate)})"
                if estimate
                else NOTHING,
            ]
        )
    return found


def _ends(estimate: Mapping[str, Any]) -> str:
    low, high = number_or_none(estimate.get("low")), number_or_none(estimate.get("high"))
    if low is None or high is None or low == high:
        return NOTHING
    return f"{decimal(low, 3, sign=True)} to {decimal(high, 3, sign=True)}"
