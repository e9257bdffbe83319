"""`loyaltylab design` finds, compares, writes, and goes on where it was."""

import json
from pathlib import Path

import pytest

from agents.errors import InputError
from experiments.config import compose_design, compose_simulate
from experiments.config_sources import FOLDERS_VARIABLE
from experiments.design import design, run_design
from experiments.report.design import headline, render_design, summary_text

SMALL = (
    "world=music_store", "response=null", "trials=6", "weeks=26", "search_customers=200",
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
    redesign = design(*SMALL, "redesign=sac", "minutes=0.01")["redesign"]
    learned, *others = redesign["programmes"]
    assert learned["programme"] == "redesigned"
    assert [row["programme"] for row in others] == ["points", "tiered", "found"]
    for row in others:  # all above no programme, so no_programme is the origin
        assert learned["gain"] - row["gain"] == pytest.approx(row["ahead"]["gain"])
    tiered = others[1]
    assert tiered["ahead"]["gain"] == pytest.approx(sum(redesign["lifts"]) / 2)  # its start
    page = render_design({**summary, "redesign": redesign})
    assert "redesigned every quarter" in page
    text = summary_text({**summary, "redesign": redesign})
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "redesigned every quarter" in text


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("presets=[pionts]", "points"),
        ("presets=[no_programme]", "no rules to search"),
        ("responses=[nul]", "null"),
        ("trials=0", "trials"),
        ("redesign=dqn", "redesign"),
    ],
)
def test_what_cannot_be_searched_is_named(override: str, named: str):
    with pytest.raises(InputError, match=named):
        compose_design([override])
