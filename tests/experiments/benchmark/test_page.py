"""The page says what the figures say: what was asked and is not met is said to be missed."""

import dataclasses
import re
from pathlib import Path

import pytest

from agents.errors import InputError
from experiments.bench.policies import bench_policies
from experiments.benchmark.figure import ladder_figure
from experiments.benchmark.findings import findings
from experiments.benchmark.page import page
from experiments.benchmark.protocol import PROTOCOL, Entry
from experiments.benchmark.results import Outcome, Results
from experiments.benchmark.summary import Table
from experiments.benchmark.targets import name_of, rivals, targets
from experiments.report.wording import decimal

ROOT = Path(__file__).resolve().parents[3]
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
    misspecified={"rollout": 1.0},
    reference_seeds=(1,),
)
OUTCOME = Outcome(
    margin=50.0, gain=0.0, error=0.1, settled=0.0, reserved=0.0, budget=10.0, violations=0,
    override_rate=0.0, contacts=4.0, alive=0.9, alive_without=0.9, offers_used=1.0, rewards=0.0,
    rewards_without=0.0, seconds=0.0,
)  # fmt: skip
NULL = "In null worlds rollout (informed, 1 min) uses under 5 % of the budget"
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
REFERENCES = {"clairvoyant:reference": 0.010, "clairvoyant_rollout:reference@1": 0.007}


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    """Every cell of SMALL; the informed rollout settles a tenth of the budget in null."""
    return _summary(tmp_path_factory.mktemp("summary"))


def _summary(home, small=(0.92, 0.93, 0.94), left_out=(), **violations):
    results = Results(home, SMALL)
    for cell in SMALL.cells:
        noise = 0.0002 * (cell.seed - 2)
        gains = GAINS | {entry.name: -0.002 for entry in SMALL.told_wrong(cell)}
        gains |= REFERENCES if SMALL.references(cell) else {}
        results.add(
            cell,
            {
                name: OUTCOME._replace(
                    gain=50 * (gain + noise * (1 if name.startswith("rollout") else -1)),
                    settled=1.0 if "informed" in name else 5.0,
                    violations=violations.get(name.partition(":")[0], 0),
                )
                for name, gain in gains.items()
                if (name, cell.seed) not in left_out
            },
        )
    return findings(results, {"rollout": small}) | {"quick": False}


def _met(summary):
    return {target.asked: target.met for target in targets(summary)}


def test_a_rollout_is_compared_with_what_had_no_more_time_and_was_told_no_more(summary):
    robust = {"policy": "rollout", "regime": "robust", "train_minutes": 1.0}
    names = {
        Entry(r["policy"], r["regime"], r["train_minutes"]).name
        for r in rivals(summary["interquartile_mean"], robust)
    }
    assert names == {"blanket:rule", "rfm_rules:rule", "maskable_ppo:robust@1"}
    informed = robust | {"regime": "informed"}
    found = rivals(summary["interquartile_mean"], informed)
    assert {row["regime"] for row in found} == {"rule", "robust", "informed"}


def test_a_target_says_how_many_had_as_much_and_which_time_was_not_asked_for(summary, tmp_path):
    found = {target.asked: target for target in targets(summary)}
    (first,) = (one for one in found if "informed" in one and "ahead of every other" in one)
    assert "Of 4 (1 of them told as much, 1 of those trained as long)" in found[first].found
    (first,) = (one for one in found if "robust" in one and "ahead of every other" in one)
    alike = "Of 3 (1 of them learned without being told, 1 of those trained as long)"
    assert alike in found[first].found
    longer = [
        {**row, "train_minutes": 10.0} if name_of(row) == "rollout (robust, 1 min)" else row
        for row in summary["coverage"]
    ]
    found = targets({**summary, "coverage": longer})
    missing = [one for one in found if "not in this" in one.found]
    assert [one[::2] for one in missing] == [
        ("rollout (informed, 10 min): the same", "open"),
        ("rollout (robust, 1 min): the same", "open"),
    ]  # fmt: skip


def test_trained_as_long_is_counted_among_those_that_were_told_as_much(published):
    """Of 13 rivals of 10 minutes, 7 robust, 2 of these 10 minutes; rules have no minutes."""
    (first,) = (
        target.found
        for target in targets(published[0])
        if target.asked.startswith("rollout (robust, 10 min) is ahead")
    )
    assert "Of 13 (7 of them learned without being told, 2 of those trained as long)" in first


def test_each_target_says_whether_it_is_met(summary, tmp_path):
    met = _met(summary)
    first = [asked for asked in met if "ahead of every other policy" in asked]
    assert [met[asked] for asked in first] == ["yes", "yes"]
    assert [met[asked] for asked in met if "worth more than" in asked] == ["yes", "yes"]
    assert [met[asked] for asked in met if "not worse" in asked] == ["yes", "yes"]
    assert met[NULL] == "no"
    assert met[SMALL_PROBLEM] == "yes"
    assert met[VIOLATIONS] == "yes"
    worse = _met(_summary(tmp_path, small=(0.86, 0.87, 0.88), rollout=1))
    assert worse[SMALL_PROBLEM] == "no"
    assert worse[VIOLATIONS] == "no"


def test_a_little_budget_in_null_is_allowed(summary):
    assert _met({**summary, "null_informed_budget_use": 0.049})[NULL] == "yes"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.001, 0.01, "yes"),
        (-0.001, 0.01, "open"),
        (-0.01, -0.001, "no"),
        (-0.01, 0.0, "no"),
        (0.0, 4e-6, "no"),  # printed as 0.000 %
        (4e-6, 0.01, "open"),
    ],
)
def test_the_whole_interval_decides(summary, low, high, said):
    ends = {"ci_low": low, "ci_high": high}
    rows = [row | ends if row["policy"] == "rfm_rules" else row for row in summary["rollout_ahead"]]
    found = _met({**summary, "rollout_ahead": rows})
    assert {met for asked, met in found.items() if "ahead of every other" in asked} == {said}
    rows = [row | ends for row in summary["interquartile_mean"]]
    found = _met({**summary, "interquartile_mean": rows})
    assert {met for asked, met in found.items() if "worth more" in asked} == {said}


@pytest.mark.parametrize(
    ("mean", "low", "said"), [(0.91, 0.905, "yes"), (0.91, 0.89, "open"), (0.89, 0.87, "open")]
)
def test_the_small_problem_is_met_with_its_whole_interval(summary, mean, low, said):
    ends = {"value": mean, "low": low, "high": 0.93, "seeds": 3}
    assert _met({**summary, "small_problem_intervals": {"rollout": ends}})[SMALL_PROBLEM] == said


def test_nothing_run_is_no_proof_of_no_violations(summary):
    none = {"found": 0, "runs": 0}
    coverage = [row | {"runs": 0, "done": 0} for row in summary["coverage"]]
    assert _met({**summary, "violations": none, "coverage": coverage})[VIOLATIONS] == "open"


def test_level_is_not_ahead_and_not_behind(summary):
    rows = [row | {"value": 0.0, "ci_low": 0.0, "ci_high": 0.0} for row in summary["rollout_ahead"]]
    first = [
        target
        for target in targets({**summary, "rollout_ahead": rows})
        if "ahead of every other" in target.asked
    ]
    assert {target.met for target in first} == {"no"}
    assert "as long): ahead of 0, behind 0, level with or undecided 3" in first[0].found


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
    assert "Measured: share of customers alive at the end, relative difference.\n" in text
    assert "![" not in page(summary)


def test_the_figure_shows_the_same_numbers_and_the_same_bytes(summary):
    drawn = ladder_figure(summary)
    assert drawn == ladder_figure(summary)
    text = drawn.decode()
    assert "rollout (robust, 1 min)" in text
    assert text.count("+0.50") == 4  # two rollouts in two response worlds
    assert re.search(r"\+0\.60", text)


def test_what_has_not_been_run_everywhere_is_drawn_as_nothing(tmp_path):
    results = Results(tmp_path, SMALL)
    results.add(SMALL.cells[0], {"blanket:rule": OUTCOME})
    unfinished = findings(results, {}) | {"quick": False}
    assert b"<svg" in ladder_figure(unfinished)
    text = page(unfinished)
    assert "**Unfinished:** 1 of 58 runs" in text
    assert "blanket: 1 of 6 runs; rfm_rules: 0 of 6 runs" in text
    assert "rollout (informed, 1 min), told wrong: 0 of 12 runs" in text
    assert "clairvoyant (reference): 0 of 2 runs" in text
    assert "## The ladder" not in text
    assert {met for _, _, met in targets(unfinished)} == {"open"}
    assert len(targets(unfinished)) == 9


def test_what_is_partly_run_is_never_said_to_be_met(tmp_path, summary):
    for name in GAINS:
        found = {
            target.asked: target
            for target in targets(_summary(tmp_path / name, (0.93,), {(name, 3)}))
        }
        assert found.keys() == _met(summary).keys()
        assert found[SMALL_PROBLEM].met == "open"
        assert "1 of 3 seeds" in found[SMALL_PROBLEM].found
        assert found[VIOLATIONS].met == "open"
        assert found[VIOLATIONS].found == "0 in 56 runs of 58"
        first = [one for asked, one in found.items() if "ahead of every other" in asked]
        behind = [one for one in first if one.met == "open"]
        # A rival of neither rollout: it had ten minutes, they one.
        assert bool(behind) == (name != "maskable_ppo:robust@10")
        if name.startswith("rollout"):
            assert "4 of 6 runs" in {one.found for one in first}
        elif behind:
            assert all("1 more are unfinished" in one.found for one in behind)


def test_more_violations_are_never_outweighed_by_what_is_missing(tmp_path):
    assert _met(_summary(tmp_path, left_out={("blanket:rule", 1)}, rfm_rules=1))[VIOLATIONS] == "no"


def test_few_seeds_rank_nothing(tmp_path):
    two = dataclasses.replace(SMALL, seeds=(1, 2), misspecified={}, reference_seeds=())
    results = Results(tmp_path, two)
    for cell in two.cells:
        results.add(cell, {name: OUTCOME._replace(gain=50 * gain) for name, gain in GAINS.items()})
    found = findings(results, {}) | {"quick": False}
    met = _met(found)
    assert {met[asked] for asked in met if "ahead of" in asked or "worth more" in asked} == {"open"}
    found = findings(results, {"rollout": [0.950, 0.951]}) | {"quick": True}
    assert set(_met(found).values()) == {"open"}
    assert "yes" in set(_met(found | {"quick": False}).values())
    assert b"<svg" in ladder_figure(found)
    assert "**A quick look**, not the protocol: 2 markets, 2 seeds" in page(found)


def test_each_section_has_the_rows_that_are_known(summary):
    text = page(summary)
    # Seed 1 alone: the rollout has 0.48 % of the margin there, the clairvoyant 1.02 %.
    assert (
        "| grocery literature tiered | +1.020 % | +0.480 % | +0.240 % | +0.300 % | 47 % |" in text
    )
    assert "It gains in 2 of 2 markets, +1.020 % of the margin in the mean." in text
    assert "the rollout reaches 47 %, not knowing costs 24 % and learning 29 %." in text
    assert "| grocery null | literature | 3 | −0.200 % | +0.700 % | +0.700 % to +0.700 % |" in text
    assert "Of 4 such pairs, being told wrong costs in 4, helps in 0" in text
    assert "| rollout | 93.0 % | 90.5 % to 95.5 % | 92, 93, 94 |" in text
    assert "| blanket | 0 | 0 | 2 | grocery null tiered (" in text
    assert "| rfm_rules | 2 | 0 | 0 | |" in text
    assert "| rollout (robust, 1 min) | +0.500 % | +0.500 % |" in text
    # A gain of 0.25 for 1.00 spent, against a loss of 0.50 for 5.00.
    assert "| grocery literature | 3 | +35.0 pp | +32.0 pp to +38.0 pp | yes |" in text


def test_a_gain_in_one_market_is_in_the_plain_mean_alone(tmp_path):
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        outcomes = {entry.name: OUTCOME for entry in SMALL.entries}
        works = cell.response == "literature"
        gain = 50 * (0.03 * works + (0.01 if works else 0.001) * (cell.seed - 2))
        outcomes["rollout:informed@1"] = OUTCOME._replace(gain=gain)
        if works:
            outcomes["rollout:informed@1<null"] = OUTCOME._replace(contacts=0.0, gain=-1.0)
            outcomes["rollout:informed@1<behaviour"] = OUTCOME._replace(contacts=0.0, gain=1.5)
        results.add(cell, outcomes)
    found = findings(results, {}) | {"quick": False}
    (plain,) = (row for row in found["plain_mean"] if name_of(row) == "rollout (informed, 1 min)")
    assert plain["value"] == pytest.approx(0.015)
    ahead = {row["value"] for row in found["rollout_ahead_plain"] if row["regime"] == "rule"}
    assert {round(value, 9) for value in ahead} == {0.0, 0.015}
    text = page(found)
    # Regret of who does nothing: 3 % in one market of two.
    assert re.search(r"\| blanket \| .*\| \+1.500 % \| \+3.000 % \| 0.0 % \| 0 % \|", text)
    # Not idle, though those who were told wrong are.
    assert re.search(r"\| rollout \(informed, 1 min\) \| .*\| 0.0 % \| 0 % \| 0.0 % \|", text)
    assert "by the informed rollout in 1 of 2 markets, only by others in 0" in text
    assert "Of 2 such pairs, being told wrong costs in 1, helps in 0" in text
    assert "In 1 the mean is below that of no offers" in text


def test_who_is_never_told_is_compared_in_the_mean_over_response_worlds(tmp_path):
    means = {"null": -0.001, "literature": 0.003}
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        idle = OUTCOME._replace(contacts=0.0)
        outcomes = {entry.name: idle for entry in SMALL.entries}
        outcomes["blanket:rule"] = OUTCOME._replace(gain=-0.01 * 50)
        outcomes["rfm_rules:rule"] = OUTCOME._replace(gain=-means[cell.response] * 50)
        outcomes["rollout:robust@1"] = OUTCOME._replace(gain=means[cell.response] * 50)
        results.add(cell, outcomes)
    found = findings(results, {}) | {"quick": False}
    text = page(found)
    # The other rollout and both PPO do nothing, which is better than the rules.
    assert "| grocery | +0.100 % | −0.100 % (rfm_rules) | 0.000 % |" in text
    worth = {one.asked: one.found for one in targets(found) if "worth more" in one.asked}
    told, untold = (
        worth[f"rollout ({regime}, 1 min) is worth more than no offers, in interquartile mean"]
        for regime in ("informed", "robust")
    )
    assert told.endswith("offers nothing in 6 of 6 runs, grocery as a whole")
    assert untold.endswith("offers nothing in 0 of 6 runs")


def test_the_page_says_where_a_claim_holds_and_where_not(tmp_path):
    results = Results(tmp_path, SMALL)
    for cell in SMALL.cells:
        outcomes = {entry.name: OUTCOME._replace(settled=1.0) for entry in SMALL.entries}
        works = cell.response == "literature"
        outcomes["rollout:informed@1"] = OUTCOME._replace(settled=1.0, gain=1.0 if works else -1.0)
        results.add(cell, outcomes)
    text = page(findings(results, {}) | {"quick": False})
    assert "Shown in: grocery literature. Refuted in: grocery null." in text


@pytest.mark.parametrize("place", ["", "none/benchmark.md"])
def test_a_page_that_cannot_be_written_is_said_before_anything_runs(tmp_path, place):
    with pytest.raises(InputError, match="--write"):
        bench_policies(True, tmp_path / "runs", 1, 1.0, tmp_path / place)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Findings of docs/benchmark, whatever code they are of, and a folder with their page."""
    home = tmp_path_factory.mktemp("published")
    return bench_policies(False, ROOT / "docs/benchmark", 1, 0.0, home / "benchmark.md"), home


@pytest.mark.parametrize("name", ["benchmark.md", "figures/benchmark.svg"])
def test_the_published_page_is_that_of_the_published_results(published, name):
    assert (published[1] / name).read_text("utf-8") == (ROOT / "docs" / name).read_text("utf-8"), (
        f"docs/{name} is not what docs/benchmark says: loyaltylab bench policies "
        "--folder docs/benchmark --hours 0 --write docs/benchmark.md"
    )


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("rollout, told how customers respond", "rollout (informed, 1 min)"),
        ("price-conditioned PPO, told", "price_ppo (informed, 1 min)"),
        ("PPO, told", "maskable_ppo (informed, 1 min)"),
        ("uplift, told", "uplift (informed, 1 min)"),
        ("LinTS, told", "lin_ts (informed, 1 min)"),
        ("LinUCB, told", "lin_ucb (informed, 1 min)"),
        ("rollout, never told", "rollout (robust, 1 min)"),
        ("rollout, never told, 10 minutes", "rollout (robust, 10 min)"),
        ("PPO, never told, 10 minutes", "maskable_ppo (robust, 10 min)"),
        ("price-conditioned PPO, never told", "price_ppo (robust, 1 min)"),
        ("price-conditioned PPO, never told, 10 minutes", "price_ppo (robust, 10 min)"),
        ("PPO, never told", "maskable_ppo (robust, 1 min)"),
        ("RFM rules", "rfm_rules"),
        ("offers to everybody", "blanket"),
    ],
)
def test_the_readme_has_the_published_figures(published, label, name):
    def row_of(key):
        return next(row for row in published[0][key] if name_of(row) == name)

    def written(row, digits):
        value, low, high = (
            decimal(100 * row[key], digits, sign=True) for key in ("value", "ci_low", "ci_high")
        )
        return f"{value} ({low} to {high})"

    safe = row_of("non_inferiority")["tested"] - len(row_of("non_inferiority")["markets"])
    middle = written(row_of("interquartile_mean"), 3)
    start = f"| {label} | {middle} | {written(row_of('plain_mean'), 2)} | {safe}"
    assert start in (ROOT / "README.md").read_text("utf-8")


def test_the_readme_has_the_published_shares_of_the_small_problem(published):
    share = published[0]["small_problem"]
    told = f"rollout reaches {share['rollout']:.0%} of the gain, PPO {share['maskable_ppo']:.0%}"
    given_up = f"a price-conditioned PPO {share['price_ppo']:.0%} (two trainings of five end"
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    bandits = f"the bandits {100 * share['lin_ts']:.0f} to {share['lin_ucb']:.0%}"
    others = f"in offering nothing), uplift {share['uplift']:.0%}, {bandits}."
    assert f"{told}, {given_up} {others}".replace("%", " %") in text
    shares = published[0]["small_problem_intervals"]["price_ppo"]["shares"]
    assert shares.count(0.0) == 2


def test_the_readme_says_in_words_what_was_published(published):
    found, _ = published
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    ours = [row for row in found["rows"] if row["policy"] == "rollout"]
    gains = [row for row in ours if row["regime"] == "informed" and row["ci_low"] > 0]
    assert f"told, the rollout gains in {len(gains)} of {found['markets']}" in text
    harmless = {"literature", "optimistic", "deal_seekers"}
    expected = {("grocery", name) for name in harmless}
    expected |= {(world, "optimistic") for world in ("music_store", "coffee_shop")}
    assert {(row["world"], row["response"]) for row in gains} == expected
    (lin_ts,) = (
        row
        for row in found["rollout_ahead"]
        if row["rollout"] == "rollout:informed@1" and name_of(row) == "lin_ts (informed, 1 min)"
    )
    value, low, high = (
        decimal(100 * lin_ts[key], 3, sign=True) for key in ("value", "ci_low", "ci_high")
    )
    assert f"(in interquartile mean {value}, {low} to {high})" in text
    worst = min(row["share"] for row in found["misspecification"])
    assert f"told wrong, the same policy lost up to {-100 * worst:.1f} %" in text
    losses = {}
    for minutes in (1.0, 10.0):
        means = [_mean_in_grocery(ours, name, minutes) for name in PROTOCOL.responses]
        assert [mean > 0 for mean in means] == [False, True, True, False, False]
        ends = [abs(round(100 * mean, 2)) for mean in means if mean < 0]
        losses[minutes] = f"{min(ends):.2f} to {max(ends):.2f} %"
    assert f"its means over programmes are {losses[1.0]} below no offers" in text
    robust = [row for row in ours if row["regime"] == "robust"]
    most = -100 * min(row["incremental_share"] for row in robust)
    assert f"({losses[10.0]} after ten minutes; in no market by more than {most:.2f} %)" in text
    shown = {row["response"] for row in robust if row["ci_high"] < 0}
    assert shown == {"null"}, "a loss that is shown only where they do nothing"
    known = Table(Results(ROOT / "docs/benchmark/protocol-3/cells", PROTOCOL, reads=True)).known
    contacted = {
        cell.seed
        for cell, outcomes in known.items()
        if cell.world == "grocery" and outcomes["price_ppo:robust@10"].contacts > 0
    }
    assert len(contacted) == 5 - 3
    assert "(three of its five trainings in grocery then end in offering nothing)" in text


def _mean_in_grocery(rows, response, minutes):
    shares = [
        row["incremental_share"]
        for row in rows
        if (row["regime"], row["train_minutes"]) == ("robust", minutes)
        and (row["world"], row["response"]) == ("grocery", response)
    ]
    assert len(shares) == 3
    return sum(shares) / 3
