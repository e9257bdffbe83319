"""The page's figure."""

import io
from typing import Any

from experiments.report.markdown import Facts

FIGURE = "figures/cdnow_tracking.svg"


def tracking_figure(facts: Facts) -> str:
    """Cumulative repeat purchases of CDNOW as SVG; the same facts give the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = facts["tracking"]
    weeks = [row["week"] for row in rows]
    # Whole purchases: what differs between machines is far below one.
    lines = {
        name: [round(row[name]) for row in rows] for name in ("actual", "simulated", "low", "high")
    }
    settings: Any = {
        "svg.hashsalt": "loyaltylab",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.fill_between(
            weeks, lines["low"], lines["high"], color="#c9dff0", lw=0, label="95 % of cohorts"
        )
        axes.plot(weeks, lines["simulated"], color="#0072B2", lw=2, ls="--", label="simulated")
        axes.plot(weeks, lines["actual"], color="#1b2733", lw=2, label="actual")
        axes.axvline(39, color="#6b7785", lw=1, ls=":")
        axes.text(38.3, axes.get_ylim()[1] * 0.93, "fitted", ha="right", color="#52606d")
        axes.text(39.7, axes.get_ylim()[1] * 0.93, "held out", ha="left", color="#52606d")
        axes.set(
            xlabel="Week",
            ylabel="Repeat purchases, cumulative",
            xlim=(0, weeks[-1]),
            ylim=(0, None),
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
