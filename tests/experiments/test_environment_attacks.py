"""The adversaries of `loyaltylab bench constraints` in the customer environment."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.constraints.names import Constraint
from envs.constraints.parameters import ConstraintParameters, OfferBudget
from envs.offers import OfferVectorEnv
from experiments.bench.adversaries import ADVERSARIES
from experiments.bench.attacked import limits
from experiments.bench.environment_attacks import (
    HORIZON,
    MODES,
    at_their_worst,
    attack_environment,
    environment_mutations,
    task_of,
)
from experiments.bench.watched import WatchedOffers

ROWS, WEEKS = 120, HORIZON + 4


@pytest.fixture(scope="module")
def attacked():
    found = {}
    for kind, constraints in limits().items():
        for mode in MODES:
            paired = mode == AutoresetMode.DISABLED
            task = at_their_worst(task_of("coffee_shop", ROWS, constraints, paired))
            for adversary in ADVERSARIES:
                found[kind, mode, adversary] = attack_environment(
                    task, ROWS, adversary, mode, WEEKS
                )
    return found


def test_no_adversary_breaks_a_hard_constraint_of_the_environment(attacked):
    for key, watched in attacked.items():
        assert watched.ledger.total_violations == 0, (key, watched.ledger.violations)
        assert watched.ledger.peak_reserved_share <= 1, key


def test_limits_are_reached_and_offers_cost_what_they_can(attacked):
    settled = sum(watched.settled for watched in attacked.values())
    released = sum(watched.released for watched in attacked.values())
    assert settled > 0.8 * (settled + released) > 0
    for mode in MODES:
        assert attacked["default", mode, "dearest"].ledger.peak_reserved_share > 0.9
        exposed = [
            watched.ledger.entries["discount_exposure"].peak
            for (_, own, _), watched in attacked.items() if own == mode
        ]  # fmt: skip
        assert max(exposed) > 0.9


@pytest.mark.parametrize("mode", MODES)
def test_a_total_budget_is_that_of_the_customers_who_are_there(mode):
    limited = ConstraintParameters(OfferBudget(100.0, total_weeks=2.0))
    task = replace(at_their_worst(task_of("coffee_shop", ROWS, limited, False)), horizon=6)
    watched = attack_environment(task, ROWS, "dearest", mode, 14)
    total = limited.offer_budget.total_limit(ROWS)
    assert watched.ledger.total_violations == 0
    assert watched.ledger.peak_reserved_share > 0.9
    assert watched.settled > 1.2 * total  # of more customers than there are rows


def test_a_constraint_whose_code_is_disabled_is_found_broken_in_the_environment():
    found = environment_mutations(600, 8)
    assert set(found) == {code.name.lower() for code in Constraint if code}
    assert all(times > 0 for times in found.values()), found


@pytest.mark.parametrize("mode", MODES)
def test_an_environment_that_does_not_do_what_it_says_is_found_out(mode, monkeypatch):
    task = task_of("coffee_shop", ROWS, limits()["default"], paired=False)
    env = OfferVectorEnv(ROWS, task, mode)
    watched = WatchedOffers(env, 0)
    step = env.step

    def lying(actions):
        *result, info = step(actions)
        return *result, info | {"executed": np.zeros_like(info["executed"])}

    monkeypatch.setattr(env, "step", lying)
    with pytest.raises(AssertionError, match="did not do what it says"):
        watched.step(np.full(ROWS, env.table.n - 1))
