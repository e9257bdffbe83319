"""Configuration: conf/*.yaml and command-line overrides become frozen dataclasses, checked once.

``compose_demo(["data=cdnow", "seed=3"])`` and ``compose_simulate(["world=coffee_shop"])`` are the
ways in. Hydra composes the files (``config_compose``), ``build`` turns plain mappings into
dataclasses whose ranges are checked at construction (``config_builder``, ``config_schema``), and
the rules that join several fields are here. Whatever is wrong ends in one ``InputError`` line that
names the key and the choices.
"""

import contextlib
import dataclasses
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.errors import InputError
from agents.response import MECHANISMS, ResponseParameters
from envs.constraints.masks import limits_record
from experiments.approvals import approval_of
from experiments.config_builder import build, convert
from experiments.config_compose import Composition, compose
from experiments.config_messages import first_line, unknown_choice
from experiments.config_schema import (
    CalibrateConfig,
    Columns,
    Config,
    DataConfig,
    DemoConfig,
    DesignConfig,
    RecommendConfig,
    Rule,
    SensitivityConfig,
    SimulateConfig,
    TrainingConfig,
    TuneConfig,
    WorldConfig,
)
from experiments.config_sources import APPLICATIONS, groups, options, places
from experiments.learners import SPACES, learner_parameters
from policies.catalogue import LEARNED, RULES, check_arms
from sim.offers import action_table
from sim.programme import ProgrammeParameters
from sim.world import SURROUNDINGS

__all__ = [
    "CalibrateConfig",
    "Columns",
    "Config",
    "DemoConfig",
    "DesignConfig",
    "RecommendConfig",
    "SensitivityConfig",
    "SimulateConfig",
    "TrainingConfig",
    "TuneConfig",
    "WorldConfig",
    "build",
    "compose_calibrate",
    "compose_demo",
    "compose_design",
    "compose_mapping",
    "compose_recommend",
    "compose_sensitivity",
    "compose_simulate",
    "compose_train",
    "compose_tune",
    "groups",
    "load_option",
    "options",
    "other_side",
    "programme_against",
    "response_world",
    "validate",
]

_SCHEMA: dict[str, Any] = {
    "demo": DemoConfig,
    "simulate": SimulateConfig,
    "sensitivity": SensitivityConfig,
    "calibrate": CalibrateConfig,
    "train": TrainingConfig,
    "tune": TuneConfig,
    "design": DesignConfig,
    "recommend": RecommendConfig,
}


def compose_demo(overrides: Sequence[str] = ()) -> DemoConfig:
    """Compose conf/demo.yaml with overrides (``data=cdnow``, ``seed=3``, ``data=/path/to.csv``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: DemoConfig = _composed("demo", overrides)
    return config


def compose_calibrate(overrides: Sequence[str] = ()) -> CalibrateConfig:
    """Compose conf/calibrate.yaml with overrides (``data=cdnow``, ``inference=nuts``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: CalibrateConfig = _composed("calibrate", overrides)
    return config


def compose_simulate(overrides: Sequence[str] = ()) -> SimulateConfig:
    """Compose conf/simulate.yaml with overrides (``world=coffee_shop``, ``against=tiered``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range, ``arms`` without an experiment: one
        line.
    """
    config: SimulateConfig = _composed("simulate", overrides)
    if "experiment" not in (config.policy, config.against):
        for override in overrides:
            if override.startswith("arms="):
                raise InputError(f"{override}: only an experiment has arms; add policy=experiment")
    return config


def compose_sensitivity(overrides: Sequence[str] = ()) -> SensitivityConfig:
    """Compose conf/sensitivity.yaml with overrides (``world=boutique``, ``only=[membership]``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: SensitivityConfig = _composed("sensitivity", overrides)
    return config


def compose_design(overrides: Sequence[str] = ()) -> DesignConfig:
    """Compose conf/design.yaml with overrides (``world=coffee_shop``, ``trials=200``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: DesignConfig = _composed("design", overrides)
    return config


def compose_train(overrides: Sequence[str] = ()) -> TrainingConfig:
    """Compose conf/train.yaml with overrides (``policy=maskable_ppo``, ``minutes=10``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: TrainingConfig = _composed("train", overrides)
    return config


def compose_tune(overrides: Sequence[str] = ()) -> TuneConfig:
    """Compose conf/tune.yaml with overrides (``policy=maskable_ppo``, ``trials=40``).

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: TuneConfig = _composed("tune", overrides)
    return config


def compose_recommend(overrides: Sequence[str] = ()) -> RecommendConfig:
    """Compose conf/recommend.yaml with overrides (``world=coffee_shop``, ``budget=0.4``).

    ``budget`` is short for the offer budget per customer and week in currency units, as an
    experiment: a recommendation may ask about limits that nobody has approved.

    Raises
    ------
    InputError
        Unknown option or key, wrong type, value out of range: one line.
    """
    config: RecommendConfig = _composed("recommend", _with_budget(overrides))
    return config


def _with_budget(overrides: Sequence[str]) -> list[str]:
    found = []
    for text in overrides:
        key, _, raw = text.partition("=")
        if key.strip() != "budget":
            found.append(text)
            continue
        try:
            weekly = float(raw)
        except ValueError:
            raise InputError(f"budget={raw!r} must be a number") from None
        if not 0 <= weekly <= 1e4:
            raise InputError(f"budget={raw} must be 0 to 10,000 currency units")
        found.append(f"constraints.offer_budget.weekly_per_customer={100 * weekly:g}")
        found.append("constraints.approval=experiment")
    return found


def compose_mapping(overrides: Sequence[str] = (), application: str = "demo") -> dict[str, Any]:
    """The composed configuration as plain dicts, lists and scalars, before types are checked."""
    return compose(application, overrides).mapping


def load_option(group: str, name: str) -> Any:
    """One option of a group by itself, e.g. ``load_option("response", "null")``, built."""
    if name not in options(group):
        raise InputError(unknown_choice(group, name, options(group)))
    application = next(one for one in APPLICATIONS if group in groups(one))
    composition = compose(application, [f"{group}='{name}'"])
    hint = typing.get_type_hints(_SCHEMA[application])[group]
    with _blaming(composition):
        return convert(hint, composition.mapping[group], group)


def response_world(config: Config, name: str) -> ResponseParameters:
    """A response world by name; overrides of ``response`` hold for the one they were given to."""
    if config.response.name == name:
        return config.response
    world: ResponseParameters = load_option("response", name)
    return world


def programme_against(config: SimulateConfig) -> ProgrammeParameters | None:
    """The programme that ``against`` names, None where it names none."""
    if config.against not in options("programme"):
        return None
    programme: ProgrammeParameters = load_option("programme", config.against)
    return programme


def other_side(config: SimulateConfig) -> SimulateConfig | None:
    """What a simulation is compared with: the same under the programme or policy ``against``.

    A name that is both is the programme. None where there is nothing to compare with.
    """
    if config.against is None:
        return None
    programme = programme_against(config)
    if programme is not None:
        return dataclasses.replace(config, programme=programme)
    return dataclasses.replace(config, policy=typing.cast(Rule, config.against))


def validate(config: Config) -> None:
    """Rules that join several fields.

    Raises
    ------
    InputError
        In one line, naming the keys.
    """
    known = (*MECHANISMS, *SURROUNDINGS)
    for name in config.off:
        if name not in known:
            raise InputError(unknown_choice("off", name, known))
    try:
        action_table(config.offers, config.programme, config.world.categories)
    except ValueError as error:
        raise InputError(
            f"offers={config.offers.name} in world={config.world.name}: {first_line(error)}"
        ) from error
    try:
        limits_record(config.constraints, config.world.categories)
    except ValueError as error:
        raise InputError(f"constraints.{first_line(error)}") from error
    approval_of(config.constraints, config.approvals)
    if isinstance(config, DemoConfig):
        _validate_demo(config)
    elif isinstance(config, TrainingConfig):
        _validate_training(config)
    elif isinstance(config, SimulateConfig):
        _validate_simulate(config)
    elif isinstance(config, DesignConfig):
        _validate_design(config)
    else:
        _validate_recommend(config)


def _composed(application: str, overrides: Sequence[str]) -> Any:
    composition = compose(application, overrides)
    with _blaming(composition):
        config = build(_SCHEMA[application], composition.mapping, "")
    if isinstance(config, CalibrateConfig):
        _validate_data(config.data)
    else:
        validate(config)
    return config


@contextlib.contextmanager
def _blaming(composition: Composition) -> Iterator[None]:
    """Adds the place of a plug-in's file to what is wrong with a key of its group."""
    try:
        yield
    except InputError as error:
        for group, option in composition.chosen.items():
            source = places(group)[option]
            named = re.match(rf"(unknown key ')?{group}[.=:]", str(error)) is not None
            if named and source.search_path is not None:
                raise InputError(f"{error} ({group}={option} of {source.where})") from error
        raise


def _validate_data(data: DataConfig) -> None:
    if data.source == "csv" and not data.path:
        raise InputError("data.path is missing: give the log as data=/path/to.csv")
    if data.source != "csv" and data.path is not None:
        raise InputError(f"data.path is for data=csv; data={data.source} brings its own files")
    if data.source != "csv" and data.refunds != "refuse":
        raise InputError(f"data.refunds={data.refunds} is for data=csv; {data.source} has none")
    if data.sample == "published" and data.source != "cdnow":
        raise InputError("data.sample=published exists for data=cdnow only")
    if data.contactable == "campaigns" and data.source != "completejourney":
        raise InputError("data.contactable=campaigns exists for data=completejourney only")


def _validate_design(config: DesignConfig) -> None:
    for key, group in (("presets", "programme"), ("responses", "response")):
        for name in getattr(config, key):
            if name not in options(group):
                raise InputError(unknown_choice(key, name, options(group)))
    for name in config.presets:
        if not load_option("programme", name).active:
            raise InputError(f"presets={name}: it has no rules to search; leave it out")


def _validate_recommend(config: RecommendConfig) -> None:
    for key, known in (
        ("programmes", options("programme")),
        ("policies", (*RULES, *LEARNED)),
        ("responses", options("response")),
    ):
        for name in getattr(config, key):
            if name not in known:
                raise InputError(unknown_choice(key, name, known))


def _validate_demo(config: DemoConfig) -> None:
    train, evaluate = config.train, config.evaluate
    _validate_data(config.data)
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
        _check_names(key, names, known if key.endswith("responses") else names)
    if "no_offers" not in evaluate.policies:
        raise InputError("evaluate.policies must hold no_offers: the others are compared with it")


def _check_names(key: str, names: Sequence[str], known: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{key}={list(names)} names one twice")
    for name in names:
        if name not in known:
            raise InputError(unknown_choice(key, name, known))


def _check_posterior(config: SimulateConfig | TrainingConfig) -> None:
    if config.posterior is not None and not Path(config.posterior).is_file():
        raise InputError(f"posterior={config.posterior!r}: no such file")


def _validate_training(config: TrainingConfig) -> None:
    known = tuple(SPACES) if isinstance(config, TuneConfig) else LEARNED
    if config.policy not in known:
        raise InputError(unknown_choice("policy", config.policy, known))
    _check_posterior(config)
    _check_names("responses", config.responses, options("response"))
    learner_parameters(config)


def _validate_simulate(config: SimulateConfig) -> None:
    _check_posterior(config)
    try:
        check_arms(config.arms)
    except ValueError as error:
        raise InputError(first_line(error)) from error
    if config.against is not None:
        known = (*options("programme"), *typing.get_args(Rule))
        if config.against not in known:
            raise InputError(unknown_choice("against", config.against, known))
        other = other_side(config)
        assert other is not None
        if (other.programme, other.policy) == (config.programme, config.policy):
            what = "policy" if programme_against(config) is None else "programme"
            raise InputError(f"against={config.against} is the {what} itself: name another one")
    _validate_draws(config)


def _validate_draws(config: SimulateConfig) -> None:
    draws, replicas = config.draws, config.replicas
    if draws == 0:
        if replicas is not None:
            raise InputError(
                f"replicas={replicas} are runs of luck per posterior draw: give draws=20 too"
            )
        return
    if config.against is None:
        raise InputError(f"draws={draws} is for a difference: name what to compare with, against=…")
    if config.posterior is None:
        raise InputError(
            f"draws={draws} needs posterior=FILE, as `loyaltylab demo` leaves one: the parameters "
            f"of world={config.world.name} are single values without draws"
        )
    if draws < 2:
        raise InputError(f"draws={draws} must be 0, or 2 to 10,000: one draw shows no spread")
