"""The assumptions of a sensitivity analysis: which are varied, over what range, and which are not.

They are the rows of the table of behaviour and of conf/sensitivity.yaml. Whatever can change
nothing in the market that is asked about is left out, with the reason (``sensitivity_idle``).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from agents.errors import InputError
from experiments.behaviour_table import Row, rows
from experiments.config import SensitivityConfig, SimulateConfig, other_side
from experiments.config_messages import unknown_choice
from experiments.config_schema import AssumptionConfig
from experiments.sensitivity_idle import Market, idle

C = TypeVar("C", bound=SimulateConfig)

_STEPS = {"world.network.degree": 2}
# 0 means that there is none, which is another world: the range begins where there is one.
_ZERO_IS_NONE = ("world.competitor.every_weeks", "world.survey.every_weeks")


@dataclass(frozen=True)
class Assumption:
    """A number that nobody knows, with its plausible range.

    Parameters
    ----------
    key
        How it is set on the command line, e.g. ``response.saturation``.
    default
        Its value in this configuration.
    low, high
        Ends of the range, both included.
    step
        0 for a real number; else values are low, low + step, … up to high.
    along
        Keys that move with it, each by a power of its ratio to the default.
    mechanism, unit, status, source, meaning
        As in the table of behaviour.
    """

    key: str
    default: float
    low: float
    high: float
    step: int = 0
    along: Mapping[str, float] = dataclasses.field(default_factory=dict)
    mechanism: str = ""
    unit: str = ""
    status: str = "A"
    source: str = ""
    meaning: str = ""

    def at(self, place: float) -> float:
        """Value at a place of the range, 0 its low end and 1 its high end.

        Whole numbers get equal parts of the range each, so that a uniform place makes them
        equally likely.
        """
        if not self.step:
            return self.low + place * (self.high - self.low)
        values = round((self.high - self.low) / self.step) + 1
        return int(self.low) + self.step * min(int(place * values), values - 1)


class LeftOut(NamedTuple):
    """An assumption that is not varied, and why."""

    key: str
    mechanism: str
    reason: str


class Chosen(NamedTuple):
    """What is varied and what is not."""

    varied: tuple[Assumption, ...]
    left_out: tuple[LeftOut, ...]


def choose(config: SensitivityConfig) -> Chosen:
    """Sort the assumptions into varied and left out.

    Raises
    ------
    InputError
        Unknown mechanism in ``only`` or key in ``ranges``, a default outside of its range,
        nothing left to vary.
    """
    stated = _stated(config)
    _check_names(config, stated)
    varied, left_out = [], []
    other = other_side(config)
    market = Market.of([config] if other is None else [config, other], config.kpis)
    for known, measured in stated:
        reason = _unwanted(known, measured, config) or idle(known.key, market)
        if reason is not None:
            left_out.append(LeftOut(known.key, known.mechanism, reason))
        else:
            varied.append(_assumption(known, config))
    if not varied:
        reasons = "; ".join(f"{one.key}: {one.reason}" for one in left_out[:3])
        raise InputError(f"nothing to vary: {reasons or 'no assumption has this status'}")
    return Chosen(tuple(varied), tuple(left_out))


def with_values(config: C, varied: Sequence[Assumption], values: Mapping[str, float]) -> C:
    """The configuration with other values of assumptions.

    Parameters
    ----------
    values
        By key; keys that are missing keep their default.

    Raises
    ------
    InputError or ValueError
        For a value that its dataclass refuses.
    """
    known = {one.key: one for one in varied}
    for key, value in values.items():
        config = _assign(config, key.split("."), value)
    for key, value in values.items():
        for other, power in known[key].along.items():
            factor = (value / known[key].default) ** power
            config = _assign(config, other.split("."), factor * float(lookup(config, other)))
    return config


def lookup(config: SimulateConfig, key: str) -> Any:
    """The value of a key; None where the configuration has none."""
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else getattr(node, name, None)
    return node


# ------------------------------------------------------------------------------------ pieces


def _stated(config: SensitivityConfig) -> list[tuple[Row, bool]]:
    """Rows of the table, then those of the configuration; are they measured in this world?"""
    here: dict[str, AssumptionConfig] = {
        one.key: one
        for one in config.assumptions
        if not one.worlds or config.world.name in one.worlds
    }
    found = []
    for known in rows():
        own = here.pop(known.key, None)
        wanted = known.status in config.status or (known.status == "P" and _ranged(known, config))
        if own is None:
            found += [(known, False)] if wanted else []
        elif wanted or own.status in config.status:
            merged = dataclasses.replace(
                known,
                range=own.range or known.range,
                status=own.status,
                source=own.source or known.source,
            )
            found.append((merged, own.status not in config.status))
    for own in here.values():
        if own.range is None:
            raise InputError(f"assumptions: {own.key} has no range and is no row of the table")
        if own.status in config.status:
            section, _, parameter = own.key.partition(".")
            known = Row(
                section, parameter, own.mechanism, None, own.range,  # type: ignore[arg-type]
                own.unit, own.status, own.source, own.meaning,
            )  # fmt: skip
            found.append((known, False))
    return found


def _ranged(known: Row, config: SensitivityConfig) -> bool:
    return known.key in (config.ranges or {})


def _check_names(config: SensitivityConfig, stated: Sequence[tuple[Row, bool]]) -> None:
    mechanisms = dict.fromkeys(
        [one.mechanism for one in rows()] + [known.mechanism for known, _ in stated]
    )
    for name in config.only:
        if name not in mechanisms:
            raise InputError(unknown_choice("only", name, mechanisms))
    keys = {known.key for known, _ in stated}
    for key in config.ranges or {}:
        if key not in keys:
            raise InputError(unknown_choice("ranges", key, sorted(keys)))


def _unwanted(known: Row, measured: bool, config: SensitivityConfig) -> str | None:
    if measured:
        return f"measured in this world ({known.source})"
    if config.only and known.mechanism not in config.only:
        return f"not among only=[{','.join(config.only)}]"
    if not known.numeric:
        choices = " or ".join(map(str, known.range))
        return f"a choice, not a number: set {known.key} to {choices} for the whole analysis"
    return None


def _assumption(known: Row, config: SensitivityConfig) -> Assumption:
    key = known.key
    default = lookup(config, key)
    if default is None:
        default = 0.0 if known.default is None else known.default
    low, high = (config.ranges or {}).get(key, known.range)
    if key in _ZERO_IS_NONE:
        low = max(low, 1)
    if not low <= default <= high:
        raise InputError(
            f"{key}={default:g} lies outside of its range {low:g} to {high:g}: give another one, "
            f"'ranges={{{key}:[{min(low, default):g},{max(high, default):g}]}}'"
        )
    along = next((one.along for one in config.assumptions if one.key == key and one.along), {})
    step = _STEPS.get(key, 1) if isinstance(default, int) else 0
    return Assumption(
        key, default, low, high, step, along,
        known.mechanism, known.unit, known.status, known.source, known.meaning,
    )  # fmt: skip


def _assign(node: Any, path: Sequence[str], value: float) -> Any:
    """A copy of nested dataclasses and mappings with one value replaced."""
    if not path:
        return value
    head, *rest = path
    if isinstance(node, Mapping):
        return {**node, head: _assign(node.get(head), rest, value)}
    return dataclasses.replace(node, **{head: _assign(getattr(node, head), rest, value)})
