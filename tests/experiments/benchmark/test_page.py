"""The page says what the figures say: what was asked and is not met is said to be missed."""

import dataclasses
import re

import pytest

from experiments.bench.policies import summarise
from experiments.benchmark.figure import ladder_figure
from experiments.benchmark.markets import mark
from experiments.benchmark.page import page
from experiments.benchmark.protocol import PROTOCOL, Entry
from experiments.benchmark.results import Outcome, Results
from experiments.benchmark.statistics import Interval
from experiments.benchmark.targets import rivals, targets

SMALL = dataclasses.replace(
    PROTOCOL,
    version=0,
    worlds=("grocery",),
    responses=("null", "literature"),
    programmes=("tiered",),
    seeds=(1, 2, 3),
    rules=("blanket", "rfm_rules"),
    robust={"maskable_ppo": (1.0, 10.0), "rollout": (1.0,)},
    informed={"rollout": (1.0,), "maskable_ppo": (1.0,)},
    misspecified={},
    reference_seeds=(),
)
OUTCOME = Outcome(
    margin=50.0, gain=0.0, error=0.1, settled=0.0, reserved=0.0, budget=10.0, violations=0,
    override_rate=0.0, contacts=4.0, alive=0.9, alive_without=0.9, offers_used=1.0, rewards=0.0,
    rewards_without=0.0, seconds=0.0,
)  # fmt: skip
NULL = "In null worlds the informed rollout uses under 5 % of the budget"
SMALL_PROBLEM = "At least 90 % of the belief-optimal gain on the small problem"
VIOLATIONS = "No violation of a hard constraint"
# Share of the margin that each entry gains.
GAINS = {
    "blanket:rule": -0.010,
    "rfm_rules:rule": 0.001,
    "maskable_ppo:robust@1": 0.002,
    "maskable_ppo:robust@10": 0.006,
    "maskable_ppo:informed@1": 0.004,
    "rollout:robust@1": 0.005,
    "rollout:informed@1": 0.005,
}


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    """Every cell of SMALL; the informed rollout settles a tenth of the budget in null."""
    return _summary(tmp_path_factory.mktemp("summary"))


def _summary(home, small=0.93, **violations):
    results = Results(home / "cells", SMALL, mark(SMALL))
    for cell in SMALL.cells:
        noise = 0.0002 * (cell.seed - 2)
        results.add(
            cell,
            {
                name: OUTCOME._replace(
                    gain=50 * (gain + noise * (1 if name.startswith("rollout") else -1)),
                    settled=1.0 if "informed" in name else 5.0,
                    violations=violations.get(name.partition(":")[0], 0),
                )
                for name, gain in GAINS.items()
            },
        )
    found = summarise(SMALL, home, {"rollout": Interval(small, small - 0.02, small + 0.02)})
    return found | {"quick": False}


def _met(summary):
    return {target.asked: target.met for target in targets(summary)}


def test_a_rollout_is_compared_with_what_had_no_more_time_and_was_told_no_more(summary):
    robust = {"policy": "rollout", "regime": "robust", "train_minutes": 1.0}
    names = {
        Entry(r["policy"], r["regime"], r["train_minutes"]).name for r in rivals(summary, robust)
    }
    assert names == {"blanket:rule", "rfm_rules:rule", "maskable_ppo:robust@1"}
    informed = robust | {"regime": "informed"}
    assert {row["regime"] for row in rivals(summary, informed)} == {"rule", "robust", "informed"}


def test_each_target_says_whether_it_is_met(summary, tmp_path):
    met = _met(summary)
    first = [asked for asked in met if "ahead of every other policy" in asked]
    assert [met[asked] for asked in first] == ["yes", "yes"]
    assert [met[asked] for asked in met if "worth more than" in asked] == ["yes", "yes"]
    assert [met[asked] for asked in met if "not worse" in asked] == ["yes", "yes"]
    assert met[NULL] == "no"
    assert met[SMALL_PROBLEM] == "yes"
    assert met[VIOLATIONS] == "yes"
    worse = _met(_summary(tmp_path, small=0.87, rollout=1))
    assert worse[SMALL_PROBLEM] == "no"
    assert worse[VIOLATIONS] == "no"


def test_a_little_budget_in_null_is_allowed(summary):
    assert _met({**summary, "null_informed_budget_use": 0.049})[NULL] == "yes"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.001, 0.01, "yes"), (-0.001, 0.01, "open"), (-0.01, -0.001, "no"), (-0.01, 0.0, "no")],
)
def test_the_whole_interval_decides(summary, low, high, said):
    ends = {"ci_low": low, "ci_high": high}
    rows = [row | ends if row["policy"] == "rfm_rules" else row for row in summary["rollout_ahead"]]
    found = _met({**summary, "rollout_ahead": rows})
    assert {met for asked, met in found.items() if "ahead of every other" in asked} == {said}
    rows = [row | ends for row in summary["interquartile_mean"]]
    found = _met({**summary, "interquartile_mean": rows})
    assert {met for asked, met in found.items() if "worth more" in asked} == {said}


@pytest.mark.parametrize(("high", "said"), [(0.01, "open"), (-0.003, "no")])
def test_not_shown_to_be_no_worse_is_not_shown_to_be_worse(summary, high, said):
    market = {
        "world": "grocery", "response": "null", "programme": "tiered",
        "value": -0.004, "low": -0.01, "high": high,
    }  # fmt: skip
    entries = [entry | {"markets": [market]} for entry in summary["non_inferiority"]]
    found = [
        target
        for target in targets({**summary, "non_inferiority": entries})
        if "not worse" in target.asked
    ]
    assert [target.met for target in found] == [said, said]
    assert "shown in 1 of 2 markets" in found[0].found
    assert "lowest lower end −1.000 % (mean −0.400 %, grocery null tiered)" in found[0].found


def test_the_page_has_every_entry_once_in_the_ladder(summary):
    text = page(summary, "figures/benchmark.svg")
    ladder = text.partition("## The ladder")[2].partition("\n## ")[0]
    assert "![" in ladder
    rows = [line.split("|")[1].strip() for line in ladder.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "maskable_ppo (robust, 10 min)", "rollout (robust, 1 min)", "rollout (informed, 1 min)",
        "maskable_ppo (informed, 1 min)", "maskable_ppo (robust, 1 min)", "rfm_rules", "blanket",
    ]  # fmt: skip
    assert "| +0.500 % |" in ladder
    assert "| 10.00 %, the largest mean of any market | no |" in text
    assert "### ROI +15-40 %: shown in 2, of 2 markets" in text
    assert "Shown in: grocery null, grocery literature." in text
    assert "![" not in page(summary)


def test_the_figure_shows_the_same_numbers_and_the_same_bytes(summary):
    drawn = ladder_figure(summary)
    assert drawn == ladder_figure(summary)
    text = drawn.decode()
    assert "rollout (robust, 1 min)" in text
    assert text.count("+0.50") == 4  # two rollouts in two response worlds
    assert re.search(r"\+0\.60", text)


def test_what_has_not_been_run_everywhere_is_drawn_as_nothing(tmp_path):
    results = Results(tmp_path / "cells", SMALL, mark(SMALL))
    results.add(SMALL.cells[0], {"blanket:rule": OUTCOME})
    unfinished = summarise(SMALL, tmp_path, {}) | {"quick": False}
    assert b"<svg" in ladder_figure(unfinished)
    text = page(unfinished)
    assert "**Unfinished:** 0 of 6 cells" in text
    assert "## The ladder" not in text
