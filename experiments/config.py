"""Configuration: conf/*.yaml and command-line overrides become frozen dataclasses, checked once.

``compose_demo(["data=cdnow", "seed=3"])`` is the one way in. Hydra composes the files, ``build``
turns plain mappings into dataclasses whose ranges are checked at construction, ``validate`` holds
the rules that join several fields. Whatever is wrong ends in one ``InputError`` line that names
the key and the choices. Nothing here touches the working directory.
"""

import dataclasses
import difflib
import functools
import importlib.resources
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from agents.behaviour import ResponseParameters
from agents.errors import InputError
from agents.population import MembershipParameters
from envs.constraints import ConstraintParameters
from sim.offers import OfferBook
from sim.programme import ProgrammeParameters
from sim.scenario import SeasonParameters

Policy = Literal["no_offers", "random", "blanket", "rfm_rules", "triggers", "maskable_ppo"]

# Taken as written rather than parsed: paths and names may hold anything a shell lets through.
_VERBATIM = ("data.path", "name", "runs_dir")
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


# --------------------------------------------------------------------------------- schema


def _check(ok: bool, name: str, value: object, allowed: str) -> None:
    if not ok:
        raise InputError(f"{name}={value!r} must be {allowed}")


@dataclass(frozen=True)
class Columns:
    """Names of a log's columns."""

    customer: str = "customer"
    time: str = "time"
    amount: str = "amount"

    def __post_init__(self) -> None:
        names = dataclasses.astuple(self)
        _check(all(names), "columns", names, "non-empty names")
        _check(len(set(names)) == len(names), "columns", names, "three different names")


@dataclass(frozen=True)
class DataConfig:
    """A transaction log, and how to read it.

    ``sample`` 'published' is CDNOW's tenth that papers use; ``max_customers`` keeps the first so
    many customers by id (None: all). ``world`` is the world taken when none is chosen.
    """

    source: Literal["completejourney", "cdnow", "csv"]
    path: str | None
    columns: Columns
    time_zone: str
    currency: str
    sample: Literal["all", "published"]
    max_customers: int | None
    contactable: Literal["campaigns", "all"]
    origin: Literal["first_purchase", "log_start"]
    world: str

    def __post_init__(self) -> None:
        if self.max_customers is not None:
            _check(self.max_customers >= 2, "max_customers", self.max_customers, "at least 2")
        _check(
            re.fullmatch(r"[A-Z]{3}", self.currency) is not None,
            "currency",
            self.currency,
            "three capital letters",
        )
        try:
            ZoneInfo(self.time_zone)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            hint = _suggest(self.time_zone, available_timezones())
            raise InputError(f"time_zone={self.time_zone!r} is not a time zone{hint}") from None


@dataclass(frozen=True)
class CalibrationConfig:
    """How the posterior is fitted; 'auto' chooses by what the log shows."""

    method: Literal["map"]
    model: Literal["auto", "pareto_nbd", "drift"]
    spend: Literal["auto", "gamma_gamma", "lognormal_gamma"]
    draws: int

    def __post_init__(self) -> None:
        _check(1 <= self.draws <= 100_000, "draws", self.draws, "1 to 100,000")


@dataclass(frozen=True)
class WorldConfig:
    """Surroundings of the customers: what a sale earns, the season, who enrols and consents.

    ``close_account_probability`` is the share of leavers who close their account, which is all
    that a firm observes of leaving.
    """

    name: str
    contribution_margin: float
    close_account_probability: float
    season: SeasonParameters
    membership: MembershipParameters

    def __post_init__(self) -> None:
        margin = self.contribution_margin
        _check(0 < margin <= 1, "contribution_margin", margin, "above 0, at most 1")


@dataclass(frozen=True)
class TrainConfig:
    """MaskablePPO on ``environments`` customers side by side."""

    algorithm: Literal["maskable_ppo"]
    total_steps: int
    environments: int
    rollout_length: int
    batch_size: int
    epochs: int
    learning_rate: float
    ent_coef: float
    gamma: float
    gae_lambda: float
    clip_range: float
    network: tuple[int, ...]
    pool: int
    responses: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in (
            "total_steps",
            "environments",
            "rollout_length",
            "batch_size",
            "epochs",
            "pool",
        ):
            value = getattr(self, name)
            _check(value >= 1, name, value, "at least 1")
        _check(0 < self.learning_rate <= 1, "learning_rate", self.learning_rate, "above 0, to 1")
        _check(self.ent_coef >= 0, "ent_coef", self.ent_coef, "at least 0")
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            _check(0 <= value <= 1, name, value, "0 to 1")
        _check(0 < self.clip_range < 1, "clip_range", self.clip_range, "between 0 and 1")
        ok = len(self.network) > 0 and all(1 <= width <= 4096 for width in self.network)
        _check(ok, "network", self.network, "one or more widths of 1 to 4096")

    @property
    def rollout_size(self) -> int:
        """Customer-weeks between two updates."""
        return self.environments * self.rollout_length


@dataclass(frozen=True)
class EvaluateConfig:
    """Who is compared, on how many test customers, for how long."""

    customers: int
    warmup_weeks: int
    weeks: int
    confidence: float
    responses: tuple[str, ...]
    policies: tuple[Policy, ...]

    def __post_init__(self) -> None:
        _check(2 <= self.customers <= 10**8, "customers", self.customers, "2 to 100,000,000")
        _check(0 <= self.warmup_weeks <= 520, "warmup_weeks", self.warmup_weeks, "0 to 520")
        _check(1 <= self.weeks <= 520, "weeks", self.weeks, "1 to 520")
        _check(0.5 <= self.confidence < 1, "confidence", self.confidence, "at least .5, below 1")


@dataclass(frozen=True)
class DemoConfig:
    """The main job: one field a group of conf/demo.yaml, and where the outputs go."""

    name: str
    seed: int
    runs_dir: str
    threads: int
    data: DataConfig
    calibration: CalibrationConfig
    world: WorldConfig
    response: ResponseParameters
    programme: ProgrammeParameters
    offers: OfferBook
    constraints: ConstraintParameters
    train: TrainConfig
    evaluate: EvaluateConfig

    def __post_init__(self) -> None:
        ok = _RUN_NAME.fullmatch(self.name) is not None
        _check(ok, "name", self.name, "letters, digits, '.', '_' or '-' (64 at most)")
        _check(0 <= self.seed < 2**64, "seed", self.seed, "0 to 2**64 - 1")
        _check(0 <= self.threads <= 1024, "threads", self.threads, "0 (every core) to 1024")
        _check(self.runs_dir != "", "runs_dir", self.runs_dir, "a folder")


def validate(config: DemoConfig) -> None:
    """Rules that join several fields.

    Raises
    ------
    InputError
        In one line, naming the keys.
    """
    data, train, evaluate = config.data, config.train, config.evaluate
    if data.source == "csv" and not data.path:
        raise InputError("data.path is missing: give the log as data=/path/to.csv")
    if data.source != "csv" and data.path is not None:
        raise InputError(f"data.path is for data=csv; data={data.source} brings its own files")
    if data.sample == "published" and data.source != "cdnow":
        raise InputError("data.sample=published exists for data=cdnow only")
    if data.contactable == "campaigns" and data.source != "completejourney":
        raise InputError("data.contactable=campaigns exists for data=completejourney only")
    if train.batch_size > train.rollout_size:
        raise InputError(
            f"train.batch_size={train.batch_size} is above train.environments x "
            f"train.rollout_length = {train.rollout_size}"
        )
    if train.total_steps < train.rollout_size:
        raise InputError(
            f"train.total_steps={train.total_steps} is below one rollout of "
            f"train.environments x train.rollout_length = {train.rollout_size}"
        )
    known = options("response")
    for key, names in (
        ("train.responses", train.responses),
        ("evaluate.responses", evaluate.responses),
        ("evaluate.policies", evaluate.policies),
    ):
        if not names:
            raise InputError(f"{key} is empty: name at least one")
        if len(set(names)) < len(names):
            raise InputError(f"{key}={list(names)} names one twice")
        if key.endswith("responses"):
            for name in names:
                if name not in known:
                    raise InputError(_choice_message(key, name, known))
    if "no_offers" not in evaluate.policies:
        raise InputError("evaluate.policies must hold no_offers: the others are compared with it")


# ------------------------------------------------------------------------------ public entry


def compose_demo(overrides: Sequence[str] = ()) -> DemoConfig:
    """Compose conf/demo.yaml with overrides (``data=cdnow``, ``seed=3``, ``data=/path/to.csv``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: DemoConfig = build(DemoConfig, compose_mapping(overrides), "")
    validate(config)
    return config


def compose_mapping(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The composed configuration as plain dicts, lists and scalars, before types are checked."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    chosen, values, verbatim = _sort_overrides(overrides)
    config = _compose(chosen)
    if "world" not in {line.partition("=")[0] for line in chosen}:
        chosen.append(f"world='{config.data.world}'")
        config = _compose(chosen)
    known = _keys(OmegaConf.to_container(config, resolve=False))
    for key in (*(line.partition("=")[0] for line in values), *verbatim):
        if key not in known:
            raise InputError(_unknown_key(key, known))
    if values:
        config = _compose([*chosen, *values])
    try:
        for key, value in verbatim.items():
            OmegaConf.update(config, key, value)
        composed = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(_first_line(error)) from error
    return typing.cast(dict[str, Any], composed)


def load_option(group: str, name: str) -> Any:
    """One option of a group by itself, e.g. ``load_option("response", "null")``, built."""
    if name not in options(group):
        raise InputError(_choice_message(group, name, options(group)))
    mapping = compose_mapping([f"{group}={name}"])[group]
    return _convert(typing.get_type_hints(DemoConfig)[group], mapping, group)


def response_world(config: DemoConfig, name: str) -> ResponseParameters:
    """A response world by name; overrides of ``response`` hold for the one they were given to."""
    if config.response.name == name:
        return config.response
    world: ResponseParameters = load_option("response", name)
    return world


@functools.cache
def groups() -> tuple[str, ...]:
    """Names of the configuration's groups."""
    root = importlib.resources.files("conf")
    found = (item.name for item in root.iterdir() if item.is_dir() and item.name[0] not in "_.")
    return tuple(sorted(found))


@functools.cache
def options(group: str) -> tuple[str, ...]:
    """Options of a group: the files in its folder."""
    folder = importlib.resources.files("conf") / group
    found = (item.name for item in folder.iterdir())
    return tuple(sorted(name[:-5] for name in found if name.endswith(".yaml")))


# -------------------------------------------------------------- mappings to frozen dataclasses


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
        if key not in fields:
            here = {_join(path, name) for name in fields}
            raise InputError(_unknown_key(_join(path, str(key)), here))
    required = dataclasses.MISSING
    for name, field in fields.items():
        optional = field.default is not required or field.default_factory is not required
        if name not in value and not optional:
            raise InputError(f"{_join(path, name)} is missing")
    hints = typing.get_type_hints(cls)
    arguments = {
        key: _convert(hints[key], item, _join(path, str(key))) for key, item in value.items()
    }
    try:
        return cls(**arguments)
    except InputError as error:
        raise InputError(_join(path, str(error))) from error
    except ValueError as error:
        message = _first_line(error)
        named = re.match(r"[A-Za-z_.\[\]0-9]+=", message) is not None
        raise InputError(_join(path, message) if named or not path else f"{path}: {message}") from (
            error
        )


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or dataclasses.is_dataclass(value):
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, path)
    if origin is Literal:
        if value is None and "null" in arguments:
            return "null"
        if value not in arguments:
            raise InputError(_choice_message(path, value, arguments))
        return value
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path)
    if origin in (tuple, list, Sequence) or hint in (tuple, list):
        return _convert_sequence(origin, arguments, value, path)
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{path}={value!r}: expected a mapping")
        inner = arguments[1] if arguments else Any
        return {str(k): _convert(inner, item, _join(path, str(k))) for k, item in value.items()}
    return _convert_scalar(hint, value, path)


def _convert_union(arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and types.NoneType in arguments:
        return None
    others = [item for item in arguments if item is not types.NoneType]
    if len(others) == 1:
        return _convert(others[0], value, path)
    problems = []
    for item in others:
        try:
            return _convert(item, value, path)
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
        _convert(hint, item, f"{path}[{i}]")
        for i, (hint, item) in enumerate(zip(inner, value, strict=True))
    )
    return tuple(items)


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and number and float(value).is_integer():
        return int(value)
    if hint is float and number and math.isfinite(value):
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


# ------------------------------------------------------------------------ overrides and messages


def _sort_overrides(
    overrides: Sequence[str],
) -> tuple[list[str], list[str], dict[str, str | None]]:
    """Split into group choices, values (both in Hydra's grammar) and verbatim values."""
    chosen: list[str] = []
    values: list[str] = []
    verbatim: dict[str, str | None] = {}
    for text in overrides:
        key, equals, raw = text.partition("=")
        key = re.sub(r"\[(\d+)\]", r".\1", key.strip())
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
            raise InputError(f"cannot read the override {text!r}: write key=value, e.g. seed=3")
        raw = raw.strip()
        plain = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"" else raw
        if key in groups():
            if plain in options(key):
                chosen.append(f"{key}='{plain}'")
            elif key == "data" and _is_path(plain):
                chosen.append("data='csv'")
                verbatim["data.path"] = plain
            else:
                also = ", or the path of a .csv file" if key == "data" else ""
                raise InputError(_choice_message(key, plain, options(key)) + also)
        elif key in _VERBATIM:
            verbatim[key] = None if raw in ("", "null") else plain
        else:
            _check_syntax(text, key, raw)
            values.append(f"{key}={raw}")
    return chosen, values, verbatim


def _check_syntax(text: str, key: str, raw: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(f"{key}={raw}")
    except HydraException as error:
        raise InputError(f"cannot read the value in {text!r}: put it in quotes") from error
    if parsed.is_sweep_override():
        raise InputError(f"{text!r} gives several values; this command takes one")


def _is_path(value: str) -> bool:
    return "/" in value or "\\" in value or "." in value or Path(value).is_file()


def _compose(overrides: Sequence[str]) -> Any:
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_module("conf", version_base="1.3"):
            return compose("demo", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_first_line(error)) from error


def _keys(node: Any, path: str = "") -> set[str]:
    """Every key of a composed configuration, lists by index."""
    if isinstance(node, Mapping):
        pairs = [(str(key), item) for key, item in node.items()]
    elif isinstance(node, Sequence) and not isinstance(node, str | bytes):
        pairs = [(str(i), item) for i, item in enumerate(node)]
    else:
        return set()
    found = set()
    for key, item in pairs:
        here = _join(path, key)
        found |= {here} | _keys(item, here)
    return found


def _unknown_key(key: str, known: Iterable[str]) -> str:
    known = set(known)
    parent = key
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if parent in known:
            break
    else:
        parent = ""
    prefix = f"{parent}." if parent else ""
    siblings = sorted(
        name.removeprefix(prefix)
        for name in known
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    )
    listed = ", ".join(siblings) or "nothing: it is a value"
    where = f"{parent} has" if parent else "the keys are"
    return f"unknown key {key!r}{_suggest(key, known)}; {where} {listed}"


def _choice_message(key: str, value: object, choices: Iterable[object]) -> str:
    names = [str(choice) for choice in choices]
    return f"{key}={str(value)!r} is not known{_suggest(str(value), names)}; choose {_list(names)}"


def _suggest(value: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(value, sorted(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
