"""Pieces of HTML: everything that comes from a run is escaped here."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from experiments.report.figures import Figure


class Markup(str):
    """Text that is HTML already; all other text is escaped."""

    __slots__ = ()


class Column(NamedTuple):
    """A column: its heading, what it holds ('text' or 'number'), a note under the heading."""

    title: str
    holds: str = "number"
    note: str = ""


class Group(NamedTuple):
    """Rows of a table under a heading of their own; no heading where it is empty."""

    title: str
    rows: Sequence[Sequence[object]]


def escape(text: object) -> Markup:
    """HTML of any text."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape("–" if text is None else str(text), quote=True))


def tag(name: str, content: object, **attributes: str) -> Markup:
    """An element; a trailing underscore keeps an attribute's name off Python's keywords."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    return Markup(f"<{name}{written}>{escape(content)}</{name}>")


def paragraph(*sentences: object, class_: str = "") -> Markup:
    """A paragraph of sentences."""
    return tag("p", Markup(" ".join(escape(one) for one in sentences if one)), class_=class_)


def lead(opening: object, text: object) -> Markup:
    """A paragraph that opens in bold."""
    return paragraph(tag("strong", opening), text)


def bullets(items: Iterable[object]) -> Markup:
    """An unordered list."""
    content = "".join(tag("li", item) for item in items)
    return tag("ul", Markup(content)) if content else Markup("")


def section(identifier: str, title: str, *content: str) -> Markup:
    """A section with its heading; left out where it has no content."""
    inside = "".join(escape(one) for one in content)
    if not inside:
        return Markup("")
    heading = tag("h2", title, id=f"{identifier}-title")
    return tag(
        "section", Markup(heading + inside), id=identifier, aria_labelledby=f"{identifier}-title"
    )


def table(caption: str, columns: Sequence[Column], *groups: Group) -> Markup:
    """A table with a caption and scoped headings; the first column heads its row."""
    if not any(group.rows for group in groups):
        return Markup("")
    heads = "".join(
        tag(
            "th",
            Markup(escape(column.title) + (tag("small", column.note) if column.note else "")),
            scope="col",
            class_=column.holds,
        )
        for column in columns
    )
    bodies = "".join(_body(columns, group) for group in groups if group.rows)
    inside = (
        tag("caption", tag("span", caption))
        + tag("thead", Markup(tag("tr", Markup(heads))))
        + bodies
    )
    return tag(
        "div",
        tag("table", Markup(inside)),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def figure(title: str, drawing: Figure | None, caption: str) -> Markup:
    """A figure with a heading above and a caption below; left out where nothing can be drawn."""
    if drawing is None:
        return Markup("")
    height = int(drawing["layout"].get("height", 320))
    data = tag_json(drawing)
    plot = (
        f'<div class="plot" role="img" aria-label="{escape(title)}. {escape(caption)}" '
        f'style="min-height:{height}px">{data}</div>'
    )
    return tag(
        "figure",
        Markup(tag("h3", title) + plot + tag("figcaption", caption)),
    )


def side_by_side(*figures: str) -> Markup:
    """Figures next to each other on a wide page, below each other on a narrow one."""
    content = "".join(figures)
    return tag("div", Markup(content), class_="figures") if content else Markup("")


def tag_json(value: Any) -> Markup:
    """Data for the page's script; no text in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=str)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(f'<script type="application/json">{text}</script>')


def source_link(text: object) -> Markup:
    """A source; one that is an address can be followed."""
    written = str(text)
    if written.startswith(("https://", "http://")) and " " not in written:
        return tag("a", written, href=written, rel="noopener noreferrer")
    return escape(text)


def _body(columns: Sequence[Column], group: Group) -> Markup:
    title = (
        tag(
            "tr",
            tag("th", group.title, scope="rowgroup", colspan=str(len(columns)), class_="group"),
        )
        if group.title
        else ""
    )
    return tag("tbody", Markup(title + "".join(_row(columns, row) for row in group.rows)))


def _row(columns: Sequence[Column], row: Sequence[object]) -> Markup:
    cells = [tag("th", row[0], scope="row", class_=columns[0].holds)]
    cells += [
        tag("td", value, class_=column.holds)
        for column, value in zip(columns[1:], row[1:], strict=True)
    ]
    return tag("tr", Markup("".join(cells)))
