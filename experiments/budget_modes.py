"""What both modes of the offer budget reserve and settle: the same policy, customers and luck."""

import dataclasses
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from agents.calibration.posterior import Posterior
from agents.rng import derive_seed
from envs.constraints.parameters import OfferBudget
from envs.decision import GovernedPolicy, Policy
from experiments.config import DemoConfig
from experiments.worlds import build_world, draw_customers, warm_up
from sim.counterfactual import Branch, run_branches

MODES = get_args(get_type_hints(OfferBudget)["mode"])


def budget_modes_steps(config: DemoConfig) -> int:
    """Number of calls of ``tell``."""
    plan = config.evaluate
    limited = config.constraints.offer_budget.weekly_per_customer is not None
    return plan.warmup_weeks + plan.weeks if limited else 0


def budget_modes(
    config: DemoConfig,
    posterior: Posterior,
    policy: Policy,
    tell: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """One row a mode, money per week in currency units; none without a weekly budget.

    ``reserved`` is what the mode counts, ``committed`` what open and new offers could cost at
    most, ``settled`` what they did cost.
    """
    plan, constraints = config.evaluate, config.constraints
    weekly = constraints.offer_budget.weekly_limit(plan.customers)
    if not weekly:
        return []
    world = build_world(config, posterior, config.response.name)
    customers = draw_customers(config, posterior, "evaluate", plan.customers)
    key = derive_seed(config.seed, "evaluate")
    friends = warm_up(world, customers, key, plan.warmup_weeks, tell).network
    governed = {}
    for mode in MODES:
        budget = dataclasses.replace(constraints.offer_budget, mode=mode)
        limits = dataclasses.replace(constraints, offer_budget=budget)
        governed[mode] = GovernedPolicy(policy, limits, customers.n)
    branches = tuple(Branch(mode, world, decider) for mode, decider in governed.items())
    runs = run_branches(branches, customers, key, plan.weeks, network=friends, tell=tell)
    rows = []
    for run, (mode, decider) in zip(runs, governed.items(), strict=True):
        ledger = decider.audit
        assert ledger is not None
        entry = ledger.entries["offer_budget"]
        settled = run.frame["settled"]
        rows.append(
            {
                "mode": mode,
                "delta": constraints.offer_budget.delta if mode == "tail" else None,
                "limit": weekly / 100,
                "reserved_mean": (entry.mean or 0.0) * weekly / 100,
                "reserved_peak": (entry.peak or 0.0) * weekly / 100,
                "committed_mean": sum(ledger.committed) / max(len(ledger.committed), 1) / 100,
                "committed_peak": max(ledger.committed, default=0) / 100,
                "settled_mean": float(settled.mean()) / 100,
                "settled_peak": float(settled.max()) / 100,
                "weeks": len(settled),
                "weeks_above_limit": int((settled > weekly).sum()),
                "offers": int(run.frame["contacts"].sum()),
                "violations": ledger.total_violations,
            }
        )
    return rows
