"""A block is run once; what is on disk is not done again; the summary and page read it."""

import dataclasses

import numpy as np
import pytest

from experiments.benchmark import runner
from experiments.benchmark.findings import findings
from experiments.benchmark.markets import mark
from experiments.benchmark.page import page
from experiments.benchmark.protocol import PROTOCOL, Entry
from experiments.benchmark.results import Results
from experiments.benchmark.runner import Block, blocks, cells_of, run_block

TINY = dataclasses.replace(
    PROTOCOL,
    version=0,
    worlds=("music_store",),
    responses=("null", "optimistic"),
    programmes=("tiered",),
    seeds=(1, 2),
    customers=60,
    warmup_weeks=2,
    weeks=4,
    rules=("random", "blanket"),
    robust={"lin_ucb": (0.002,)},
    informed={"lin_ucb": (0.002,)},
    misspecified={},
    pool=40,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seed 1 run, seed 2 not."""
    home = tmp_path_factory.mktemp("benchmark")
    run_block(TINY, home, Block("music_store", 1))
    return home


def test_blocks_cover_every_cell_once():
    cells = [cell for block in blocks(PROTOCOL) for cell in cells_of(PROTOCOL, block)]
    assert sorted(cells) == sorted(PROTOCOL.cells)


def test_a_finished_block_is_not_run_again(folder, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("run again")

    monkeypatch.setattr(runner, "run_cell", refuse)
    monkeypatch.setattr(runner, "trained", refuse)
    run_block(TINY, folder, Block("music_store", 1))


def test_robust_policies_are_trained_once_informed_ones_for_each_response(folder):
    names = sorted(path.name for path in (folder / "trainings").iterdir())
    assert names == [
        "music_store-all-1-lin_ucb-0.002",
        "music_store-null-1-lin_ucb-0.002",
        "music_store-optimistic-1-lin_ucb-0.002",
    ]


def test_every_entry_of_a_cell_is_on_disk(folder):
    results = Results(folder / "cells", TINY, mark(TINY))
    for cell in cells_of(TINY, Block("music_store", 1)):
        assert results.missing(cell, TINY.entries) == []
        for outcome in results.known(cell).values():
            assert outcome.violations == 0
            assert np.isfinite(outcome.share)


def test_the_summary_has_the_keys_that_the_benchmark_promises(folder):
    summary = findings(Results(folder / "cells", TINY, reads=True), {"rollout": [0.8, 1.0]})
    assert {
        "protocol_version", "rows", "interquartile_mean", "null_informed_budget_use",
        "small_problem", "misspecification", "trade_press_claims",
    } <= set(summary)  # fmt: skip
    assert set(summary["rows"][0]) == {
        "world", "response", "programme", "policy", "regime", "train_minutes", "seeds",
        "incremental_share", "ci_low", "ci_high", "budget_settled", "violations",
        "override_rate", "share_of_clairvoyant",
    }  # fmt: skip
    mine = next(row for row in summary["coverage"] if row["policy"] == "blanket")
    assert (mine["done"], mine["runs"]) == (2, 4)
    assert summary["interquartile_mean"] == []  # seed 2 is missing everywhere
    text = page(summary | {"quick": False})
    assert "blanket: 2 of 4 runs" in text
    assert "lin_ucb (informed, 0.002 min)" in text


def test_told_wrong_entries_are_named_apart():
    assert Entry("rollout", "informed", 1.0, "literature").name == "rollout:informed@1<literature"
