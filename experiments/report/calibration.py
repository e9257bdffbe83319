"""One HTML file on a calibration: what was fitted, can it be trusted, does it forecast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.report import calibration_figures as figures
from experiments.report import calibration_words as words
from experiments.report import document
from experiments.report.elements import (
    Column,
    Group,
    Markup,
    bullets,
    figure,
    paragraph,
    section,
    side_by_side,
    table,
    tag,
)
from experiments.report.wording import decimal, join, part, percent, plain, rows, statistic_name

Summary = Mapping[str, Any]


def render_calibration(summary: Summary) -> str:
    """Make the page from summary.json; a pure function.

    Parameters
    ----------
    summary
        See `experiments.calibrate.run_calibrate`. Values may be None.
    """
    parts = (_answer, _parameters, _checks, _forecast, _made)
    content = "".join(one(summary) for one in parts)
    title = f"Calibration: {part(summary, 'data').get('name') or ''}"
    head = tag(
        "header",
        Markup(
            paragraph(f"loyaltylab · run {summary.get('name') or '–'}", class_="eyebrow")
            + tag("h1", "How these customers buy, and how sure that is")
            + paragraph(_about(summary), class_="about")
        ),
    )
    return document(title, Markup(head + tag("main", Markup(content))))


def _about(summary: Summary) -> str:
    data = part(summary, "data")
    return (
        f"{plain(data.get('name'))}: {decimal(data.get('customers'))} customers, "
        f"{decimal(data.get('purchases'))} purchases, {data.get('start') or '–'} to "
        f"{data.get('end') or '–'}."
    )


def _answer(summary: Summary) -> Markup:
    model = part(summary, "model")
    return section(
        "answer",
        "In short",
        paragraph(words.headline(summary), class_="verdict"),
        bullets(
            [
                words.forecast_verdict(summary),
                f"Why this model: {model.get('choice') or '–'}.",
                _check_verdict(summary),
            ]
        ),
    )


def _check_verdict(summary: Summary) -> str:
    checks = rows(summary, "predictive_checks")
    missed = [statistic_name(row.get("statistic")) for row in checks if not row.get("inside")]
    if not checks:
        return "Simulated customers were not compared with the log."
    if not missed:
        return f"Customers simulated from the fit share all {len(checks)} statistics with the log."
    return (
        f"Customers simulated from the fit miss {len(missed)} of {len(checks)} statistics of the "
        f"log: {join(missed)}."
    )


def _parameters(summary: Summary) -> Markup:
    level = percent(summary.get("confidence"))
    columns = [
        Column("Parameter", "text"),
        Column("Prior", "number", level),
        Column("Mode"),
        Column("Mean"),
        Column("Posterior", "number", level),
    ]
    drawn = [
        figure(plain(row.get("name")), figures.densities(row), "Prior dashed, posterior solid.")
        for row in rows(summary, "parameters")
    ]
    diagnostics = [
        Column("Model", "text"),
        Column("Draws"),
        Column("R-hat", "number", "at most 1.01"),
        Column("ESS bulk", "number", "at least 400"),
        Column("ESS tail", "number", "at least 400"),
        Column("Divergent"),
        Column("Pareto k", "number", "at most .7"),
        Column("Beyond bounds", "text"),
    ]
    return section(
        "parameters",
        "What was assumed and what the log says",
        paragraph(
            "A posterior much narrower than its prior is the log speaking; one as wide as its "
            "prior is the assumption speaking."
        ),
        table("Parameters", columns, Group("", words.parameter_rows(summary))),
        *(side_by_side(*drawn[at : at + 2]) for at in range(0, len(drawn), 2)),
        table("Can the draws be trusted?", diagnostics, Group("", words.diagnostic_rows(summary))),
    )


def _checks(summary: Summary) -> Markup:
    found = words.check_rows(summary)
    if not found:
        return Markup("")
    columns = [
        Column("Statistic", "text"),
        Column("Log"),
        Column("Simulated", "number", "median"),
        Column("Range", "number", percent(summary.get("confidence"))),
        Column("Difference"),
        Column("Within", "text"),
    ]
    return section(
        "checks",
        "Do customers simulated from the fit look like the log?",
        paragraph(
            f"Each simulated cohort has the weeks and clocks of "
            f"{decimal(summary.get('customers_compared'))} customers of the log, and parameters "
            "drawn from the posterior, so the range holds what parameters and luck do together."
        ),
        table("Posterior predictive checks", columns, Group("", found)),
    )


def _forecast(summary: Summary) -> Markup:
    found = words.score_rows(summary)
    if not found:
        return Markup("")
    columns = [
        Column("Model", "text"),
        Column("Log density", "number", "per customer"),
        Column("From the best", "number", "± standard error"),
        Column("Expected", "number", "purchases"),
        Column("Made", "number", "purchases"),
        Column("Deviation", "number", "of the transform"),
        Column("Band", "number", "95 % if it is right"),
        Column("Inside", "text"),
        Column("Uniform band", "number", "of one sample"),
    ]
    weeks = decimal(part(summary, "holdout").get("weeks"))
    return section(
        "forecast",
        f"Does it forecast? {weeks} weeks held out",
        paragraph(words.forecast_verdict(summary)),
        paragraph(
            f"Every model was fitted to {decimal(part(summary, 'holdout').get('customers'))} "
            "customers without these weeks. A drifting rate is fitted to forecast here, by the "
            "likelihood of purchase days; the posterior above is fitted to moments that a "
            "simulation must keep, and forecasts somewhat less well."
        ),
        table("Models on the held-out weeks, best first", columns, Group("", found)),
        figure(
            "Purchases so far",
            figures.tracking(summary),
            "Expected purchases of customers with these clocks, nothing else known of them; days "
            "with several purchases count once.",
        ),
        side_by_side(
            figure(
                "Is the uncertainty right?",
                figures.transform(summary),
                "Where each customer's purchases fell in what was predicted for it (randomised "
                "probability integral transform). Flat within the band: right. Rising then "
                "falling: fewer purchases than predicted.",
            ),
            figure(
                "Are those called alive alive?",
                figures.reliability(summary),
                "Customers in ten groups by predicted P(alive): how many bought, against the "
                "predicted probability of at least one purchase. Bars: 95 %.",
            ),
        ),
    )


def _made(summary: Summary) -> Markup:
    model, data = part(summary, "model"), part(summary, "data")
    facts = [
        ("Inference", model.get("inference") or "–"),
        ("Priors", model.get("priors") or "–"),
        ("Draws kept", decimal(model.get("draws"))),
        ("Refunds", data.get("refunds") or "none in the log"),
        ("Time zone", data.get("time_zone") or "–"),
        ("Seed", str(summary.get("seed"))),
        ("loyaltylab", summary.get("version") or "–"),
        ("Created", summary.get("created") or "–"),
        ("Terms of the data", data.get("notice") or "–"),
    ]
    columns = [Column("What", "text"), Column("Value", "text")]
    return section("made", "How this was made", table("The run", columns, Group("", facts)))
