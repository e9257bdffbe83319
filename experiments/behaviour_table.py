"""The table of behaviour: every parameter with its default, range, status and source.

conf/behaviour/table.yaml is the one place where these numbers stand. ``defaults`` hands them to
Hydra as ``behaviour/response`` and ``behaviour/world``, which the files of conf/response and
conf/world start from; ``loyaltylab mechanisms`` prints them.
"""

import functools
import importlib.resources
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agents.errors import InputError
from agents.mechanisms import PLUGGED
from experiments.config_builder import build
from experiments.config_messages import unknown_choice

SECTIONS = ("response", "world")
STATUSES = {
    "M": "measured on a log",
    "V": "stated in a source that was read",
    "A": "assumption",
    "P": "of a plug-in",
}


@dataclass(frozen=True)
class Row:
    """One parameter.

    Parameters
    ----------
    section
        ``response`` or ``world``: the group it is set in.
    parameter
        Its key within the group, e.g. ``offer_log_rate.discount``.
    mechanism
        What it belongs to; names of mechanisms are those of ``off``.
    default
        Value where a file says nothing else; None is fitted, or given by each world.
    range
        Lowest and highest plausible value; the choices where values are words; none for a
        parameter of a plugged-in mechanism.
    unit
        Unit; effects are changes of the log purchase rate or of the log hazard.
    status
        One of ``STATUSES``.
    source
        Where it comes from, in the short names of ``references``.
    meaning
        What it is, in a line.
    """

    section: Literal["response", "world"]
    parameter: str
    mechanism: str
    default: Any
    range: tuple[Any, ...]
    unit: str
    status: Literal["M", "V", "A", "P"]
    source: str
    meaning: str

    @property
    def key(self) -> str:
        """How it is set on the command line."""
        return f"{self.section}.{self.parameter}"

    @property
    def numeric(self) -> bool:
        """Values are numbers, so that the range is an interval."""
        return all(isinstance(value, int | float) for value in self.range)


@functools.cache
def rows() -> tuple[Row, ...]:
    """Every row, in the order of the file; then the parameters of plugged-in mechanisms."""
    own = tuple(
        build(Row, {"section": section, **row}, f"conf/behaviour/table.yaml {section}[{at}]")
        for section in SECTIONS
        for at, row in enumerate(_file()[section])
    )
    return own + tuple(
        Row(
            "response",
            f"plugged.{name}",
            mechanism.name,
            0.0,
            (),
            "",
            "P",
            "plugged in",
            "0 = does nothing, unless its package says otherwise",
        )
        for mechanism in PLUGGED
        for name in mechanism.parameters
    )


def row(key: str) -> Row:
    """The row of a key, e.g. ``response.goal_gradient``.

    Raises
    ------
    KeyError
        If the table has no such row.
    """
    return _by_key()[key]


def by_mechanism(name: str | None = None) -> dict[str, tuple[Row, ...]]:
    """Rows by mechanism, or those of one.

    Raises
    ------
    InputError
        For a name that is no mechanism, with the closest and the known ones.
    """
    found: dict[str, list[Row]] = {}
    for one in rows():
        found.setdefault(one.mechanism, []).append(one)
    if name is not None and name not in found:
        raise InputError(unknown_choice("mechanism", name, found))
    return {key: tuple(value) for key, value in found.items() if name in (None, key)}


def references() -> dict[str, str]:
    """Sources in full, by the short names that rows use."""
    return {str(name): str(text) for name, text in _file()["sources"].items()}


def defaults(section: str) -> dict[str, Any]:
    """The defaults of a section as a nested mapping, what files of that group start from.

    ``response`` has ``off`` and one key for every plugged-in parameter besides, ``world`` an
    empty ``membership.category_shares``: names of categories are each world's own.
    """
    nested: dict[str, Any] = (
        {"off": [], "plugged": {}}
        if section == "response"
        else {"membership": {"category_shares": {}}}
    )
    for one in rows():
        if one.section == section and one.default is not None:
            *parents, leaf = one.parameter.split(".")
            node = nested
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = one.default
    return nested


def listing(name: str | None = None) -> str:
    """The table as text, by mechanism; one mechanism comes with meanings and full references."""
    from agents.response import MECHANISMS
    from sim.world import SURROUNDINGS

    chosen = by_mechanism(name)
    switchable = {*MECHANISMS, *SURROUNDINGS}
    cells = [
        (one.key, _shown(one.default), _shown_range(one), one.unit, one.status, one.source)
        for one in rows()
    ]
    widths = [max(map(len, column)) for column in zip(_HEADER, *cells, strict=True)]
    lines = [_line(_HEADER, widths)]
    for mechanism, own in chosen.items():
        lines += ["", mechanism if mechanism in switchable else f"{mechanism} (always on)"]
        for one in own:
            lines.append(_line(cells[rows().index(one)], widths))
            if name is not None:
                lines.append(f"    {one.meaning}")
    lines += ["", "; ".join(f"{sign} {meaning}" for sign, meaning in STATUSES.items())]
    if name is not None:
        lines += [f"{short}: {text}" for short, text in _cited(chosen[name]).items()]
    return "\n".join(lines)


def as_json(name: str | None = None) -> dict[str, Any]:
    """The table as plain data: rows by mechanism, statuses, references."""
    chosen = by_mechanism(name)
    cited = _cited([one for own in chosen.values() for one in own])
    return {
        "mechanisms": {
            mechanism: [{"key": one.key, **asdict(one)} for one in own]
            for mechanism, own in chosen.items()
        },
        "statuses": STATUSES,
        "references": cited,
    }


_HEADER = ("parameter", "default", "range", "unit", "status", "source")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"  {'  '.join(padded)}".rstrip()


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _shown_range(one: Row) -> str:
    if not one.range:
        return "any"
    return (" to " if one.numeric else ", ").join(map(_shown, one.range))


def _cited(chosen: Sequence[Row]) -> dict[str, str]:
    texts = " ".join(one.source for one in chosen)
    return {short: text for short, text in references().items() if short in texts}


@functools.cache
def _by_key() -> dict[str, Row]:
    return {one.key: one for one in rows()}


@functools.cache
def _file() -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    text = (importlib.resources.files("conf") / "behaviour" / "table.yaml").read_text("utf-8")
    # The compiled parser is ten times faster, where it is there.
    return dict(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
