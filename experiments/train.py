"""A training by itself: one learner, one task, a folder to go on from, a test."""

import math
import time
from collections.abc import Sequence
from typing import Any

from agents.rng import derive_seed
from experiments.config_schema import TrainingConfig
from experiments.console import Progress
from experiments.kept_run import open_run
from experiments.learners import learner_parameters
from experiments.run_directory import write_json
from experiments.training_task import Judge, told, training_task
from experiments.version import version
from policies.catalogue import compile_for, entry

# What another session of the same training may ask for.
_MAY_CHANGE = ("minutes", "customers", "confidence")


def run_train(config: TrainingConfig) -> dict[str, Any]:
    """Train, or go on, and test; writes summary.json beside log and checkpoint.

    Returns
    -------
    dict
        Policy, world, settings, steps and seconds of training, and ``test``: lift per customer
        with interval, contacts, cost, violations; None without test customers.
    """
    import numba

    from policies.training_run import TrainingRun

    if config.threads:
        numba.set_num_threads(min(config.threads, numba.config.NUMBA_NUM_THREADS))
    parameters = learner_parameters(config)
    learn = entry(config.policy).learn()
    folder = open_run(config, _MAY_CHANGE)
    seconds = math.inf if config.minutes is None else 60.0 * config.minutes
    begun = time.perf_counter()
    with Progress() as progress:
        with progress.stage("Draw customers"):
            task = training_task(config)
        if math.isfinite(seconds):
            with progress.stage("Compile"):
                compile_for(config.policy, task, config.seed)
        with (
            progress.stage(f"Train {config.policy}", total=1.0) as tick,
            TrainingRun(folder, seconds) as run,
        ):
            total = getattr(parameters, "total_steps", math.inf)
            run.tell = told(tick, lambda: run.progress(run.history[-1]["step"] / total))
            seed = int(derive_seed(config.seed, "train")) % 2**31
            policy = learn(task, parameters, seed, run)
        test = None
        if config.customers:
            with progress.stage("Test on other customers"):
                lift, facts = Judge(config, "evaluate").lift(policy)
                test = {"lift": lift.mean, "ci_low": lift.low, "ci_high": lift.high, **facts}
    last = run.history[-1] if run.history else {}
    summary = {
        "version": version(),
        "name": config.name,
        "policy": policy.name,
        "world": config.world.name,
        "response": config.response.name,
        "responses": list(config.responses or (config.response.name,)),
        "seed": config.seed,
        "parameters": str(parameters),
        "steps": last.get("step", 0.0),
        "seconds_of_training": run.elapsed if not run.history else last["seconds"],
        "seconds": time.perf_counter() - begun,
        "test": test,
    }
    write_json(folder / "summary.json", summary)
    print(f"{_outcome(config, summary)}\nlog      {folder / 'log.parquet'}")
    return summary


def run_trains(overrides: Sequence[str]) -> list[dict[str, Any]]:
    """Train every combination of values ``key=a,b``, one after the other.

    Each has a folder of its own, ``<name>.<key>-<value>…``. All are composed, and so checked,
    before the first is trained.
    """
    from experiments.config import compose_train

    configs = [compose_train(lines) for lines in combinations(overrides)]
    return [run_train(config) for config in configs]


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Overrides of each run of a sweep, with its name."""
    import itertools

    from agents.errors import InputError

    swept: dict[str, list[str]] = {}
    fixed: list[str] = []
    name = "train"
    for text in overrides:
        key, _, raw = text.partition("=")
        values = _values(text)
        if key == "name":
            name = raw
        elif len(values) > 1:
            if len(set(values)) < len(values):
                raise InputError(f"{text!r} gives one value twice")
            swept[key] = values
        else:
            fixed.append(text)
    found = []
    for chosen in itertools.product(*swept.values()):
        pairs = list(zip(swept, chosen, strict=True))
        parts = [name, *(f"{key}-{value}" for key, value in pairs)]
        found.append([*fixed, *(f"{k}={v}" for k, v in pairs), f"name={'.'.join(parts)}"])
    return found


def _values(text: str) -> list[str]:
    """The values of a sweep ``key=a,b``; one for anything else, e.g. a list in brackets."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(text)
    except HydraException:
        return [text]  # refused with a message of its own when it is composed
    if not parsed.is_sweep_override():
        return [text]
    return [str(value) for value in parsed.sweep_string_iterator()]


def _outcome(config: TrainingConfig, summary: dict[str, Any]) -> str:
    text = (
        f"{summary['policy']} in {config.world.name}, response {config.response.name}: "
        f"{summary['steps']:,.0f} steps in {summary['seconds_of_training']:.0f} s"
    )
    test = summary["test"]
    if test is None:
        return text
    return text + (
        f"\nmargin per customer over {config.weeks} weeks against no offers: {test['lift']:+.3f} "
        f"({config.confidence:.0%} interval {test['ci_low']:+.3f} to {test['ci_high']:+.3f}), "
        f"{test['contacts_per_customer']:.1f} contacts, {test['violations']} rules broken"
    )
