"""Can anything break a limit? Adversarial policies in every world, redemptions at their worst.

The ledger, which shares no code with the masks, looks for violations. The same search with one
constraint's code disabled must find some, or finding none would mean nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.records import Customers
from agents.rng import derive_seed
from envs.constraints.ledger import ViolationLedger
from envs.constraints.names import EVERY_CONSTRAINT, all_but
from envs.constraints.parameters import ConstraintParameters
from envs.decision import GovernedPolicy
from experiments.bench.adversaries import ADVERSARIES
from experiments.bench.attacked import SEED, cohort, force_worst_case, limits, mutants
from experiments.bench.environment_attacks import MODES, attacks, environment_mutations
from experiments.bench.machine import describe
from experiments.config import options
from sim.market import LoyaltyMarket
from sim.world import World


@dataclass(frozen=True)
class Size:
    """Customers and weeks of one run in a market, of one in the environment, of one mutation."""

    customers: int = 4096
    weeks: int = 21
    rows: int = 1024
    row_weeks: int = 28
    mutant_customers: int = 2048
    mutant_weeks: int = 10


QUICK = Size(512, 8, 128, 20, 768, 8)


def attack(
    world: World,
    customers: Customers,
    adversary: str,
    constraints: ConstraintParameters,
    weeks: int,
    enforced: int = EVERY_CONSTRAINT,
) -> tuple[ViolationLedger, LoyaltyMarket]:
    """One adversary in one market; the ledger and the market when it is over."""
    policy = ADVERSARIES[adversary](world.table, SEED)
    governed = GovernedPolicy(policy, constraints, customers.n, enforced)
    key = derive_seed(SEED, "evaluate")
    market = LoyaltyMarket(world, customers, key, decider=governed)
    for _ in range(weeks):
        market.step()
        assert governed.last is not None
        assert governed.audit is not None
        policy.told(governed.last, governed.audit)
    market.finish()
    assert governed.audit is not None
    return governed.audit, market


class _Tally:
    """Sums over runs of one path: decisions, use, violations by constraint."""

    def __init__(self) -> None:
        self.decisions = self.settled = self.released = 0
        self.budget_use = 0.0
        self.broken: dict[str, int] = {}
        self.peak: dict[str, float] = {}
        self.bound: dict[str, int] = {}

    def add(self, ledger: ViolationLedger, settled: int, released: int) -> None:
        self.decisions += ledger.n * ledger.weeks
        self.settled += settled
        self.released += released
        self.budget_use = max(self.budget_use, ledger.peak_reserved_share)
        for entry in ledger.entries.values():
            self.broken[entry.name] = self.broken.get(entry.name, 0) + entry.violations
            self.peak[entry.name] = max(self.peak.get(entry.name, 0.0), entry.peak or 0.0)
            self.bound[entry.name] = self.bound.get(entry.name, 0) + entry.bound

    def row(self) -> dict[str, Any]:
        return {
            "decisions": self.decisions,
            "violations": sum(self.broken.values()),
            "max_budget_use": self.budget_use,
            "settled_share": self.settled / max(self.settled + self.released, 1),
            "violations_by_constraint": self.broken,
            "peak_use": {name: use for name, use in self.peak.items() if use > 0},
        }


def bench_constraints(
    size: Size | None = None, tell: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Attack every world with every adversary under each set of limits, in markets and in the
    customer environment, then the mutations.

    Returns
    -------
    dict
        Over both paths ``decisions``, ``violations``, ``max_budget_use`` (largest reserved share
        of the weekly limit), ``settled_share`` of what offers could cost; the same of each in
        ``market`` and ``environment``; ``mutations`` by constraint, ``environment_mutations``.
    """
    size = size or Size()
    begun = time.perf_counter()
    both, markets, environments = _Tally(), _Tally(), _Tally()

    def note(what: str, path: _Tally, ledger: ViolationLedger, settled: int, released: int) -> None:
        for tally in (both, path):
            tally.add(ledger, settled, released)
        if tell is not None:
            tell(f"{what}: {ledger.total_violations} violations")

    for name in options("world"):
        world, fresh = cohort(name, size.customers)
        force_worst_case(fresh)
        for kind, constraints in limits().items():
            for adversary in ADVERSARIES:
                customers = fresh.take(np.arange(fresh.n))
                ledger, market = attack(world, customers, adversary, constraints, size.weeks)
                books = market.ledger
                what = f"market: {name}, {kind}, {adversary}"
                note(what, markets, ledger, books.settled, books.released)
    for what, watched in attacks(size.rows, size.row_weeks):
        note(what, environments, watched.ledger, watched.settled, watched.released)
    attacked = time.perf_counter() - begun
    return {
        **both.row(),
        "bound": both.bound,
        "market": markets.row(),
        "environment": environments.row(),
        "worlds": list(options("world")),
        "policies": list(ADVERSARIES),
        "limits": list(limits()),
        "autoreset_modes": [mode.value for mode in MODES],
        "mutations": mutations(size),
        "environment_mutations": environment_mutations(size.mutant_customers, size.mutant_weeks),
        "seconds": round(attacked, 1),
        "seconds_in_all": round(time.perf_counter() - begun, 1),
        "machine": describe(),
    }


def mutations(size: Size) -> dict[str, int]:
    """Violations found when one constraint's code is disabled, by constraint; each above 0."""
    found = {}
    for constraint, constraints in mutants().items():
        world, customers = cohort("grocery", size.mutant_customers)
        ledger, _ = attack(
            world, customers, "random", constraints, size.mutant_weeks, all_but(constraint)
        )
        name = constraint.name.lower()
        found[name] = ledger.violations[name]
    return found


def table(result: dict[str, Any]) -> str:
    """What a person reads."""
    lines = []
    for what, part in (
        ("in all", result),
        ("markets", result["market"]),
        ("environment", result["environment"]),
    ):
        lines.append(
            f"{what}: {part['decisions']:,} decisions, {part['violations']:,} violations, "
            f"largest use of the offer budget {part['max_budget_use']:.3f}, "
            f"{part['settled_share']:.1%} of what was committed settled"
        )
    lines += [
        f"{result['seconds']:.0f} s",
        "",
        f"{'constraint':<20}{'violations':>11}{'peak use':>10}{'bound':>12}{'if disabled':>13}"
        f"{'environment':>13}",
    ]
    for name, violations in result["violations_by_constraint"].items():
        use = result["peak_use"].get(name)
        mutants = [result[key].get(name) for key in ("mutations", "environment_mutations")]
        lines.append(
            f"{name:<20}{violations:>11,}{'–' if use is None else f'{use:.3f}':>10}"
            f"{result['bound'][name]:>12,}"
            + "".join(f"{'–' if found is None else f'{found:,}':>13}" for found in mutants)
        )
    return "\n".join(lines)
