"""Mappings become frozen dataclasses; what does not fit is one line that names the whole key."""

import contextlib
import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agents.errors import InputError
from experiments.config_messages import first_line, join_key, unknown_choice, unknown_key


def build(cls: Any, value: Any, path: str) -> Any:
    """Turn a mapping into the dataclass ``cls``, nested dataclasses and tuples included.

    Parameters
    ----------
    cls
        A dataclass; its annotations decide: dataclass, ``tuple[X, ...]``, ``Mapping[str, X]``,
        ``Literal``, ``X | None``, ``bool``, ``int``, ``float``, ``str``, ``Any``.
    value
        A mapping with the fields; fields with a default may be left out.
    path
        Where it stands, for messages, e.g. ``programme``; ``""`` at the top.

    Raises
    ------
    InputError
        Naming the full key, e.g. ``programme.tiers[1].threshold='x': expected a whole number``.
    """
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    if dataclasses.is_dataclass(value) and isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise InputError(f"{path}={value!r}: expected the keys {', '.join(fields)}")
    for key in value:
        if key is False and "off" in fields:
            where = f"{path}: " if path else ""
            raise InputError(f'{where}write the key "off" in quotes: without, YAML reads false')
        if key not in fields:
            here = {join_key(path, name) for name in fields}
            raise InputError(unknown_key(join_key(path, str(key)), here))
    required = dataclasses.MISSING
    for name, field in fields.items():
        optional = field.default is not required or field.default_factory is not required
        if name not in value and not optional:
            raise InputError(f"{join_key(path, name)} is missing")
    hints = _annotations(cls)
    arguments = {
        key: convert(hints[key], item, join_key(path, str(key))) for key, item in value.items()
    }
    try:
        return cls(**arguments)
    except InputError as error:
        raise InputError(join_key(path, str(error))) from error
    except ValueError as error:
        message = first_line(error)
        named = re.match(r"[A-Za-z_.\[\]0-9]+=", message) is not None
        raise InputError(
            join_key(path, message) if named or not path else f"{path}: {message}"
        ) from error


@functools.cache
def _annotations(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def convert(hint: Any, value: Any, path: str) -> Any:
    """A value as its annotation wants it; ``path`` is its key, for messages.

    Raises
    ------
    InputError
        Naming the key, the value and what is expected.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or dataclasses.is_dataclass(value):
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, path)
    if origin is Literal:
        if value is None and "null" in arguments:
            return "null"
        if value not in arguments:
            raise InputError(unknown_choice(path, value, arguments))
        return value
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path)
    if origin in (tuple, list, Sequence) or hint in (tuple, list):
        return _convert_sequence(origin, arguments, value, path)
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{path}={value!r}: expected a mapping")
        inner = arguments[1] if arguments else Any
        return {str(k): convert(inner, item, join_key(path, str(k))) for k, item in value.items()}
    return _convert_scalar(hint, value, path)


def _convert_union(arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and types.NoneType in arguments:
        return None
    others = [item for item in arguments if item is not types.NoneType]
    if len(others) == 1:
        return convert(others[0], value, path)
    problems = []
    for item in others:
        try:
            return convert(item, value, path)
        except InputError as error:
            problems.append(str(error))
    raise InputError(problems[0])


def _convert_sequence(origin: Any, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise InputError(f"{path}={value!r}: expected a list, e.g. {path}=[…]")
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise InputError(f"{path}={list(value)!r}: expected {len(arguments)} items")
        inner = list(arguments)
    else:
        inner = [arguments[0] if arguments else Any] * len(value)
    items = (
        convert(hint, item, f"{path}[{i}]")
        for i, (hint, item) in enumerate(zip(inner, value, strict=True))
    )
    return tuple(items)


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if hint is float and number and abs(value) < math.inf:
        with contextlib.suppress(OverflowError):
            return float(value)
    if hint is str:
        if isinstance(value, str):
            return value
        if number:
            return str(value)
        if value is None and path.endswith("]"):
            return "null"  # an item of a list of names, where null is the name of a world
    expected = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if hint not in expected:
        raise TypeError(f"{path}: no rule for fields of type {hint!r}")
    raise InputError(f"{path}={value!r}: expected {expected[hint]}")
