"""The report: what it says, that it says it of every policy, and that it needs nothing else."""

import copy
import html
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from experiments.report import render_report
from experiments.report.answer import decision, headline, world_answers
from experiments.report.wording import (
    money,
    percent,
    plain,
    points_of_percent,
    significant,
    statistic_name,
)

POLICIES = {  # name: (mean, half width) in the null and in the literature world; all made up
    "no_offers": ((0.0, 0.0), (0.0, 0.0)),
    "random": ((-1.83, 0.21), (-0.42, 0.35)),
    "blanket": ((-3.11, 0.28), (-1.24, 0.47)),
    "rfm_rules": ((-0.64, 0.11), (0.18, 0.26)),
    "triggers": ((-0.35, 0.08), (0.57, 0.31)),
    "maskable_ppo": ((-0.72, 0.14), (1.46, 0.38)),
}
LABELS = ("No offers", "Random", "Blanket", "RFM rules", "Triggers", "MaskablePPO")


def sample_summary() -> dict[str, Any]:
    """Every key of a summary, with numbers that are made up."""
    weeks = list(range(104))
    return {
        "name": "sample",
        "version": "0.0.0",
        "created": "2000-01-02T03:04:05+00:00",
        "seed": 7,
        "seconds": 233.4,
        "stages": {"load": 4.2, "fit": 21.0, "train": 118.3, "evaluate": 61.9, "score": 5.5},
        "data": {
            "name": "made_up_shop",
            "source": "sample_summary()",
            "customers": 1234,
            "purchases": 56789,
            "weeks": 52,
            "start": "2000-01-01",
            "end": "2000-12-30",
            "currency": "USD",
            "notice": "Made-up numbers, for tests only.",
        },
        "posterior": {
            "purchase_model": "drifting_rate",
            "spend_model": "gamma_gamma",
            "reason": "The purchase rate of the log decays: correlation .70 at 44 weeks.",
            "parameters": {
                "log_rate_sd": {"mode": 0.91, "low": 0.87, "high": 0.95},
                "log_rate_weeks": {"mode": 150.2, "low": 131.0, "high": 172.4},
                "dropout_shape": {"mode": 0.55, "low": 0.31, "high": 0.92},
            },
            "file": "posterior.nc",
        },
        "observed_vs_simulated": [
            {"statistic": name, "observed": observed, "simulated": simulated}
            for name, observed, simulated in (
                ("weekly_purchases", 1.09, 1.12),
                ("share_of_zeros", 0.459, 0.447),
                ("variance_over_mean", 2.69, 2.74),
                ("autocorrelation_4_weeks", 0.71, 0.69),
                ("autocorrelation_44_weeks", 0.52, 0.55),
                ("top_20_share", 0.53, 0.50),
                ("mean_basket", 31.2, 31.0),
                ("median_basket", 18.4, 20.9),
                ("annual_spend_mean", 1790.0, 1811.0),
                ("annual_spend_cv", 0.92, 0.98),
            )
        ],
        "market": {
            "weeks": weeks,
            "purchases_per_customer": [1.1 + 0.05 * math.sin(week / 8) for week in weeks],
            "liability": [24_000 * (1 - math.exp(-week / 30)) for week in weeks],
            "points_earned": [40_000 + 900 * math.sin(week / 8) for week in weeks],
            "points_redeemed": [26_000 * (1 - math.exp(-week / 12)) for week in weeks],
            "points_expired": [0.0 if week < 52 else 6_500.0 for week in weeks],
            "tier_share": {"base": 0.66, "silver": 0.23, "gold": 0.11},
            "breakage_share": 0.162,
            "mesa_equals_engine": True,
            "mesa_customers": 500,
            "mesa_weeks": 26,
        },
        "programme": {
            "name": "tiered",
            "tiers": [
                {"name": "base", "threshold": 0, "multiplier": 1.0},
                {"name": "silver", "threshold": 1800, "multiplier": 1.25},
                {"name": "gold", "threshold": 3600, "multiplier": 1.5},
            ],
            "tier_basis": "spend",
            "window": "rolling",
            "window_quarters": 5,
            "points_per_unit": 1.0,
            "earn_on": "paid_before_redemption",
            "rewards": [
                {
                    "name": "item",
                    "points_price": 500,
                    "unit_cost": 5.0,
                    "voucher": False,
                    "multiple": False,
                }
            ],
            "redemption_weeks": 0,
            "expiry_quarters": 4,
            "pending_weeks": 1,
            "challenge": None,
            "streak": None,
            "welcome_points": 0,
            "referral_points": 0,
        },
        "offers": "offers.csv",
        "offer_table": [
            {
                "action": at,
                "offer": offer,
                "channel": channel,
                "kind": kind,
                "commitment": commitment,
            }
            for at, (offer, channel, kind, commitment) in enumerate(
                (
                    ("nothing", "", "none", 0.0),
                    ("discount_5", "email", "discount", 3.01),
                    ("discount_15", "email", "discount", 9.01),
                    ("bonus_points", "push", "points", 2.0),
                    ("free_item", "push", "free_item", 2.0),
                    ("thank_you", "email", "recognition", 0.01),
                )
            )
        ],
        "constraints": {
            "offer_budget_weekly": 1000.0,
            "contact_cap": "2 in 4 weeks",
            "consent": True,
            "vulnerable": True,
        },
        "training": {
            "algorithm": "maskable_ppo",
            "steps": 1_000_000,
            "seconds": 118.3,
            "responses": ["literature"],
            "history": [
                {
                    "step": 32768 * (1 + at),
                    "reward_per_week": 6.5 + 0.2 * (1 - math.exp(-at / 8)) + 0.01 * (at % 3),
                    "contact_share": 0.42 * math.exp(-at / 9) + 0.11,
                }
                for at in range(30)
            ],
        },
        "evaluation": {"customers": 4000, "weeks": 52, "warmup_weeks": 52, "confidence": 0.95},
        "policies": [
            policy_row(name, response, *values[at])
            for at, response in enumerate(("null", "literature"))
            for name, values in POLICIES.items()
        ],
        "onnx_max_abs_diff": 1.2e-6,
        "onnx_rows": 100_000,
        "actions_identical": True,
        "bundle": "bundle",
        "report": "report.html",
        "scored": {
            "customers": 1234,
            "with_offer": 321,
            "reserved": 298.4,
            "budget": 308.5,
            "by_offer": {
                "nothing": 913,
                "bonus_points/push": 170,
                "free_item/push": 101,
                "discount_5/email": 50,
            },
            "by_binding": {"none": 840, "consent": 301, "offer_budget": 81, "vulnerable": 12},
        },
        "assumptions": [
            {
                "what": "Contribution margin",
                "value": 0.25,
                "status": "A",
                "source": "range .20 to .30",
            },
            {
                "what": "Redemption logit",
                "value": -2.7,
                "status": "M",
                "source": "campaigns of type A",
            },
            {
                "what": "Goal gradient",
                "value": 0.22,
                "status": "V",
                "source": "https://doi.org/10.1509/jmkr.43.1.39",
            },
        ],
    }


def policy_row(name: str, response: str, mean: float, half: float) -> dict[str, Any]:
    idle = name == "no_offers"
    effect = 0.0 if idle or response == "null" else 0.4
    return {
        "policy": name,
        "response": response,
        "incremental_margin_per_customer": mean,
        "ci_low": mean - half,
        "ci_high": mean + half,
        "cost": 0.0 if idle else 4000 * (1.2 + abs(mean) / 3),
        "reserved": 0.0 if idle else 41_000.0,
        "budget": 52_000.0,
        "budget_use": 0.0 if idle else 4000 * (1.2 + abs(mean) / 3) / 52_000,
        "peak_reserved_share": 0.0 if idle else 0.998,
        "violations": 0,
        "violations_by_constraint": {"offer_budget": 0, "contact_cap": 0},
        "override_rate": 0.0 if idle else 0.123,
        "roi": None if idle else mean / (1.2 + abs(mean) / 3),
        "retention_lift": 0.004 * effect,
        "retention_low": 0.002 * effect,
        "retention_high": 0.006 * effect,
        "deadweight": None if idle else (1.0 if response == "null" else 0.83),
        "contacts_per_customer": 0.0 if idle else 9.7,
        "opt_outs": 0 if idle else 61,
        "purchase_lift": effect,
        "purchase_low": 0.8 * effect,
        "purchase_high": 1.2 * effect,
        "cumulative": [mean * (1 - math.exp(-week / 15)) for week in range(1, 53)],
    }


class Page(HTMLParser):
    """What a browser would load, the rows of the tables, and the figures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.row_heads: list[str] = []
        self.figures: list[dict[str, Any]] = []
        self.text = ""
        self._inside: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self._inside == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [
            (tag, value or "") for key, value in attrs if key in ("src", "href", "srcset", "data")
        ]
        if tag not in ("meta", "br"):
            self._inside.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, attributes = self._inside[-1] if self._inside else ("", {})
        if tag == "script" and attributes.get("type") == "application/json":
            self.figures.append(json.loads(data))
        elif tag not in ("script", "style"):
            self.text += data
        if tag == "th" and attributes.get("scope") == "row":
            self.row_heads.append(data)


def with_margins(**means: tuple[float, float]) -> dict[str, Any]:
    """The sample with other results in every world: mean and half width by policy."""
    summary = sample_summary()
    summary["policies"] = [
        policy_row(name, response, *means.get(name, (0.0, 1.0 if name != "no_offers" else 0.0)))
        for response in ("null", "literature")
        for name in POLICIES
    ]
    return summary


@pytest.fixture(scope="module")
def text() -> str:
    return render_report(sample_summary())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_policy_has_a_row_per_world_in_both_tables(page: Page) -> None:
    for label in LABELS:
        assert page.row_heads.count(label) == 4


def test_money_is_formatted_and_no_violation_reads_none(page: Page) -> None:
    assert "+$1.46" in page.text
    assert "$52,000" in page.text
    assert "−$3.39 to −$2.83" in page.text
    assert page.text.count("none") >= 12


def test_it_is_one_small_file_that_loads_nothing(text: str, page: Page) -> None:
    assert len(text.encode()) < 8e6
    assert {tag for tag, _ in page.loads} <= {"a"}
    assert page.loads == [("a", "https://doi.org/10.1509/jmkr.43.1.39")]
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    assert text.count("plotly.js v") == 1
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import", style[1])
    assert "default-src 'none'" in text


def test_figures_are_valid_and_every_axis_with_a_scale_has_a_title(page: Page) -> None:
    from plotly import graph_objects

    assert len(page.figures) == 13
    for figure in page.figures:
        drawn = graph_objects.Figure(figure)
        assert drawn.layout.xaxis.title.text
        assert drawn.layout.yaxis.type == "category" or drawn.layout.annotations[0].text


def test_every_table_has_a_caption_and_scoped_heads(text: str, page: Page) -> None:
    before_scripts = text.split("<noscript>")[0]
    assert page.tags.count("table") == page.tags.count("caption") >= 8
    assert page.tags.count("figure") == page.tags.count("figcaption")
    for head in re.findall(r"<th\b[^>]*>", before_scripts):
        assert "scope=" in head


def test_the_programme_is_described_as_it_was_run(page: Page) -> None:
    assert "1 point per USD paid, vouchers counted as money, usable after 1 week and for 4 " in (
        page.text
    )
    assert "Bonus points:" not in page.text
    assert "running and last 4 quarters" in page.text
    assert "Item" in page.row_heads
    summary = sample_summary()
    summary["programme"] |= {
        "tier_basis": "points_earned",
        "window": "calendar",
        "earn_on": "shelf",
        "rewards": [
            {"name": "cashback", "points_price": 100, "unit_cost": 1.0, "voucher": True}
            | {"multiple": True}
        ],
        "expiry_quarters": 0,
        "challenge": {"purchases": 6, "weeks": 4, "points": 50},
        "streak": {"weeks": 3, "points": 20},
        "welcome_points": 100,
    }
    other = Page(render_report(summary)).text
    assert "1 point per USD of the shelf price, usable after 1 week and for ever." in other
    assert (
        "Bonus points: 50 for 6 purchases within 4 weeks, 20 for a purchase in each of 3 weeks in "
        "a row and 100 at enrolment."
    ) in other
    assert "voucher, several at once" in other
    assert "Points to earnin the running year" in other
    assert "1,800" in other
    assert "$1,800" not in other


def test_markup_in_the_data_stays_text() -> None:
    summary = sample_summary()
    attack = '<script>alert("1")</script>'
    summary["name"] = attack
    summary["data"]["name"] = attack
    summary["data"]["notice"] = attack
    summary["policies"][1]["policy"] = attack
    summary["policies"][8]["response"] = attack
    summary["market"]["tier_share"] = {attack: 0.5, "</script><b>": 0.5}
    summary["observed_vs_simulated"][0]["statistic"] = attack
    summary["scored"]["by_offer"] = {attack: 3}
    summary["assumptions"][0]["source"] = 'javascript:alert("1")'
    summary["assumptions"][1]["source"] = 'https://x"onclick="alert(1)'
    text = render_report(summary)
    before_scripts = text.split("<noscript>")[0]
    assert "<script>" not in before_scripts
    assert "alert(&quot;1&quot;)" in before_scripts
    page = Page(text)
    assert page.text.count(attack) >= 6
    assert [load for load in page.loads if load[1].startswith("javascript")] == []
    for figure in page.figures:
        assert "<script" not in json.dumps(figure)


def test_the_headline_names_the_winner_and_what_it_loses_where_offers_do_nothing() -> None:
    assert headline(sample_summary()) == (
        "If offers work as assumed after the literature, MaskablePPO is shown to beat doing "
        "nothing: +$1.46 per customer. If offers change nothing, no policy is shown to beat "
        "doing nothing, and MaskablePPO loses $0.72 per customer."
    )


def test_the_break_even_belief_weighs_loss_against_gain() -> None:
    assert f"more than {round(100 * 0.72 / (0.72 + 1.46))} % likely" in decision(sample_summary())
    assert "likely" not in decision(with_margins())


def test_no_policy_is_shown_to_beat_nothing_when_all_intervals_include_zero() -> None:
    summary = with_margins(maskable_ppo=(1.9, 2.0), blanket=(-0.5, 0.6))
    assert headline(summary) == "No policy is shown to beat doing nothing."
    assert "The interval includes zero" in " ".join(world_answers(summary)[0][1])
    assert "No policy is shown to beat doing nothing." in Page(render_report(summary)).text


def test_a_lower_estimate_that_is_shown_is_named_beside_a_higher_one_that_is_not() -> None:
    summary = with_margins(random=(2.0, 3.0), triggers=(1.0, 0.5))
    assert "Triggers is shown to beat doing nothing" in headline(summary)
    literature = " ".join(world_answers(summary)[0][1])
    assert "The highest estimate is Random" in literature
    assert "Shown to beat doing nothing: Triggers." in literature


def test_overlap_is_said_and_separation_too() -> None:
    overlapping = with_margins(maskable_ppo=(2.0, 0.6), triggers=(1.5, 0.5))
    text = " ".join(world_answers(overlapping)[0][1])
    assert "The interval of Triggers (+$1.50) overlaps with it" in text
    assert "which is better is not established" in text
    clear = with_margins(
        maskable_ppo=(9.0, 0.6), triggers=(1.5, 0.5), blanket=(0.0, 1.0), rfm_rules=(0.0, 1.0)
    )
    assert "lies above all others; next is Triggers" in " ".join(world_answers(clear)[0][1])


def test_a_policy_that_made_no_offers_is_not_called_the_best() -> None:
    summary = sample_summary()
    row = summary["policies"][3]
    assert row["policy"] == "rfm_rules"
    row |= policy_row("no_offers", "null", 0.0, 0.0) | {"policy": "rfm_rules"}
    null = world_answers(summary)[1][1]
    assert null[1].startswith("Closest to it comes Triggers")
    assert null[-1] == "No offers were made by RFM rules."
    assert "no offers made" in Page(render_report(summary)).text


def test_the_null_world_says_that_spending_is_wasted_and_that_a_gain_is_an_error() -> None:
    null = " ".join(world_answers(sample_summary())[1][1])
    assert "Doing nothing has the highest estimate." in null
    assert "Shown to lose money, per customer: Blanket ($3.11), Random ($1.83)" in null
    assert "whatever is spent is wasted" in null
    assert "cannot be real" in " ".join(world_answers(with_margins(blanket=(3.0, 1.0)))[1][1])


def test_numbers_of_numpy_are_numbers() -> None:
    summary = sample_summary()
    summary["scored"]["with_offer"] = np.int64(4321)
    summary["evaluation"]["customers"] = np.int32(8765)
    summary["market"]["liability"] = np.arange(104.0)
    page = Page(render_report(summary))
    assert "4,321 get an offer" in page.text
    assert "8,765" in page.text
    assert len(page.figures) == 13


def test_offers_are_named_and_doing_nothing_is_none_of_them(page: Page) -> None:
    assert "Nothing" not in page.row_heads
    (offers,) = (figure for figure in page.figures if "Bonus points by push" in str(figure))
    assert "Nothing" in offers["data"][0]["y"]


def test_broken_constraints_are_loud() -> None:
    summary = sample_summary()
    summary["policies"][7]["violations"] = 3
    summary["policies"][7]["violations_by_constraint"] = {"contact_cap": 3, "offer_budget": 0}
    text = Page(render_report(summary)).text
    assert "Constraints were broken 3 times." in text
    assert "3: Contact cap 3" in text
    assert "No constraint was broken" not in text


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_any_value_may_be_missing(bad: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "")
    original = sample_summary()
    for path in places(original):
        summary = copy.deepcopy(original)
        inner = summary
        for key in path[:-1]:
            inner = inner[key]
        if bad is not None and not isinstance(inner[path[-1]], int | float):
            continue
        inner[path[-1]] = bad
        text = html.unescape(Page(render_report(summary)).text)
        assert not re.search(r"\bNone\b|\bnan\b|\binf\b", text), path


def test_an_empty_summary_makes_a_page() -> None:
    assert "No policy is shown to beat doing nothing." in Page(render_report({})).text
    nothing = dict.fromkeys(sample_summary())
    assert "Do loyalty offers pay?" in Page(render_report(nothing)).text


def test_the_report_is_a_function_of_the_summary_alone(text: str) -> None:
    assert render_report(json.loads(json.dumps(sample_summary()))) == text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (money(-1234.5, "USD", 2), "−$1,234.50"),
        (money(0.001, "EUR", 2, sign=True), "€0.00"),
        (money(-0.001, "EUR", 2), "€0.00"),
        (money(12, "CHF"), "CHF 12"),
        (money(None, "USD"), "–"),
        (percent(0.1234, 1), "12.3 %"),
        (percent(float("nan")), "–"),
        (points_of_percent(0.0042), "+0.42 pp"),
        (significant(1811.0), "1,811"),
        (significant(0.04567), "0.0457"),
        (significant(1.2e-6, 2), "1.2e−06"),
        (significant(True), "–"),
        (statistic_name("autocorrelation_44_weeks"), "Correlation 44 weeks apart"),
        (statistic_name("correlation_4"), "Correlation 4 weeks apart"),
        (statistic_name("share_of_zeros"), "Weeks without purchase"),
        (plain("free_item"), "Free item"),
        (plain("Complete Journey 2017"), "Complete Journey 2017"),
    ],
)
def test_numbers_are_written_for_a_reader(written: str, expected: str) -> None:
    assert written == expected


def test_the_worth_of_common_luck_is_told_where_it_is_known():
    summary = sample_summary()
    assert "common luck" not in render_report(summary)
    for row, factor in zip(summary["policies"], [None, 2443.9, 5807.1, 857.4] * 3, strict=True):
        row["variance_reduction"] = factor
    text = render_report(summary)
    assert "would take 860 to 5,800 times as many customers in “Literature effects”" in text
    for row in summary["policies"]:
        row["variance_reduction"] = None
    assert "common luck" not in render_report(summary)
