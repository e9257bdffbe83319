"""Every policy on the same test customers, with the same luck, in every response world."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.calibration.posterior import Posterior
from agents.rng import derive_seed
from envs.decision import GovernedPolicy, Policy
from experiments.config import Config, DemoConfig
from experiments.worlds import build_world, draw_customers, warm_up
from policies import catalogue
from sim.counterfactual import Branch, PairedRun, paired, run_branches
from sim.metrics import deadweight, incremental_margin, purchase_lift, retention_lift, roi
from sim.uncertainty import variance_reduction


def make_policy(name: str, config: Config, learned: Policy) -> Policy:
    """A fresh policy by name; ``learned`` is the one served."""
    return learned if catalogue.entry(name).learned else catalogue.build_policy(name, config.seed)


def evaluate(
    config: DemoConfig,
    posterior: Posterior,
    learned: Policy,
    tell: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """One row per response world and policy; money in currency units.

    Test customers are drawn apart from training's. In each world they are warmed up once without
    offers; every policy then starts from that same state and meets the same luck, as does the
    branch without offers that all are compared with. A further such branch on independent luck
    tells what common luck saves; it costs one more market per response world.
    """
    rows = []
    plan = config.evaluate
    key = derive_seed(config.seed, "evaluate")
    for response in plan.responses:
        world = build_world(config, posterior, response)
        customers = draw_customers(config, posterior, "evaluate", plan.customers)
        friends = warm_up(world, customers, key, plan.warmup_weeks, tell).network
        governed = {
            name: GovernedPolicy(
                make_policy(name, config, learned), config.constraints, customers.n
            )
            for name in plan.policies
        }
        branches = (
            Branch("control", world),
            *(Branch(name, world, decider) for name, decider in governed.items()),
            Branch("independent control", world, replica=1),
        )
        control, *treated, independent = run_branches(
            branches, customers, key, plan.weeks, network=friends, tell=tell
        )
        alone = independent.totals.profit
        rows += [
            _row(config, run.branch.name, response, paired(run, control), decider, alone)
            for run, decider in zip(treated, governed.values(), strict=True)
        ]
    return rows


def evaluation_steps(config: DemoConfig) -> int:
    """Number of calls of ``tell``."""
    plan = config.evaluate
    return len(plan.responses) * (plan.warmup_weeks + plan.weeks)


def _row(
    config: DemoConfig,
    name: str,
    response: str,
    run: PairedRun,
    governed: GovernedPolicy,
    alone: NDArray[np.float64],
) -> dict[str, Any]:
    plan = config.evaluate
    n = run.group.size
    margin = incremental_margin(run, plan.confidence)["all"]
    retention = retention_lift(run, plan.confidence)["all"]
    purchases = purchase_lift(run, plan.confidence)["all"]
    weekly = config.constraints.offer_budget.weekly_limit(n)
    settled = int(run.treated.settled.sum())
    budget = None if weekly is None else weekly * plan.weeks / 100
    audit = governed.audit
    assert audit is not None
    saved = variance_reduction(run.treated.profit, run.control.profit, alone, plan.confidence)
    return {
        "policy": name,
        "response": response,
        "incremental_margin_per_customer": margin.mean,
        "ci_low": margin.low,
        "ci_high": margin.high,
        "cost": settled / 100,
        "reserved": int(run.treated.reserved.sum()) / 100,
        "budget": budget,
        "budget_use": settled / 100 / budget if budget else None,
        "peak_reserved_share": audit.peak_reserved_share if weekly else None,
        "violations": audit.total_violations,
        "violations_by_constraint": dict(audit.violations),
        "constraint_ledger": audit.rows(),
        "override_rate": governed.override_rate,
        "roi": roi(run)["all"],
        "retention_lift": retention.mean,
        "retention_low": retention.low,
        "retention_high": retention.high,
        "deadweight": deadweight(run)["all"],
        "contacts_per_customer": float(run.treated.contacts.mean()),
        "opt_outs": int(run.treated.opted_out.sum()),
        "purchase_lift": purchases.mean,
        "purchase_low": purchases.low,
        "purchase_high": purchases.high,
        "cumulative": (np.cumsum(run.weekly_lift) / 100).round(6).tolist(),
        "variance_reduction": saved.factor,
        "variance_reduction_low": saved.independent_low,
        "variance_reduction_high": saved.independent_high,
        "variance_reduction_different": saved.different_factor,
    }
