"""How to read the report, what was put in, and how it was made."""

from collections.abc import Mapping
from typing import Any

from experiments.report.elements import (
    Column,
    Group,
    Markup,
    paragraph,
    section,
    side_by_side,
    source_link,
    table,
    tag,
)
from experiments.report.glossary import STATUSES, TERMS
from experiments.report.wording import (
    NOTHING,
    compact,
    decimal,
    duration,
    number_or_none,
    part,
    plain,
    rows,
    significant,
    yes_no,
)

Summary = Mapping[str, Any]


def definitions(summary: Summary) -> Markup:
    """Definitions."""
    items = "".join(tag("dt", term) + tag("dd", meaning) for term, meaning in TERMS)
    return section("reading", "How to read this", tag("dl", Markup(items)))


def assumptions(summary: Summary) -> Markup:
    """What was put in, and how well it is known."""
    return section(
        "assumptions",
        "What was put in",
        paragraph(
            "; ".join(f"{sign} = {meaning}" for sign, (_, meaning) in STATUSES.items()) + "."
        ),
        table(
            "Assumptions",
            [
                Column("What", "text"),
                Column("Value", "text"),
                Column("Known by", "text"),
                Column("Source", "text"),
            ],
            Group(
                "",
                [
                    [
                        plain(row.get("what")),
                        _value(row.get("value")),
                        _status(row.get("status")),
                        source_link(row.get("source")),
                    ]
                    for row in rows(summary, "assumptions")
                ],
            ),
        ),
        _posterior(summary),
    )


def _value(value: object) -> str:
    if isinstance(value, bool) or number_or_none(value) is None:
        return NOTHING if value is None else str(value)
    return compact(value)


def _status(status: object) -> str:
    known = STATUSES.get(str(status))
    return f"{status} · {known[0]}" if known else str(status or NOTHING)


def _posterior(summary: Summary) -> Markup:
    posterior = part(summary, "posterior")
    parameters = part(posterior, "parameters")
    found = {name: part(parameters, name) for name in parameters}
    return Markup(
        paragraph(
            f"Customers: purchase model “{plain(posterior.get('purchase_model'))}”, spend model "
            f"“{plain(posterior.get('spend_model'))}”.",
            posterior.get("reason"),
        )
        + table(
            "Fitted parameters",
            [Column("Parameter", "text"), Column("Mode"), Column("Low"), Column("High")],
            Group(
                "",
                [
                    [name, *(significant(value.get(key)) for key in ("mode", "low", "high"))]
                    for name, value in found.items()
                ],
            ),
        )
    )


def provenance(summary: Summary) -> Markup:
    """Data, seeds, configuration, files, time."""
    data, stages = part(summary, "data"), part(summary, "stages")
    evaluation = part(summary, "evaluation")
    first, last = data.get("start") or NOTHING, data.get("end") or NOTHING
    exact = yes_no(summary.get("actions_identical"))
    facts = [
        ("Data", f"{plain(data.get('name'))} ({data.get('source') or NOTHING})"),
        ("Notice", data.get("notice") or NOTHING),
        ("Period", f"{first} to {last}, {decimal(data.get('weeks'))} weeks"),
        ("Seed", NOTHING if summary.get("seed") is None else str(summary.get("seed"))),
        ("loyaltylab", str(summary.get("version") or NOTHING)),
        ("Created", str(summary.get("created") or NOTHING)),
        (
            "Evaluation",
            f"{decimal(evaluation.get('customers'))} test customers unseen in training, "
            f"{decimal(evaluation.get('warmup_weeks'))} weeks of warm-up without offers, then "
            f"{decimal(evaluation.get('weeks'))} weeks",
        ),
        (
            "Exported policy",
            f"same actions as the trained one: {exact}; largest difference of its outputs "
            f"{significant(summary.get('onnx_max_abs_diff'), 2)} on "
            f"{decimal(summary.get('onnx_rows'))} rows",
        ),
        ("Posterior", part(summary, "posterior").get("file") or NOTHING),
        ("Bundle", summary.get("bundle") or NOTHING),
        ("Offers", summary.get("offers") or NOTHING),
        ("Report", summary.get("report") or NOTHING),
    ]
    seconds = [[plain(stage), duration(value)] for stage, value in stages.items()]
    return section(
        "made",
        "How this was made",
        side_by_side(
            table("The run", [Column("What", "text"), Column("Value", "text")], Group("", facts)),
            table(
                "Run time",
                [Column("Stage", "text"), Column("Time")],
                Group("", [*seconds, ["Whole run", duration(summary.get("seconds"))]]),
            ),
        ),
    )
