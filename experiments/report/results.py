"""The report's first half: the answer and the results it rests on."""

from collections.abc import Mapping
from typing import Any

from experiments.report import answer as answers
from experiments.report import figures
from experiments.report.elements import (
    Column,
    Group,
    Markup,
    bullets,
    escape,
    figure,
    lead,
    paragraph,
    section,
    side_by_side,
    table,
    tag,
)
from experiments.report.wording import (
    NOTHING,
    currency_of,
    decimal,
    interval,
    join,
    money,
    number_or_none,
    part,
    percent,
    plain,
    points_of_percent,
    policy_name,
    response_name,
    rows,
)

Summary = Mapping[str, Any]
_STANDINGS = {
    "gain": "● gain",
    "loss": "■ loss",
    "open": "○ not established",
    "idle": "no offers made",
    "unknown": NOTHING,
}


def answer(summary: Summary) -> Markup:
    """The answer in words, the worlds one by one, and how far to trust it."""
    broken = answers.broken_rules(summary)
    return section(
        "answer",
        "The answer",
        paragraph(answers.headline(summary), class_="headline"),
        paragraph(answers.decision(summary)),
        side_by_side(
            *(
                tag("div", Markup(tag("h3", world) + bullets(claims)), class_="card")
                for world, claims in answers.world_answers(summary)
            )
        ),
        lead(*broken),
        tag("h3", "How far to trust this"),
        bullets(
            Markup(tag("strong", claim) + " " + escape(text))
            for claim, text in answers.cautions(summary)
        ),
    )


def by_world(summary: Summary) -> Markup:
    """Forest plot, one panel a response world."""
    results, currency = rows(summary, "policies"), currency_of(summary)
    evaluation = part(summary, "evaluation")
    span = figures.forest_span(results)
    level = percent(evaluation.get("confidence"))
    caption = f"Mean and {level} interval, {decimal(evaluation.get('customers'))} customers."
    return section(
        "policies",
        "What each policy earns",
        paragraph(
            f"Margin per customer over {decimal(evaluation.get('weeks'))} weeks, after all costs, "
            "compared with making no offers to the same customers with the same luck. The vertical "
            "line at zero is doing nothing. ● the interval lies above zero, ■ below zero, "
            "○ includes zero."
        ),
        side_by_side(
            *(
                figure(
                    response_name(world),
                    figures.forest(answers.world_rows(summary, world), currency, span),
                    caption,
                )
                for world in answers.response_worlds(summary)
            )
        ),
        paragraph(_common_luck(summary), class_="note"),
    )


def _common_luck(summary: Summary) -> str:
    """What it is worth that all branches meet the same luck; empty where that is not known."""
    found = []
    for world in answers.response_worlds(summary):
        factors = [
            factor
            for row in answers.world_rows(summary, world)
            if (factor := number_or_none(row.get("variance_reduction"))) is not None
        ]
        if factors:
            low, high = (decimal(float(f"{end:.2g}")) for end in (min(factors), max(factors)))
            times = low if low == high else f"{low} to {high}"
            found.append(f"{times} times as many customers in “{response_name(world)}”")
    if not found:
        return ""
    return (
        "Without common luck, policies on other draws for the same customers, intervals as narrow "
        f"would take {join(found)} (variance-reduction factors, by policy in summary.json)."
    )


def all_results(summary: Summary) -> Markup:
    """Every policy in every world: money first, then customers and limits."""
    evaluation = part(summary, "evaluation")
    scale = (
        f"totals over {decimal(evaluation.get('customers'))} customers and "
        f"{decimal(evaluation.get('weeks'))} weeks"
    )
    worlds = answers.response_worlds(summary)
    return section(
        "results",
        "All results",
        table(
            f"Money ({currency_of(summary) or 'currency units'}; {scale})",
            [
                Column("Policy", "text"),
                Column("Margin per customer", note="incremental"),
                Column("Interval", note=percent(evaluation.get("confidence"))),
                Column("Shown", "text"),
                Column("Settled", note="offers' real cost"),
                Column("Reserved", note="most they could cost"),
                Column("Budget", note="all weeks"),
                Column("Budget use", note="settled"),
                Column("Peak reserved", note="of a week's limit"),
                Column("ROI", note="0 = break even"),
            ],
            *(
                Group(
                    response_name(world),
                    [_money_row(summary, row) for row in answers.world_rows(summary, world)],
                )
                for world in worlds
            ),
        ),
        table(
            "Customers and limits",
            [
                Column("Policy", "text"),
                Column("Retention lift", note="percentage points"),
                Column("Interval", note="pp"),
                Column("Purchase lift", note="per customer"),
                Column("Interval", note="purchases"),
                Column("Deadweight", note="of redeemed cost"),
                Column("Contacts", note="per customer"),
                Column("Opt-outs"),
                Column("Overruled", note="proposals"),
                Column("Violations", "text"),
            ],
            *(
                Group(
                    response_name(world),
                    [_customer_row(row) for row in answers.world_rows(summary, world)],
                )
                for world in worlds
            ),
        ),
        paragraph(
            "Reserved counts every offer at the most it could cost when issued. Most of it is "
            "released unused, so the sum over the weeks may exceed what is settled many times.",
            class_="note",
        ),
    )


def _money_row(summary: Summary, row: answers.Row) -> list[object]:
    currency = currency_of(summary)
    low = money(row.get("ci_low"), currency, 2, sign=True)
    high = money(row.get("ci_high"), currency, 2, sign=True)
    reference = row.get("policy") == "no_offers"
    standing = answers.standing(row)
    budget = row.get("budget")
    return [
        policy_name(row.get("policy")),
        money(row.get("incremental_margin_per_customer"), currency, 2, sign=True),
        NOTHING if reference else interval(low, high),
        "reference" if reference else tag("span", _STANDINGS[standing], class_=standing),
        money(row.get("cost"), currency),
        money(row.get("reserved"), currency),
        "no limit" if budget is None else money(budget, currency),
        percent(row.get("budget_use"), 1),
        percent(row.get("peak_reserved_share"), 1),
        decimal(row.get("roi"), 2, sign=True),
    ]


def _customer_row(row: answers.Row) -> list[object]:
    retention = [points_of_percent(row.get(f"retention_{end}")) for end in ("low", "high")]
    purchases = [decimal(row.get(f"purchase_{end}"), 2, sign=True) for end in ("low", "high")]
    reference = row.get("policy") == "no_offers"
    return [
        policy_name(row.get("policy")),
        points_of_percent(row.get("retention_lift")),
        NOTHING if reference else interval(*(end.removesuffix(" pp") for end in retention)),
        decimal(row.get("purchase_lift"), 2, sign=True),
        NOTHING if reference else interval(*purchases),
        percent(row.get("deadweight")),
        decimal(row.get("contacts_per_customer"), 1),
        decimal(row.get("opt_outs")),
        percent(row.get("override_rate"), 1),
        _violations(row),
    ]


def _violations(row: answers.Row) -> Markup:
    count = number_or_none(row.get("violations"))
    if count is None:
        return escape(NOTHING)
    if not count:
        return tag("span", "none", class_="none")
    by_constraint = part(row, "violations_by_constraint")
    named = [
        f"{plain(name)} {decimal(times)}"
        for name, times in by_constraint.items()
        if number_or_none(times)
    ]
    return tag(
        "span", f"{decimal(count)}: {join(named)}" if named else decimal(count), class_="bad"
    )


def over_time(summary: Summary) -> Markup:
    """Cumulative incremental margin."""
    results, currency = rows(summary, "policies"), currency_of(summary)
    span = figures.cumulative_span(results)
    drawn = side_by_side(
        *(
            figure(
                response_name(world),
                figures.cumulative(answers.world_rows(summary, world), currency, span),
                "Incremental margin per customer up to each week, against no offers at zero.",
            )
            for world in answers.response_worlds(summary)
        )
    )
    if not drawn:
        return Markup("")
    text = (
        "Costs come first and effects may follow, so a line that is still rising or falling at the "
        "end says that the horizon matters to the result."
    )
    return section("weeks", "When it is earned or lost", paragraph(text), drawn)
