"""`loyaltylab bench constraints`: nothing is broken, and what is disabled is found."""

import pytest

from envs.constraints.names import Constraint
from experiments.bench.adversaries import ADVERSARIES
from experiments.bench.attacked import cohort, force_worst_case, limits
from experiments.bench.constraints import Size, attack, mutations

SMALL = Size(customers=300, weeks=6, mutant_customers=600, mutant_weeks=8)


@pytest.fixture(scope="module")
def attacked():
    world, customers = cohort("coffee_shop", SMALL.customers)
    force_worst_case(customers)
    return {
        (kind, adversary): attack(
            world, customers.take(slice(None)), adversary, constraints, SMALL.weeks
        )
        for kind, constraints in limits().items()
        for adversary in ADVERSARIES
    }


def test_no_adversary_breaks_a_hard_constraint(attacked):
    for key, (ledger, _) in attacked.items():
        assert ledger.total_violations == 0, key
        assert ledger.peak_reserved_share <= 1, key


def test_offers_cost_what_they_can(attacked):
    settled = sum(market.ledger.settled for _, market in attacked.values())
    released = sum(market.ledger.released for _, market in attacked.values())
    assert settled > 0.9 * (settled + released) > 0


def test_the_limits_are_reached(attacked):
    dearest, _ = attacked["strict", "dearest"]
    assert dearest.peak_reserved_share > 0.9
    assert any(ledger.entries["discount_exposure"].peak > 0.9 for ledger, _ in attacked.values())
    assert sum(entry.bound for entry in dearest.entries.values()) > 100


def test_a_constraint_whose_code_is_disabled_is_found_broken():
    found = mutations(SMALL)
    assert set(found) == {code.name.lower() for code in Constraint if code}
    assert all(times > 0 for times in found.values()), found
