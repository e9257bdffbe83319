"""Figures of a benchmark are those of its cells."""

import dataclasses

import numpy as np
import pytest

from experiments.benchmark.protocol import PROTOCOL, Cell, Entry
from experiments.benchmark.results import Outcome, Results
from experiments.benchmark.summary import (
    Table,
    compared,
    inferior_markets,
    interquartile_rows,
    market_rows,
    null_budget_use,
    regret_rows,
)

SMALL = dataclasses.replace(
    PROTOCOL,
    version=0,
    worlds=("grocery",),
    responses=("null", "literature"),
    programmes=("points", "tiered"),
    seeds=(1, 2, 3),
)
GOOD, BAD = Entry("good", "robust", 1.0), Entry("bad", "rule")
REFERENCE = Entry("clairvoyant", "reference")
OUTCOME = Outcome(
    margin=50.0, gain=0.0, error=0.1, settled=0.0, reserved=0.0, budget=10.0, violations=0,
    override_rate=0.0, contacts=0.0, alive=0.9, alive_without=0.9, offers_used=0.0, rewards=0.0,
    rewards_without=0.0, seconds=0.0,
)  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """GOOD gains 1 % (2 % for the clairvoyant), nothing in null; BAD loses 1 % and spends."""
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        works = cell.response != "null"
        noise = 0.001 * (cell.seed - 2)
        results.add(
            cell,
            {
                GOOD.name: OUTCOME._replace(gain=50 * (0.01 + noise) if works else 0.0),
                BAD.name: OUTCOME._replace(gain=-0.5, settled=2.0, violations=1),
                REFERENCE.name: OUTCOME._replace(gain=1.0 if works else 0.0),
            },
        )
    return Table(results)


def test_rows_have_mean_and_interval_over_seeds(table):
    rows = market_rows(table, [GOOD, BAD], REFERENCE)
    assert len(rows) == 8
    row = next(r for r in rows if r["policy"] == "good" and r["response"] == "literature")
    assert row["seeds"] == 3
    assert row["incremental_share"] == pytest.approx(0.01)
    half = 4.302652729911275 * 0.001 / np.sqrt(3)
    assert row["ci_high"] - row["incremental_share"] == pytest.approx(half)
    assert row["share_of_clairvoyant"] == pytest.approx(0.5)
    bad = next(r for r in rows if r["policy"] == "bad" and r["response"] == "null")
    assert bad["budget_settled"] == pytest.approx(0.2)
    assert bad["violations"] == 3
    assert bad["share_of_clairvoyant"] is None  # the clairvoyant gains nothing there either


def test_the_better_policy_comes_first_and_is_ahead_by_the_difference(table):
    rows = interquartile_rows(table, [BAD, GOOD])
    assert [row["policy"] for row in rows] == ["good", "bad"]
    (ahead,) = compared(table, GOOD, [GOOD, BAD])
    assert ahead["value"] == pytest.approx(rows[0]["value"] - rows[1]["value"])
    assert ahead["ci_low"] > 0


def test_only_what_is_shown_to_be_no_worse_passes(table):
    assert inferior_markets(table, GOOD) == []
    assert len(inferior_markets(table, BAD)) == 4


def test_budget_use_in_null_markets_counts_the_worst(table):
    assert null_budget_use(table, GOOD) == 0.0
    assert null_budget_use(table, BAD) == pytest.approx(0.2)


def test_regret_is_against_the_best_in_each_market(table):
    first, second = regret_rows(table, [BAD, GOOD])
    assert (first["policy"], first["worst_regret"]) == ("good", 0.0)
    assert second["worst_regret"] == pytest.approx(0.02)


def test_an_entry_that_is_not_run_everywhere_has_no_aggregate(tmp_path):
    results = Results(tmp_path, SMALL)
    results.add(Cell("grocery", "null", "points", 1), {GOOD.name: OUTCOME})
    table = Table(results)
    assert interquartile_rows(table, [GOOD]) == []
    (row,) = market_rows(table, [GOOD], REFERENCE)
    assert (row["seeds"], row["ci_low"]) == (1, -np.inf)
    assert null_budget_use(table, BAD) is None
