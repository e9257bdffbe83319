"""The benchmark of policies under its frozen protocol: run what is missing, say what was found."""

import time
from pathlib import Path
from typing import Any

from agents.files import write_atomic
from experiments.bench.machine import describe, load_average
from experiments.benchmark.claims import claim_rows
from experiments.benchmark.markets import mark
from experiments.benchmark.page import page
from experiments.benchmark.protocol import (
    CLAIRVOYANT,
    CLAIRVOYANT_ROLLOUT,
    PROTOCOL,
    QUICK,
    Entry,
    Protocol,
)
from experiments.benchmark.results import Results
from experiments.benchmark.runner import Block, blocks, run_protocol
from experiments.benchmark.small_problem import SmallProblem, solve
from experiments.benchmark.small_runs import small_problem_shares
from experiments.benchmark.statistics import Interval
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

_SMALL_SECONDS, _QUICK_SECONDS = 60.0, 20.0
_LEARNERS = ("uplift", "lin_ucb", "lin_ts", "maskable_ppo", "rollout")
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
        learners = _QUICK_LEARNERS if quick else _LEARNERS
        with progress.stage("Small problem", len(learners) * len(protocol.seeds)) as tick:
            small = small_problem_shares(
                learners,
                protocol.seeds,
                _QUICK_SECONDS if quick else _SMALL_SECONDS,
                home / "small_problem",
                workers,
                tick,
            )
    summary = summarise(protocol, home, small) | {
        "quick": quick,
        "hours": (time.monotonic() - begun) / 3600,
        **describe(),
        "load_average_before": load,
    }
    if write is not None:
        write_atomic(write, page(summary))
    return summary


def summarise(protocol: Protocol, home: Path, small: dict[str, Interval]) -> dict[str, Any]:
    """Everything that the cells on disk say."""
    table = Table(Results(home / "cells", protocol, mark(protocol)))
    optimum = solve(SmallProblem())
    entries = protocol.entries
    rollouts = [entry for entry in entries if entry.policy == "rollout"]
    informed = [entry for entry in entries if entry.regime == "informed"]
    nulls = [
        use
        for entry in informed
        if entry.policy == "rollout" and (use := null_budget_use(table, entry)) is not None
    ]
    longest = max(
        rollouts,
        key=lambda entry: (entry.regime == "informed", entry.minutes),
        default=Entry("rollout", "informed"),
    )
    return {
        "protocol_version": protocol.version,
        "protocol_digest": protocol.digest,
        "cells": len(protocol.cells),
        "cells_run": sum(
            all(entry.name in known for entry in entries) for known in table.known.values()
        ),
        "rows": market_rows(table, [*entries, CLAIRVOYANT_ROLLOUT, CLAIRVOYANT], CLAIRVOYANT),
        "interquartile_mean": interquartile_rows(table, entries),
        "rollout_ahead": [
            {"rollout": entry.name, **row}
            for entry in rollouts
            for row in compared(table, entry, entries)
        ],
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
        "small_problem": {
            **{name: interval.value for name, interval in small.items()},
            "myopic": optimum.myopic_gain / optimum.gain,
        },
        "small_problem_intervals": {name: one._asdict() for name, one in small.items()},
        "clairvoyant": _left(table, longest),
        "misspecification": misspecification_rows(table),
        "trade_press_claims": claim_rows(table, longest),
    }


def _left(table: Table, entry: Entry) -> list[dict[str, Any]]:
    """The clairvoyant's gain as a share of the margin, and where it goes, as shares of that gain.

    ``share`` is what the entry reaches; ``information`` what the clairvoyant rollout reaches beyond
    it; ``learning`` what the clairvoyant, who learns nothing, reaches beyond that.
    """
    rows = []
    for market in table.markets:
        both = table.pairs(market, entry, CLAIRVOYANT)
        best = sum(theirs.gain for _, theirs in both)
        if not both or best <= 0:
            continue
        share = sum(mine.gain for mine, _ in both) / best
        seeing = table.pairs(market, CLAIRVOYANT_ROLLOUT, CLAIRVOYANT)
        seen = sum(mine.gain for mine, _ in seeing) / best if seeing else None
        rows.append(
            {
                **market._asdict(),
                "clairvoyant": best / sum(theirs.margin for _, theirs in both),
                "share": share,
                "information": None if seen is None else seen - share,
                "learning": None if seen is None else 1.0 - seen,
            }
        )
    return rows


def table(result: dict[str, Any]) -> str:
    """The page, which is readable as text."""
    return page(result)
