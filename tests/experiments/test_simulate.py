"""Simulations: what is written, that pairing is exact, and that words follow the numbers."""

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.calibration.posterior import Posterior
from agents.errors import InputError
from agents.population import GROCERY
from agents.records import empty_customers
from experiments import simulate as job
from experiments.cli import main
from experiments.config import compose_simulate
from experiments.market_run import PER_CUSTOMER, run_market, run_markets, tier_shares
from experiments.report.kpis import panels, programmes
from experiments.report.simulation import render_simulation, summary_text
from experiments.report.simulation_answer import cautions, findings, headline, verdict
from experiments.simulate import Simulation, run_simulate, simulate, statement
from sim.metrics import KPIS

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("customers=300", "weeks=30")
COFFEE = ("world=coffee_shop", "programme=challenge", "against=points", *SMALL)


@pytest.fixture(scope="module")
def coffee() -> Simulation:
    return simulate(*COFFEE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the command leaves."""
    runs = tmp_path_factory.mktemp("runs")
    run_simulate(compose_simulate([*COFFEE, f"runs_dir={runs}", "name=coffee"]))
    return runs / "coffee"


def rows_of(run: Simulation, response: str) -> dict[str, dict[str, float]]:
    table = next(one for one in run.summary["differences"] if one["response"] == response)
    return {row["what"]: row for row in table["rows"]}


# -------------------------------------------------------------------------------- what is run


def test_kpis_have_a_row_a_week_and_the_documented_columns(coffee):
    assert tuple(coffee.kpis) == ("week", *(kpi.name for kpi in KPIS))
    assert coffee.kpis["week"].tolist() == list(range(30))
    assert coffee.against is not None
    assert coffee.against.shape == coffee.kpis.shape


def test_the_other_programme_changes_no_digit_of_this_one(coffee):
    alone = simulate(*(one for one in COFFEE if not one.startswith("against")))
    assert alone.against is None
    assert alone.summary["differences"] == []
    pd.testing.assert_frame_equal(alone.kpis, coffee.kpis)


def test_the_paired_difference_is_that_of_the_weekly_totals(coffee):
    rows = rows_of(coffee, "literature")
    assert tuple(rows) == tuple(PER_CUSTOMER)
    for what in ("profit", "revenue", "margin", "reward_cost"):
        ahead = (coffee.kpis[what] - coffee.against[what]).sum() / 300
        assert rows[what]["mean"] == pytest.approx(ahead), what
        assert rows[what]["low"] < rows[what]["mean"] < rows[what]["high"]
        assert rows[what]["run"] - rows[what]["against"] == pytest.approx(ahead)
    owed = coffee.kpis["liability"].iloc[-1] / 300
    assert rows["liability_change"]["run"] == pytest.approx(owed)
    costs = rows["offer_cost"]["run"] + rows["reward_cost"]["run"] + owed
    assert rows["profit"]["run"] == pytest.approx(rows["margin"]["run"] - costs)


@pytest.mark.parametrize(
    "choice",
    [
        ("programme=cashback",),
        ("world=fitness_app",),
        ("world=coffee_shop", "programme=tiered", "policy=blanket"),
    ],
    ids=["vouchers", "fees", "offers"],
)
def test_what_customers_brought_adds_up_to_the_weekly_totals(choice):
    config = compose_simulate([*choice, "customers=300", "weeks=20"])
    run = run_market(config, config.world.population.posterior, "literature")
    for name in ("revenue", "margin", "offer_cost", "reward_cost", "profit"):
        total = run.kpis[name].sum()
        assert run.per_customer[name].sum() == pytest.approx(total), name
    gained = run.per_customer["liability_change"].sum()
    assert gained == pytest.approx(run.kpis["liability"].iloc[-1])
    active = run.kpis["active_share"].iloc[-1] * run.kpis["customers"].iloc[-1]
    assert run.per_customer["still_there"].sum() == pytest.approx(active)


def test_where_nothing_moves_anybody_only_what_is_handed_out_differs(coffee):
    rows = rows_of(coffee, "null")
    for what in ("purchases", "revenue", "margin", "still_there"):
        assert rows[what]["mean"] == rows[what]["low"] == rows[what]["high"] == 0.0, what
    given = rows["reward_cost"]["mean"] + rows["liability_change"]["mean"]
    assert rows["profit"]["mean"] == pytest.approx(-given)
    assert given > 0
    assert rows_of(coffee, "literature")["purchases"]["mean"] != 0.0


@pytest.fixture(scope="module")
def triggers() -> Simulation:
    """Two policies under one programme."""
    return simulate("policy=triggers", "against=no_offers", "customers=300", "weeks=20")


def test_a_policy_is_compared_with_another_under_the_same_programme(triggers):
    alone = simulate("policy=triggers", "customers=300", "weeks=20")
    pd.testing.assert_frame_equal(alone.kpis, triggers.kpis)
    pd.testing.assert_frame_equal(
        simulate("customers=300", "weeks=20").kpis, triggers.against, check_names=False
    )
    rows = rows_of(triggers, "literature")
    assert rows["offer_cost"]["run"] > rows["offer_cost"]["against"] == 0
    null = rows_of(triggers, "null")
    assert null["purchases"]["mean"] == 0
    cost = sum(null[what]["mean"] for what in ("offer_cost", "reward_cost", "liability_change"))
    assert null["profit"]["mean"] == pytest.approx(-cost)
    assert triggers.summary["effects"] == []  # nobody meets anybody in the grocery


def test_two_policies_are_told_by_their_names(triggers):
    head = headline(triggers.summary)
    assert "triggers and no offers" in head or head.startswith("Triggers earns")
    assert "offers changed no behaviour" in verdict(triggers.summary)
    assert list(programmes(triggers.summary)) == ["Triggers", "No offers"]
    assert "The same people are members of both." not in dict(cautions(triggers.summary))
    page = render_simulation(triggers.summary, triggers.kpis, triggers.against)
    assert "<h1>Triggers or no offers? A simulated grocery</h1>" in page
    assert page.split('id="programmes"')[1].split("</section>")[0].count('class="card"') == 1


def test_what_common_luck_saves_is_measured_on_independent_luck(coffee):
    """The factor is that of arrays; the other side's second run is of replica 1."""
    config = compose_simulate(COFFEE)
    other = job.other_side(config)
    posterior = config.world.population.posterior
    result = run_markets(config, other, posterior, "literature", closely=True)
    rows = {row["what"]: row for row in coffee.summary["precision"]}
    run, against = result.run.per_customer["profit"], result.against.per_customer["profit"]
    common = np.var(run - against, ddof=1) / 300
    different = (np.var(run, ddof=1) + np.var(against, ddof=1)) / 300
    profit = rows["profit"]
    assert profit["standard_error"] == pytest.approx(common**0.5)
    assert profit["standard_error_different"] == pytest.approx(different**0.5)
    assert profit["different_factor"] == pytest.approx(different / common)
    independent = profit["standard_error_independent"] ** 2
    assert profit["factor"] == pytest.approx(independent / common)
    assert 1 < profit["factor"] < profit["different_factor"]
    assert profit["customers"] == int(np.ceil(300 * profit["factor"]))
    width = rows_of(coffee, "literature")["profit"]
    assert (width["high"] - width["low"]) / profit["standard_error"] == pytest.approx(
        2 * 1.968, rel=1e-3
    )
    assert "offer_cost" not in rows  # nothing varies
    assert all(row["factor"] is None and row["customers"] is None for row in rows.values()
               if row["exact"])  # fmt: skip


def test_direct_effect_and_spill_over_add_up_to_the_difference(coffee):
    rows = rows_of(coffee, "literature")
    for row in coffee.summary["effects"]:
        total, direct, spill = (row[name] for name in ("total", "direct", "spillover"))
        assert total["mean"] == pytest.approx(rows[row["what"]]["mean"])
        assert direct["mean"] + spill["mean"] == pytest.approx(total["mean"])
    assert {row["what"] for row in coffee.summary["effects"]} == set(PER_CUSTOMER)
    spill = next(row for row in coffee.summary["effects"] if row["what"] == "purchases")
    assert spill["spillover"]["mean"] > 0
    silent = (*COFFEE, "off=[word_of_mouth]")
    assert simulate(*silent).summary["effects"] == []  # nor do rivals answer where no offers are
    offers = simulate(
        "world=coffee_shop", "policy=blanket", "against=no_offers", *SMALL, "off=[word_of_mouth]"
    )
    assert offers.summary["effects"][0]["spillover"]["mean"] < 0  # rivals answer


def test_page_and_console_say_through_whom_and_how_surely(coffee, triggers):
    said = dict(findings(coffee.summary))
    assert "comes on top through friends and rivals" in said["Through others."]
    assert "times as many people without common luck" in said["What common luck saves."]
    page = render_simulation(coffee.summary, coffee.kpis, coffee.against)
    for section in ('id="effects"', 'id="precision"'):
        assert section in page
    assert 'id="uncertainty"' not in page
    assert "Spill-over" in page
    assert 'id="effects"' not in render_simulation(
        triggers.summary, triggers.kpis, triggers.against
    )
    assert "Through others." not in dict(findings(triggers.summary))
    exact = copy.deepcopy(coffee.summary)
    for row in exact["precision"]:
        row |= {"exact": True, "factor": None}
    assert "no luck is left in it" in dict(findings(exact))["What common luck saves."]
    assert "no luck left" in render_simulation(exact, coffee.kpis, coffee.against)


def test_in_the_null_world_itself_it_is_run_once():
    run = simulate(*COFFEE[:3], "customers=300", "weeks=4", "response=null")
    assert [one["response"] for one in run.summary["differences"]] == ["null"]


def test_weeks_of_warm_up_are_not_counted():
    run = simulate("world=coffee_shop", "customers=200", "weeks=6", "warmup_weeks=20")
    assert run.kpis["week"].tolist() == list(range(20, 26))
    assert run.kpis["liability"].iloc[0] > 0
    whole = simulate("world=coffee_shop", "customers=200", "weeks=26")
    assert run.kpis["profit"].tolist() == whole.kpis["profit"].iloc[20:].tolist()
    assert run.summary["starting_customers"] == whole.kpis["customers"].iloc[19]


def test_offers_are_made_after_the_warm_up_and_under_constraints():
    run = simulate("customers=300", "weeks=10", "warmup_weeks=12", "policy=blanket")
    assert run.kpis["contacts"].sum() > 0
    assert run.summary["audit"]["violations"] == 0
    assert run.summary["audit"]["override_rate"] > 0
    config = compose_simulate(["customers=300", "weeks=1", "warmup_weeks=12", "policy=blanket"])
    market = run_market(config, config.world.population.posterior, "literature")
    assert market.governed is not None
    assert market.governed.audit.weeks == 1
    assert simulate("customers=300", "weeks=2").summary["audit"] is None


def test_a_programme_with_tiers_has_their_shares():
    run = simulate("programme=tiered", "against=points", *SMALL)
    assert not [name for name in run.against if name.startswith("tier_b")]  # one tier
    tiers = run.kpis[["tier_base", "tier_silver", "tier_gold"]]
    assert tiers.sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert tiers["tier_base"].iloc[0] > tiers["tier_base"].iloc[-1]
    customers = empty_customers(5)
    customers.account["enrolled"] = (1, 1, 1, 1, 0)
    customers.account["closed"] = (0, 0, 0, 1, 0)
    customers.account["tier"] = (0, 2, 2, 1, 0)
    assert tier_shares(customers, 3).tolist() == pytest.approx([1 / 3, 0, 2 / 3])
    assert tier_shares(empty_customers(2), 2).tolist() == [0, 0]


def test_without_a_programme_there_are_no_members():
    run = simulate("programme=no_programme", "customers=200", "weeks=3")
    assert run.kpis["member_share"].tolist() == [0.0] * 3
    assert run.kpis["liability_per_member"].isna().all()


def test_a_fitted_population_takes_the_place_of_the_worlds(tmp_path):
    parameters = {name: np.repeat(values, 2) for name, values in GROCERY.parameters.items()}
    parameters["rate_mean"] = np.full(2, 4.0)
    path = tmp_path / "posterior.nc"
    Posterior("drift", "lognormal_gamma", parameters, {}).save(path)
    own = simulate("customers=300", "weeks=4")
    fitted = simulate("customers=300", "weeks=4", f"posterior={path}")
    assert fitted.kpis["purchase_frequency"].mean() > 2 * own.kpis["purchase_frequency"].mean()
    assert any("fitted to a log" in text for _, text in cautions(fitted.summary))
    with pytest.raises(InputError, match="no such file"):
        simulate("posterior=nowhere.nc")


# ---------------------------------------------------------------------------- what is written


def test_the_command_leaves_tables_summary_and_an_offline_page(folder, coffee):
    kept = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert kept == {"kpis.csv", "kpis_against.csv", "summary.json", "report.html"}
    frame = pd.read_csv(folder / "kpis.csv")
    pd.testing.assert_frame_equal(frame, coffee.kpis, check_dtype=False)
    summary = json.loads((folder / "summary.json").read_text())
    own = {"name", "created"}
    assert {k: v for k, v in summary.items() if k not in own} == {
        k: v for k, v in coffee.summary.items() if k not in own
    }
    page = (folder / "report.html").read_text()
    assert "default-src 'none'" in page
    assert page.count("plotly.js v") == 1
    before_scripts = page.split("<noscript>")[0]
    assert not re.search(r"<(?:link|img|iframe)|\b(?:src|href)=", before_scripts)
    assert headline(summary) in before_scripts
    for kpi in ("Breakage", "Liability", "NPS", "Churn", "Members"):
        assert f">{kpi}" in before_scripts, kpi


def test_the_console_says_the_answer_within_100_columns(coffee):
    text = summary_text(coffee.summary)
    assert text.strip().startswith("Challenge earns")
    for words in ("Breakage", "Liability", "NPS", "CSAT", "interval", "Challenge", "Points"):
        assert words in text, words
    assert max(len(line) for line in text.splitlines()) <= 100
    summary = copy.deepcopy(coffee.summary)
    for side in ("programme", "against"):
        summary[side]["name"] = "a_programme_with_a_long_name"
    assert max(len(line) for line in summary_text(summary).splitlines()) <= 100


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    runs = tmp_path / "runs"
    monkeypatch.setattr(job, "run_markets", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_simulate(compose_simulate([*COFFEE, f"runs_dir={runs}"]))
    assert not runs.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "world=coffe_shop"], "did you mean 'coffee_shop'?"),
        (["simulate", "programme=points", "against=points"], "is the programme itself"),
        (["simulate", "against=blankets"], "did you mean 'blanket'?"),
        (["simulate", "policy=triggers", "against=triggers"], "is the policy itself"),
        (["simulate", "weeks=0"], "weeks=0 must be 1 to 520"),
        (["simulate", "policy=maskable_ppo"], "choose no_offers"),
        (["simulate", "seed=1", "seed=2"], "seed is given twice: seed=1 and seed=2"),
        (["simulate", "world=grocery", "world=boutique"], "world=grocery and world=boutique"),
        (["simulate", "custmers=5"], "did you mean 'customers'?"),
        (["validate", "--write", "nowhere/page.md"], "lies in a folder that does not exist"),
        (["validate", "page.md"], "see 'loyaltylab validate --help'"),
    ],
)
def test_what_a_person_can_put_right_is_one_line_and_exit_2(
    arguments, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("loyaltylab: error: ")
    assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["simulate", "validate"])
def test_help_teaches_by_examples_that_compose(command, capsys):
    assert main([command, "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    examples = [line for line in lines if line.startswith(f"loyaltylab {command}")]
    assert len(examples) >= 3
    for line in examples:
        given = shlex.split(line)[2:]
        if command == "simulate" and "posterior" not in line:
            compose_simulate(given)


def test_what_an_option_says_of_itself_is_the_comment_that_opens_its_file():
    assert statement("world", "coffee_shop").startswith("A chain of coffee shops")
    assert "defaults" not in statement("world", "coffee_shop")
    assert statement("world", "nowhere") == ""


# ------------------------------------------------------------------------------------ figures


def test_panels_show_this_programme_in_front_and_the_other_in_grey(coffee):
    colours = list(programmes(coffee.summary).values())
    drawn = panels(coffee.summary, coffee.kpis, coffee.against)
    found = {panel.names[0]: figure for panel, figure in drawn}
    for name in ("profit_per_customer", "liability_per_member", "nps", "ahead"):
        shown = [trace["line"]["color"] for trace in found[name]["data"]]
        assert shown == colours[::-1], name
    ahead = found["ahead"]["data"][1]["y"]
    assert ahead[-1] == pytest.approx(rows_of(coffee, "literature")["profit"]["mean"])
    assert "contacts" not in found
    assert "breakage_share" not in found  # nothing has expired in 30 weeks
    lines = found["points_issued"]["data"]
    assert [trace["line"]["dash"] for trace in lines] == ["solid", "dash", "dot"] * 2
    assert lines[3]["x"] == list(range(1, 31))
    assert lines[3]["y"] == coffee.kpis["points_issued"].tolist()


def test_the_figure_of_a_notebook_holds_every_panel_and_names_the_programmes(coffee):
    figure = coffee.figure()
    drawn = panels(coffee.summary, coffee.kpis, coffee.against)
    traces = sum(len(one["data"]) for _, one in drawn)
    assert len(figure.data) == traces + 2
    assert [trace.name for trace in figure.data if trace.showlegend] == ["Challenge", "Points"]
    alone = Simulation(coffee.kpis, None, coffee.summary | {"against": None})
    assert not any("ahead" in str(note.text) for note in alone.figure().layout.annotations)


def test_a_notebook_shows_the_answer_as_a_table_without_script(coffee):
    view = coffee._repr_html_()
    assert headline(coffee.summary) in view
    assert "<table>" in view
    assert "<script" not in view


def test_the_notebook_runs(monkeypatch):
    monkeypatch.setattr(job, "compose_simulate", lambda given: compose_simulate([*given, *SMALL]))
    cells = json.loads((ROOT / "notebooks/simulate.ipynb").read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len("\n".join(code).splitlines()) <= 5
    names: dict[str, Any] = {}
    for text in code:
        exec(compile(text, "simulate.ipynb", "exec"), names)
    assert any(isinstance(value, Simulation) for value in names.values())


# -------------------------------------------------------------------------------------- words


def with_profit(run: Simulation, response: str, mean: float, half: float) -> dict[str, Any]:
    """The summary with another difference in profit."""
    summary = copy.deepcopy(run.summary)
    for one in summary["differences"]:
        for row in one["rows"]:
            if one["response"] == response and row["what"] == "profit":
                row |= {"mean": mean, "low": mean - half, "high": mean + half, "against": 50.0}
    return summary


def test_the_headline_claims_a_difference_only_where_the_interval_excludes_zero(coffee):
    assert headline(with_profit(coffee, "literature", 2.5, 1.0)) == (
        "Challenge earns 2.50 (5.0 %) more profit per customer than points over 30 weeks; "
        "95 % interval +1.50 to +3.50."
    )
    assert "earns 2.50 (5.0 %) less" in headline(with_profit(coffee, "literature", -2.5, 1.0))
    assert headline(with_profit(coffee, "literature", 2.5, 3.0)).startswith(
        "No difference in profit is established between challenge and points: +2.50"
    )


def test_the_verdict_says_whether_the_answer_rests_on_assumed_reactions(coffee):
    gain = with_profit(coffee, "literature", 2.5, 1.0)
    assert "rests on the assumed reactions" in verdict(gain)
    loss = with_profit(coffee, "literature", -2.5, 1.0)
    assert "the same with and without the assumed reactions" in verdict(loss)
    alone = coffee.summary | {"differences": [], "against": None}
    assert "against=no_programme" in verdict(alone)
    assert "profit per customer and week" in headline(alone)


def test_findings_compare_breakage_with_what_is_accrued(coffee):
    summary = copy.deepcopy(coffee.summary)
    early = "Too early to tell: nothing expires before week 65."
    assert dict(findings(summary))["Breakage."] == early
    summary["warmup_weeks"] = 52
    for share, words in ((0.9, "too high"), (0.05, "too low"), (0.33, "30 %.")):
        for period in summary["periods"]:
            period["kpis"]["breakage_share"] = share
        assert dict(findings(summary))["Breakage."].rstrip(".").find(words.rstrip(".")) > 0, words
    assert "If that lasts" not in dict(findings(summary))["Breakage."]


def customers_finding(
    run: Simulation, surveys: tuple[Any, Any], churn: tuple[float, float] = (0.04, 0.04)
) -> str:
    """What is said of customers if two periods had these answers, promoters and detractors."""
    summary = copy.deepcopy(run.summary)
    for period, survey, rate in zip(summary["periods"], surveys, churn, strict=False):
        names = ("answers", "promoters", "detractors")
        period["survey"] = dict(zip(names, survey, strict=True)) if survey else None
        period["kpis"]["churn_rate"] = rate
    return dict(findings(summary))["Customers."]


def test_the_promoter_score_changes_only_beyond_two_standard_errors(coffee):
    noise = customers_finding(coffee, ((280, 84, 70), (290, 87, 87)))
    assert "+2 (280 and 290 answers), no change shown" in noise
    assert "goes from" not in noise
    # A share of .3 for and .3 against has variance .6: two errors of 10,000 answers each are 2.2.
    assert "no change shown" in customers_finding(
        coffee, ((10_000, 3000, 3000), (10_000, 3000, 2790))
    )
    assert "goes from 0 (10,000 answers) to +2 (10,000 answers)" in customers_finding(
        coffee, ((10_000, 3000, 3000), (10_000, 3000, 2770))
    )
    for missing in (None, (0, 0, 0)):
        assert "promoter" not in customers_finding(coffee, ((280, 84, 70), missing))
    for period in coffee.summary["periods"]:
        answers = period["survey"]
        score = 100 * (answers["promoters"] - answers["detractors"]) / answers["answers"]
        assert period["kpis"]["nps"] == pytest.approx(score)


def test_churn_falls_only_where_the_written_numbers_do(coffee):
    assert "falls" not in customers_finding(coffee, (None, None), (0.0444, 0.0436))
    assert "falls" not in customers_finding(coffee, (None, None), (0.040, 0.044))
    assert "it falls by itself" in customers_finding(coffee, (None, None), (0.044, 0.040))


def test_the_rules_say_what_earns_no_points():
    def rules(*given: str) -> str:
        run = simulate(*given, "customers=50", "weeks=2")
        page = render_simulation(run.summary, run.kpis, run.against)
        return page.split('id="programmes"')[1].split("</section>")[0]

    app = rules("world=fitness_app", "programme=points", "against=no_programme")
    assert app.count("Subscription fees earn no points. Nor do visits by themselves") == 1
    stamps = rules("world=fitness_app", "programme=stamp_card")
    assert "Subscription fees earn no points." in stamps
    assert "visits by themselves" not in stamps
    shop = rules("world=coffee_shop", "programme=points")
    assert "earn no points" not in shop


def test_the_page_says_why_more_than_all_points_may_be_redeemed(coffee):
    page = render_simulation(coffee.summary, coffee.kpis, coffee.against)
    meanings = page.split('id="reading"')[1]
    assert "above 100 % where points issued before the period are redeemed in it" in meanings


def test_a_reward_beyond_the_points_lifetime_is_said_to_be_out_of_reach(coffee):
    summary = coffee.summary | {"points_per_member_and_week": 5.0}
    text = dict(findings(summary))["How far the reward is."]
    assert "takes 500: 100 weeks" in text
    assert "the average member never gets it" in text
    near = dict(findings(coffee.summary | {"points_per_member_and_week": 50.0}))
    assert "never" not in near["How far the reward is."]


def test_cautions_count_the_assumptions_and_quote_the_world(coffee):
    said = dict(cautions(coffee.summary))
    known = [row["status"] for row in coffee.summary["assumptions"]]
    expected = f"{known.count('A')} of the {len(known)} things put in are assumptions (A)"
    assert expected in said["It is a simulation of assumptions."]
    assert "A chain of coffee shops" in " ".join(said.values())
    assert "The market starts cold." in said
    assert "The market starts cold." not in dict(cautions(coffee.summary | {"warmup_weeks": 52}))


def test_any_number_of_the_summary_may_be_missing(coffee):
    summary = json.loads(re.sub(r"-?\d+\.\d+(?:e-?\d+)?", "null", json.dumps(coffee.summary)))
    text = summary_text(summary)
    assert not re.search(r"\bNone\b|\bnan\b", text)
    assert headline(summary)


@pytest.fixture(scope="module")
def tried():
    return simulate(
        "policy=experiment", "arms=[blanket,random]", "against=no_offers", "customers=300",
        "weeks=10", "warmup_weeks=4",
    )  # fmt: skip


def test_an_experiment_tells_traffic_lift_and_what_each_arm_is_worth(tried):
    facts = tried.summary["experiment"]
    assert facts["side"] == "run"
    arms = [arm["arm"] for arm in facts["arms"]]
    assert arms == ["control_group", "blanket", "random"]
    assert facts["weeks"] == list(range(4, 14))
    by_week = np.array([facts["traffic"][arm] for arm in arms])
    assert by_week.shape == (3, 10)
    np.testing.assert_allclose(by_week.sum(axis=0), 1.0)
    assert facts["lift"]["low"] < facts["lift"]["mean"] < facts["lift"]["high"]
    assert 0 < facts["decisions"] <= 300 * 7  # a window of 4 weeks must be over
    for arm in facts["arms"][1:]:
        assert arm["off_policy"]["low"] < arm["off_policy"]["high"]
        assert arm["off_policy"]["effective"] > 1
    assert tried.summary["audit"]["violations"] == 0


def test_the_page_and_the_console_show_the_arms(tried):
    page = render_simulation(tried.summary, tried.kpis, tried.against)
    text = summary_text(tried.summary)
    for shown in (page, text):
        assert "Blanket" in shown
        assert "control group" in shown
    assert "The experiment" in page


def test_an_experiment_that_is_compared_with_is_said_to_be_that():
    run = simulate("against=experiment", "arms=[blanket]", "customers=60", "weeks=2")
    assert run.summary["experiment"]["side"] == "against"
    assert "The experiment is the side compared with." in summary_text(run.summary)


def test_arms_without_an_experiment_are_refused():
    with pytest.raises(InputError, match="only an experiment has arms; add policy=experiment"):
        compose_simulate(["policy=blanket", "arms=[blanket]"])


def test_a_run_without_an_experiment_says_nothing_of_one():
    run = simulate("customers=50", "weeks=1")
    assert run.summary["experiment"] is None
    assert "The experiment" not in render_simulation(run.summary, run.kpis)


@pytest.mark.parametrize("arms", ["[no_offers]", "[]", "[blanket,blanket]", "[trigers]"])
def test_arms_that_cannot_be_are_refused(arms):
    with pytest.raises(InputError, match="arms="):
        compose_simulate(["policy=experiment", f"arms={arms}"])
