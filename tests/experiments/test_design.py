"""`loyaltylab design` finds, compares, writes, and goes on where it was."""

import json
from pathlib import Path

import numpy as np
import pytest

from agents.errors import InputError
from agents.rng import derive_seed
from envs.design.environment import ProgrammeDesignEnv
from envs.design.running import with_replica
from envs.design.task import DesignTask
from experiments import redesign
from experiments.config import compose_design, compose_simulate
from experiments.config_sources import FOLDERS_VARIABLE
from experiments.design import design, run_design
from experiments.report.design import headline, render_design, summary_text
from experiments.worlds import build_world, draw_customers
from policies.design.learned import Redesigner
from policies.design.static import levers_of
from sim.market import LoyaltyMarket
from sim.programme import ProgrammeParameters

SMALL = (
    "world=music_store", "response=null", "trials=6", "weeks=65", "search_customers=200",
    "customers=200", "presets=[points,tiered]", "episodes=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def summary():
    return design(*SMALL)


def test_where_nothing_moves_anybody_no_programme_pays(summary):
    (world,) = summary["compared"]
    assert [row["programme"] for row in world["programmes"]] == ["points", "tiered", "found"]
    assert all(row["gain"] <= 0 for row in world["programmes"])
    assert headline(summary).startswith("No programme pays")


def test_rules_that_were_changed_are_named_with_both_values(summary):
    found = summary["found"]
    assert {row["rule"] for row in found["rules"]} <= set(found["moves"])
    for row in found["rules"]:
        assert row["before"] != row["after"]
    assert {row["rule"] for row in summary["compared"][0]["rules"]} == set(found["moves"])


def test_the_page_holds_the_answer_and_what_it_does_not_show(summary):
    page = render_design(summary)
    assert headline(summary).split(":")[0] in page
    assert "What these numbers do not show" in page


def test_the_command_writes_a_programme_that_other_commands_take(tmp_path: Path, monkeypatch):
    run_design(compose_design([*SMALL, f"runs_dir={tmp_path}", "name=mine", "redesign=ppo",
                               "minutes=0.02"]))  # fmt: skip
    folder = tmp_path / "mine"
    written = json.loads((folder / "summary.json").read_text("utf-8"))
    assert len(written["redesign"]["lifts"]) == 2
    assert (folder / "redesign-ppo" / "log.parquet").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]  # what was kept is gone
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder))
    programme = compose_simulate(["programme=mine_found"]).programme
    assert programme.points_per_unit == written["found"]["programme"]["points_per_unit"]


def test_a_learned_designer_is_put_beside_every_programme(summary):
    found = design(*SMALL, "redesign=sac", "minutes=0.01")["redesign"]
    learned, *others = found["programmes"]
    assert learned["programme"] == "redesigned"
    assert [row["programme"] for row in others] == ["points", "tiered", "found"]
    tiered = others[1]
    assert tiered["ahead"]["gain"] == pytest.approx(np.mean(found["lifts"]))  # its start
    page = render_design({**summary, "redesign": found})
    assert "redesigned every quarter" in page
    text = summary_text({**summary, "redesign": found})
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "redesigned every quarter" in text


def test_what_a_redesign_brings_is_told_by_world_and_without_points_worth(summary):
    of_two = {
        "lifts": [3.0, 5.0, 7.0], "released": [1.0, 1.0, 1.0], "start": "tiered", "minutes": 1,
        "algorithm": "ppo", "episodes_trained": 9, "kept_after": 8, "quarters": 8, "rules": [],
        "warmup_quarters": 4, "responses": ["null", "deal_seekers", "null"],
        "programmes": [{"programme": "redesigned", "gain": 9.0, "low": 8.0, "high": 10.0}],
    }  # fmt: skip
    text = " ".join(summary_text({**summary, "redesign": of_two}).split())
    assert "Of it 1.00 is no sale" in text
    assert "Without that it is 4.00 (" in text
    assert "above leaving it alone: null 5.00, deal seekers 5.00" in text
    of_one = {**of_two, "responses": ["null"] * 3, "released": [-1.0] * 3}
    text = " ".join(summary_text({**summary, "redesign": of_one}).split())
    assert "It has paid 1.00" in text
    assert "Without that it is 6.00 (" in text
    assert "over response worlds" not in text


def test_a_redesign_counts_from_the_first_week_on_customers_of_each_episode(monkeypatch):
    """By another route: the market quarter by quarter, under a designer who only raises prices, in
    one world after the other.
    """
    overrides = (
        "world=music_store", "trials=2", "weeks=104", "search_customers=200", "customers=200",
        "presets=[points,tiered]", "episodes=3", "redesign=ppo",
        "responses=[literature,optimistic]",
    )  # fmt: skip
    names = levers_of(compose_design(overrides).programme).names
    harder = np.array([name == "price_item" for name in names], np.float32)
    monkeypatch.setattr(redesign, "learn_design", lambda *_: Redesigner(lambda kpis: harder))
    found = design(*overrides)["redesign"]
    config = compose_design(overrides)
    first = int(derive_seed(config.seed, "evaluate"))
    posterior = config.world.population.posterior
    expected, lifts = [], []
    assert found["responses"] == ["literature", "optimistic", "literature"]
    for at, response in enumerate(found["responses"]):
        world = build_world(config, posterior, response)
        cohort = draw_customers(config, posterior, "evaluate", 200, cohort=1 + at)
        task = DesignTask((world,), cohort, weekly_budget=0.0, horizon=4)
        profits = []
        for programme, act in (
            (world.programme, harder), (world.programme, 0 * harder), (ProgrammeParameters(), None)
        ):  # fmt: skip
            profits.append(_lived(task, world._replace(programme=programme), act, first + at))
        expected.append(profits[0] - profits[2])
        lifts.append(profits[0] - profits[1])
    assert found["lifts"] == pytest.approx(lifts)
    assert found["programmes"][0]["gain"] == pytest.approx(np.mean(expected))
    ahead = found["programmes"][2]
    assert ahead["programme"] == "tiered"
    assert ahead["ahead"]["gain"] == pytest.approx(np.mean(lifts))  # its start
    released = np.mean(found["released"])
    assert released > 0
    (lever,) = found["rules"]
    assert (lever["rule"], lever["gain"]) == ("price_item", pytest.approx(np.mean(lifts)))
    assert lever["released"] == pytest.approx(released)
    assert (lever["before"], lever["after"]) == (500, 976)  # 625, 781; 1,220 after the end


def _lived(task, world, act, seed):
    """Profit per customer of the warm-up and an episode."""
    customers = task.cohort.take(slice(None))
    if act is None:  # no programme: nothing to design
        warm = LoyaltyMarket(world, customers, derive_seed(0, "train"))
        warm.advance(52)
        own = LoyaltyMarket(world, with_replica(customers, 1), derive_seed(seed, "train"))
        own.advance(52)
        weeks = [*warm.datacollector.model_vars["profit"], *own.datacollector.model_vars["profit"]]
        return sum(weeks) / 1e2 / task.cohort.n
    running = task.run(0, customers, derive_seed(0, "train"))
    profit = sum(running.live().profit for _ in range(4)) / 1e2 / task.cohort.n
    env = ProgrammeDesignEnv(task)
    env.reset(seed=seed)
    return profit + sum(env.step(act)[1] for _ in range(4))


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("presets=[pionts]", "points"),
        ("presets=[no_programme]", "no rules to search"),
        ("responses=[nul]", "null"),
        ("trials=0", "trials"),
        ("redesign=dqn", "redesign"),
        ("episodes=1", "episodes=1 must be 2 to"),
        ("redesign=ppo programme=no_programme", "programme='no_programme' must be one that has"),
        ("redesign=ppo weeks=60", "weeks=60 must be whole quarters of 13 weeks .*, 65 at least"),
        ("redesign=ppo weeks=52", "weeks=52 must be whole quarters"),
        ("redesign=sac episodes=2 responses=[null,literature,backfire]", "episodes=2 must be 3 at"),
    ],
)
def test_what_cannot_be_searched_is_named(override: str, named: str):
    with pytest.raises(InputError, match=named):
        compose_design(override.split())
