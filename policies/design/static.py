"""Static programmes: what each brings above no programme, and a search for a better one.

A design is a preset moved by the levers of ``envs.design.levers``, each once and as far as they
reach, so a search moves what an agent in ``ProgrammeDesign-v0`` moves. Every design meets the same
customers and the same luck, from the first week on.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.ranges import check_range
from agents.records import Customers
from envs.design.levers import Design, LeverParameters, Levers
from sim.counterfactual import Branch, paired, run_branches
from sim.metrics import Estimate, incremental_margin
from sim.offers import OfferBook
from sim.programme import ProgrammeParameters
from sim.world import World

_REACH = LeverParameters(step=3.0, multiplier_step=1.0, dead_band=0.0, reach=4.0)
_NOTHING = ProgrammeParameters()
_START = "start"


@dataclass(frozen=True)
class SearchParameters:
    """How a search goes.

    Parameters
    ----------
    trials
        Designs that are tried, the presets among them.
    weeks
        Horizon of each; long enough for points to be redeemed and tiers to be reached.
    dead_band
        Levers nearer to 0 than this stay where they are, so that a search may leave rules alone.
    """

    trials: int = 100
    weeks: int = 104
    dead_band: float = 0.15

    def __post_init__(self) -> None:
        check_range("trials", self.trials, 1, 100_000)
        check_range("weeks", self.weeks, 1, 520)
        check_range("dead_band", self.dead_band, 0.0, 0.9)


@dataclass(frozen=True)
class FoundDesign:
    """What a search found.

    Attributes
    ----------
    start
        Name of the preset it starts from.
    moves
        By lever, -1 to 1; what is not here was not moved.
    programme
        The programme.
    gain
        Above no programme, currency units per customer, on the search's own customers: the best of
        many, hence flattering. ``compare`` on other customers tells what it is worth.
    history
        One entry a trial: start, moves, gain.
    """

    start: str
    moves: dict[str, float]
    programme: ProgrammeParameters
    gain: float
    history: list[dict[str, Any]]


def designed(preset: ProgrammeParameters, moves: Mapping[str, float]) -> ProgrammeParameters:
    """A preset with levers moved, -1 to 1 each: a fourth to four times, a multiplier up to 1.

    Raises
    ------
    ValueError
        For a lever that the preset has not.
    """
    levers = levers_of(preset)
    unknown = set(moves) - set(levers.names)
    if unknown:
        raise ValueError(f"{preset.name} has no lever {sorted(unknown)}: {list(levers.names)}")
    action = np.array([moves.get(name, 0.0) for name in levers.names])
    return levers.move(action, levers.start).design.programme


def levers_of(preset: ProgrammeParameters) -> Levers:
    """Levers of a preset without offers."""
    return Levers(Design(preset, 0.0, ()), OfferBook(), _REACH)


def terms_of(programme: ProgrammeParameters) -> dict[str, float]:
    """Terms that levers can change, by the lever's name."""
    found = {"earn_rate": programme.points_per_unit}
    for tier in programme.tiers[1:]:
        found[f"threshold_{tier.name}"] = tier.threshold
        found[f"multiplier_{tier.name}"] = tier.multiplier
    for reward in programme.rewards:
        found[f"price_{reward.name}"] = float(reward.points_price)
    return found


def compare(
    world: World,
    programmes: Mapping[str, ProgrammeParameters],
    customers: Customers,
    key: np.uint64,
    weeks: int,
) -> dict[str, Estimate]:
    """Profit per customer of each programme above none, paired, currency units.

    The first week counts: points owed at the end are a cost already.

    Parameters
    ----------
    world
        Its own programme does not matter; no offers are made.
    programmes
        By name.
    customers
        At week 0; copied, not changed.
    key
        64-bit seed of the luck.
    weeks
        Horizon.
    """
    branches = [Branch("nothing", world._replace(programme=_NOTHING))]
    branches += [Branch(name, world._replace(programme=one)) for name, one in programmes.items()]
    control, *treated = run_branches(branches, customers, key, weeks)
    return {run.branch.name: incremental_margin(paired(run, control))["all"] for run in treated}


def effect_of_rules(
    world: World,
    preset: ProgrammeParameters,
    moves: Mapping[str, float],
    customers: Customers,
    key: np.uint64,
    weeks: int,
) -> dict[str, Estimate]:
    """What each changed rule brings by itself above the preset, paired, currency units."""
    if not moves:
        return {}
    branches = [Branch(preset.name, world._replace(programme=preset))]
    for name, value in moves.items():
        changed = designed(preset, {name: value})
        branches.append(Branch(name, world._replace(programme=changed)))
    control, *treated = run_branches(branches, customers, key, weeks)
    return {run.branch.name: incremental_margin(paired(run, control))["all"] for run in treated}


def search(
    worlds: tuple[World, ...],
    presets: Mapping[str, ProgrammeParameters],
    customers: Customers,
    key: np.uint64,
    parameters: SearchParameters,
    seed: int,
    storage: Path | None = None,
    tell: Callable[[float], None] | None = None,
) -> FoundDesign:
    """Search the designs around presets by tree-structured Parzen estimators (Optuna).

    Parameters
    ----------
    worlds
        Response worlds; a design's gain is the mean over them.
    presets
        Active programmes to start from, by name; each is tried as it is first.
    customers, key
        Training customers at week 0, and their luck: never those of a later comparison.
    seed
        Of the sampler.
    storage
        Journal of trials; an interrupted search goes on where it was. None keeps none.
    tell
        Called with the best gain after each trial.

    References
    ----------
    Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; Akiba et al. 2019, Optuna.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():  # ``group``: presets have levers of their own
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
    study = optuna.create_study(
        study_name="static designs",
        storage=None if storage is None else JournalStorage(JournalFileBackend(str(storage))),
        load_if_exists=True,
        direction="maximize",
        sampler=sampler,
    )
    names = list(presets)
    for trial in study.trials:
        if not trial.state.is_finished():  # a killed session was at it
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    done = [trial.params for trial in study.trials if trial.values]
    for name in names:
        still = {f"{name}.{lever}": 0.0 for lever in levers_of(presets[name]).names}
        if {_START: name, **still} not in done:
            study.enqueue_trial({_START: name, **still})

    def objective(trial: Any) -> float:
        name = trial.suggest_categorical(_START, names)
        moves = {
            lever: trial.suggest_float(f"{name}.{lever}", -1.0, 1.0)
            for lever in levers_of(presets[name]).names
        }
        programme = designed(presets[name], _moved(moves, parameters.dead_band))
        gains = [
            compare(world, {name: programme}, customers, key, parameters.weeks)[name].mean
            for world in worlds
        ]
        return float(np.mean(gains))

    def after(study: Any, trial: Any) -> None:
        if tell is not None:
            tell(study.best_value)

    if done:  # going on draws anew instead of repeating the beginning
        study.sampler.reseed_rng()
    left = max(parameters.trials - len(done), 0)
    study.optimize(objective, n_trials=left, callbacks=[after])
    history = [_entry(trial, parameters.dead_band) for trial in study.trials if trial.values]
    best = max(history, key=lambda entry: entry["gain"])
    return FoundDesign(
        best["start"],
        best["moves"],
        designed(presets[best["start"]], best["moves"]),
        best["gain"],
        history,
    )


def _moved(moves: Mapping[str, float], dead_band: float) -> dict[str, float]:
    return {name: value for name, value in moves.items() if abs(value) >= dead_band}


def _entry(trial: Any, dead_band: float) -> dict[str, Any]:
    name = trial.params[_START]
    moves = {
        key.removeprefix(f"{name}."): value
        for key, value in trial.params.items()
        if key.startswith(f"{name}.")
    }
    return {"start": name, "moves": _moved(moves, dead_band), "gain": float(trial.value)}
