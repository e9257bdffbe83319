"""Keys of a command itself, told from those of the configuration it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from agents.errors import InputError
from experiments.config_messages import given_twice, unknown_key

T = TypeVar("T")


def own_keys(kind: type[T], overrides: Sequence[str], groups: Sequence[str]) -> tuple[T, list[str]]:
    """A dataclass of a command's own keys from KEY=VALUE texts, and the texts left for groups.

    Parameters
    ----------
    kind
        Frozen dataclass of str, int, float and bool fields; it checks ranges itself. A field
        without default is required.
    overrides
        As on the command line.
    groups
        Configuration groups whose keys (``data``, ``data.time_zone``) are left over.

    Raises
    ------
    InputError
        Unknown or missing key, given twice, or a value of another type: one line.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    rest: list[str] = []
    for text in overrides:
        key, equals, raw = text.partition("=")
        key, raw = key.strip(), raw.strip()
        if not equals or not key:
            raise InputError(f"cannot read the override {text!r}: write key=value, e.g. seed=3")
        if key.partition(".")[0] in groups:
            rest.append(text)
            continue
        if key not in hints:
            raise InputError(unknown_key(key, (*hints, *groups)))
        if key in values:
            raise InputError(given_twice(key, str(values[key]), raw))
        values[key] = _converted(key, raw, hints[key])
    for field in fields(kind):  # type: ignore[arg-type]
        if field.default is MISSING and field.name not in values:
            raise InputError(f"{field.name} is missing: give {field.name}=…")
    return kind(**values), rest


def output_file(out: str) -> Path:
    """Where a command writes one file, if it can.

    Raises
    ------
    InputError
        If the folder does not exist or the name is a folder's.
    """
    path = Path(out)
    if not path.parent.is_dir():
        raise InputError(f"out={out!r}: there is no folder {str(path.parent)!r}")
    if path.is_dir() or not path.name:
        raise InputError(f"out={out!r} is a folder: name a file")
    return path


def _converted(key: str, raw: str, kind: Any) -> Any:
    plain = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"" else raw
    if kind is str:
        return plain
    if kind is bool:
        if plain.lower() not in ("true", "false"):
            raise InputError(f"{key}={raw!r} must be true or false")
        return plain.lower() == "true"
    names: Mapping[Any, str] = {int: "a whole number", float: "a number"}
    try:
        return kind(plain.replace("_", ""))
    except ValueError:
        raise InputError(f"{key}={raw!r} must be {names[kind]}") from None
