"""Figures of a calibration: priors and posteriors, tracking, and the calibration of forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.report.calibration_words import model_name
from experiments.report.figures import base_layout
from experiments.report.wording import numbers, part, plain, rows

Figure = dict[str, Any]
Summary = Mapping[str, Any]

PRIOR, POSTERIOR, ACTUAL = "#9aa5b1", "#1f5fa8", "#1d2733"
SERIES = ("#1f5fa8", "#c2571a", "#3a7d44", "#7b4fa3", "#8a6d1c")


def densities(row: Summary) -> Figure | None:
    """Prior and posterior density of one parameter."""
    curve = part(row, "density")
    x = numbers(curve.get("x"))
    if not x:
        return None
    traces = []
    for key, name, colour, dash in (
        ("prior", "prior", PRIOR, "dash"),
        ("posterior", "posterior", POSTERIOR, "solid"),
    ):
        y = numbers(curve.get(key))
        if y:
            traces.append(_line(x, y, name, colour, dash))
    layout = base_layout(plain(row.get("name")), "density")
    layout["height"] = 220
    layout["yaxis"]["showticklabels"] = False
    return {"data": traces, "layout": layout}


def tracking(summary: Summary) -> Figure | None:
    """Cumulative purchases by week, actual and expected, and where the hold-out starts."""
    curves = rows(part(summary, "holdout"), "tracking")
    if not curves:
        return None
    first = curves[0]
    weeks = numbers(first.get("week"))
    traces = [_line(weeks, numbers(first.get("actual")), "actual", ACTUAL, "solid", 3)]
    for colour, curve in zip(SERIES, curves, strict=False):
        name = model_name(curve.get("model"))
        traces.append(_line(weeks, numbers(curve.get("expected")), name, colour, "dash"))
    layout = base_layout("week", "purchases so far", legend=True)
    cut = first.get("cut")
    layout["shapes"] = [
        {
            "type": "line", "x0": cut, "x1": cut, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": ACTUAL, "width": 1, "dash": "dot"},
        }
    ]  # fmt: skip
    layout["annotations"].append(
        {
            "text": "held out from here", "x": cut, "y": 0.02, "yref": "paper", "xanchor": "left",
            "xshift": 6, "showarrow": False,
        }
    )  # fmt: skip
    return {"data": traces, "layout": layout}


def transform(summary: Summary) -> Figure | None:
    """Deviation of the probability integral transform from uniform, with the band of luck."""
    found = rows(part(summary, "holdout"), "scores")
    traces, band = [], None
    for colour, row in zip(SERIES, found, strict=False):
        level = [value for value in numbers(row.get("pit_level")) if value is not None]
        share = [value for value in numbers(row.get("pit_cumulative")) if value is not None]
        if level and len(level) == len(share):
            away = [one - other for one, other in zip(share, level, strict=True)]
            traces.append(_line(level, away, model_name(row.get("model")), colour, "solid"))
            band = row.get("band")
    if not traces:
        return None
    layout = base_layout("predicted probability", "share at or below it, less it", legend=True)
    layout["xaxis"]["tickformat"] = layout["yaxis"]["tickformat"] = ".0%"
    layout["xaxis"]["range"] = [0, 1]
    if band is not None:
        layout["shapes"] = [
            {
                "type": "rect", "x0": 0, "x1": 1, "y0": -band, "y1": band, "line": {"width": 0},
                "fillcolor": "rgba(31,95,168,.1)", "layer": "below",
            }
        ]  # fmt: skip
    return {"data": traces, "layout": layout}


def reliability(summary: Summary) -> Figure | None:
    """Share who bought against the predicted probability, in bins by P(alive)."""
    found = part(part(summary, "holdout"), "reliability")
    predicted, observed = numbers(found.get("predicted")), numbers(found.get("observed"))
    if not predicted:
        return None
    low, high = numbers(found.get("low")), numbers(found.get("high"))
    up = [None if a is None or b is None else b - a for a, b in zip(observed, high, strict=True)]
    down = [None if a is None or b is None else a - b for a, b in zip(observed, low, strict=True)]
    alive = numbers(found.get("p_alive"))
    points = {
        "type": "scatter", "mode": "markers", "x": predicted, "y": observed,
        "name": "customers, by P(alive)", "marker": {"color": POSTERIOR, "size": 8},
        "customdata": alive,
        "hovertemplate": "P(alive) %{customdata:.0%}<br>predicted %{x:.0%}, bought %{y:.0%}"
        "<extra></extra>",
        "error_y": {
            "type": "data", "symmetric": False, "array": up, "arrayminus": down,
            "color": POSTERIOR, "thickness": 1,
        },
    }  # fmt: skip
    layout = base_layout("predicted probability of a purchase", "share who bought", legend=True)
    for axis in ("xaxis", "yaxis"):
        layout[axis]["range"] = [0, 1]
        layout[axis]["tickformat"] = ".0%"
    as_predicted = _line([0, 1], [0, 1], "as predicted", PRIOR, "dash")
    return {"data": [as_predicted, points], "layout": layout}


def _line(
    x: list[Any], y: list[Any], name: str, colour: str, dash: str, width: int = 2
) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "name": name,
        "line": {"color": colour, "width": width, "dash": dash},
    }  # fmt: skip
