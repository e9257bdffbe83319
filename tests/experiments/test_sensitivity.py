"""Sensitivity: known indices, luck told from effect, idle assumptions, resumption, words."""

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import InputError
from experiments import sensitivity_runs as runs
from experiments.behaviour_table import rows
from experiments.cli import main
from experiments.config import compose_sensitivity, compose_simulate, other_side
from experiments.market_run import PER_CUSTOMER, run_market, run_markets
from experiments.report.sensitivity import render_sensitivity, summary_text
from experiments.report.sensitivity_figures import screening, spread, tornado, variance
from experiments.report.sensitivity_words import assumption_name, cautions, findings, headline
from experiments.sensitivity import Sensitivity, run_sensitivity, sensitivity
from experiments.sensitivity_assumptions import Assumption, choose, lookup, with_values
from experiments.sensitivity_idle import SWITCHES, Market, idle
from experiments.sensitivity_indices import (
    Screening,
    drivers,
    elementary_effects,
    hypercube,
    saltelli,
    screen,
    seed_of,
    shares,
    trajectories,
    verdict,
)
from experiments.sensitivity_runs import Evaluator, Task, outcome
from experiments.sensitivity_store import COLUMNS, Store, fingerprint

TINY = (
    "customers=60", "weeks=15", "trajectories=3", "hypercube=4", "samples=4", "luck_cohorts=3",
    "threads=1", "swings=3", "most=2",
)  # fmt: skip
FEW = ("only=[membership,saturation,accrual,momentum]", *TINY)
NAMES = ("a", "b", "c")
STEPS = {"world.network.degree": 2}


@pytest.fixture(scope="module")
def small() -> Sensitivity:
    return sensitivity(*FEW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the command leaves."""
    place = tmp_path_factory.mktemp("runs")
    run_sensitivity(compose_sensitivity([*FEW, f"runs_dir={place}", "name=small"]))
    return place / "small"


# ------------------------------------------------------------------------------ known indices


def ishigami(unit: np.ndarray) -> np.ndarray:
    from SALib.test_functions import Ishigami

    return Ishigami.evaluate(np.pi * (2 * unit - 1))


def test_the_variance_of_ishigamis_function_is_shared_out_as_known():
    design = saltelli(NAMES, 2048, seed_of(0, "sobol"))
    found = shares(NAMES, ishigami(design), 0.95, 1)
    assert found is not None
    # A = 7, B = 0.1: V = A²/8 + Bπ⁴/5 + B²π⁸/18 + 1/2.
    assert found.first == pytest.approx([0.3139, 0.4424, 0.0], abs=0.03)
    assert found.total == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.03)
    for index, half in ((found.first, found.first_conf), (found.total, found.total_conf)):
        assert (half > 0).all()
        assert (half < 0.15).all()
        assert (np.abs(index - index.clip(0, 1)) < 0.03).all()


def test_a_linear_function_has_its_coefficients_as_effects_and_no_sigma():
    design = trajectories(NAMES, 7, 4, seed_of(0, "morris"))
    slopes = np.array([3.0, -2.0, 0.0])
    y = np.repeat((10 + design @ slopes)[:, None], 2, axis=1)
    found = screen(NAMES, design, y, 4, 0.95, 1)
    assert found is not None
    assert found.mu == pytest.approx(slopes)
    assert found.mu_star == pytest.approx(np.abs(slopes))
    assert found.sigma == pytest.approx(np.zeros(3), abs=1e-12)
    assert found.mu_star[2] == found.sigma[2] == 0.0
    assert found.noise == pytest.approx(np.zeros(3), abs=1e-12)
    total = shares(NAMES, saltelli(NAMES, 512, 1) @ slopes, 0.95, 1)
    assert total is not None
    assert total.total == pytest.approx(slopes**2 / (slopes**2).sum(), abs=0.03)


def test_elementary_effects_are_those_that_salib_averages():
    from SALib.analyze import morris

    design = trajectories(NAMES, 9, 6, 5)
    y = ishigami(design)
    problem = {"num_vars": 3, "names": list(NAMES), "bounds": [[0, 1]] * 3}
    theirs = morris.analyze(problem, design, y, num_levels=6, seed=1)
    ours = elementary_effects(design, y)
    assert ours.shape == (9, 3)
    assert ours.mean(axis=0) == pytest.approx(np.asarray(theirs["mu"], float))
    assert ours.std(axis=0, ddof=1) == pytest.approx(np.asarray(theirs["sigma"], float))


def test_noise_is_two_standard_errors_of_an_effect_over_cohorts():
    design = trajectories(NAMES, 8, 4, 2)
    base = design @ np.array([3.0, 1.0, 0.0])
    # The effect of b is 1 + d in one cohort and 1 - d in the other: standard error d.
    apart = np.stack([base + 0.2 * design[:, 1] + 5, base - 0.2 * design[:, 1] - 5], axis=1)
    found = screen(NAMES, design, apart, 4, 0.95, 1)
    assert found is not None
    assert found.noise == pytest.approx([0.0, 2 * 0.2, 0.0], abs=1e-12)
    assert found.mu_star == pytest.approx([3.0, 1.0, 0.0])


def test_luck_alone_is_hardly_ever_called_an_effect():
    # 40 assumptions that only deal luck anew; each is above two standard errors of one effect with
    # probability far below 5 %, because mu* is a mean over 10 of them.
    names = [f"p{at}" for at in range(40)]
    design = trajectories(names, 10, 4, 3)
    luck = np.random.default_rng(0).normal(size=(len(design), 2))
    found = screen(names, design, luck, 4, 0.95, 1)
    assert found is not None
    assert (found.mu_star > 0).all()
    assert (found.mu_star > found.noise).sum() == 0


def test_a_kpi_without_a_value_somewhere_has_no_indices():
    design = trajectories(NAMES, 4, 4, 1)
    y = np.ones((len(design), 2))
    y[3, 1] = np.nan
    assert screen(NAMES, design, y, 4, 0.95, 1) is None
    assert shares(NAMES, np.ones(20), 0.95, 1) is None


def test_designs_depend_on_the_seed_alone():
    for design in (
        lambda seed: trajectories(NAMES, 4, 4, seed),
        lambda seed: hypercube(NAMES, 8, seed),
        lambda seed: saltelli(NAMES, 8, seed),
    ):
        assert np.array_equal(design(3), design(3))
        assert not np.array_equal(design(3), design(5))
    assert seed_of(0, "morris") > 0
    assert len({seed_of(seed, stage) for seed in range(5) for stage in ("morris", "sobol")}) == 10
    strata = np.floor(hypercube(NAMES, 8, 1) * 8)
    assert all(sorted(column) == list(range(8)) for column in strata.T)


def screening_of(mu_star: list[float], noise: list[float]) -> Screening:
    sizes = np.array(mu_star)
    return Screening(sizes, sizes, 0 * sizes, 0 * sizes, np.array(noise))


def test_drivers_are_the_fewest_above_noise_that_cover_the_squares():
    found = screening_of([1.0, 4.0, 0.0, 3.0, 9.0], [0.5, 1.0, 0.0, 1.0, 10.0])
    # Above noise: 4, 3, 1 with squares 16, 9, 1 of 26.
    assert drivers(found, 0.60, 9) == [1]
    assert drivers(found, 0.90, 9) == [1, 3]
    assert drivers(found, 1.00, 9) == [1, 3, 0]
    assert drivers(found, 1.00, 1) == [1]
    chosen = drivers(found, 0.9, 9)
    words = [verdict(found, at, chosen) for at in range(5)]
    assert words == ["minor", "driver", "no effect", "driver", "below noise"]
    assert drivers(screening_of([1.0, 0.0], [2.0, 0.0]), 0.9, 5) == []


# -------------------------------------------------------------------------------- assumptions


@given(st.floats(0, 1), st.sampled_from([(0, 1.0, 4.0), (1, 1, 4), (2, 2, 20)]))
def test_a_place_in_the_unit_interval_is_a_value_of_the_range(place, about):
    step, low, high = about
    one = Assumption("k", low, low, high, step)
    value = one.at(place)
    assert low <= value <= high
    assert one.at(0.0) == low
    assert one.at(1.0) == high
    if step:
        assert isinstance(value, int)
        assert (value - low) % step == 0


def test_whole_numbers_are_equally_likely():
    one = Assumption("k", 2, 1, 4, 1)
    values = [one.at((at + 0.5) / 400) for at in range(400)]
    assert [values.count(value) for value in (1, 2, 3, 4)] == [100] * 4


def test_every_assumption_of_the_table_is_varied_or_left_out_once_with_a_reason():
    config = compose_sensitivity()
    chosen = choose(config)
    keys = [one.key for one in chosen.varied] + [one.key for one in chosen.left_out]
    assert len(set(keys)) == len(keys)
    assert {one.key for one in rows() if one.status == "A"} <= set(keys)
    beyond = {"programme.breakage", "world.population.parameters.dropout_shape"}
    assert beyond <= {one.key for one in chosen.varied}
    assert all(one.reason for one in chosen.left_out)
    why = {one.key: one.reason for one in chosen.left_out}
    assert why["world.subscription.fee"].startswith("this world has no subscription")
    assert why["response.fatigue_weeks"] == "no offers are made (policy=no_offers)"
    assert why["world.season.christmas_rate"].startswith("measured in this world")
    assert "a choice, not a number" in why["world.network.kind"]


def test_what_is_varied_has_its_default_from_the_configuration_and_its_range_from_the_table():
    chosen = {one.key: one for one in choose(compose_sensitivity(["response=optimistic"])).varied}
    assert chosen["response.saturation"].default == 0.15
    assert (chosen["response.saturation"].low, chosen["response.saturation"].high) == (0, 1)
    margin = chosen["world.contribution_margin"]
    assert (margin.default, margin.low, margin.high) == (0.25, 0.20, 0.30)  # the trade's range
    assert chosen["response.goal_gradient_shape"].step == 1
    assert "response.goal_gradient" not in chosen
    named = ["status=[A,V,M]", "ranges={response.saturation:[0.1,0.4]}"]
    more = {one.key: one for one in choose(compose_sensitivity(named)).varied}
    assert more["response.goal_gradient"].status == "V"
    assert "world.season.christmas_rate" in more
    assert (more["response.saturation"].low, more["response.saturation"].high) == (0.1, 0.4)
    network = ["world.network.kind=small_world", "only=[word_of_mouth]"]
    assert {one.key: one.step for one in choose(compose_sensitivity(network)).varied} == {
        "world.network.degree": 2, "world.network.rewiring": 0, "world.network.homophily": 0,
    }  # fmt: skip


def test_values_are_set_where_their_keys_say_and_nowhere_else():
    config = compose_sensitivity()
    varied = choose(config).varied
    values = {one.key: one.high for one in varied}
    moved = with_values(config, varied, values)
    for key, value in values.items():
        assert lookup(moved, key) == value, key
    assert with_values(config, varied, {}) == config
    assert lookup(config, "response.saturation") == 0.3
    parameters = moved.world.population.parameters
    mean = parameters["dropout_shape"] / parameters["dropout_rate"]
    assert parameters["dropout_shape"] == 2.0
    assert mean == pytest.approx(0.6 / 870)
    assert parameters["rate_mean"] == config.world.population.parameters["rate_mean"]


QUESTIONS = {
    "grocery": (),
    "offers": ("policy=triggers", "off=[goal_gradient,deal_waiting,survey]"),
    "null": ("response=null", "policy=random"),
    "policies": ("policy=rfm_rules", "against=no_offers"),
    "shop": ("world=coffee_shop", "programme=challenge", "against=points", "policy=blanket"),
    "app": ("world=fitness_app", "programme=stamp_card", "off=[word_of_mouth,fatigue]"),
    "value": ("world=boutique", "programme=cltv_tiers", "kpis=[incremental_profit]"),
    "none": ("programme=no_programme", "against=null", "kpis=[csat]", "policy=blanket"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_left_out_as_idle_changes_no_bit(question, one_thread):
    """All idle assumptions at once, at random places, while those that are varied are moved too."""
    config = compose_sensitivity([*QUESTIONS[question], "customers=120", "weeks=30", "seed=4"])
    market = Market.of(runs.sides(config), config.kpis)
    varied = choose(config).varied
    moved = {one.key: one.at(0.7) for one in varied}
    still = [
        Assumption(one.key, 0.0, *one.range, STEPS.get(one.key, isinstance(one.default, int)))
        for one in rows()
        if one.numeric and one.range and one.key not in SWITCHES
        and not one.key.startswith("world.population")
        and idle(one.key, market) is not None
    ]  # fmt: skip
    assert len(still) > 5
    worker = runs._Worker(config, (*varied, *still))
    kept = [at for at, name in enumerate(COLUMNS) if name not in ("nps", "csat")]
    places = np.random.default_rng(1)
    for side in range(len(worker.sides)):
        plain = worker(Task(side, 1, tuple(sorted(moved.items()))))
        for _ in range(2):
            other = {one.key: one.at(places.random()) for one in still}
            found = worker(Task(side, 1, tuple(sorted((moved | other).items()))))
            assert found[kept].tobytes() == plain[kept].tobytes()
            for name in market.surveyed:
                at = COLUMNS.index(name)
                assert found[[at]].tobytes() == plain[[at]].tobytes()


@pytest.mark.parametrize("question", ["grocery", "shop"])
def test_a_side_is_not_run_anew_for_what_cannot_move_it(question, one_thread):
    config = compose_sensitivity([*QUESTIONS[question], "customers=120", "weeks=30"])
    varied = choose(config).varied
    moved = {one.key: one.at(0.3) for one in varied}
    evaluate = Evaluator(config, varied, None)
    worker = runs._Worker(config, varied)
    all_of_them = tuple(sorted(moved.items()))
    for side, task in enumerate(evaluate.tasks(moved, 2)):
        assert len(task.values) < len(all_of_them)
        columns = slice(None) if side == 0 else slice(len(PER_CUSTOMER))
        whole, own = worker(Task(side, 2, all_of_them)), worker(task)
        assert whole[columns].tobytes() == own[columns].tobytes()
    ours, defaults = evaluate.tasks({}, 0), {one.key: one.default for one in varied}
    assert ours == evaluate.tasks(defaults, 0)  # a value that is the default is no change
    assert len({task.name for task in ours}) == 2


def test_the_first_cohort_is_what_simulate_has_and_the_others_are_new(one_thread):
    config = compose_sensitivity(["customers=80", "weeks=10", "seed=5"])
    worker = runs._Worker(config, ())
    first, second = worker(Task(0, 0, ())), worker(Task(0, 1, ()))
    alone = compose_simulate(["customers=80", "weeks=10", "seed=5"])
    run = run_market(alone, alone.world.population.posterior, "literature")
    assert first[COLUMNS.index("per_person_profit")] == run.per_customer["profit"].mean()
    assert second[COLUMNS.index("per_person_profit")] != run.per_customer["profit"].mean()
    markets = np.array([[first, 2 * first]])
    profit = outcome("incremental_profit", markets)
    assert profit == pytest.approx([-run.per_customer["profit"].mean()])
    assert outcome("nps", markets).tolist() == [first[COLUMNS.index("nps")]]


# ------------------------------------------------------------------------------- the analysis


def test_where_one_assumption_alone_matters_it_is_the_only_driver():
    """Nothing moves anybody: of these, only the accrual touches profit; the survey never does."""
    run = sensitivity(
        "response=null", "only=[accrual,survey,tier,membership]", "kpis=[incremental_profit,nps]",
        *TINY,
    )  # fmt: skip
    own = run.table[run.table["kpi"] == "incremental_profit"].set_index("key")
    assert own["verdict"]["programme.breakage"] == "driver"
    others = own.drop("programme.breakage")
    assert len(others) >= 5
    assert (others["verdict"] == "no effect").all()
    for column in ("mu", "mu_star", "sigma", "noise", "mu_star_conf"):
        assert (others[column] == 0.0).all(), column
    assert own["ST"]["programme.breakage"] == pytest.approx(1.0, abs=0.6)
    assert own["mu"]["programme.breakage"] > 0
    assert "response.member_log_rate" in {one["key"] for one in run.summary["left_out"]}
    # The liability is linear in breakage: the effect is the same anywhere.
    assert own["sigma"]["programme.breakage"] < 1e-3 * own["mu_star"]["programme.breakage"]
    assert headline(run.summary).endswith(
        f"breakage; each of the other {len(others)} matters little."
    )
    surveyed = run.table[run.table["kpi"] == "nps"].set_index("key")
    assert surveyed["mu_star"]["world.survey.nps_mean"] > 0


def test_the_table_has_a_row_per_kpi_and_assumption(small):
    kpis = [kpi["name"] for kpi in small.summary["kpis"]]
    keys = [one["key"] for one in small.summary["assumptions"]]
    assert len(small.table) == len(kpis) * len(keys)
    assert small.table["kpi"].unique().tolist() == kpis
    swung = [one for one in small.summary["assumptions"] if one["swing"]]
    assert len(swung) == 3
    base = next(kpi["base"] for kpi in small.summary["kpis"])
    for one in swung:
        for end in ("low", "high"):
            at = one["swing"][end]
            assert at["value"] == one[end]
            assert at["mean"] - base["mean"] == pytest.approx(at["difference"]["mean"])
    assert set(small.summary["ranking"]) == set(keys)
    sizes = small.table[small.table["kpi"] == kpis[0]].set_index("key")["mu_star"]
    assert sizes[small.summary["ranking"]].is_monotonic_decreasing
    tried = len(small.summary["spread"])
    assert tried == 4
    assert small.summary["design"]["markets"] == len(set(small.markets)) == len(small.markets)


def test_the_tornado_is_what_two_simulations_say(small, one_thread):
    one = next(row for row in small.summary["assumptions"] if row["key"] == "response.saturation")
    config = compose_simulate(
        ["customers=60", "weeks=15", "response.saturation=1.0", "against=no_programme"]
    )
    means = [
        run_markets(
            config, other_side(config), config.world.population.posterior, "literature",
            cohort=cohort,
        ).lift("profit").mean
        for cohort in range(3)
    ]  # fmt: skip
    assert one["swing"]["high"]["mean"] == pytest.approx(np.mean(means))


def test_two_policies_are_compared_as_two_programmes_are():
    run = sensitivity("policy=blanket", "against=no_offers", "only=[offers,membership]", *TINY)
    assert run.summary["policy_against"] == "no_offers"
    keys = {one["key"] for one in run.summary["assumptions"]}
    assert {"response.offer_log_rate.discount", "response.member_log_rate"} <= keys
    assert "Blanket or no offers" in render_sensitivity(run.summary)


def test_an_answer_without_a_second_programme():
    run = sensitivity("against=null", "kpis=[profit_per_customer]", "only=[economics]", *TINY)
    assert run.summary["against"] is None
    assert headline(run.summary).startswith("Profit per customer is ")
    assert run.summary["ranking"][0] == "world.contribution_margin"
    assert "contribution margin" in headline(run.summary)


# ------------------------------------------------------------------------ files and resumption


def read(folder: Path) -> tuple[bytes, bytes, dict[str, Any]]:
    summary = json.loads((folder / "summary.json").read_text())
    own = {key: value for key, value in summary.items() if key not in ("name", "created")}
    return (folder / "sensitivity.csv").read_bytes(), (folder / "markets.csv").read_bytes(), own


def test_the_command_leaves_tables_summary_and_an_offline_page(folder, small):
    kept = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert kept == {"sensitivity.csv", "markets.csv", "summary.json", "report.html"}
    assert [path.name for path in folder.parent.iterdir()] == ["small"]
    frame = pd.read_csv(folder / "sensitivity.csv")
    pd.testing.assert_frame_equal(frame, small.table, check_dtype=False)
    page = (folder / "report.html").read_text()
    assert "default-src 'none'" in page
    before_scripts = page.split("<noscript>")[0]
    assert not re.search(r"<(?:link|img|iframe)|\b(?:src|href)=", before_scripts)
    for words in (headline(small.summary), "response.<wbr>saturation", "What was left out"):
        assert words in before_scripts, words
    assert page.count('class="plot"') == 4


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    folder, tmp_path, monkeypatch, capsys
):
    config = compose_sensitivity([*FEW, f"runs_dir={tmp_path}", "name=again"])
    whole, done = runs._Worker.__call__, []

    def some(self: Any, task: Task) -> Any:
        if len(done) == 40:
            raise KeyboardInterrupt
        done.append(task)
        return whole(self, task)

    monkeypatch.setattr(runs._Worker, "__call__", some)
    with pytest.raises(KeyboardInterrupt):
        run_sensitivity(config)
    assert [path.name for path in tmp_path.iterdir()] == ["again.unfinished"]
    left = tmp_path / "again.unfinished" / "markets.csv"
    with left.open("a") as stream:  # a crash in the middle of a line
        stream.write("0123456789abcdef,1.0,2.")
    counted = []

    def count(self: Any, task: Task) -> Any:
        counted.append(task)
        return whole(self, task)

    monkeypatch.setattr(runs._Worker, "__call__", count)
    capsys.readouterr()
    run_sensitivity(config)
    assert "40 markets are there from before" in capsys.readouterr().err
    assert read(tmp_path / "again") == read(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]
    assert not set(done) & set(counted)
    # A finished run is read as well: nothing is run for the same question, more for a larger one.
    counted.clear()
    run_sensitivity(config)
    assert counted == []
    assert read(tmp_path / "again") == read(folder)


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(folder, tmp_path):
    several = [one for one in FEW if not one.startswith("threads")]
    given = [*several, "threads=2", f"runs_dir={tmp_path}", "name=several"]
    run_sensitivity(compose_sensitivity(given))
    assert read(tmp_path / "several") == read(folder)


def test_markets_of_another_question_are_not_taken(tmp_path):
    marks = {
        fingerprint(compose_sensitivity(list(given)))
        for given in (
            (), ("seed=1",), ("weeks=52",), ("response.goal_gradient=0.3",), ("off=[season]",),
            ("against=points",), ("policy=random",), ("customers=100",),
            ("offers.contact_cost.email=0.02",),
        )
    }  # fmt: skip
    assert len(marks) == 9
    same = fingerprint(compose_sensitivity(["trajectories=5", "threads=3", "name=x", "kpis=[nps]"]))
    assert same == fingerprint(compose_sensitivity())
    row = np.arange(len(COLUMNS)) / 3
    with Store(tmp_path / "a", "one", tmp_path / "none.csv") as store:
        store.add("m", row)
        with (
            pytest.raises(InputError, match="in use by another run"),
            Store(tmp_path / "a", "one", tmp_path / "none.csv"),
        ):
            pass
    with Store(tmp_path / "a", "one", tmp_path / "none.csv") as store:
        assert store.kept["m"].tobytes() == row.tobytes()
        assert not store.anew
    left = tmp_path / "a" / "markets.csv"
    left.write_text(f"{left.read_text()}n{left.read_text().splitlines()[-1][1:-3]}")  # cut off
    with Store(tmp_path / "a", "one", tmp_path / "none.csv") as store:
        assert list(store.kept) == ["m"]
        store.add("o", row)
    with Store(tmp_path / "a", "one", tmp_path / "none.csv") as store:
        assert list(store.kept) == ["m", "o"]
    with Store(tmp_path / "a", "two", tmp_path / "none.csv") as store:
        assert store.kept == {}
        assert store.anew


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["only=[membrship]"], "only='membrship' is not known, did you mean 'membership'?"),
        (["kpis=[profitt]"], "kpis='profitt' is not known"),
        (["kpis=[incremental_profit]", "against=null"], "kpis: incremental_profit is a difference"),
        (["kpis=[nps,nps]"], "names without repetition"),
        (["status=[A,X]"], "status[1]='X' is not known; choose A, V or M"),
        (["ranges={response.saturaton:[0,1]}"], "did you mean 'response.saturation'?"),
        (["ranges={response.saturation:[1,0]}"], "ranges.response.saturation=[1.0, 0.0] must be"),
        (["response.saturation=2"], "response.saturation=2 lies outside of its range 0 to 1"),
        (["only=[fatigue]"], "nothing to vary: response.inattention: not among only"),
        (["samples=100"], "samples=100 must be a power of 2"),
        (["levels=3"], "levels=3 must be even"),
        (["cohorts=1"], "cohorts=1 must be 2 to 100"),
        (["trajectorys=9"], "did you mean 'trajectories'?"),
        (["against=tiered"], "against=tiered is the programme itself"),
        (["world=grocer"], "did you mean 'grocery'?"),
    ],
)
def test_what_a_person_can_put_right_is_one_line_and_exit_2(
    arguments, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["sensitivity", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("loyaltylab: error: ")
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_help_teaches_by_examples_that_can_be_run(capsys):
    assert main(["sensitivity", "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    examples = [line for line in lines if line.startswith("loyaltylab sensitivity")]
    assert len(examples) >= 5
    for line in examples:
        choose(compose_sensitivity(shlex.split(line)[2:]))


# -------------------------------------------------------------------------------------- words


def with_answer(run: Sensitivity, base: float, **ends: float) -> dict[str, Any]:
    """The summary with other answers: at the defaults, and at the high ends of some keys."""
    summary = copy.deepcopy(run.summary)
    summary["kpis"][0]["base"] = {"mean": base, "low": base - 1, "high": base + 1}
    summary["kpis"][0]["spread"]["below_zero"] = 0.0
    for one in summary["assumptions"]:
        if not one["swing"]:
            continue
        for end in ("low", "high"):
            name = one["key"].rpartition(".")[2]
            mean = ends.get(name, base) if end == "high" else base
            one["swing"][end] |= {"mean": mean, "low": mean - 1, "high": mean + 1}
    return summary


def test_the_headline_says_what_turns_the_answer_round(small):
    summary = with_answer(small, 9.0, saturation=-4.0)
    assert headline(summary).startswith(
        "Which way the answer points hinges on saturation: with saturation at its high end (1) it "
        "is −4.00 (95 % interval −5.00 to −3.00). How much is decided by "
    )
    assert "hinges" not in headline(with_answer(small, 9.0, saturation=-0.5))
    assert "nothing is shown at saturation = 1" in headline(with_answer(small, 9.0, saturation=0.5))


def test_the_headline_says_how_sure_the_direction_is(small):
    summary = with_answer(small, 9.0)
    opening = "Tiered brings more profit than no programme at either end of each of the 3 strongest"
    assert headline(summary).startswith(opening)
    assert "and in all 4 draws of all guesses at once" in headline(summary)
    summary["kpis"][0]["spread"]["below_zero"] = 0.25
    assert "but not in 1 of 4 draws of all guesses at once" in headline(summary)
    below = with_answer(small, -9.0)
    below["kpis"][0]["spread"]["below_zero"] = 1.0
    assert "brings less profit than no programme" in headline(below)
    assert "in all 4 draws" in headline(below)
    assert headline(with_answer(small, 0.0)).startswith("At the defaults no difference")


def test_drivers_are_named_and_the_others_counted(small):
    assert re.search(r"decided by .*saturation.*; .*matters? little\.$", headline(small.summary))
    nothing = copy.deepcopy(small.summary)
    for one in nothing["assumptions"]:
        for found in one["kpis"].values():
            found["verdict"] = "below noise"
    assert "moves the answer beyond luck" in headline(nothing)


def test_names_are_words():
    assert assumption_name("world.membership.enrolled_share") == "Enrolled share"
    assert assumption_name("response.member_log_rate") == "Effect of membership on purchases"
    assert assumption_name("response.reward_log_hazard") == "Effect of rewards on churn"
    assert assumption_name("world.survey.nps_mean") == "Survey, NPS mean"
    names = [assumption_name(one.key) for one in rows()]
    assert len(set(names)) == len(names)


def test_the_console_says_the_answer_within_100_columns(small):
    text = summary_text(small.summary)
    assert " ".join(text.split()).startswith(headline(small.summary))
    assert max(len(line) for line in text.splitlines()) <= 100
    for words in ("Saturation", "driver", "noise", "left out", "At the defaults"):
        assert words in text, words


def test_figures_show_the_ends_the_numbers_and_the_intervals(small):
    drawn = tornado(small.summary)
    assert drawn is not None
    low, high = drawn["data"]
    assert [trace["name"] for trace in (low, high)] == ["At its low end", "At its high end"]
    reach = [abs(a - b) for a, b in zip(low["x"], high["x"], strict=True)]
    assert reach == sorted(reach, reverse=True)
    ends = {one["key"]: one["swing"] for one in small.summary["assumptions"] if one["swing"]}
    at = low["y"].index("Saturation")
    value = ends["response.saturation"]["low"]["mean"]
    assert low["base"] + low["x"][at] == pytest.approx(value)
    shared = variance(small.summary)
    assert shared is not None
    assert len(shared["data"][0]["x"]) == len(small.summary["sobol"])
    assert screening(small.summary) is not None
    assert spread(small.summary) is not None
    assert len(small.figure().data) == 2
    assert "<script" not in small._repr_html_()


def test_cautions_say_what_is_held_and_what_sobol_covers(small):
    said = dict(cautions(small.summary))
    assert "status=[A,V,M]" in said["Only guesses were varied."]
    assert any("Sobol" in lead for lead in said)
    assert any("left out" in lead for lead in said)
    leads = [lead for lead, _ in findings(small.summary)]
    assert leads[:2] == ["At the defaults", "With all guesses drawn at once"]
    assert "Saturation:" in leads


def test_any_number_of_the_summary_may_be_missing(small):
    summary = json.loads(re.sub(r"-?\d+\.\d+(?:e-?\d+)?", "null", json.dumps(small.summary)))
    text = summary_text(summary) + render_sensitivity(summary).split("<noscript>")[0]
    assert not re.search(r"\bNone\b|\bnan\b", text)
