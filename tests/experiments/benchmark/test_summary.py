"""Figures of a benchmark are those of its cells."""

import dataclasses

import numpy as np
import pytest

from experiments.benchmark.protocol import (
    CLAIRVOYANT,
    CLAIRVOYANT_ROLLOUT,
    PROTOCOL,
    Cell,
    Entry,
)
from experiments.benchmark.results import Outcome, Results
from experiments.benchmark.summary import (
    Table,
    clairvoyant_rows,
    compared,
    market_rows,
    mean_rows,
    non_inferiority_row,
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
                CLAIRVOYANT.name: OUTCOME._replace(gain=1.0 if works else 0.0),
            },
        )
    return Table(results)


def test_rows_have_mean_and_interval_over_seeds(table):
    rows = market_rows(table, [GOOD, BAD], CLAIRVOYANT)
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
    rows = mean_rows(table, [BAD, GOOD])
    assert [row["policy"] for row in rows] == ["good", "bad"]
    (ahead,) = compared(table, GOOD, [GOOD, BAD])
    assert ahead["value"] == pytest.approx(rows[0]["value"] - rows[1]["value"])
    assert ahead["ci_low"] > 0


def test_only_what_is_shown_to_be_no_worse_passes(table):
    good, bad = (non_inferiority_row(table, entry) for entry in (GOOD, BAD))
    assert (good["tested"], good["markets"]) == (4, [])
    assert (bad["tested"], len(bad["markets"])) == (4, 4)


def test_budget_use_in_null_markets_counts_the_worst(table):
    assert null_budget_use(table, GOOD) == 0.0
    for cell, known in table.known.items():
        if cell.programme == "tiered":
            known[BAD.name] = known[BAD.name]._replace(settled=1.0)
    assert null_budget_use(table, BAD) == pytest.approx(0.2)


def test_regret_is_against_the_best_in_each_market(table):
    first, second = regret_rows(table, [BAD, GOOD])
    assert (first["policy"], first["worst_regret"]) == ("good", 0.0)
    assert second["worst_regret"] == pytest.approx(0.02)
    assert second["mean_regret"] == pytest.approx((0.02 + 0.01) / 2)
    (alone,) = regret_rows(table, [BAD])  # no offers are a choice too
    assert alone["mean_regret"] == pytest.approx(0.01)


def test_a_mean_that_cuts_nothing_is_of_all_cells(table):
    (row,) = mean_rows(table, [GOOD], cut=0.0)
    assert row["value"] == pytest.approx(0.005)
    (ahead,) = compared(table, GOOD, [BAD], cut=0.0)
    assert ahead["value"] == pytest.approx(0.015)


def test_coverage_counts_what_is_there_and_who_did_nothing(table):
    rows = {(row["policy"], row["told_wrong"]): row for row in table.coverage()}
    cells = len(SMALL.cells)
    assert (rows["blanket", False]["runs"], rows["blanket", False]["done"]) == (cells, 0)
    told = rows["rollout", True]  # in tiered alone: the other response, and another behaviour
    assert (told["runs"], told["done"], told["regime"]) == (2 * 3 * 2, 0, "informed")
    cell = SMALL.cells[0]
    table.known[cell]["blanket:rule"] = OUTCOME
    table.known[cell]["random:rule"] = OUTCOME._replace(contacts=1.0)
    rows = {row["policy"]: row for row in table.coverage() if not row["told_wrong"]}
    assert (rows["blanket"]["done"], rows["blanket"]["idle"]) == (1, 1)
    assert (rows["random"]["done"], rows["random"]["idle"]) == (1, 0)


def test_violations_of_those_told_wrong_count(table):
    assert table.violations() == {"found": 12, "runs": 36}
    wrong = SMALL.told_wrong(Cell("grocery", "null", "tiered", 1))[0]
    table.known[SMALL.cells[0]][wrong.name] = OUTCOME._replace(violations=5)
    assert table.violations() == {"found": 17, "runs": 37}


def test_the_clairvoyants_gain_is_split_without_rest(table):
    for cell, known in table.known.items():
        if cell.seed == 1:
            known[CLAIRVOYANT_ROLLOUT.name] = OUTCOME._replace(gain=0.7)
        if cell.seed == 2:  # the clairvoyant rollout is missing: no part of any sum
            known[CLAIRVOYANT.name] = OUTCOME._replace(gain=9.0)
        if cell.seed == 3:
            del known[CLAIRVOYANT.name]
    rows = {(row["response"], row["programme"]): row for row in clairvoyant_rows(table, GOOD)}
    assert len(rows) == 4
    row = rows["literature", "tiered"]
    assert row["clairvoyant"] == pytest.approx(0.02)
    assert row["share"] == pytest.approx(50 * 0.009 / 1.0)
    assert row["information"] == pytest.approx(0.7 - 0.45)
    assert row["learning"] == pytest.approx(0.3)
    nothing = rows["null", "tiered"]  # nothing to take a share of
    assert (nothing["clairvoyant"], nothing["share"], nothing["learning"]) == (0.0, None, None)


def test_an_entry_that_is_not_run_everywhere_has_no_aggregate(tmp_path):
    results = Results(tmp_path, SMALL)
    results.add(Cell("grocery", "null", "points", 1), {GOOD.name: OUTCOME})
    table = Table(results)
    assert mean_rows(table, [GOOD]) == []
    (row,) = market_rows(table, [GOOD], CLAIRVOYANT)
    assert (row["seeds"], row["ci_low"]) == (1, -np.inf)
    assert null_budget_use(table, BAD) is None


def test_an_idle_world_is_one_with_runs_that_contacted_nobody(tmp_path):
    """One world has been run and was idle, one was not idle in one run, one has no runs."""
    protocol = dataclasses.replace(SMALL, worlds=("grocery", "music_store", "coffee_shop"))
    entry = protocol.entries[0]
    results = Results(tmp_path, protocol)
    for cell in protocol.cells:
        if cell.world == "grocery":
            results.add(cell, {entry.name: OUTCOME})
        elif cell.world == "music_store":
            results.add(cell, {entry.name: OUTCOME._replace(contacts=float(cell.seed == 2))})
    row = Table(results).coverage()[0]
    assert (row["policy"], row["idle_worlds"]) == (entry.policy, ["grocery"])
    assert (row["runs"], row["done"], row["idle"]) == (36, 24, 12 + 8)
