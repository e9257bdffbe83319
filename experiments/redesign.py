"""A designer that learns to change the programme every quarter, beside those that never change."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.records import WEEKS_PER_QUARTER
from agents.rng import derive_seed
from envs.design.environment import ProgrammeDesignEnv
from envs.design.task import WARMUP_QUARTERS, DesignTask
from experiments.benchmark.statistics import over_seeds
from experiments.config import DesignConfig
from experiments.console import Progress
from experiments.training_task import told
from experiments.worlds import draw_customers
from policies.design.episodes import Act, Played, play, play_levers_alone, profits_beside
from policies.design.learned import DesignLearnerParameters, learn_design
from policies.design.static import terms_of
from policies.training_run import TrainingRun
from sim.programme import ProgrammeParameters
from sim.world import World

REDESIGNED, NOTHING, START = "redesigned", "no_programme", "start"


def redesigned(
    config: DesignConfig,
    worlds: tuple[World, ...],
    programmes: Mapping[str, ProgrammeParameters],
    show: Progress,
    folder: Path | None,
) -> dict[str, Any]:
    """Train a designer, and test it beside programmes that never change.

    Each test episode has customers and luck of its own, the same for all that are compared in it;
    response worlds take turns.

    Parameters
    ----------
    worlds
        Response worlds, as ``config.responses`` names them.
    programmes
        By name, to compare with; no programme and that of ``config`` are added.
    folder
        Where the training is kept; None keeps nothing.

    Returns
    -------
    dict
        What summary.json has as ``redesign``.

    Raises
    ------
    ValueError
        If ``config`` asks for no designer.
    """
    if config.redesign == "none":
        raise ValueError("redesign=none: choose 'ppo' or 'sac'")
    quarters = config.weeks // WEEKS_PER_QUARTER
    posterior = config.world.population.posterior
    task = DesignTask(
        worlds,
        draw_customers(config, posterior, "train", config.search_customers),
        weekly_budget=0.0,
        constraints=config.constraints,
        horizon=quarters - WARMUP_QUARTERS,  # so all live as long as the search looked ahead
        paired=True,
    )
    with (
        show.stage(f"Learn to redesign ({config.redesign})", 1.0) as tick,
        TrainingRun(folder, seconds=config.minutes * 60) as run,
    ):
        run.tell = told(tick, run.progress)
        parameters = DesignLearnerParameters(config.redesign, episodes=10_000_000)
        designer = learn_design(task, parameters, config.seed, run)
    beside = {NOTHING: ProgrammeParameters(), **programmes, START: config.programme}
    turns = [at % len(worlds) for at in range(config.episodes)]
    with show.stage("Compare on episodes of test customers", config.episodes) as tick:
        episodes = []
        first = int(derive_seed(config.seed, "evaluate"))
        for at, turn in enumerate(turns):
            # Cohort 0 is that of the comparison of static designs.
            cohort = draw_customers(config, posterior, "evaluate", config.customers, cohort=1 + at)
            test = dataclasses.replace(task, cohort=cohort, worlds=(worlds[turn],))
            episodes.append(_tested(test, designer.act, beside, first + at))
            tick()
    return {
        "algorithm": config.redesign,
        "start": config.programme.name,
        "minutes": config.minutes,
        "episodes_trained": len(designer.history),
        "kept_after": designer.kept_after,
        "quarters": quarters,
        "warmup_quarters": WARMUP_QUARTERS,
        "responses": [config.responses[turn] for turn in turns],
        **_over_all(episodes, config.programme, list(programmes)),
    }


@dataclass(frozen=True)
class _Tested:
    """One episode: the designer's moves, each lever's alone, and the programmes beside."""

    played: Played
    levers: dict[str, Played]
    profits: dict[str, float]


def _tested(
    test: DesignTask, act: Act, programmes: Mapping[str, ProgrammeParameters], seed: int
) -> _Tested:
    env = ProgrammeDesignEnv(test)
    played = play(env, act, seed)
    levers = play_levers_alone(env, played, seed)
    return _Tested(played, levers, profits_beside(env, programmes, seed))


def _over_all(
    episodes: Sequence[_Tested], start: ProgrammeParameters, programmes: Sequence[str]
) -> dict[str, Any]:
    lifts = np.array([one.played.lift for one in episodes])
    released = np.array([one.played.released for one in episodes])
    profits = {
        name: np.array([one.profits[name] for one in episodes])
        for name in (NOTHING, START, *programmes)
    }
    own = profits[START] + lifts
    rows = [_row("programme", REDESIGNED, own - profits[NOTHING])]
    for name in programmes:
        row = _row("programme", name, profits[name] - profits[NOTHING])
        row["ahead"] = _row("programme", REDESIGNED, own - profits[name])
        rows.append(row)
    first = terms_of(start)
    last = [terms_of(one.played.programme) for one in episodes]
    levers = []
    for lever in dict.fromkeys(lever for one in episodes for lever in one.levers):
        alone = [one.levers.get(lever) for one in episodes]  # None: not moved, so nothing changed
        lift = np.array([0.0 if one is None else one.lift for one in alone])
        part = np.array([0.0 if one is None else one.released for one in alone])
        terms = {"before": first[lever], "after": float(np.mean([one[lever] for one in last]))}
        levers.append(_row("rule", lever, lift) | {"released": float(part.mean())} | terms)
    return {
        "lifts": lifts.tolist(),
        "released": released.tolist(),
        "programmes": rows,
        "rules": levers,
    }


def _row(kind: str, name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Mean with a 95 % t interval over episodes."""
    found = over_seeds(values)
    return {kind: name, "gain": found.value, "low": found.low, "high": found.high}
