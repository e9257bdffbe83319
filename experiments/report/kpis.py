"""KPIs of a simulation over time as small figures: this side in blue, the other in grey."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.report.figures import BLUE, GREY, INK, Figure, base_layout, label
from experiments.report.simulation_words import names
from experiments.report.wording import number_or_none, plain
from sim.metrics import KPIS

if TYPE_CHECKING:
    import pandas as pd

Summary = Mapping[str, Any]

_DASHES = ("solid", "dash", "dot")
_HEIGHT = 250
_COLUMNS = 3
_MEANINGS = {kpi.name: kpi.meaning for kpi in KPIS}


class Panel(NamedTuple):
    """One small figure: up to three KPIs of one unit, told apart by their dashes."""

    title: str
    unit: str
    names: tuple[str, ...]
    caption: str
    tick: str = ""
    from_zero: bool = True


_SHARE = ".3~p"
_CURRENCY = "Currency units"
_PANELS = (
    Panel(
        "Profit per customer",
        f"{_CURRENCY} a week",
        ("profit_per_customer",),
        "Margin less what programme and offers cost, the change of what is owed for points too.",
        from_zero=False,
    ),
    Panel(
        "Profit ahead of the other side",
        f"{_CURRENCY} per customer, cumulative",
        ("ahead",),
        "Same customers, same luck. Where the line still bends at the end, the horizon matters.",
        from_zero=False,
    ),
    Panel("Purchase frequency", "Purchases per customer a week", ("purchase_frequency",), ""),
    Panel("Average order value", _CURRENCY, ("average_order_value",), ""),
    Panel("Revenue", f"{_CURRENCY} a week", ("revenue",), ""),
    Panel(
        "Programme cost",
        f"{_CURRENCY} a week",
        ("programme_cost",),
        "Rewards handed out plus the change of points liability; points that expire release it.",
        from_zero=False,
    ),
    Panel("Offer cost", f"{_CURRENCY} a week", ("offer_cost",), "Discounts, items and messages."),
    Panel(
        "Points liability per member",
        _CURRENCY,
        ("liability_per_member",),
        "What the firm owes: points held times their expected cost.",
    ),
    Panel(
        "Points issued (—), redeemed (- -), expired (···)",
        "Points a week",
        ("points_issued", "points_redeemed", "points_expired"),
        "Points expire at the end of quarters.",
    ),
    Panel(
        "Redemption rate",
        "Redeemed / issued",
        ("redemption_rate",),
        "13 trailing weeks; above 100 % where points issued before are redeemed.",
        _SHARE,
    ),
    Panel(
        "Breakage",
        "Expired / (expired + redeemed)",
        ("breakage_share",),
        "Of all points gone so far.",
        _SHARE,
    ),
    Panel("Members", "Share of customers", ("member_share",), "", _SHARE, False),
    Panel(
        "Churn",
        "Share of customers in 4 weeks",
        ("churn_rate",),
        "The truth, which only a simulation knows: most leave silently.",
        _SHARE,
    ),
    Panel(
        "Gained (—), by friends (- -), lost (···)",
        "Customers a week",
        ("joined", "referred", "left"),
        "",
    ),
    Panel("Net promoter score", "−100 to 100", ("nps",), "13 trailing weeks.", from_zero=False),
    Panel(
        "Satisfied customers",
        "Share answering 4 or 5 of 5",
        ("csat",),
        "13 trailing weeks.",
        _SHARE,
        False,
    ),
    Panel("Contacts", "Messages a week", ("contacts",), ""),
    Panel("Opt-outs", "Customers a week", ("opt_outs",), ""),
    Panel(
        "Tier rises (—) and falls (- -)",
        "Members a week",
        ("tier_rises", "tier_falls"),
        "",
    ),
)


def panels(
    summary: Summary, kpis: "pd.DataFrame", against: "pd.DataFrame | None" = None
) -> list[tuple[Panel, Figure]]:
    """Panels that have anything to show, each with its figure.

    Parameters
    ----------
    summary
        Of the run: names of the programmes, number of customers.
    kpis, against
        One row a week; see ``experiments.simulate.Simulation``.
    """
    if against is not None:
        ahead = (kpis["profit"] - against["profit"]).cumsum() / float(summary["customers"])
        kpis, against = kpis.assign(ahead=ahead), against.assign(ahead=0.0)
    found = []
    for panel in (*_PANELS, *_tier_panels(kpis)):
        traces = _traces(panel, kpis, against, summary)
        if traces:
            found.append((panel, {"data": traces, "layout": _layout(panel)}))
    return found


def small_multiples(
    summary: Summary, kpis: "pd.DataFrame", against: "pd.DataFrame | None" = None
) -> Any:
    """All panels in one plotly figure, for notebooks."""
    from plotly.subplots import make_subplots

    found = panels(summary, kpis, against)
    rows = -(-len(found) // _COLUMNS)
    titles = [f"{label(panel.title)}<br><sub>{label(panel.unit)}</sub>" for panel, _ in found]
    figure = make_subplots(
        rows, _COLUMNS, subplot_titles=titles, vertical_spacing=0.45 / max(rows, 1)
    )
    for at, (_, drawn) in enumerate(found):
        row, column = at // _COLUMNS + 1, at % _COLUMNS + 1
        for trace in drawn["data"]:
            figure.add_trace(trace | {"showlegend": False}, row, column)
        axis = {key: drawn["layout"]["yaxis"][key] for key in ("rangemode", "tickformat")}
        figure.update_yaxes(axis | {"automargin": True}, row=row, col=column)
    for at, (name, colour) in enumerate(programmes(summary).items()):
        line = {"color": colour, "width": 2.5}
        legend = {"type": "scatter", "x": [None], "y": [None], "mode": "lines", "name": name}
        figure.add_trace(legend | {"line": line, "legendrank": at, "showlegend": True}, 1, 1)
    style = base_layout("Week")
    figure.update_layout(
        height=60 + 250 * rows,
        font=style["font"],
        plot_bgcolor="white",
        hovermode="x",
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "top", "yref": "container"},
        margin={"l": 40, "r": 20, "t": 100, "b": 40},
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(gridcolor=style["xaxis"]["gridcolor"], zerolinecolor=GREY, linecolor=GREY)
    figure.update_annotations(font_size=13)
    return figure


def programmes(summary: Summary) -> dict[str, str]:
    """Names of the programmes or policies with their colours."""
    return {label(name): colour for name, colour in zip(names(summary), (BLUE, GREY), strict=False)}


def _tier_panels(kpis: "pd.DataFrame") -> list[Panel]:
    tiers = [name for name in kpis if name.startswith("tier_") and name not in _MEANINGS]
    return [
        Panel(
            f"Tier “{plain(name.removeprefix('tier_'))}”",
            "Share of members",
            (name,),
            "",
            _SHARE,
        )
        for name in tiers
    ]


def _traces(
    panel: Panel, kpis: "pd.DataFrame", against: "pd.DataFrame | None", summary: Summary
) -> list[dict[str, Any]]:
    """Lines of the other programme first, so that this one lies above."""
    sides = list(zip(programmes(summary).items(), (kpis, against), strict=False))
    traces = []
    for (programme, colour), frame in reversed(sides):
        for name, dash in zip(panel.names, _DASHES, strict=False):
            if frame is None or name not in frame:
                continue
            values = [number_or_none(value) for value in frame[name]]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": list(range(1, len(frame) + 1)),
                    "y": values,
                    "name": programme,
                    "line": {"color": colour, "dash": dash, "width": 2},
                    "hovertemplate": f"%{{y:{panel.tick or ',.4~g'}}} ({plain(name)})",
                }
            )
    return traces if any(value for trace in traces for value in trace["y"]) else []


def _layout(panel: Panel) -> dict[str, Any]:
    drawn = base_layout("Week", panel.unit)
    drawn["height"] = _HEIGHT
    drawn["hovermode"] = "x unified"
    drawn["yaxis"] |= {
        "rangemode": "tozero" if panel.from_zero else "normal",
        "tickformat": panel.tick,
    }
    if panel.names == ("ahead",):
        drawn["yaxis"] |= {"zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1.5}
    return drawn
