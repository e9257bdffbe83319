"""Which programme? A search over static designs, compared on customers that it never saw.

In a notebook: ``design("world=coffee_shop", "trials=50")``. The command writes the same to
``<runs_dir>/<name>/``; a search that is interrupted goes on where it was.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.files import write_atomic
from agents.rng import derive_seed
from experiments.config import DesignConfig, compose_design, load_option
from experiments.console import Progress
from experiments.kept_run import keep_logs, resumable
from experiments.run_directory import plain_json, write_json
from experiments.version import version
from experiments.worlds import build_world, draw_customers
from policies.design.static import (
    FoundDesign,
    SearchParameters,
    compare,
    effect_of_rules,
    search,
    terms_of,
)
from sim.metrics import Estimate
from sim.programme import ProgrammeParameters
from sim.world import World

if TYPE_CHECKING:
    from agents.records import Customers

FOUND = "found"
_TRIALS = "trials.log"
# What a run that goes on may ask for otherwise.
_MAY_CHANGE = ("trials", "episodes")


def design(*overrides: str, progress: Progress | None = None) -> dict[str, Any]:
    """Search and compare; writes nothing. Returns what summary.json holds.

    Parameters
    ----------
    overrides
        As on the command line, e.g. ``"world=coffee_shop"``, ``"trials=50"``.
    progress
        Shows how far it is; None shows nothing.

    Raises
    ------
    InputError
        For an unknown key or option, or a value out of range: one line.
    """
    return design_config(compose_design(overrides), progress)


def run_design(config: DesignConfig) -> dict[str, Any]:
    """Search, write summary.json, report.html and the programme found, and print the outcome.

    The programme is ``programme/<name>_found.yaml`` in the run's folder, which ``--config-dir``
    takes; ``redesign-<algorithm>/`` has log and TensorBoard of a designer's training. Trials and
    training are kept until all is done (``experiments.kept_run.resumable``).
    """
    from experiments.report.design import render_design, summary_text

    options = {"programme": config.presets, "response": config.responses}
    with (
        Progress() as progress,
        resumable(config, options, _MAY_CHANGE, progress.note) as (run, kept),
    ):
        summary = design_config(config, progress, kept)
        write_json(run.path / "summary.json", summary)
        (run.path / "report.html").write_text(render_design(summary), encoding="utf-8")
        folder = run.path / "programme"
        folder.mkdir()
        name = f"{config.name.replace('-', '_').replace('.', '_')}_found"
        write_atomic(folder / f"{name}.yaml", _yaml(summary["found"]["programme"], name, summary))
        keep_logs(kept, run.path)
    print(f"{summary_text(summary)}\nreport     {run.final}/report.html")
    print(f"programme  --config-dir {run.final} programme={name}")
    return summary


def design_config(
    config: DesignConfig, progress: Progress | None = None, kept: Path | None = None
) -> dict[str, Any]:
    """``design`` with a configuration that is composed already.

    Parameters
    ----------
    kept
        Folder in which trials and the training of a designer are kept, so that an interrupted run
        goes on; None keeps nothing.
    """
    import numba

    if config.threads:
        numba.set_num_threads(min(config.threads, numba.config.NUMBA_NUM_THREADS))
    posterior = config.world.population.posterior
    presets = {name: load_option("programme", name) for name in config.presets}
    worlds = tuple(build_world(config, posterior, name) for name in config.responses)
    show = progress or Progress()
    parameters = SearchParameters(config.trials, config.weeks, config.dead_band)
    with show.stage("Search", config.trials) as tick:
        found = search(
            worlds,
            presets,
            draw_customers(config, posterior, "train", config.search_customers),
            derive_seed(config.seed, "plan"),
            parameters,
            config.seed,
            None if kept is None else kept / _TRIALS,
            lambda best: tick(),
        )
    customers = draw_customers(config, posterior, "evaluate", config.customers)
    with show.stage("Compare on test customers", len(worlds)) as tick:
        compared = []
        for name, world in zip(config.responses, worlds, strict=True):
            compared.append(_compared(config, name, world, presets, found, customers))
            tick()
    summary = {
        "name": config.name,
        "version": version(),
        "world": config.world.name,
        "responses": list(config.responses),
        "weeks": config.weeks,
        "customers": config.customers,
        "search_customers": config.search_customers,
        "seed": config.seed,
        "trials": len(found.history),
        "best_by_trial": np.maximum.accumulate([one["gain"] for one in found.history]).tolist(),
        "presets": {name: dataclasses.asdict(one) for name, one in presets.items()},
        "found": {
            "start": found.start,
            "moves": found.moves,
            "gain_in_search": found.gain,
            "programme": dataclasses.asdict(found.programme),
            "rules": _changed_rules(presets[found.start], found.programme),
        },
        "compared": compared,
        "redesign": None,
    }
    if config.redesign != "none":
        from experiments.redesign import redesigned

        folder = None if kept is None else kept / f"redesign-{config.redesign}"
        programmes = {**presets, FOUND: found.programme}
        summary["redesign"] = redesigned(config, worlds, programmes, show, folder)
    plain: dict[str, Any] = plain_json(summary)
    return plain


def _compared(
    config: DesignConfig,
    response: str,
    world: World,
    presets: Mapping[str, ProgrammeParameters],
    found: FoundDesign,
    customers: "Customers",
) -> dict[str, Any]:
    """Gains above no programme, and the effect of each changed rule, in one response world."""
    key = derive_seed(config.seed, "evaluate")
    programmes = {**presets, FOUND: found.programme}
    gains = compare(world, programmes, customers, key, config.weeks)
    effects = effect_of_rules(
        world, presets[found.start], found.moves, customers, key, config.weeks
    )
    return {
        "response": response,
        "programmes": [_row("programme", name, one) for name, one in gains.items()],
        "rules": [_row("rule", name, one) for name, one in effects.items()],
    }


def _row(kind: str, name: str, estimate: Estimate) -> dict[str, Any]:
    return {kind: name, "gain": estimate.mean, "low": estimate.low, "high": estimate.high}


def _changed_rules(
    preset: ProgrammeParameters, programme: ProgrammeParameters
) -> list[dict[str, Any]]:
    """Each rule whose value differs: its name, value in the preset, value found."""
    before, after = terms_of(preset), terms_of(programme)
    return [
        {"rule": name, "before": before[name], "after": after[name]}
        for name in before
        if before[name] != after[name]
    ]


def _yaml(programme: Mapping[str, Any], name: str, summary: Mapping[str, Any]) -> str:
    from omegaconf import OmegaConf

    values = {**programme, "name": name}
    head = (
        f"# Found by `loyaltylab design` from {summary['found']['start']}: world="
        f"{summary['world']}, responses {', '.join(summary['responses'])}, {summary['weeks']} "
        f"weeks, seed {summary['seed']}.\n"
    )
    return head + OmegaConf.to_yaml(OmegaConf.create(values))
