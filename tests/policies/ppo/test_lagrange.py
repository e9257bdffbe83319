"""A multiplier makes an expected constraint hold where the best policy would break it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from two_types import task_of, two_types

from envs.constraints.parameters import (
    ConstraintParameters,
    Fairness,
    LiabilityAlarm,
    OfferBudget,
)
from policies.ppo.expected import ExpectedCosts, Week
from policies.ppo.lagrange import MultiplierParameters, Multipliers, multiplier_figure
from policies.ppo.training import PpoParameters, learn_ppo
from policies.training_run import TrainingRun

# Groups are the types: thanking the responsive alone is the optimum and as unfair as can be.
FAIR = ConstraintParameters(fairness=Fairness(least_ratio=0.8))
SETTINGS = PpoParameters(
    total_steps=90_000, environments=512, rollout_length=4, batch_size=1024, network=(32,),
    learning_rate=3e-3, gamma=0.3, ent_coef=0.02,
)  # fmt: skip


def trained(multipliers):
    run = TrainingRun()
    task = task_of(two_types(), FAIR, group_of_type=True)
    learn_ppo(task, replace(SETTINGS, multipliers=multipliers), 5, run)
    return pd.DataFrame(run.history)


def test_with_a_multiplier_an_expected_constraint_is_met_and_without_it_is_not():
    free = trained(MultiplierParameters(learning_rate=0.0))
    held = trained(MultiplierParameters(learning_rate=0.05, proportional=0.2))
    last = len(held) // 3
    assert (free["lambda/fairness_ratio"] == 0).all()
    assert free["violation/fairness_ratio"][-last:].mean() > 0.5
    price = held["lambda/fairness_ratio"].to_numpy()
    assert price[0] < 0.1
    assert price.max() < MultiplierParameters().largest
    assert held["violation/fairness_ratio"][-last:].mean() < 0.1
    settled = price[-last:]
    assert 0.05 < settled.mean() < 1.0
    assert settled.std() < 0.5 * settled.mean()


def test_a_multiplier_rises_while_missed_falls_with_slack_and_stays_in_its_bounds():
    found = Multipliers(["one", "two"], MultiplierParameters(learning_rate=0.5, largest=1.2))
    assert (found.value == 0).all()
    for _ in range(3):
        found.update(np.array([1.0, -1.0]))
    np.testing.assert_allclose(found.value, [1.2, 0.0])
    found.update(np.array([-0.4, 0.2]))
    np.testing.assert_allclose(found.value, [1.0, 0.1])
    np.testing.assert_allclose(found.charge(np.array([[1.0, 2.0], [0.0, 10.0]])), [1.0, 3.0])
    assert found.figures()["lambda/two"] == pytest.approx(0.1)


def test_a_proportional_part_follows_the_violation_of_the_moment():
    found = Multipliers(["one"], MultiplierParameters(learning_rate=0.1, proportional=2.0))
    found.update(np.array([0.5]))
    np.testing.assert_allclose(found.value, [0.05 + 1.0])
    found.update(np.array([0.0]))
    np.testing.assert_allclose(found.value, [0.05])


def test_costs_are_those_of_the_expected_limits_only():
    table = two_types().table
    every = ConstraintParameters(
        offer_budget=OfferBudget(weekly_per_customer=20.0, mode="tail"),
        liability_alarm=LiabilityAlarm(share=0.1),
        fairness=Fairness(largest_difference=0.2),
    )
    assert ExpectedCosts(every, table).names == (
        "offer_budget", "liability_alarm", "fairness_ratio", "fairness_value_ratio",
        "fairness_difference",
    )  # fmt: skip
    hard = ConstraintParameters(offer_budget=OfferBudget(weekly_per_customer=20.0))
    assert ExpectedCosts(hard, table).names == ()


def test_costs_of_a_week_are_what_the_definitions_say(population):
    n = 400
    customers = population(n)
    customers.account["group"] = np.arange(n) % 2
    customers.profile["points"] = 100
    customers.account["pending"] = 0
    customers.profile["revenue_slow"] = 1000.0
    limits = ConstraintParameters(
        offer_budget=OfferBudget(weekly_per_customer=20.0, mode="tail"),
        liability_alarm=LiabilityAlarm(share=0.1, weeks=10),
        fairness=Fairness(least_ratio=0.8, largest_difference=0.1, minimum=50),
    )
    costs = ExpectedCosts(limits, two_types().table)
    eligible = np.arange(n) < 300
    # Group 0: half of its eligible get the offer; group 1: a tenth.
    place = np.arange(n) // 2
    offered = eligible & np.where(np.arange(n) % 2 == 0, place % 2 == 0, place % 10 == 0)
    week = Week(
        customers, eligible, offered.astype(np.int64), np.full(n, 0.3), np.full(n, 0.02),
        np.full(n, 0.05),
    )  # fmt: skip
    charged, violation = costs.of(week)
    named = dict(zip(costs.names, violation, strict=True))
    assert named["offer_budget"] == pytest.approx(0.3 - 0.2)
    assert named["liability_alarm"] == pytest.approx(100 * 0.05 - 0.1 * 10 * 10.0)
    np.testing.assert_allclose(charged[1], 0.02)  # what the week added, not what was owed
    assert named["fairness_ratio"] == pytest.approx(0.8 * 75 / 150 - 15 / 150)
    assert named["fairness_difference"] == pytest.approx(75 / 150 - 15 / 150 - 0.1)


def test_the_course_of_multipliers_is_drawn_from_the_log():
    log = pd.DataFrame({"step": [1, 2], "lambda/a": [0.0, 0.1], "violation/a": [0.4, 0.2]})
    figure = multiplier_figure(log)
    assert [trace.name for trace in figure.data] == ["a", "a"]
    with pytest.raises(ValueError, match="no multipliers"):
        multiplier_figure(log[["step"]])
