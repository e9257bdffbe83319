"""Claims hold, fail or stay open by their intervals."""

import dataclasses

import pytest

from experiments.benchmark.claims import STATIC, claim_rows
from experiments.benchmark.protocol import PROTOCOL, Entry
from experiments.benchmark.results import Outcome, Results
from experiments.benchmark.summary import Table, misspecification_rows

SMALL = dataclasses.replace(
    PROTOCOL,
    version=0,
    worlds=("grocery",),
    responses=("literature", "optimistic"),
    programmes=("tiered",),
    seeds=(1, 2, 3),
)
MINE = Entry("rollout", "informed", 1.0)
OUTCOME = Outcome(
    margin=50.0, gain=1.0, error=0.1, settled=2.0, reserved=3.0, budget=10.0, violations=0,
    override_rate=0.0, contacts=4.0, alive=0.9, alive_without=0.9, offers_used=1.0, rewards=0.0,
    rewards_without=0.0, seconds=0.0,
)  # fmt: skip


def rows_of(tmp_path, mine, static=OUTCOME):
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        shift = 0.001 * cell.seed
        results.add(cell, {MINE.name: mine._replace(gain=mine.gain + shift), STATIC.name: static})
    return {
        row["claim"]: row
        for row in claim_rows(Table(results), MINE)
        if row["response"] == "literature"
    }


def test_a_claim_holds_only_with_its_whole_interval(tmp_path):
    rows = rows_of(tmp_path, OUTCOME._replace(gain=2.0, alive=0.95, offers_used=2.0))
    assert rows["ROI +15-40 %"]["value"] == pytest.approx(0.5, abs=0.002)
    assert rows["ROI +15-40 %"]["holds"] == "yes"
    assert rows["retention +15 %"]["value"] == pytest.approx(0.95 / 0.9 - 1)
    assert rows["retention +15 %"]["holds"] == "no"
    assert rows["redemption +40 %"]["value"] == pytest.approx(1.0)
    assert rows["redemption +40 %"]["holds"] == "yes"


def test_a_claim_is_open_where_its_interval_holds_what_is_promised(tmp_path):
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        mine = OUTCOME._replace(gain=1.0 + 0.2 * cell.seed)  # return 0.1 to 0.3 higher
        results.add(cell, {MINE.name: mine, STATIC.name: OUTCOME})
    (row,) = (
        row
        for row in claim_rows(Table(results), MINE)
        if row["response"] == "literature" and row["claim"].startswith("ROI")
    )
    assert row["value"] == pytest.approx(0.2)  # more than the 15 % that are promised
    assert row["ci_low"] < 0.15 < row["ci_high"]
    assert row["holds"] == "open"


def test_who_spends_nothing_has_no_return_on_it(tmp_path):
    rows = rows_of(tmp_path, OUTCOME._replace(settled=0.0, contacts=0.0))
    assert rows["ROI +15-40 %"]["holds"] == "undefined"
    assert rows["redemption +40 %"]["holds"] == "undefined"


def test_being_told_wrong_costs_the_difference_to_the_truth(tmp_path):
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        outcomes = {MINE.name: OUTCOME}
        for wrong in SMALL.told_wrong(cell):
            outcomes[wrong.name] = OUTCOME._replace(gain=0.5)
        results.add(cell, outcomes)
    rows = misspecification_rows(Table(results))
    told = {(row["response"], row["told"]) for row in rows}
    assert told == {
        ("literature", "optimistic"), ("literature", "behaviour"),
        ("optimistic", "literature"), ("optimistic", "behaviour"),
    }  # fmt: skip
    assert all(row["loss"] == pytest.approx(0.01) for row in rows)


def test_only_seeds_that_both_have_run_are_compared(tmp_path):
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        alive = 0.2 * cell.seed
        results.add(cell, {STATIC.name: OUTCOME._replace(alive=alive)})
        if cell.seed != 1:
            results.add(cell, {MINE.name: OUTCOME._replace(alive=alive)})
    rows = [row for row in claim_rows(Table(results), MINE) if row["claim"] == "retention +15 %"]
    assert all(row["value"] == 0.0 for row in rows)
