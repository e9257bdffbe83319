"""The benchmark of policies under its frozen protocol: run what is missing, say what was found."""

import json
import time
from pathlib import Path
from typing import Any

from agents.errors import InputError
from agents.files import write_atomic
from experiments.bench.machine import describe, load_average
from experiments.benchmark.figure import ladder_figure
from experiments.benchmark.findings import findings
from experiments.benchmark.page import page
from experiments.benchmark.protocol import PROTOCOL, QUICK
from experiments.benchmark.results import Results, read_json
from experiments.benchmark.runner import Block, blocks, run_protocol
from experiments.benchmark.small_runs import known_code, known_shares, run_small_problem
from experiments.console import Progress

_RUN = "run.json"  # machine and hours of the last call that ran something
_SMALL_SECONDS, _QUICK_SECONDS = 60.0, 20.0
_LEARNERS = ("uplift", "lin_ucb", "lin_ts", "maskable_ppo", "price_ppo", "rollout")
_QUICK_LEARNERS = ("maskable_ppo", "rollout")


def bench_policies(
    quick: bool, folder: Path, workers: int, hours: float, write: Path | None = None
) -> dict[str, Any]:
    """Run what is missing, as far as the hours go, and summarise all that is there.

    Parameters
    ----------
    quick
        Fewer cells and shorter training: a look in ten minutes, and no protocol.
    folder
        Keeps cells and trainings between calls.
    workers
        Processes side by side, a core each.
    hours
        No further world and seed begins after them; 0 reads what is there, whatever code it is of.
    write
        Where the page goes, its figure in ``figures`` beside it; None writes none.

    Raises
    ------
    InputError
        If the folder holds results of another protocol or, where something is run, of other code;
        or if the page could not be written.
    """
    if write is not None and (write.is_dir() or not write.parent.is_dir()):
        raise InputError(f"--write {write}: a file in a folder that exists is asked for")
    protocol = QUICK if quick else PROTOCOL
    home = folder / f"protocol-{protocol.version}"
    learners = _QUICK_LEARNERS if quick else _LEARNERS
    small = (learners, protocol.seeds, _QUICK_SECONDS if quick else _SMALL_SECONDS)
    if hours > 0:
        run = {**describe(), "load_average_before": load_average()}
        begun = time.monotonic()
        deadline = begun + hours * 3600
        with Progress() as progress:
            with progress.stage("Worlds and seeds", len(blocks(protocol))) as tick:

                def done(block: Block) -> None:
                    tick()

                run_protocol(protocol, home, workers, done, deadline=deadline)
            with progress.stage("Small problem", len(learners) * len(protocol.seeds)) as tick:
                run_small_problem(*small, home / "small_problem", workers, tick, deadline)
        run["hours"] = (time.monotonic() - begun) / 3600
        write_atomic(home / _RUN, json.dumps(run))
    results = Results(home / "cells", protocol, reads=True)
    small_home = home / "small_problem"
    found = findings(results, known_shares(*small, small_home), known_code(small_home))
    found["quick"] = quick
    if (home / _RUN).exists():
        found |= read_json(home / _RUN)
    if write is not None:
        figure = write.parent / "figures" / f"{write.stem}.svg"
        figure.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(figure, ladder_figure(found))
        write_atomic(write, page(found, figure.relative_to(write.parent).as_posix()))
    return found


def table(result: dict[str, Any]) -> str:
    """The page, which is readable as text."""
    return page(result)
