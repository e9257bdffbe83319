"""Can anything break a limit? Adversarial policies in every world, redemptions at their worst.

The ledger, which shares no code with the masks, looks for violations. The same search with one
constraint's code disabled must find some, or finding none would mean nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents.records import CHANNELS, Customers
from agents.rng import derive_seed
from envs.constraints.ledger import ViolationLedger
from envs.constraints.names import EVERY_CONSTRAINT, Constraint, all_but
from envs.constraints.parameters import (
    ConstraintParameters,
    ContactCap,
    DiscountExposure,
    LiabilityAlarm,
    OfferBudget,
    PriceSpread,
)
from envs.decision import GovernedPolicy
from experiments.bench.adversaries import ADVERSARIES
from experiments.bench.machine import describe
from experiments.config import compose_simulate, load_option, options
from experiments.worlds import build_world, draw_customers, population_of
from sim.market import LoyaltyMarket
from sim.world import World

_SEED = 0
_CLOSED, _OPTED_OUT = 0.02, 0.03  # shares of a cohort, so that these rules have whom to protect


@dataclass(frozen=True)
class Size:
    """Customers and weeks of one run, and of one mutation."""

    customers: int = 8192
    weeks: int = 21
    mutant_customers: int = 2048
    mutant_weeks: int = 10


QUICK = Size(customers=1024, weeks=8, mutant_customers=768, mutant_weeks=8)


def limits() -> dict[str, ConstraintParameters]:
    """Limits that are attacked: default and strict, and one where discounts are what is short."""
    strict = load_option("constraints", "strict")
    short = replace(
        strict,
        name="few_discounts",
        offer_budget=OfferBudget(500.0),
        discount_exposure=DiscountExposure(0.0002),
        price_spread=PriceSpread(0.30),
    )
    return {"default": load_option("constraints", "default"), "strict": strict, short.name: short}


def cohort(name: str, n: int) -> tuple[World, Customers]:
    """A world of conf/world, and customers of whom some have left and some have opted out."""
    config = compose_simulate([f"world={name}", f"customers={n}"])
    if "drinks" in config.world.categories:
        config = replace(config, offers=load_option("offers", "categories"))
    posterior = population_of(config)
    customers = draw_customers(config, posterior, "population", n)
    luck = np.random.default_rng(_SEED).random((n, 2))
    customers.account["closed"][luck[:, 0] < _CLOSED] = 1
    leavers = luck[:, 1] < _OPTED_OUT
    customers.account["consent"][leavers] = 0
    customers.profile["opted_out"][leavers] = (1 << len(CHANNELS)) - 1
    return build_world(config, posterior, config.response.name), customers


def force_worst_case(customers: Customers) -> None:
    """Everybody opens, means to redeem, comes often and fills large baskets: offers cost their
    cap.
    """
    traits = customers.traits
    traits["openness"] = 1.0
    traits["redemption"] = 50.0
    traits["log_rate"] = 2.0
    traits["spend_mean"] = 50_000.0


def attack(
    world: World,
    customers: Customers,
    adversary: str,
    constraints: ConstraintParameters,
    weeks: int,
    enforced: int = EVERY_CONSTRAINT,
) -> tuple[ViolationLedger, LoyaltyMarket]:
    """One adversary in one market; the ledger and the market when it is over."""
    policy = ADVERSARIES[adversary](world.table, _SEED)
    governed = GovernedPolicy(policy, constraints, customers.n, enforced)
    key = derive_seed(_SEED, "evaluate")
    market = LoyaltyMarket(world, customers, key, decider=governed)
    for _ in range(weeks):
        market.step()
        assert governed.last is not None
        assert governed.audit is not None
        policy.told(governed.last, governed.audit)
    market.finish()
    assert governed.audit is not None
    return governed.audit, market


def bench_constraints(
    size: Size | None = None, tell: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Attack every world with every adversary under each set of limits, then the mutations.

    Returns
    -------
    dict
        ``decisions``, ``violations``, ``max_budget_use`` (largest reserved share of the weekly
        limit), ``settled_share`` of what offers could cost, ``mutations`` by constraint.
    """
    size = size or Size()
    begun = time.perf_counter()
    decisions = settled = released = 0
    broken: dict[str, int] = {}
    peak: dict[str, float] = {}
    bound: dict[str, int] = {}
    budget_use = 0.0
    attacked_limits = limits()
    for name in options("world"):
        world, fresh = cohort(name, size.customers)
        force_worst_case(fresh)
        for kind, constraints in attacked_limits.items():
            for adversary in ADVERSARIES:
                customers = fresh.take(np.arange(fresh.n))
                ledger, market = attack(world, customers, adversary, constraints, size.weeks)
                decisions += fresh.n * size.weeks
                settled += market.ledger.settled
                released += market.ledger.released
                budget_use = max(budget_use, ledger.peak_reserved_share)
                for entry in ledger.entries.values():
                    broken[entry.name] = broken.get(entry.name, 0) + entry.violations
                    peak[entry.name] = max(peak.get(entry.name, 0.0), entry.peak or 0.0)
                    bound[entry.name] = bound.get(entry.name, 0) + entry.bound
                if tell is not None:
                    tell(f"{name}, {kind}, {adversary}: {ledger.total_violations} violations")
    attacked = time.perf_counter() - begun
    return {
        "decisions": decisions,
        "violations": sum(broken.values()),
        "max_budget_use": budget_use,
        "settled_share": settled / max(settled + released, 1),
        "violations_by_constraint": broken,
        "peak_use": {name: use for name, use in peak.items() if use > 0},
        "bound": bound,
        "worlds": list(options("world")),
        "policies": list(ADVERSARIES),
        "limits": list(attacked_limits),
        "mutations": mutations(size),
        "seconds": round(attacked, 1),
        "seconds_in_all": round(time.perf_counter() - begun, 1),
        "machine": describe(),
    }


def mutations(size: Size) -> dict[str, int]:
    """Violations found when one constraint's code is disabled, by constraint; each above 0."""
    found = {}
    for constraint, constraints in _mutants().items():
        world, customers = cohort("grocery", size.mutant_customers)
        ledger, _ = attack(
            world, customers, "random", constraints, size.mutant_weeks, all_but(constraint)
        )
        name = constraint.name.lower()
        found[name] = ledger.violations[name]
    return found


def _mutants() -> dict[Constraint, ConstraintParameters]:
    """Limits under which a missing constraint shows: no other one stands in for it."""
    found = dict.fromkeys((code for code in Constraint if code), ConstraintParameters())
    return found | {
        Constraint.CONTACT_CAP: ConstraintParameters(contact_cap=ContactCap(1, 4)),
        Constraint.QUIET_WEEKS: ConstraintParameters(quiet_weeks=4),
        Constraint.PRICE_SPREAD: ConstraintParameters(price_spread=PriceSpread(0.1)),
        Constraint.LIABILITY_ALARM: ConstraintParameters(
            liability_alarm=LiabilityAlarm(0.0, stops_bonus_points=True)
        ),
        Constraint.OFFER_BUDGET: ConstraintParameters(OfferBudget(10.0)),
        Constraint.DISCOUNT_EXPOSURE: ConstraintParameters(
            discount_exposure=DiscountExposure(0.001)
        ),
    }


def table(result: dict[str, Any]) -> str:
    """What a person reads."""
    lines = [
        f"{result['decisions']:,} decisions, {result['violations']:,} violations, "
        f"largest use of the offer budget {result['max_budget_use']:.3f}, "
        f"{result['settled_share']:.1%} of what was committed settled; {result['seconds']:.0f} s",
        "",
        f"{'constraint':<20}{'violations':>11}{'peak use':>10}{'bound':>12}{'if disabled':>13}",
    ]
    for name, violations in result["violations_by_constraint"].items():
        use = result["peak_use"].get(name)
        mutant = result["mutations"].get(name)
        lines.append(
            f"{name:<20}{violations:>11,}{'–' if use is None else f'{use:.3f}':>10}"
            f"{result['bound'][name]:>12,}{'–' if mutant is None else f'{mutant:,}':>13}"
        )
    return "\n".join(lines)
