"""Figures and tables of docs/behaviour.md: ``python -m experiments.behaviour_figures``.

Writes docs/figures/<mechanism>.svg, made by the rules themselves (``behaviour_panels``), and the
tables between the markers of the page, made from conf/behaviour/table.yaml. Files that already show
the same data are left alone, so that another version of matplotlib changes nothing.
"""

import argparse
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.mechanisms import PLUGGED
from agents.response import MECHANISMS
from experiments.behaviour_panels import FIGURES, Panel, Panels
from experiments.behaviour_table import Row, references, rows
from experiments.drawing import COLOURS, INK, as_svg, canvas
from sim.world import SURROUNDINGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "behaviour.md"
FOLDER = DOCS / "figures"

_HEIGHT = 2.7
_WIDTHS = {1: 6.4, 2: 8.6, 3: 8.6}


def digest(panels: Panels) -> str:
    """Digest of all that a figure shows, numbers rounded to five digits."""
    found = hashlib.sha256()
    for panel in panels:
        words = [panel.x, panel.y, panel.title, *panel.ticks]
        words += [str(one) for one in (panel.x_log, panel.y_log, panel.y_range, panel.bare)]
        for series in panel.series:
            words += [series.label, series.kind]
            for values in (series.x, series.y):
                words += [f"{value:.4e}" for value in np.asarray(values, float)]
        found.update("\0".join(words).encode())
    return found.hexdigest()[:16]


def shown(path: Path) -> str:
    """Digest of what a written figure shows, "" where there is none."""
    if not path.exists():
        return ""
    found = re.search(r"data ([0-9a-f]{16})", path.read_text(encoding="utf-8"))
    return found.group(1) if found else ""


def _number(value: float, _position: int = 0) -> str:
    return f"{value:g}"


def _draw(axes: "Axes", panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    colours = iter(COLOURS * 2)
    colour = INK
    for series in panel.series:
        x, y = np.asarray(series.x, float), np.asarray(series.y, float)
        label = series.label or None
        if series.kind == "links":
            axes.plot(x, y, color="#8c959f", linewidth=0.8, zorder=1)
            continue
        # Dots without a name belong to the curve before them.
        if not (series.kind == "dots" and label is None and colour != INK):
            colour = next(colours)
        if series.kind == "bars":
            axes.bar(x, y, width=0.6, color=colour, label=label)
        elif series.kind == "dots":
            axes.plot(x, y, "o", color=colour, markersize=4, label=label, zorder=3)
        elif series.kind == "steps":
            axes.step(x, y, where="mid", color=colour, label=label)
        else:
            style = "--" if series.kind == "dashed" else "-"
            axes.plot(x, y, style, color=colour, label=label)
    if panel.title:
        axes.set_title(panel.title)
    if panel.bare:
        axes.set_axis_off()
        axes.set_aspect("equal")
        return
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    for log, axis, scale in (
        (panel.x_log, axes.xaxis, axes.set_xscale),
        (panel.y_log, axes.yaxis, axes.set_yscale),
    ):
        if log:
            scale("log")
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FuncFormatter(_number))
    across = np.concatenate([np.asarray(series.x, float) for series in panel.series])
    if not panel.x_log and (across == np.round(across)).all():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), panel.ticks)
        axes.set_xlim(-0.6, len(panel.ticks) - 0.4)
    if panel.y_range is not None:
        axes.set_ylim(*panel.y_range)


def svg(panels: Panels) -> bytes:
    """The figure as SVG, the same bytes every time."""
    with canvas(_WIDTHS[len(panels)], _HEIGHT) as figure:
        for at, panel in enumerate(panels):
            _draw(figure.add_subplot(1, len(panels), at + 1), panel)
        # Panels share colours and names.
        named: dict[str, Any] = {}
        for axes in figure.axes:
            handles, labels = axes.get_legend_handles_labels()
            named |= {label: handle for handle, label in zip(handles, labels, strict=True)}
        if named:
            figure.legend(named.values(), named.keys(), loc="outside right center")
        return as_svg(figure, f"data {digest(panels)}")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("|", "\\|")


def table(mechanism: str) -> str:
    """Parameters of a mechanism as a Markdown table; plugged-in ones are not on the page."""
    lines = [
        "| parameter | default | range | unit | source | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for one in rows():
        if one.mechanism == mechanism and one.status != "P":
            lines.append("| " + " | ".join(_cells(one)) + " |")
    return "\n".join(lines)


def _cells(one: Row) -> Iterable[str]:
    interval = " to " if one.numeric else ", "
    default = "by world" if one.default is None else _cell(one.default)
    yield f"`{one.key}`"
    yield default
    yield interval.join(_cell(value) for value in one.range)
    yield one.unit
    yield f"{one.status}: {one.source}".replace("|", "\\|")
    yield one.meaning


def _switches() -> str:
    plugged = {one.name for one in PLUGGED}
    own = (name for name in MECHANISMS if name not in plugged)
    return ", ".join(f"`{name}`" for name in (*own, *SURROUNDINGS))


def _references() -> str:
    return "\n".join(f"- **{name}**: {text}" for name, text in sorted(references().items()))


def filled(page: str) -> str:
    """The page with everything between its markers made anew.

    Raises
    ------
    ValueError
        For a marker that names nothing, or is not closed.
    """

    def made(match: re.Match[str]) -> str:
        what, name = match.group("what"), match.group("name")
        known = {one.mechanism for one in rows()}
        if what == "table" and name in known:
            text = table(name)
        elif what == "switches":
            text = _switches()
        elif what == "references":
            text = _references()
        else:
            raise ValueError(f"docs/behaviour.md: the marker {match.group(0)[:40]!r} names nothing")
        return f"{match.group('open')}\n{text}\n<!-- end -->"

    pattern = (
        r"(?P<open><!-- (?P<what>\w+)(?: (?P<name>\w+))? -->)\n(?:(?!<!-- end -->).)*<!-- end -->"
    )
    found = re.sub(pattern, made, page, flags=re.DOTALL)
    if found.count("<!-- end -->") * 2 != found.count("<!-- "):
        raise ValueError("docs/behaviour.md: every marker needs its <!-- end -->")
    return found


def main(arguments: list[str] | None = None) -> None:
    """Write the figures and the tables; print what changed."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.behaviour_figures", description=__doc__
    )
    parser.add_argument(
        "names", nargs="*", metavar="MECHANISM", help=f"only these figures: {', '.join(FIGURES)}"
    )
    parser.add_argument("--force", action="store_true", help="draw figures anew in any case")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in FIGURES]
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}: choose among {', '.join(FIGURES)}")
    if not PAGE.exists():
        parser.error(
            f"{PAGE} is missing: the page is part of a checkout, not of an installed package"
        )
    FOLDER.mkdir(exist_ok=True)
    for name in given.names or FIGURES:
        path, panels = FOLDER / f"{name}.svg", FIGURES[name]()
        if given.force or shown(path) != digest(panels):
            path.write_bytes(svg(panels))
            print(f"wrote {path}")
    page = PAGE.read_text(encoding="utf-8")
    if filled(page) != page:
        PAGE.write_text(filled(page), encoding="utf-8")
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
