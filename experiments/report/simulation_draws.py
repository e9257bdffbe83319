"""Parameters and luck of a difference: the sentence, the table and the figure."""

from experiments.report.answer import Statement
from experiments.report.elements import (
    Column,
    Group,
    Markup,
    figure,
    paragraph,
    section,
    table,
)
from experiments.report.figures import BLUE, GREY, INK, Figure, base_layout
from experiments.report.simulation_words import (
    Summary,
    profit_row,
    what_error,
    what_name,
    what_value,
)
from experiments.report.wording import (
    decimal,
    interval,
    number_or_none,
    numbers,
    part,
    percent,
    rows,
)

_BAND = "#e8f1f8"
_ENDS = ("low", "high")


def statement(summary: Summary) -> Statement | None:
    """Of the difference in profit, in the answer's findings; None without draws."""
    known = part(summary, "uncertainty")
    row = profit_row(rows(known, "rows"))
    if row is None:
        return None
    share = number_or_none(row.get("parameter_share"))
    below = (number_or_none(row.get("parameters")) or 0.0) <= 0
    weight = (
        "Parameters are not seen to add anything to luck"
        if below
        else f"{percent(share)} of that variance is parameters of purchase, dropout and spend, "
        "which more customers do not remove; responses are held fixed"
    )
    return Statement(
        "Parameters and luck.",
        f"Over {decimal(known.get('draws'))} draws of the posterior the difference in profit is "
        f"{what_value('profit', row.get('mean'))} on average; "
        f"{percent(summary.get('confidence'))} interval with both, for a market of "
        f"{decimal(summary.get('customers'))}: "
        f"{interval(*(what_value('profit', row.get(end)) for end in _ENDS))}. {weight}.",
    )


def draws(summary: Summary) -> Markup:
    """Parameters and luck per outcome, and the runs behind it; left out without draws."""
    known = part(summary, "uncertainty")
    found = []
    for row in rows(known, "rows"):
        what = row.get("what")
        if not number_or_none(row.get("mean")):
            continue
        found.append(
            [
                what_name(what),
                what_value(what, row.get("mean")),
                what_error(what, _root(row.get("parameters"))),
                what_error(what, _root(row.get("luck"))),
                percent(row.get("parameter_share")),
                _p_value(row.get("p_value")),
                interval(*(what_value(what, row.get(f"expected_{end}")) for end in _ENDS)),
                interval(*(what_value(what, row.get(end)) for end in _ENDS)),
            ]
        )
    if not found:
        return Markup("")
    level = percent(summary.get("confidence"))
    return section(
        "uncertainty",
        "Parameters and luck",
        paragraph(
            f"The difference was run again for {decimal(known.get('draws'))} draws of the "
            f"posterior, which is what the log leaves open of the parameters, and in each for "
            f"{decimal(known.get('replicas'))} other cohorts of "
            f"{decimal(summary.get('customers'))} people with luck of their own. A two-way "
            "analysis of variance tells apart what parameters and what luck move. More people "
            "make luck smaller, not the rest."
        ),
        figure(
            "Difference in profit by posterior draw",
            _draws_figure(summary),
            "One column a draw, in rising order: its cohorts (grey) and their mean (blue). Band: "
            f"{level} interval of one market, parameters and luck in it.",
        ),
        table(
            "Difference per person, and standard deviations of one run's mean",
            [
                Column("What", "text"),
                Column("Mean", note="of all runs"),
                Column("Parameters", note="sd"),
                Column("Luck", note="sd"),
                Column("Parameters", note="share of variance"),
                Column("p", note="parameters matter"),
                Column("Expected difference", note=f"{level}, parameters"),
                Column("One market", note=f"{level}, both"),
            ],
            Group("", found),
        ),
        paragraph(
            "Parameters of purchase, dropout and spend vary; how customers respond to programme "
            "and offers does not, as no log has measured it. The firm's own estimates stay those "
            "of the mode. A variance estimated below zero is shown as 0 and kept in summary.json.",
            class_="note",
        ),
    )


def _draws_figure(summary: Summary) -> Figure | None:
    row = profit_row(rows(part(summary, "uncertainty"), "rows"))
    if row is None:
        return None
    table_ = [[value for value in numbers(one) if value is not None] for one in row["lifts"]]
    lifts = sorted((one for one in table_ if one), key=lambda one: sum(one) / len(one))
    if not lifts:
        return None
    at = [place for place, one in enumerate(lifts, 1) for _ in one]
    cohorts = {
        "type": "scatter",
        "mode": "markers",
        "x": at,
        "y": [value for one in lifts for value in one],
        "name": "Cohort",
        "marker": {"size": 6, "color": GREY, "symbol": "circle-open"},
        "hovertemplate": "%{y:.2f}<extra></extra>",
    }
    means = {
        "type": "scatter",
        "mode": "markers",
        "x": list(range(1, len(lifts) + 1)),
        "y": [sum(one) / len(one) for one in lifts],
        "name": "Mean of a draw",
        "marker": {"size": 9, "color": BLUE},
        "hovertemplate": "draw %{x}: %{y:.2f}<extra></extra>",
    }
    layout = base_layout("Posterior draws, in rising order", "Currency units per person", True)
    layout["yaxis"] |= {"zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1.5}
    layout["xaxis"]["range"] = [0.5, len(lifts) + 0.5]
    low, high = number_or_none(row.get("low")), number_or_none(row.get("high"))
    if low is not None and high is not None:
        band = {"type": "rect", "xref": "paper", "yref": "y", "x0": 0, "x1": 1}
        look = {"fillcolor": _BAND, "line": {"width": 0}, "layer": "below"}
        layout["shapes"] = [band | look | {"y0": low, "y1": high}]
    return {"data": [cohorts, means], "layout": layout}


def _p_value(value: object) -> str:
    number = number_or_none(value)
    return "< 0.001" if number is not None and number < 0.001 else decimal(number, 3)


def _root(variance: object) -> float | None:
    number = number_or_none(variance)
    return None if number is None else max(number, 0.0) ** 0.5
