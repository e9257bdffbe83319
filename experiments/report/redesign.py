"""Page and console text of a designer that learns, beside programmes that never change."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.benchmark.statistics import over_seeds
from experiments.report.console_text import aligned, wrapped
from experiments.report.elements import Column, Group, Markup, figure, paragraph, section, table
from experiments.report.figures import Figure, amount, gains_with_intervals

Redesign = Mapping[str, Any]

COLUMNS = (Column("", "text"), Column("gain"), Column("95 % interval"))
_NAMES = {"found": "the design found", "redesigned": "redesigned every quarter"}
_ALONE = "Each lever's moves alone, above leaving the programme alone"
_OF_IT = "of it points' worth"


def redesigned_text(redesign: Redesign) -> list[str]:
    """Lines of the console."""
    lines = [*wrapped(_words(redesign)), ""]
    lines += ["above no programme; the redesigned is ahead by"]
    lines += aligned(_beside(redesign))
    if redesign["rules"]:
        lines += ["", f"{_ALONE.lower()}; of it points' worth"]
        lines += aligned(_levers(redesign))
    lines += ["", *wrapped(_about(redesign))]
    return lines


def redesigned(summary: Mapping[str, Any]) -> Markup:
    """Section of the page; nothing where no designer was trained."""
    redesign = summary.get("redesign")
    if not redesign:
        return Markup("")
    columns = (*COLUMNS, Column("redesigned ahead by"), Column("95 % interval"))
    return section(
        "redesign",
        "A programme that is redesigned every quarter",
        paragraph(_words(redesign), class_="headline"),
        figure("Profit above no programme", _forest(redesign, "programme"), _about(redesign)),
        table("Profit per customer above no programme", columns, Group("", _beside(redesign))),
        figure(
            _ALONE,
            _forest(redesign, "rule"),
            "The moves that the designer made, one lever at a time, paired with the programme "
            "that never changes. Together they may do more or less. Terms are those at the start "
            "and, all levers moved, in the last week, in the mean over episodes. Levers that were "
            "never moved are not shown.",
        ),
        table(_ALONE, (*COLUMNS, Column(_OF_IT)), Group("", _levers(redesign))),
    )


def programme_name(programme: str) -> str:
    """Name of a programme as a reader takes it."""
    return _NAMES.get(programme, programme)


def changed_rule(row: Mapping[str, Any]) -> str:
    """A rule in words, its value before and after."""
    return f"{spaced(row['rule'])} {_number(row['before'])} → {_number(row['after'])}"


def spaced(name: str) -> str:
    """A rule in words."""
    return name.replace("_", " ")


def cells(row: Mapping[str, Any]) -> list[str]:
    """A gain and its interval."""
    return [amount(row["gain"]), f"{amount(row['low'])} to {amount(row['high'])}"]


def _words(redesign: Redesign) -> str:
    lifts = over_seeds(np.array(redesign["lifts"]))
    return (
        f"Learning to redesign {redesign['start']} every quarter ({redesign['algorithm'].upper()}, "
        f"{redesign['minutes']:g} minutes, {redesign['episodes_trained']:,} episodes, best after "
        f"{redesign['kept_after']:,}) brings "
        f"{amount(lifts.value)} per customer above leaving it alone ({amount(lifts.low)} to "
        f"{amount(lifts.high)}, 95 % over {len(redesign['lifts'])} episodes), with notice and "
        f"grandfathering. {_released_words(redesign)}"
    )


def _released_words(redesign: Redesign) -> str:
    released = float(np.mean(redesign["released"]))
    if amount(released) == amount(0.0):
        return "No part of it is a change of what the points that members have are worth."
    rest = over_seeds(np.array(redesign["lifts"]) - np.array(redesign["released"]))
    without = f"Without that it is {amount(rest.value)} ({amount(rest.low)} to {amount(rest.high)})"
    if released > 0:
        return (
            f"Of it {amount(released)} is no sale: points that members have are worth less since "
            f"rewards are dearer. {without}."
        )
    return (
        f"It has paid {amount(-released)} for points that members have, worth more since rewards "
        f"are cheaper. {without}."
    )


def _about(redesign: Redesign) -> str:
    warmup = redesign["warmup_quarters"]
    return (
        f"Per customer, {redesign['quarters']} quarters from the first week on; points owed at the "
        f"end are a cost. The redesigned lives its first {warmup} under {redesign['start']}, the "
        "others under their own terms. Points' worth: what changes of price did to points that "
        "members had. Each episode has other customers and other luck, the same for every "
        f"programme; 95 % over {len(redesign['lifts'])} episodes{_by_response(redesign)}."
    )


def _by_response(redesign: Redesign) -> str:
    """Where there are several response worlds: what the redesign brings in each."""
    lifts = np.array(redesign["lifts"])
    means = {
        name: lifts[[one == name for one in redesign["responses"]]].mean()
        for name in dict.fromkeys(redesign["responses"])
    }
    if len(means) == 1:
        return ""
    found = ", ".join(f"{spaced(name)} {amount(mean)}" for name, mean in means.items())
    return f" and so over response worlds (above leaving it alone: {found})"


def _beside(redesign: Redesign) -> list[list[str]]:
    return [
        [
            programme_name(row["programme"]),
            *cells(row),
            *(cells(row["ahead"]) if "ahead" in row else ["", ""]),
        ]
        for row in redesign["programmes"]
    ]


def _levers(redesign: Redesign) -> list[list[str]]:
    return [[changed_rule(row), *cells(row), amount(row["released"])] for row in redesign["rules"]]


def _forest(redesign: Redesign, kind: str) -> Figure | None:
    rows = [
        (
            programme_name(row[kind]) if kind == "programme" else changed_rule(row),
            row["gain"],
            row["low"],
            row["high"],
        )
        for row in redesign[f"{kind}s"]
    ]
    return gains_with_intervals({redesign["algorithm"].upper(): rows})


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
