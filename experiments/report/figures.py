"""The report's figures as Plotly figure dictionaries: data and layout, no library needed.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; shape or dash says the
same again. Every function returns None where there is nothing to draw.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.report.answer import Row, Standing, margin, standing
from experiments.report.wording import (
    decimal,
    money,
    number_or_none,
    numbers,
    plain,
    policy_name,
    rows,
    statistic_name,
)

Figure = dict[str, Any]

INK = "#1b2733"
GRID = "#e3e8ee"
BLUE, _VERMILLION, _GREEN, _PURPLE, _ORANGE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
)
GREY = "#6b7785"
_LINES = {  # colour, dash, width
    "no_offers": (GREY, "dot", 1.5),
    "random": (_ORANGE, "dashdot", 2),
    "blanket": (_VERMILLION, "dash", 2),
    "rfm_rules": (_PURPLE, "longdash", 2),
    "triggers": (_GREEN, "longdashdot", 2),
    "clv_greedy": (_ORANGE, "longdash", 2),
    "churn_clv": (_PURPLE, "dashdot", 2),
    "maskable_ppo": (BLUE, "solid", 3),
}
_MARKS: dict[Standing, tuple[str, str]] = {  # colour, symbol
    "gain": (BLUE, "circle"),
    "loss": (_VERMILLION, "square"),
    "open": (GREY, "circle-open"),
    "idle": (GREY, "circle-open"),
    "unknown": (GREY, "x-thin-open"),
}


def label(text: object) -> str:
    """Text for a figure: Plotly reads a little HTML, so it is escaped here too."""
    return html.escape(str(text), quote=False)


def amount(value: float) -> str:
    """An amount with two decimals and a true minus sign."""
    return decimal(value, 2)


def gains_with_intervals(
    series: Mapping[str, Sequence[tuple[str, float, float, float]]],
) -> Figure | None:
    """Gains per customer with their intervals, a row a name: (name, gain, low, high) by series."""
    if not any(series.values()):
        return None
    palette = (BLUE, GREY, _ORANGE, _GREEN, _PURPLE)
    traces = []
    for at, (title, found) in enumerate(series.items()):
        colour = palette[at % len(palette)]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [gain for _, gain, _, _ in found],
                "y": [label(name) for name, *_ in found],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [high - gain for _, gain, _, high in found],
                    "arrayminus": [gain - low for _, gain, low, _ in found],
                    "color": colour,
                },
                "marker": {"size": 9, "color": colour},
                "name": label(title),
                "hovertemplate": "%{y}: %{x:.2f}<extra>%{fullData.name}</extra>",
            }
        )
    several = len(series) > 1
    layout = base_layout("currency units per customer", legend=several)
    layout["height"] = 130 + 34 * max(len(found) for found in series.values())
    layout["yaxis"] |= {"autorange": "reversed", "type": "category", "automargin": True}
    layout["xaxis"] |= {"zeroline": True, "rangemode": "tozero"}
    if several:
        layout["legend"] |= {"y": 1.0, "yanchor": "bottom"}
        layout["margin"]["t"] = 44
    return {"data": traces, "layout": layout}


def forest(
    results: Sequence[Row], currency: object, span: tuple[float, float] | None
) -> Figure | None:
    """Incremental margin per customer with its interval, one row a policy."""
    known = [row for row in results if margin(row) is not None]
    if not known:
        return None
    marks = [_MARKS["open" if _is_reference(row) else standing(row)] for row in known]
    means = [margin(row) or 0.0 for row in known]
    ends = [_ends(row) for row in known]
    names = [label(policy_name(row.get("policy"))) for row in known]
    amounts = [label(money(mean, currency, 2, sign=True)) for mean in means]
    beside = {
        "type": "scatter",
        "mode": "text",
        "x": [max(0.0, mean, high or mean) for mean, (_, high) in zip(means, ends, strict=True)],
        "y": names,
        "text": [f"  {amount}" for amount in amounts],
        "textposition": "middle right",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": means,
        "y": names,
        "text": amounts,
        "cliponaxis": False,
        "marker": {
            "size": 11,
            "color": [colour for colour, _ in marks],
            "symbol": [symbol for _, symbol in marks],
            "line": {"width": 2, "color": [colour for colour, _ in marks]},
        },
        "customdata": [
            label(f"{money(low, currency, 2, sign=True)} to {money(high, currency, 2, sign=True)}")
            for low, high in ends
        ],
        "hovertemplate": "%{y}: %{text}<br>interval %{customdata}<extra></extra>",
        "showlegend": False,
    }
    bars = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [low, high],
            "y": [names[at]] * 2,
            "line": {"color": marks[at][0], "width": 3},
            "hoverinfo": "skip",
            "showlegend": False,
        }
        for at, (low, high) in enumerate(ends)
        if low is not None and high is not None
    ]
    layout = base_layout(f"{currency} per customer")
    layout["height"] = 100 + 36 * len(known)
    order = list(dict.fromkeys(names))
    layout["yaxis"] |= {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": order[::-1],
        "range": [-0.6, len(order) - 0.4],
    }
    layout["xaxis"] |= {"zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1.5}
    if span is not None:
        layout["xaxis"]["range"] = list(span)
    return {"data": [*bars, trace, beside], "layout": layout}


def forest_span(results: Sequence[Row]) -> tuple[float, float] | None:
    """One horizontal range for all worlds, zero inside, so that they compare by eye."""
    values = [0.0]
    for row in results:
        values += [end for end in (margin(row), *_ends(row)) if end is not None]
    return _padded(values, 0.06, 0.3)


def cumulative(
    results: Sequence[Row], currency: object, span: tuple[float, float] | None
) -> Figure | None:
    """Incremental margin per customer cumulated over the weeks, one line a policy."""
    traces = []
    for row in results:
        series = numbers(row.get("cumulative"))
        if not any(value is not None for value in series):
            continue
        colour, dash, width = _LINES.get(str(row.get("policy")), (INK, "solid", 2))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(range(1, len(series) + 1)),
                "y": series,
                "name": label(policy_name(row.get("policy"))),
                "line": {"color": colour, "dash": dash, "width": width},
                "hovertemplate": "%{y:.2f}",
            }
        )
    if not traces:
        return None
    layout = base_layout(
        "Week of the evaluation", f"{currency} per customer, cumulative", legend=True
    )
    layout["hovermode"] = "x unified"
    layout["yaxis"] |= {"zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1.5}
    if span is not None:
        layout["yaxis"]["range"] = list(span)
    return {"data": traces, "layout": layout}


def cumulative_span(results: Sequence[Row]) -> tuple[float, float] | None:
    """One vertical range for all worlds."""
    values = [0.0]
    for row in results:
        values += [value for value in numbers(row.get("cumulative")) if value is not None]
    return _padded(values, 0.06, 0.06)


def relative_difference(row: Row) -> float | None:
    """Simulated over observed, less one."""
    observed, simulated = (
        number_or_none(row.get("observed")),
        number_or_none(row.get("simulated")),
    )
    if observed is None or simulated is None or observed == 0:
        return None
    return (simulated - observed) / abs(observed)


def match(statistics: Sequence[Row]) -> Figure | None:
    """Relative difference of each statistic; beyond the edge, an arrow at the edge."""
    known = [
        (label(statistic_name(row.get("statistic"))), value)
        for row in statistics
        if (value := relative_difference(row)) is not None
    ]
    if not known:
        return None
    edge = min(100.0, max(12.0, 110 * max(abs(value) for _, value in known)))
    shown = [max(-edge, min(edge, 100 * value)) for _, value in known]
    beyond = [abs(100 * value) > edge for _, value in known]
    symbols = [
        ("triangle-right" if value > 0 else "triangle-left") if out else "circle"
        for (_, value), out in zip(known, beyond, strict=True)
    ]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": shown,
        "y": [name for name, _ in known],
        "marker": {"size": 11, "color": BLUE, "symbol": symbols},
        "customdata": [100 * value for _, value in known],
        "hovertemplate": "%{y}: %{customdata:+.1f} %<extra></extra>",
        "cliponaxis": False,
    }
    layout = base_layout("% of observed")
    layout["height"] = 110 + 30 * len(known)
    layout["xaxis"] |= {
        "range": [-1.08 * edge, 1.08 * edge],
        "zeroline": True,
        "zerolinecolor": INK,
        "zerolinewidth": 1.5,
    }
    layout["yaxis"] |= {"autorange": "reversed", "type": "category"}
    layout["shapes"] = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": -10,
            "x1": 10,
            "y0": 0,
            "y1": 1,
            "fillcolor": "#e8f1f8",
            "line": {"width": 0},
            "layer": "below",
        }
    ]
    return {"data": [trace], "layout": layout}


def over_weeks(
    market: Mapping[str, Any], lines: Mapping[str, str], unit: str, whole: bool = True
) -> Figure | None:
    """Series of the market by week; ``lines`` maps a key of the market to its name."""
    styles = ((BLUE, "solid"), (_ORANGE, "dash"), (GREY, "dot"))
    weeks = numbers(market.get("weeks"))
    traces = []
    for (key, name), (colour, dash) in zip(lines.items(), styles, strict=False):
        series = numbers(market.get(key))
        if not any(value is not None for value in series):
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": weeks if len(weeks) == len(series) else list(range(len(series))),
                "y": series,
                "name": name,
                "line": {"color": colour, "dash": dash, "width": 2.5},
                "hovertemplate": "%{y:,.0f}" if whole else "%{y:.3f}",
            }
        )
    if not traces:
        return None
    layout = base_layout("Week", unit, legend=len(traces) > 1)
    layout["hovermode"] = "x unified"
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": layout}


def training(history: object, key: str, unit: str, scale: float = 1.0) -> Figure | None:
    """One quantity over the steps of training."""
    found = [
        (steps, scale * value)
        for row in rows({"history": history}, "history")
        if (steps := number_or_none(row.get("step"))) is not None
        and (value := number_or_none(row.get(key))) is not None
    ]
    if not found:
        return None
    trace = {
        "type": "scatter",
        "mode": "lines+markers" if len(found) < 60 else "lines",
        "x": [steps for steps, _ in found],
        "y": [value for _, value in found],
        "line": {"color": BLUE, "width": 2.5},
        "marker": {"size": 5},
        "hovertemplate": "%{x:,} steps: %{y:.3g}<extra></extra>",
    }
    return {"data": [trace], "layout": base_layout("Steps (customer-weeks)", unit)}


def bars(counts: object, unit: str, digits: str = ",d", ranked: bool = True) -> Figure | None:
    """Horizontal bars, the largest on top or, unless ranked, the last on top."""
    known = [
        (label(plain(name)), value)
        for name, count in (counts.items() if isinstance(counts, Mapping) else ())
        if (value := number_or_none(count)) is not None
    ]
    if not known:
        return None
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [value for _, value in known],
        "y": [name for name, _ in known],
        "marker": {"color": BLUE},
        "texttemplate": "%{x:" + digits + "}",
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:" + digits + "}<extra></extra>",
    }
    layout = base_layout(unit)
    layout["height"] = 90 + 34 * len(known)
    layout["xaxis"] |= {"showgrid": False, "tickformat": ".0%" if "%" in digits else digits}
    layout["yaxis"]["showgrid"] = False
    layout["yaxis"] |= {
        "type": "category",
        "categoryorder": "total ascending" if ranked else "trace",
    }
    largest = max(value for _, value in known)
    layout["xaxis"]["range"] = [0, 1.22 * largest if largest > 0 else 1]
    return {"data": [trace], "layout": layout}


# ------------------------------------------------------------------------------------ style


def base_layout(x: str, y: str = "", legend: bool = False) -> dict[str, Any]:
    """Layout of every figure: the axes' names, a legend below or none."""
    # The vertical axis is named above it, where the name can be read without tilting the head.
    above = {
        "text": label(y),
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": 1,
        "yshift": 24,
        "xanchor": "left",
        "showarrow": False,
    }
    return {
        "height": 380 if legend else 320,
        "margin": {"l": 10, "r": 22, "t": 34 if y else 10, "b": 10, "pad": 4},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "dragmode": False,
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top", "itemwidth": 45},
        "hoverlabel": {"font": {"size": 13}},
        "xaxis": _axis(x),
        "yaxis": _axis(""),
        "annotations": [above] if y else [],
    }


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": label(title), "standoff": 10},
        "automargin": True,
        "fixedrange": True,
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": "#9aa5b1",
        "ticks": "outside",
        "tickcolor": "#9aa5b1",
    }


def _ends(row: Row) -> tuple[float | None, float | None]:
    return number_or_none(row.get("ci_low")), number_or_none(row.get("ci_high"))


def _is_reference(row: Row) -> bool:
    return row.get("policy") == "no_offers"


def _padded(values: Sequence[float], before: float, after: float) -> tuple[float, float] | None:
    low, high = min(values), max(values)
    if low == high:
        return None
    return low - before * (high - low), high + after * (high - low)
