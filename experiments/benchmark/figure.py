"""The benchmark's figure: the ladder with its intervals, and who gains or loses where."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.benchmark.targets import Summary, name_of
from experiments.drawing import COLOURS, INK, as_svg, canvas
from experiments.report.wording import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REGIMES = {"rule": INK, "robust": COLOURS[0], "informed": COLOURS[1]}
_ROW, _EDGES = 0.24, 1.5  # inches


def ladder_figure(summary: Summary) -> bytes:
    """SVG with two panels; entries that have been run everywhere, best first.

    Left: interquartile mean with its interval, coloured by regime. Right: mean over programmes and
    seeds by world and response world, as numbers on colours.
    """
    rows = summary["interquartile_mean"]
    names = [name_of(row) for row in rows]
    by: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in summary["rows"]:
        cell = by.setdefault((row["world"], row["response"]), {})
        cell.setdefault(name_of(row), []).append(100 * row["incremental_share"])
    values = np.array([[np.mean(cell[name]) for cell in by.values()] for name in names])
    with canvas(11.0, _EDGES + _ROW * max(len(rows), 1)) as figure:
        ladder, worlds = figure.subplots(1, 2, width_ratios=(1, 2.1))
        if rows:
            _ladder(ladder, summary)
            _worlds(worlds, values, list(by))
        return as_svg(figure, f"benchmark of policies, protocol {summary['protocol_version']}")


def _ladder(axes: "Axes", summary: Summary) -> None:
    rows = summary["interquartile_mean"]
    for at, row in enumerate(rows):
        low, value, high = (100 * row[key] for key in ("ci_low", "value", "ci_high"))
        colour = _REGIMES[row["regime"]]
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [at, at], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot([value], [at], "o", color=colour, markersize=4.5, zorder=3)
    for regime, colour in _REGIMES.items():
        axes.plot([], [], "o-", color=colour, label=regime)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name_of(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("interquartile mean, % of margin")
    axes.legend(loc="upper left")


def _worlds(axes: "Axes", values: np.ndarray, columns: list[tuple[str, str]]) -> None:
    most = float(np.abs(values).max()) or 1.0
    # Differences near nothing decide and the largest are known anyway: colours by square root.
    shade = np.sign(values) * np.sqrt(np.abs(values) / most)
    axes.imshow(shade, cmap="RdBu", vmin=-1.2, vmax=1.2, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        dark = abs(shade[row, column]) > 0.75
        axes.text(
            column,
            row,
            decimal(value, 2, sign=True),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else INK,
        )
    axes.set_xticks(
        range(len(columns)), [response for _, response in columns], rotation=40, ha="right"
    )
    axes.set_yticks([])
    axes.grid(visible=False)
    for world in dict.fromkeys(world for world, _ in columns):
        mine = [at for at, column in enumerate(columns) if column[0] == world]
        axes.text(float(np.mean(mine)), -0.75, world, ha="center", va="bottom")
        if mine[0]:
            axes.axvline(mine[0] - 0.5, color="white", linewidth=3)
    axes.set_xlabel("mean over programmes and seeds, % of the margin without offers")
