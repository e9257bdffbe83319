"""Figures of a sensitivity analysis: tornado, screening, variance, spread."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.report import sensitivity_words as words
from experiments.report.figures import BLUE, GREY, INK, Figure, base_layout, label
from experiments.report.wording import compact, number_or_none, numbers, part

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

ORANGE = "#E69F00"  # Okabe and Ito's
_PALE = "#9cc7e4"
_LINE = 20


def tornado(summary: Summary) -> Figure | None:
    """The answer at either end of each strong assumption, the widest on top."""
    found = sorted(
        (row for row in words.by_rank(summary) if part(row, "swing")), key=_width, reverse=True
    )
    base = number_or_none(part(words.answer_of(summary), "base").get("mean"))
    if not found or base is None:
        return None
    labels = [_axis_label(row) for row in found]
    traces = [
        _ends(summary, found, labels, base, end, colour)
        for end, colour in (("low", ORANGE), ("high", BLUE))
    ]
    layout = base_layout(words.kpi_title(words.answer_of(summary).get("name")), legend=True)
    layout["height"] = 150 + 42 * len(found)
    layout |= {"barmode": "overlay", "bargap": 0.35}
    layout["legend"] |= {"y": 1.0, "yanchor": "bottom", "traceorder": "normal"}
    layout["margin"]["t"] = 44
    layout["yaxis"] |= {"autorange": "reversed", "type": "category", "showgrid": False}
    reach = [value for trace in traces for value in trace["x"]] + [0.0]
    ends = [base + value for value in reach]
    span = max(ends) - min(ends)
    layout["shapes"] = [_upright(base, GREY, "dot")]
    if _near_zero(ends, span):
        ends.append(0.0)
        layout["shapes"].append(_upright(0.0, INK, "solid"))
    layout["xaxis"] |= {"range": [min(ends) - 0.1 * span, max(ends) + 0.1 * span]}
    layout["annotations"] = []
    return {"data": traces, "layout": layout}


def screening(summary: Summary) -> Figure | None:
    """mu* against sigma: far to the right is strong, high up is curved or depends on others."""
    found = [(row, words.indices(summary, row)) for row in words.by_rank(summary)]
    known = [(row, one) for row, one in found if number_or_none(one.get("mu_star")) is not None]
    if not known:
        return None
    groups = (
        ("driver", BLUE, "circle", "Driver"),
        ("minor", GREY, "circle", "Minor"),
        ("below noise", GREY, "circle-open", "Below noise or no effect"),
    )
    traces = []
    for name, colour, symbol, title in groups:
        also = ("no effect",) if name == "below noise" else ()
        own = [(row, one) for row, one in known if one["verdict"] in (name, *also)]
        if not own:
            continue
        labels = [label(words.assumption_name(row["key"])) for row, _ in own]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text" if name == "driver" else "markers",
                "x": [one["mu_star"] for _, one in own],
                "y": [one["sigma"] for _, one in own],
                "error_x": {
                    "type": "data",
                    "array": [one["mu_star_conf"] for _, one in own],
                    "color": colour,
                    "thickness": 1,
                    "width": 0,
                    "visible": name == "driver",
                },
                # Names would lie on one another: drivers are numbered, the caption has the names.
                "text": [str(at + 1) for at in range(len(own))],
                "textposition": "top left",
                "textfont": {"size": 13, "color": colour},
                "customdata": labels,
                "name": title,
                "marker": {"size": 9, "color": colour, "symbol": symbol},
                "hovertemplate": "%{customdata}<br>mu* %{x:.3g}, sigma %{y:.3g}<extra></extra>",
                "cliponaxis": False,
            }
        )
    edge = 1.08 * max(one["mu_star"] + one["mu_star_conf"] for _, one in known)
    top = max(one["sigma"] for _, one in known)
    layout = base_layout("mu*: size of the effect of the whole range", "sigma", legend=True)
    layout["height"] = 420
    layout["xaxis"] |= {"range": [-0.03 * edge, edge if edge > 0 else 1]}
    layout["yaxis"] |= {"range": [-0.04 * top, 1.18 * top if top > 0 else 1]}
    reach = min(edge, 1.1 * top)
    layout["shapes"] = [
        {
            "type": "line", "x0": 0, "y0": 0, "x1": reach, "y1": reach,
            "line": {"color": GREY, "width": 1, "dash": "dot"}, "layer": "below",
        }
    ]  # fmt: skip
    return {"data": traces, "layout": layout}


def variance(summary: Summary) -> Figure | None:
    """S1 and ST of the drivers, with bootstrap intervals."""
    found = [(_axis_label(row), words.indices(summary, row)) for row in words.by_rank(summary)]
    known = sorted(
        ((name, one) for name, one in found if number_or_none(one.get("ST")) is not None),
        key=lambda pair: -float(pair[1]["ST"]),
    )
    if not known:
        return None
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": title,
            "x": [one[index] for _, one in known],
            "y": [name for name, _ in known],
            "marker": {"color": colour},
            "error_x": {
                "type": "data",
                "array": [one[f"{index}_conf"] for _, one in known],
                "color": INK,
                "thickness": 1.2,
                "width": 3,
            },
            "hovertemplate": "%{y}: %{x:.2f}<extra>" + index + "</extra>",
        }
        for index, title, colour in (
            ("ST", "ST: with all it does together with others", BLUE),
            ("S1", "S1: by itself", _PALE),
        )
    ]
    layout = base_layout("Share of the variance of the answer", legend=True)
    layout["height"] = 170 + 46 * len(known)
    layout |= {"barmode": "group", "bargap": 0.3}
    layout["legend"] |= {"y": 1.0, "yanchor": "bottom"}
    layout["margin"]["t"] = 60
    layout["xaxis"] |= {"tickformat": ".0%", "rangemode": "tozero", "zeroline": True}
    layout["yaxis"] |= {"autorange": "reversed", "type": "category", "showgrid": False}
    return {"data": traces, "layout": layout}


def spread(summary: Summary) -> Figure | None:
    """How the answer is spread where all assumptions are drawn at once."""
    values = [value for value in numbers(summary.get("spread")) if value is not None]
    base = number_or_none(part(words.answer_of(summary), "base").get("mean"))
    if len(values) < 2 or base is None:
        return None
    trace = {
        "type": "histogram",
        "x": values,
        "nbinsx": 30,
        "marker": {"color": BLUE, "line": {"color": "white", "width": 1}},
        "hovertemplate": "%{x}: %{y} draws<extra></extra>",
    }
    layout = base_layout(words.kpi_title(words.answer_of(summary).get("name")), "Draws")
    layout["shapes"] = [_upright(base, GREY, "dot")]
    low, high = min(*values, base), max(*values, base)
    if _near_zero([low, high], 0.1 * (high - low)):
        layout["shapes"].append(_upright(0.0, INK, "solid"))
    return {"data": [trace], "layout": layout}


# ------------------------------------------------------------------------------------- pieces


def _ends(
    summary: Summary,
    found: Sequence[Row],
    labels: Sequence[str],
    base: float,
    end: str,
    colour: str,
) -> dict[str, Any]:
    kpi = words.answer_of(summary).get("name")
    at = [part(part(row, "swing"), end) for row in found]
    values = [number_or_none(one.get("mean")) or 0.0 for one in at]
    return {
        "type": "bar",
        "orientation": "h",
        "name": f"At its {end} end",
        "y": list(labels),
        "x": [value - base for value in values],
        "base": base,
        "marker": {"color": colour},
        "text": [label(compact(one.get("value"))) for one in at],
        "textposition": "outside",
        "textfont": {"size": 12},
        "cliponaxis": False,
        "customdata": [label(words.amount(kpi, value)) for value in values],
        "hovertemplate": "%{y} = %{text}: %{customdata}<extra></extra>",
    }


def _width(row: Row) -> float:
    ends = [number_or_none(part(part(row, "swing"), end).get("mean")) for end in ("low", "high")]
    return abs((ends[1] or 0.0) - (ends[0] or 0.0))


def _axis_label(row: Row) -> str:
    """The name, a long one on two lines: a narrow page has little room beside a figure."""
    name = words.assumption_name(row["key"])
    spaces = [at for at, sign in enumerate(name) if sign == " "]
    if len(name) <= _LINE or not spaces:
        return label(name)
    middle = min(spaces, key=lambda at: abs(2 * at - len(name)))
    return f"{label(name[:middle])}<br>{label(name[middle + 1 :])}"


def _upright(at: float, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1,
        "line": {"color": colour, "width": 1.5, "dash": dash},
    }  # fmt: skip


def _near_zero(values: Sequence[float], margin: float) -> bool:
    return min(values) - margin <= 0 <= max(values) + margin
