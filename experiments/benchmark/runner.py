"""Run what is missing of a protocol: trainings and cells, on a core each, resumable.

A block is one world and seed: its trainings serve all of its cells. Blocks run side by side in
processes with one core each; what a block has finished is on disk and is not done again.
"""

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from envs.decision import Policy
from envs.task import OfferTask
from experiments.benchmark.cells import run_cell
from experiments.benchmark.markets import as_pareto_nbd, mark, responses_told, training_task
from experiments.benchmark.protocol import BEHAVIOUR, CLAIRVOYANT, Cell, Entry, Protocol
from experiments.benchmark.results import Results
from policies import catalogue
from policies.training_run import TrainingRun

_MINUTE = 60.0


class Block(NamedTuple):
    """A world and a seed."""

    world: str
    seed: int


def blocks(protocol: Protocol) -> list[Block]:
    """Every block, seeds outermost."""
    return [Block(world, seed) for seed in protocol.seeds for world in protocol.worlds]


def cells_of(protocol: Protocol, block: Block) -> list[Cell]:
    """Cells of a block."""
    return [cell for cell in protocol.cells if (cell.world, cell.seed) == (block.world, block.seed)]


def trained(protocol: Protocol, folder: Path, cell: Cell, entry: Entry) -> Policy:
    """The policy of an entry: a rule, or what training gave; training goes on where it was left."""
    if entry.regime == "rule":
        return catalogue.build_policy(entry.policy, cell.seed)
    responses = responses_told(protocol, entry, cell.response)
    told = responses[0] if len(responses) == 1 else "all"
    wrong = entry.wrong == BEHAVIOUR
    label = f"{told}-{BEHAVIOUR}" if wrong else told
    change = as_pareto_nbd if wrong else lambda config: config
    task = training_task(protocol, cell.world, responses, cell.seed, change)
    name = f"{cell.world}-{label}-{cell.seed}-{entry.policy}-{entry.minutes:g}"
    return timed(entry.policy, task, cell.seed, folder / name, entry.minutes * _MINUTE)


def timed(policy: str, task: OfferTask, seed: int, folder: Path, seconds: float) -> Policy:
    """Train for so many seconds of this process; what is compiled first is not counted.

    Raises
    ------
    RuntimeError
        If not one iteration was finished in the time: such a policy says nothing of its learner.
    """
    catalogue.compile_for(policy, task, seed)
    with TrainingRun(folder, seconds=seconds, clock=time.process_time) as run:
        learned = catalogue.learn_in_time(policy, task, seed, run)
        if not run.history:
            raise RuntimeError(f"{policy}: no iteration within {seconds:g} s; give it more time")
    return learned


def run_block(
    protocol: Protocol,
    folder: Path,
    block: Block,
    entries: Iterable[Entry] | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Train and run what is missing of a block.

    Parameters
    ----------
    folder
        Cells go to its ``cells``, trainings to its ``trainings``.
    entries
        Those to run; None all of the protocol.
    tell
        Called with a line before each piece of work.
    """
    tell = tell or (lambda line: None)
    results = Results(folder / "cells", protocol, mark(protocol))
    wanted = list(protocol.entries if entries is None else entries)
    shared: dict[tuple[Entry, tuple[str, ...]], Policy] = {}
    for cell in cells_of(protocol, block):
        policies: dict[Entry, Policy | None] = {}
        more = [*protocol.told_wrong(cell), *protocol.references(cell)] if entries is None else []
        for entry in results.missing(cell, [*wanted, *more]):
            if entry == CLAIRVOYANT:
                policies[entry] = None
                continue
            key = (entry, responses_told(protocol, entry, cell.response))
            if key not in shared:
                tell(f"{cell.name}: {entry.name}")
                shared[key] = trained(protocol, folder / "trainings", cell, entry)
            policies[entry] = shared[key]
        if policies:
            tell(f"{cell.name}: run")
            results.add(cell, run_cell(protocol, cell, policies))


def run_protocol(
    protocol: Protocol,
    folder: Path,
    workers: int,
    tell: Callable[[Block], None],
    entries: Iterable[Entry] | None = None,
    deadline: float = math.inf,
) -> bool:
    """Run every block; True when nothing is missing.

    Parameters
    ----------
    workers
        Processes side by side, one core each.
    tell
        Called with each finished block.
    deadline
        ``time.monotonic`` after which no further block begins.
    """
    Results(folder / "cells", protocol, mark(protocol))
    left = blocks(protocol)
    context = multiprocessing.get_context("spawn")
    done = 0
    with ProcessPoolExecutor(workers, context, initializer=alone) as pool:
        chosen = None if entries is None else list(entries)
        running = {
            pool.submit(_block_before, deadline, protocol, folder, block, chosen): block
            for block in left
        }
        for future in as_completed(running):
            if future.result():
                done += 1
                tell(running[future])
    return done == len(left)


def _block_before(
    deadline: float,
    protocol: Protocol,
    folder: Path,
    block: Block,
    entries: list[Entry] | None,
) -> bool:
    if time.monotonic() > deadline:
        return False
    run_block(protocol, folder, block, entries)
    return True


def alone() -> None:
    """One core for this process: the next that no other worker has taken."""
    import numba

    cores = sorted(os.sched_getaffinity(0))
    number = multiprocessing.current_process()._identity[0] - 1
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    numba.set_num_threads(1)
