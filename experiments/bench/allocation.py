"""Allocation against the integer optimum and the clock."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.allocation.knapsack import allocate
from envs.allocation.several import Budget, allocate_within
from experiments.bench.machine import describe, load_average, seconds
from experiments.bench.spread import Spread
from experiments.console import Progress

SIZES = (5, 20, 60, 150, 200, 300, 500)
CASES = 8  # of each kind and size
QUICK_SIZES, QUICK_CASES = (5, 60, 300), 2
MOST_SECONDS = 1.0  # of HiGHS for one case; its bound counts then, and flatters nobody
LARGE_CUSTOMERS, LARGE_ACTIONS, REPETITIONS = 1_000_000, 28, 5
WEEK = 11


class Case(NamedTuple):
    """One week to allocate; ``budgets`` as for ``allocate_within``."""

    score: NDArray[np.float64]
    commitment: NDArray[np.int64]
    mask: NDArray[np.bool_]
    budgets: tuple[Budget, ...]


def _independent(rng: np.random.Generator, cost: NDArray[Any], n: int) -> NDArray[np.float64]:
    return rng.normal(300, 500, (n, len(cost)))


def _near_cost(rng: np.random.Generator, cost: NDArray[Any], n: int) -> NDArray[np.float64]:
    return cost + rng.normal(0, 100, (n, len(cost)))


def _concave(rng: np.random.Generator, cost: NDArray[Any], n: int) -> NDArray[np.float64]:
    return rng.lognormal(0, 1, (n, 1)) * np.sqrt(cost)


def _equal_ratios(rng: np.random.Generator, cost: NDArray[Any], n: int) -> NDArray[np.float64]:
    return 2.0 * cost + np.zeros((n, 1))


def _one_huge_item(rng: np.random.Generator, cost: NDArray[Any], n: int) -> NDArray[np.float64]:
    score = rng.uniform(0, 10, (n, len(cost)))
    score[rng.integers(n), -1] = 1e9
    return score


def _mostly_negative(rng: np.random.Generator, cost: NDArray[Any], n: int) -> NDArray[np.float64]:
    return rng.normal(-300, 200, (n, len(cost)))


KINDS: dict[str, Callable[[np.random.Generator, NDArray[Any], int], NDArray[np.float64]]] = {
    "independent": _independent,
    "near cost": _near_cost,
    "concave": _concave,
    "equal ratios": _equal_ratios,
    "one huge item": _one_huge_item,
    "mostly negative": _mostly_negative,
}


def random_case(kind: str, n: int, rng: np.random.Generator, parts: int = 0) -> Case:
    """A problem of this kind, with so many budgets besides the whole one; some costs are zero and
    one budget in ten is.
    """
    n_actions = int(rng.choice([2, 5, 12, 28]))
    cost = rng.integers(1, 2000, n_actions)
    score = KINDS[kind](rng, cost, n)
    cost = np.where(rng.random(n_actions) < 0.05, 0, cost)
    cost[0] = 0
    mask = rng.random(score.shape) < 0.85
    mask[:, 0] = True
    share = rng.choice([0.0, 0.01, 0.05, 0.2, 0.5], p=[0.1, 0.2, 0.3, 0.3, 0.1])
    whole = int(cost.max()) * n
    budgets = [Budget(int(whole * share))]
    for _ in range(parts):
        draws = rng.random(n_actions) < 0.4
        budgets.append(Budget(int(whole * share * rng.uniform(0.1, 0.6)), draws))
    return Case(score, cost, mask, tuple(budgets))


def best_possible(case: Case) -> float:
    """The integer optimum by HiGHS, or its bound after ``MOST_SECONDS``."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    worth = case.mask & (case.score > 0)
    worth[:, 0] = False
    row, column = np.nonzero(worth)
    if row.size == 0:
        return 0.0
    cost = case.commitment[column].astype(float)
    limits = [cost if one.draws is None else cost * one.draws[column] for one in case.budgets]
    one_each = csr_array((np.ones(len(row)), (row, np.arange(len(row)))))
    with quiet():
        found = milp(
            -case.score[row, column],
            constraints=[
                LinearConstraint(one_each, -np.inf, 1),
                LinearConstraint(np.array(limits), -np.inf, [one.room for one in case.budgets]),
            ],
            integrality=np.ones(len(row)),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": 1e-6, "time_limit": MOST_SECONDS},
        )
    return -float(found.mip_dual_bound)


@contextmanager
def quiet() -> Iterator[None]:
    """HiGHS writes remarks to the process's own standard output: away with them."""
    sys.stdout.flush()
    kept = os.dup(1)
    away = os.open(os.devnull, os.O_WRONLY)
    os.dup2(away, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(away)


def bench_allocation(quick: bool = False) -> dict[str, Any]:
    """Gaps to the optimum by kind and size, overspent budgets, seconds for a million customers.

    Parameters
    ----------
    quick
        Fewer cases and a tenth of the customers; the result says so.
    """
    sizes, cases = (QUICK_SIZES, QUICK_CASES) if quick else (SIZES, CASES)
    customers = LARGE_CUSTOMERS // 10 if quick else LARGE_CUSTOMERS
    before = load_average()
    with Progress() as progress:
        one = gaps(progress, "One budget", sizes, cases, (0,))
        several = gaps(progress, "Several budgets", sizes, max(cases // 4, 1), (1, 2))
        with progress.stage(f"{customers:,} customers"):
            timed = large(customers)
    return {
        "worst_gap_to_exact": max(row["worst_gap"] for row in one),
        "overspends": sum(row["overspends"] for row in one + several),
        "million_customers_s": None if quick else timed["one_budget"].median,
        "cases": sum(row["cases"] for row in one),
        "rows": one,
        "several_budgets": {
            "worst_gap_to_exact": max(row["worst_gap"] for row in several),
            "cases": sum(row["cases"] for row in several),
            "rows": several,
            "million_customers_s": None if quick else timed["two_budgets"].median,
        },
        "spread": {name: [value.low, value.high] for name, value in timed.items()},
        "customers": customers,
        "actions": LARGE_ACTIONS,
        "quick": quick,
        "load_before": before,
        "machine": describe(),
    }


def gaps(
    progress: Progress, title: str, sizes: Sequence[int], cases: int, parts: Sequence[int]
) -> list[dict[str, Any]]:
    """One row per kind and number of customers: worst and mean gap, overspent budgets."""
    rows = []
    with progress.stage(title, len(KINDS) * len(sizes)) as tick:
        for kind in KINDS:
            for n in sizes:
                found = [
                    gap_of(random_case(kind, n, np.random.default_rng([n, at, part]), part))
                    for at in range(cases)
                    for part in parts
                ]
                gap = [one for one, _ in found]
                rows.append(
                    {
                        "kind": kind, "customers": n, "cases": len(found),
                        "worst_gap": max(gap), "mean_gap": float(np.mean(gap)),
                        "overspends": sum(over for _, over in found),
                    }
                )  # fmt: skip
                tick(1)
    return rows


def gap_of(case: Case) -> tuple[float, int]:
    """How far the total is below the optimum, as a share of it; number of budgets overspent."""
    n = len(case.score)
    ids = np.arange(n, dtype=np.uint64)
    action = allocate_within(case.score, case.commitment, case.mask, case.budgets, ids, WEEK).action
    spent = case.commitment[action]
    over = sum(
        int((spent if one.draws is None else spent * one.draws[action]).sum()) > (one.room or 0)
        for one in case.budgets
    )
    got = float(case.score[np.arange(n), action][action > 0].sum())
    best = best_possible(case)
    return (max(0.0, 1.0 - got / best) if best > 0 else 0.0), over


def large(customers: int) -> dict[str, Spread]:
    """Seconds for many customers: one budget, and a second one on a third of the actions."""
    rng = np.random.default_rng(3)
    score = rng.normal(0, 300, (customers, LARGE_ACTIONS))
    cost = rng.integers(10, 900, LARGE_ACTIONS)
    cost[0] = 0
    mask = rng.random(score.shape) < 0.9
    mask[:, 0] = True
    ids = np.arange(customers, dtype=np.uint64)
    room = 50 * customers
    draws = np.arange(LARGE_ACTIONS) % 3 == 1
    budgets = (Budget(room), Budget(room // 8, draws))
    one = [seconds(allocate, score, cost, mask, room, ids, WEEK) for _ in range(1 + REPETITIONS)]
    two = [seconds(allocate_within, score, cost, mask, budgets, ids, WEEK)]
    return {"one_budget": Spread.of(one[1:]), "two_budgets": Spread.of(two)}


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    from experiments.report.console_text import aligned

    rows = [["kind", "customers", "cases", "worst gap", "mean gap", "several budgets: worst"]]
    for one, more in zip(result["rows"], result["several_budgets"]["rows"], strict=True):
        rows.append(
            [one["kind"], str(one["customers"]), str(one["cases"]), f"{one['worst_gap']:.2e}",
             f"{one['mean_gap']:.2e}", f"{more['worst_gap']:.2e}"]
        )  # fmt: skip
    least, most = result["spread"]["one_budget"]
    lines = [
        *aligned(rows),
        "",
        f"worst gap to the integer optimum {result['worst_gap_to_exact']:.2e}, "
        f"budgets overspent: {result['overspends']}",
        f"{result['customers']:,} customers x {result['actions']} actions in {least:.2f} to "
        f"{most:.2f} s; with a second budget {result['spread']['two_budgets'][0]:.1f} s",
    ]
    return "\n".join(lines)
