"""One HTML file that answers which offers pay: works offline, reads from top to bottom.

``render_report`` is a pure function of the run's summary, which is summary.json too. Numbers come
from the summary alone; what is missing there is left out or written '–'.
"""

import importlib.resources
from collections.abc import Mapping
from typing import Any

from experiments.report import evidence, limits, reading, results
from experiments.report.elements import Markup, escape, paragraph, tag
from experiments.report.wording import decimal, part, plain

# The page may load nothing: a browser that obeys this cannot reach the network for it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

_SECTIONS = (
    results.answer,
    results.by_world,
    results.all_results,
    results.over_time,
    evidence.tested,
    limits.limits,
    evidence.population,
    evidence.market,
    evidence.training,
    evidence.scored,
    reading.definitions,
    reading.assumptions,
    reading.provenance,
)


def render_report(summary: Mapping[str, Any]) -> str:
    """Make the report.

    Parameters
    ----------
    summary
        Content of summary.json. Values may be None.

    Returns
    -------
    str
        A whole HTML document of about 5 MB, most of it the embedded plotly.js.
    """
    content = "".join(section(summary) for section in _SECTIONS)
    title = f"Do loyalty offers pay? {summary.get('name') or ''}".strip()
    return document(title, Markup(_header(summary) + tag("main", Markup(content))))


def document(title: str, body: Markup) -> str:
    """A whole HTML page that loads nothing: style and, where there are figures, script inside."""
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_own_file('page.css')}</style>"
    )
    drawing = _drawing() if 'class="plot"' in body else ""
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}{drawing}</body></html>\n'
    )


def _header(summary: Mapping[str, Any]) -> Markup:
    data = part(summary, "data")
    about = ", ".join(
        text
        for text in (
            plain(data.get("name")),
            f"{decimal(data.get('customers'))} customers",
            f"{decimal(data.get('purchases'))} purchases",
            f"{data.get('start') or '–'} to {data.get('end') or '–'}",
        )
        if text
    )
    return tag(
        "header",
        Markup(
            paragraph(f"loyaltylab · run {summary.get('name') or '–'}", class_="eyebrow")
            + tag("h1", "Do loyalty offers pay?")
            + paragraph(f"Simulated on customers fitted to a real log: {about}.", class_="about")
        ),
    )


def _drawing() -> str:
    """Plotly's own script once, and the few lines that draw; last, so that text shows first."""
    from plotly.offline import get_plotlyjs

    library = get_plotlyjs().replace("</script", "<\\/script")
    return (
        "<noscript><p>The figures need JavaScript; the tables hold the results.</p></noscript>"
        f"<script>{library}</script><script>{_own_file('page.js')}</script>"
    )


def _own_file(name: str) -> str:
    return importlib.resources.files("experiments.report").joinpath(name).read_text("utf-8")
