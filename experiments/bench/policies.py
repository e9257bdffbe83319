"""The benchmark of policies under its frozen protocol: run what is missing, say what was found."""

import time
from pathlib import Path
from typing import Any

from agents.files import write_atomic
from agents.rng import derive_seed
from experiments.bench.machine import describe, load_average
from experiments.benchmark.claims import claim_rows
from experiments.benchmark.page import page
from experiments.benchmark.protocol import CLAIRVOYANT, PROTOCOL, QUICK, Cell, Entry, Protocol
from experiments.benchmark.results import Results
from experiments.benchmark.runner import Block, blocks, run_protocol
from experiments.benchmark.small_problem import SmallProblem, gain_of, optimal_gain, solve
from experiments.benchmark.summary import (
    Table,
    compared,
    inferior_markets,
    interquartile_rows,
    market_rows,
    misspecification_rows,
    null_budget_use,
    regret_rows,
)
from experiments.console import Progress
from policies.catalogue import learn_in_time
from policies.training_run import TrainingRun

_SMALL_CUSTOMERS, _SMALL_POOL, _SMALL_SECONDS = 20_000, 4000, 60.0
_QUICK_SECONDS = 20.0
_LEARNERS = ("uplift", "lin_ucb", "lin_ts", "maskable_ppo", "rollout")


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
        No further block begins after them.
    write
        Where the page goes; None writes none.
    """
    protocol = QUICK if quick else PROTOCOL
    home = folder / f"protocol-{protocol.version}"
    load = load_average()
    begun = time.monotonic()
    with Progress() as progress:
        with progress.stage("Worlds and seeds", len(blocks(protocol))) as tick:

            def done(block: Block) -> None:
                tick()

            run_protocol(protocol, home, workers, done, deadline=begun + hours * 3600)
        with progress.stage("Small problem", len(_LEARNERS)) as tick:
            small = _small_problem(home, _QUICK_SECONDS if quick else _SMALL_SECONDS, tick)
    summary = summarise(protocol, home, small) | {
        "quick": quick,
        "hours": (time.monotonic() - begun) / 3600,
        **describe(),
        "load_average_before": load,
    }
    if write is not None:
        write_atomic(write, page(summary))
    return summary


def summarise(protocol: Protocol, home: Path, small: dict[str, float]) -> dict[str, Any]:
    """Everything that the cells on disk say."""
    table = Table(Results(home / "cells", protocol))
    entries = protocol.entries
    ladder = interquartile_rows(table, entries)
    if ladder:
        best = _entry_of(ladder[0])
        behind = {_entry_of(row): row["value"] for row in compared(table, best, entries)}
        ladder = [{**row, "behind": behind.get(_entry_of(row))} for row in ladder]
    informed = [entry for entry in entries if entry.regime == "informed"]
    nulls = [
        use
        for entry in informed
        if entry.policy == "rollout" and (use := null_budget_use(table, entry)) is not None
    ]
    longest = max(
        (entry for entry in entries if entry.policy == "rollout"),
        key=lambda entry: (entry.regime == "informed", entry.minutes),
    )
    return {
        "protocol_version": protocol.version,
        "protocol_digest": protocol.digest,
        "cells": len(protocol.cells),
        "cells_run": sum(
            all(entry.name in known for entry in entries) for known in table.known.values()
        ),
        "rows": market_rows(table, [*entries, CLAIRVOYANT], CLAIRVOYANT),
        "interquartile_mean": ladder,
        "regret": regret_rows(table, entries),
        "non_inferiority": [
            {
                "policy": entry.policy,
                "regime": entry.regime,
                "train_minutes": entry.minutes,
                "tested": sum(bool(table.outcomes(market, entry)) for market in table.markets),
                "markets": sorted(inferior_markets(table, entry), key=lambda row: row["low"]),
            }
            for entry in entries
            if any(table.outcomes(market, entry) for market in table.markets)
        ],
        "null_informed_budget_use": max(nulls, default=None),
        "small_problem": small,
        "clairvoyant": _left(table, longest),
        "misspecification": misspecification_rows(table),
        "trade_press_claims": claim_rows(table, longest),
    }


def _entry_of(row: dict[str, Any]) -> Entry:
    return Entry(row["policy"], row["regime"], row["train_minutes"])


def _left(table: Table, entry: Entry) -> list[dict[str, Any]]:
    """The clairvoyant's gain as a share of the margin, and what the entry reaches of it."""
    rows = []
    for market in table.markets:
        cells = [table.known[Cell(*market, seed)] for seed in table.protocol.seeds]
        names = {CLAIRVOYANT.name, entry.name}
        both = [known for known in cells if known.keys() >= names]
        best = sum(known[CLAIRVOYANT.name].gain for known in both)
        if not both or best <= 0:
            continue
        rows.append(
            {
                **market._asdict(),
                "clairvoyant": best / sum(known[CLAIRVOYANT.name].margin for known in both),
                "share": sum(known[entry.name].gain for known in both) / best,
            }
        )
    return rows


def _small_problem(home: Path, seconds: float, tick: Any) -> dict[str, float]:
    """Share of the belief-optimal gain of each learner, on the same customers and luck."""
    problem = SmallProblem()
    optimum = solve(problem)
    customers = problem.customers(_SMALL_CUSTOMERS, 1, test=True)
    key = derive_seed(1, "evaluate")
    best = optimal_gain(problem, optimum, customers, key).mean()
    task = problem.task(_SMALL_POOL, 1)
    shares = {}
    for name in _LEARNERS:
        run = TrainingRun(home / "small_problem" / name, seconds=seconds, clock=time.process_time)
        policy = learn_in_time(name, task, 1, run)
        shares[name] = float(gain_of(problem, policy, customers, key).mean() / best)
        tick()
    return {**shares, "myopic": optimum.myopic_gain / optimum.gain}


def table(result: dict[str, Any]) -> str:
    """The page, which is readable as text."""
    return page(result)
