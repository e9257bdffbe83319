"""Run a cell: every entry on the same test customers with the same luck, against no_offers."""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy

import numpy as np

from agents.rng import derive_seed
from envs.decision import Policy
from experiments.benchmark.markets import (
    believed_filter,
    config_of,
    evaluation_cohort,
    world_of,
)
from experiments.benchmark.protocol import Cell, Entry, Protocol
from experiments.benchmark.results import Outcome
from policies.clairvoyant import Clairvoyant
from policies.rollout.clairvoyant import govern
from sim.counterfactual import Branch, BranchRun, paired, run_branches
from sim.market import Decider
from sim.metrics import incremental_margin

_MINOR = 100.0


def run_cell(
    protocol: Protocol,
    cell: Cell,
    policies: Mapping[Entry, Policy | None],
    tell: Callable[[], None] | None = None,
) -> dict[str, Outcome]:
    """Outcomes by name of the entry.

    Entries may be run together or apart: they share customers and luck by address, so that which
    others run beside them changes no digit. Each gets a copy of its policy as it was trained; the
    clairvoyant has None and is made here.
    """
    config = config_of(protocol, cell)
    world = world_of(config)
    customers, friends, key = evaluation_cohort(protocol, config, world, protocol.customers)
    plan = derive_seed(cell.seed, "plan")
    governed = {
        entry.name: Clairvoyant(world, config.constraints, customers.n, plan)
        if policy is None
        else govern(deepcopy(policy), config.constraints, customers.n)
        for entry, policy in policies.items()
    }
    believed = {entry.name: believed_filter(config, entry) for entry in policies}
    begun = time.perf_counter()
    control, *treated = run_branches(
        [
            Branch("no_offers", world),
            *(
                Branch(name, world._replace(filter=believed[name]), one)
                for name, one in governed.items()
            ),
        ],
        customers,
        key,
        protocol.weeks,
        network=friends,
        tell=tell,
    )
    seconds = (time.perf_counter() - begun) / max(len(governed), 1)
    budget = protocol.weekly_budget * protocol.weeks
    return {
        run.branch.name: _outcome(run, control, decider, budget, seconds)
        for run, decider in zip(treated, governed.values(), strict=True)
    }


def _outcome(
    run: BranchRun, control: BranchRun, decider: Decider, budget: float, seconds: float
) -> Outcome:
    pair = paired(run, control)
    gain = incremental_margin(pair)["all"]
    lift = pair.lift("profit") / _MINOR
    audit = getattr(decider, "audit", None)
    return Outcome(
        margin=float(control.totals.profit.mean()) / _MINOR,
        gain=gain.mean,
        error=float(lift.std(ddof=1) / np.sqrt(lift.size)),
        settled=float(run.totals.settled.mean()) / _MINOR,
        reserved=float(run.totals.reserved.mean()) / _MINOR,
        budget=budget,
        violations=audit.total_violations if audit is not None else 0,
        override_rate=float(getattr(decider, "override_rate", 0.0)),
        contacts=float(run.totals.contacts.mean()),
        alive=float(run.totals.outcome("alive").mean()),
        alive_without=float(control.totals.outcome("alive").mean()),
        offers_used=float(run.totals.redeemed.mean()),
        rewards=float(run.totals.rewards.mean()),
        rewards_without=float(control.totals.rewards.mean()),
        seconds=seconds,
    )
