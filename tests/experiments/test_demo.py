"""The main job from a log to scores, small; and every kind of bad log, which leaves nothing."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agents.population import GROCERY, draw_population, dynamics_from, filter_from
from agents.profile import EventKind
from agents.records import CHANNELS
from agents.response import ResponseParameters
from agents.rng import derive_seed
from experiments.cli import main
from experiments.config import compose_demo
from experiments.evaluation import make_policy
from experiments.scoring import COLUMNS
from policies.heuristics import NoOffers
from sim.market import LoyaltyMarket
from sim.world import World

SMALL = (
    "train.total_steps=2048",
    "train.environments=64",
    "train.rollout_length=16",
    "train.batch_size=256",
    "train.pool=300",
    "evaluate.customers=200",
    "evaluate.warmup_weeks=6",
    "evaluate.weeks=8",
    "calibration.draws=20",
)
NULL = ResponseParameters()
START = pd.Timestamp("2024-01-01")
KEYS = {
    "data",
    "observed_vs_simulated",
    "policies",
    "onnx_max_abs_diff",
    "actions_identical",
    "bundle",
    "report",
    "offers",
    "seconds",
}
POLICY_KEYS = {
    "policy",
    "response",
    "incremental_margin_per_customer",
    "ci_low",
    "ci_high",
    "cost",
    "budget",
    "budget_use",
    "violations",
    "roi",
    "retention_lift",
    "deadweight",
}


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """A log of 300 simulated customers over 30 weeks, as a CSV file."""
    world = World(NULL, dynamics_from(GROCERY), filter_from(GROCERY))
    customers = draw_population(GROCERY, 300, derive_seed(3, "population"))
    market = LoyaltyMarket(world, customers, derive_seed(3, "world"), recording=True)
    path = tmp_path_factory.mktemp("log") / "log.csv"
    start = np.datetime64("2024-01-01T00:00:00")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("customer", "time", "amount"))
        for _ in range(30):
            market.step()
            for event in market.events():
                if event["kind"] == EventKind.PURCHASE:
                    time = start + np.timedelta64(int(event["time"]), "s")
                    writer.writerow((event["customer"], time, event["amount"] / 100))
    return path


@pytest.fixture(scope="module")
def runs(log, tmp_path_factory) -> Path:
    """Two runs with the same seed."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):
        code = main(["demo", f"data={log}", f"runs_dir={folder}", f"name={name}", "seed=5", *SMALL])
        assert code == 0
    return folder


@pytest.mark.slow
def test_the_demo_leaves_report_summary_bundle_and_offers(runs):
    run = runs / "one"
    summary = json.loads((run / "summary.json").read_text())
    assert summary.keys() >= KEYS
    assert all(row.keys() >= POLICY_KEYS for row in summary["policies"])
    assert {row["response"] for row in summary["policies"]} == {"null", "literature"}
    assert len(summary["policies"]) == 12
    assert summary["actions_identical"] is True
    assert summary["onnx_rows"] >= 100_000
    assert all(row["violations"] == 0 for row in summary["policies"])
    assert all(row["constraint_ledger"] for row in summary["policies"])
    assert [row["mode"] for row in summary["budget_modes"]] == ["worst_case", "tail"]
    assert summary["budget_modes"][0]["weeks_above_limit"] == 0
    assert all(row["purpose"] and row["allowed"] for row in summary["features"])
    assert summary["constraints"]["approval"]["status"] == "approved"
    for row in summary["policies"]:
        if row["policy"] == "no_offers":
            assert row["incremental_margin_per_customer"] == row["cost"] == 0
            assert row["variance_reduction"] is None
        elif row["contacts_per_customer"] > 0:
            assert row["variance_reduction"] > 1
        assert row["cost"] <= row["budget"]
        assert row["ci_low"] <= row["incremental_margin_per_customer"] <= row["ci_high"]
        assert row["cumulative"][-1] == pytest.approx(
            row["incremental_margin_per_customer"], abs=1e-4
        )
    for key in ("bundle", "report", "offers"):
        assert Path(summary[key]).exists()
    assert (run / "posterior.nc").stat().st_size < 5_000_000
    assert main(["verify", str(run / "bundle")]) == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_results(runs):
    first, second = (
        json.loads((runs / name / "summary.json").read_text()) for name in ("one", "two")
    )
    for key in ("policies", "observed_vs_simulated", "posterior", "market", "scored"):
        strip = {"file": None} if key == "posterior" else {}
        one, two = first[key], second[key]
        if strip:
            one, two = one | strip, two | strip
        assert one == two, key
    assert (runs / "one/offers.csv").read_text() == (runs / "two/offers.csv").read_text()


@pytest.mark.slow
def test_scoring_the_log_again_gives_the_same_offers_and_all_customers(runs, log, tmp_path):
    output = tmp_path / "offers.csv"
    assert main(["score", str(runs / "one/bundle"), str(log), "-o", str(output)]) == 0
    assert output.read_text() == (runs / "one/offers.csv").read_text()
    rows = list(csv.DictReader(output.open()))
    assert tuple(rows[0]) == COLUMNS
    with log.open() as file:
        assert len(rows) == len({row["customer"] for row in csv.DictReader(file)})
    for row in rows:
        assert row["channel"] in ("", *CHANNELS)
        assert (row["offer"] == "nothing") == (row["channel"] == "")
        assert float(row["expected_cost"]) <= float(row["commitment"]) + 1e-9
        assert row["reasons"]


@pytest.mark.slow
def test_a_damaged_bundle_scores_nobody(runs, log, tmp_path, capsys):
    import shutil

    bundle = shutil.copytree(runs / "two/bundle", tmp_path / "bundle")
    (bundle / "policy.onnx").write_bytes(b"no network")
    output = tmp_path / "offers.csv"
    assert main(["score", str(bundle), str(log), "-o", str(output)]) == 2
    assert "policy.onnx" in capsys.readouterr().err
    assert not output.exists()


GOOD = [("customer", "time", "amount")] + [
    (str(who), f"2024-01-{day:02d}", "10.5") for who in range(40) for day in (1, 9, 17, 25)
]


def broken(row: int, column: int, value: str) -> list[tuple[str, ...]]:
    rows = [list(line) for line in GOOD]
    rows[row][column] = value
    return [tuple(line) for line in rows]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("customer", "when", "amount"), *GOOD[1:]], ("time", "when")),
        (broken(3, 1, "yesterday-ish"), ("time", "yesterday-ish", "4")),
        (broken(3, 1, "2999-01-01"), ("time", "2999", "4")),
        (broken(5, 2, "-3"), ("amount", "-3", "6")),
        (broken(5, 2, "ten"), ("amount", "ten", "6")),
        ([*GOOD, GOOD[7]], (str(len(GOOD) + 1),)),
        ([], ()),
        (GOOD[:1], ()),
        (GOOD[:5], ("customer",)),
    ],
    ids=[
        "missing column", "unparsable date", "future date", "negative amount", "no number",
        "duplicate row", "empty file", "header only", "one customer",
    ],
)  # fmt: skip
def test_a_bad_log_is_one_line_exit_2_and_nothing_written(tmp_path, capsys, rows, words):
    path = tmp_path / "bad.csv"
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    runs = tmp_path / "runs"
    assert main(["demo", f"data={path}", f"runs_dir={runs}", *SMALL]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(error) == 1
    assert "bad.csv" in error[0]
    for word in words:
        assert word in error[0]
    assert not runs.exists() or not list(runs.iterdir())


def test_a_policy_is_made_by_its_name():
    config = compose_demo([])
    learned = NoOffers()
    for name in config.evaluate.policies:
        policy = make_policy(name, config, learned)
        assert policy is learned if name == "maskable_ppo" else policy.name == name


def test_a_part_of_a_week_at_the_end_of_a_log_is_not_taken_for_silence():
    import experiments.scoring as scoring
    from agents.calibration.log import TransactionLog

    seen = {}

    class Watcher:
        """Keeps the profiles it is given."""

        bundle = type("B", (), {"constraints": compose_demo([]).constraints})()
        table = World(NULL, dynamics_from(GROCERY), filter_from(GROCERY)).table

        def rules(self, first_week):
            return World(NULL, dynamics_from(GROCERY), filter_from(GROCERY)).rules()

        def score(self, profile, account, ids, week, rules, budget):
            seen["since"] = week * 604_800 - profile["last_purchase"]
            seen["age"] = profile["age"]
            raise StopIteration

    days = 99  # fourteen weeks and a day
    log = TransactionLog(
        name="daily", customer=np.zeros(days, np.int64),
        time=np.arange(days) * 86_400 + 43_200, amount=np.full(days, 500),
        customer_label=np.array(["a"]), start=START, end_time=days * 86_400,
        origin="first_purchase", time_zone="UTC",
    )  # fmt: skip
    with pytest.raises(StopIteration):
        scoring.score_transactions(Watcher(), log)
    assert seen["since"][0] == 43_200
    assert seen["age"][0] == pytest.approx(98.5 / 7)
