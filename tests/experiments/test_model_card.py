"""The assumptions of a report are those of the run, with status and source."""

from typing import Any

import pytest

from experiments.behaviour_table import row
from experiments.config import compose_demo, compose_simulate
from experiments.model_card import assumptions


def found(overrides: list[str]) -> dict[str, dict[str, Any]]:
    rows = assumptions(compose_demo(overrides))
    return {one["what"].partition(":")[0]: one for one in rows}


def test_a_default_carries_status_and_source_of_the_table() -> None:
    one = found([])["goal_gradient"]
    assert one["value"] == 0.22
    assert (one["status"], one["source"]) == ("V", row("response.goal_gradient").source)
    assert found([])["offer_log_rate.discount"]["value"] == 0.10


def test_a_value_of_ones_own_is_an_assumption() -> None:
    one = found(["response.goal_gradient=0.3"])["goal_gradient"]
    assert (one["value"], one["status"]) == (0.3, "A")
    assert "default 0.22" in one["source"]


@pytest.mark.parametrize("overrides", [["off=[goal_gradient]"], ["response=null"]])
def test_what_is_switched_off_is_listed_as_doing_nothing(overrides: list[str]) -> None:
    rows = found(overrides)
    assert "goal_gradient" not in rows
    assert "goal_gradient" in rows["Mechanisms that do nothing here"]["value"]


def test_word_of_mouth_and_rivals_count_where_the_world_has_them() -> None:
    rows = found([])
    assert "contagion" in rows["Mechanisms that do nothing here"]["value"]
    assert {"contagion_log_hazard", "competitor_log_rate", "Rivals' campaigns"}.isdisjoint(rows)
    rows = found(["world=coffee_shop"])
    assert {"contagion_log_hazard", "competitor_log_rate", "Rivals' campaigns"} <= set(rows)
    assert rows["Word of mouth"]["value"] == "8 neighbours"
    assert found(["world=fitness_app"])["Subscription fee"]["value"] == "25 every 4 weeks"


def test_every_assumption_has_a_status_that_reports_know() -> None:
    for config in (compose_demo(), compose_simulate(["world=coffee_shop"])):
        for one in assumptions(config):
            assert one["status"] in ("M", "V", "A")
            assert one["what"]
            assert one["source"]
            assert one["value"] is not None


def test_only_a_run_with_a_log_scores_real_customers() -> None:
    for config, scored in ((compose_demo(), True), (compose_simulate(), False)):
        what = [one["what"] for one in assumptions(config)]
        assert ("Real customers scored" in what) == scored
