"""The allocation benchmark: its problems, its reference, its keys. No test asserts a time."""

import json

import numpy as np
import pytest

from envs.allocation.several import Budget
from experiments.bench import allocation
from experiments.bench.allocation import KINDS, Case, bench_allocation, best_possible, gap_of, table


def a_case(budget):
    score = np.array([[0.0, 10.0], [0.0, 13.0], [0.0, 1.0]])
    return Case(score, np.array([0, 5]), np.ones(score.shape, bool), (Budget(budget),))


def test_the_reference_is_the_optimum_of_a_problem_solved_by_hand():
    assert best_possible(a_case(10)) == pytest.approx(23.0)
    assert best_possible(a_case(0)) == pytest.approx(0.0)


def test_a_gap_and_an_overspent_budget_are_seen(monkeypatch):
    assert gap_of(a_case(10)) == (pytest.approx(0.0), 0)

    class Wrong:
        action = np.array([1, 0, 1])

    monkeypatch.setattr(allocation, "allocate_within", lambda *_: Wrong)
    gap, over = gap_of(a_case(10))
    assert gap == pytest.approx(1 - 11 / 23)
    assert over == 0
    assert gap_of(a_case(9))[1] == 1


def test_the_benchmark_measures_every_kind_and_prints_json(monkeypatch):
    monkeypatch.setattr(allocation, "QUICK_SIZES", (5, 12))
    monkeypatch.setattr(allocation, "LARGE_CUSTOMERS", 5_000)
    result = json.loads(json.dumps(bench_allocation(quick=True)))
    assert {"worst_gap_to_exact", "overspends", "million_customers_s"} <= result.keys()
    assert {row["kind"] for row in result["rows"]} == set(KINDS)
    assert result["overspends"] == 0
    assert result["worst_gap_to_exact"] < 1e-6
    assert result["quick"]
    assert "worst gap to the integer optimum" in table(result)
