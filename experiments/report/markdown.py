"""Numbers, tables and sections as pages write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.report.wording import NOTHING, decimal, number_or_none, percent

Facts = Mapping[str, Any]


def share(value: float, of: float) -> str:
    """How far a value is from another, in percent of the other."""
    return percent(value / of - 1, 1, sign=True)


def tens(value: float) -> str:
    """To the nearest ten."""
    return decimal(round(value, -1))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first column to the left, numbers to the right."""
    texts = {at for at in range(len(heads)) if any(not _is_number(row[at]) for row in rows)}
    rule = ["---" if at == 0 or at in texts else "---:" for at in range(len(heads))]
    return [f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in (heads, rule, *rows)]


def table_text(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty without rows."""
    found = list(rows)
    return "\n".join(table(heads, found)) if found else ""


def section(title: str, *content: str) -> str:
    """A section of what there is; empty where none of it is a table."""
    if not any(part.startswith("|") for part in content):
        return ""
    return f"\n## {title}\n\n" + "\n\n".join(part for part in content if part) + "\n"


def _is_number(text: str) -> bool:
    bare = text.replace("−", "-").replace(",", "").replace("%", "").strip()
    parts = [part for part in bare.split(" to ") if part not in ("", NOTHING)]
    try:
        return all(number_or_none(float(part)) is not None for part in parts)
    except ValueError:
        return False
