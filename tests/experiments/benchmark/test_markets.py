"""Cells run reproducibly; training customers are none of the test's; wrong beliefs are wrong."""

import dataclasses

import numpy as np
import pytest

from experiments.benchmark.cells import run_cell
from experiments.benchmark.markets import (
    as_pareto_nbd,
    believed_filter,
    config_of,
    evaluation_cohort,
    responses_told,
    training_task,
    world_of,
)
from experiments.benchmark.protocol import PROTOCOL, Cell, Entry
from policies.heuristics import Blanket, Triggers

SMALL = dataclasses.replace(
    PROTOCOL,
    version=0,
    responses=("literature", "optimistic"),
    programmes=("tiered", "cashback"),
    customers=300,
    warmup_weeks=8,
    weeks=10,
    pool=200,
)
CELL = Cell("grocery", "optimistic", "tiered", 2)
BLANKET, TRIGGERS = Entry("blanket", "rule"), Entry("triggers", "rule")


@pytest.fixture(scope="module")
def outcomes():
    return run_cell(SMALL, CELL, {BLANKET: Blanket(), TRIGGERS: Triggers()})


def test_which_entries_run_beside_it_changes_no_digit(outcomes):
    alone = run_cell(SMALL, CELL, {TRIGGERS: Triggers()})
    mine = outcomes[TRIGGERS.name]._replace(seconds=0.0)
    assert alone[TRIGGERS.name]._replace(seconds=0.0) == mine


def test_outcomes_keep_within_the_budget_and_break_no_limit(outcomes):
    for outcome in outcomes.values():
        assert outcome.violations == 0
        assert 0 <= outcome.settled <= outcome.reserved
        assert outcome.budget == SMALL.weekly_budget * SMALL.weeks
        assert outcome.margin > 0
    assert outcomes[BLANKET.name].contacts > 0


def test_training_covers_every_programme_and_no_test_customer():
    task = training_task(SMALL, "grocery", SMALL.responses, seed=2)
    assert len(task.worlds) == 4
    assert {world.programme.name for world in task.worlds} == {"tiered", "cashback"}
    assert task.constraints.offer_budget.weekly_per_customer == SMALL.weekly_budget * 100
    config = config_of(SMALL, CELL)
    customers, _, _ = evaluation_cohort(SMALL, config, world_of(config), 50)
    known = np.concatenate([pool.traits["id"] for pool in task.pools])
    assert not np.isin(customers.traits["id"], known).any()


def test_who_is_told_wrong_trains_elsewhere():
    right = Entry("rollout", "informed", 1.0)
    assert responses_told(SMALL, right, "optimistic") == ("optimistic",)
    wrong = right._replace(wrong="literature")
    assert responses_told(SMALL, wrong, "optimistic") == ("literature",)
    behaviour = right._replace(wrong="behaviour")
    assert responses_told(SMALL, behaviour, "optimistic") == ("optimistic",)
    assert responses_told(SMALL, Entry("rollout", "robust", 1.0), "optimistic") == SMALL.responses


def test_the_wrong_behaviour_has_the_same_rates_and_no_drift():
    config = config_of(SMALL, CELL)
    wrong = as_pareto_nbd(config)
    own, other = config.world.population.parameters, wrong.world.population.parameters
    assert other["rate_shape"] / other["rate_rate"] == pytest.approx(own["rate_mean"], rel=0.01)
    variance = own["rate_mean"] ** 2 * (np.exp(own["rate_log_sd"] ** 2) - 1)
    assert other["rate_shape"] / other["rate_rate"] ** 2 == pytest.approx(variance, rel=0.01)
    assert "drift_time_constant" not in other
    entry = Entry("rollout", "informed", 1.0, "behaviour")
    assert believed_filter(config, entry) != believed_filter(config, entry._replace(wrong=""))
