"""Hydra's part: conf/*.yaml, plug-ins' files and overrides become one plain mapping.

The table of behaviour is registered with Hydra before every composition, as ``behaviour/response``
and ``behaviour/world``; files of conf/response and conf/world (and of plug-ins) start from it.
Nothing here touches the working directory.
"""

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.errors import InputError
from experiments import behaviour_table
from experiments.config_messages import (
    first_line,
    given_twice,
    join_key,
    unknown_choice,
    unknown_key,
)
from experiments.config_sources import chosen_by_default, groups, options, places, search_path

# Taken as written rather than parsed: paths and names may hold anything a shell lets through.
_VERBATIM = ("data.path", "data.world", "name", "runs_dir", "approvals", "posterior")


@dataclass
class _Overrides:
    """Overrides sorted by what they are: options of groups, values, and values as written."""

    options: dict[str, str] = field(default_factory=dict)
    values: list[str] = field(default_factory=list)
    verbatim: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Composition:
    """A composed configuration before types are checked.

    Attributes
    ----------
    mapping
        Plain dicts, lists and scalars.
    chosen
        The option of every group.
    """

    mapping: dict[str, Any]
    chosen: dict[str, str]


def compose(application: str, overrides: Sequence[str] = ()) -> Composition:
    """Compose conf/<application>.yaml with overrides.

    Raises
    ------
    InputError
        Unknown option or key, unreadable file, options' names that contradict their files.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    given = _sort(application, overrides)
    chosen = chosen_by_default(application) | given.options
    if "data" in chosen and "world" not in given.options:
        world = given.verbatim.get("data.world") or _hydra(f"data/{chosen['data']}").data.world
        if world not in options("world"):
            raise InputError(unknown_choice("data.world", world, options("world")))
        chosen["world"] = world
    config = _hydra(application, chosen)
    known = _keys(OmegaConf.to_container(config, resolve=False))
    for key in (*(line.partition("=")[0] for line in given.values), *given.verbatim):
        if key not in known:
            raise InputError(unknown_key(key, known))
    _check_names(config, chosen)
    if given.values:
        config = _hydra(application, chosen, given.values)
    try:
        for group in chosen:
            if group in _NAMED and "name" not in config[group]:
                OmegaConf.update(config, f"{group}.name", chosen[group], force_add=True)
        for key, value in given.verbatim.items():
            OmegaConf.update(config, key, value)
        mapping = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(first_line(error)) from error
    return Composition(typing.cast(dict[str, Any], mapping), chosen)


# Groups whose options carry their own name, which reports show.
_NAMED = ("constraints", "offers", "programme", "response", "world")


def _check_names(config: Any, chosen: Mapping[str, str]) -> None:
    """A file's name and the name inside must agree: one of them would lie in reports."""
    for group in _NAMED:
        option = chosen.get(group)
        inside = config[group].get("name", option) if option is not None else None
        if option is not None and str(inside) != option:
            where = places(group)[option].where
            raise InputError(
                f"{group}={option} of {where}: its name is {str(inside)!r}; "
                f"write name: {option} in the file"
            )


def _sort(application: str, overrides: Sequence[str]) -> _Overrides:
    found = _Overrides()
    known = groups(application)
    given: dict[str, str] = {}
    for text in overrides:
        key, equals, raw = text.partition("=")
        key = re.sub(r"\[(\d+)\]", r".\1", key.strip())
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
            raise InputError(f"cannot read the override {text!r}: write key=value, e.g. seed=3")
        raw = raw.strip()
        plain = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"" else raw
        _once(given, key, raw)
        if key in known:
            if plain in options(key):
                found.options[key] = plain
            elif key == "data" and _is_path(plain):
                _once(given, "data.path", raw)
                found.options["data"] = "csv"
                found.verbatim["data.path"] = plain
            else:
                also = ", or the path of a .csv file" if key == "data" else ""
                raise InputError(unknown_choice(key, plain, options(key)) + also)
        elif key == "response.name":
            raise InputError("response.name is the name of the file; choose one as response=…")
        elif key in _VERBATIM:
            found.verbatim[key] = None if raw in ("", "null") else plain
        else:
            _check_syntax(text, key, raw)
            found.values.append(f"{key}={raw}")
    return found


def _once(given: dict[str, str], key: str, raw: str) -> None:
    if key in given:
        raise InputError(given_twice(key, given[key], raw))
    given[key] = raw


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


def _hydra(name: str, chosen: Mapping[str, str] | None = None, values: Sequence[str] = ()) -> Any:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    for section in behaviour_table.SECTIONS:
        node = behaviour_table.defaults(section)
        ConfigStore.instance().store(section, node, group="behaviour", provider="loyaltylab")
    chosen = chosen or {}
    lines = [f"{group}={_quoted(option)}" for group, option in chosen.items()]
    beyond = search_path()
    if beyond:
        lines.append(f"hydra.searchpath=[{','.join(map(_quoted, beyond))}]")
    try:
        with initialize_config_module("conf", version_base="1.3"):
            return hydra_compose(name, overrides=[*lines, *values])
    except YAMLError as error:
        raise InputError(_unreadable(chosen)) from error
    except (HydraException, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise InputError(first_line(error)) from error


def _quoted(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def _unreadable(chosen: Mapping[str, str]) -> str:
    """Which of the chosen files is no YAML, and where."""
    import yaml
    from omegaconf import OmegaConf

    for group, option in chosen.items():
        source = places(group)[option]
        text = (source.root / group / f"{option}.yaml").read_text("utf-8")
        try:
            OmegaConf.create(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f" line {mark.line + 1}" if mark is not None else ""
            problem = getattr(error, "problem", None) or first_line(error)
            return f"{group}={option} of {source.where}:{line} is no YAML: {problem}"
    return "a file of the configuration is no YAML"


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
        here = join_key(path, key)
        found |= {here} | _keys(item, here)
    return found
