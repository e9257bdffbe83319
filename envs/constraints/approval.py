"""Approved limits: a digest of their values, who signed it off, and what differs from it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.constraints.parameters import ConstraintParameters, as_plain

_NOT_LIMITS = ("name", "approval")


@dataclass(frozen=True)
class Approval:
    """A person's word for limits, found by the digest of their values.

    ``limits`` are the values, so that a change can be named.
    """

    name: str
    digest: str
    approved_by: str
    date: str
    note: str
    limits: Mapping[str, Any]


def limits_of(parameters: ConstraintParameters) -> dict[str, Any]:
    """The values that are approved: all but name and mode of approval; 25.0 is written as 25."""
    plain = as_plain(parameters)
    return {name: _canonical(value) for name, value in plain.items() if name not in _NOT_LIMITS}


def digest_of(limits: Mapping[str, Any]) -> str:
    """SHA-256 of limits as JSON with sorted keys."""
    text = json.dumps(_canonical(limits), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def approve(parameters: ConstraintParameters, by: str, date: str, note: str = "") -> Approval:
    """Sign off limits as they are."""
    limits = limits_of(parameters)
    return Approval(parameters.name, digest_of(limits), by, date, note, limits)


def differences(
    approved: Mapping[str, Any], given: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """Fields that differ, as (field, approved value, given value), sorted by field."""
    one, other = _flat(approved), _flat(given)
    return [
        (name, one.get(name), other.get(name))
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{path}{name}.")
        else:
            flat[f"{path}{name}"] = _canonical(value)
    return flat


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
