"""Through whom a difference comes, and what common luck saves."""

from collections.abc import Mapping
from typing import Any

from experiments.report.answer import Statement
from experiments.report.elements import (
    Column,
    Group,
    Markup,
    paragraph,
    section,
    table,
)
from experiments.report.simulation_words import (
    Summary,
    names,
    profit_row,
    what_error,
    what_name,
    what_value,
)
from experiments.report.wording import (
    NOTHING,
    decimal,
    interval,
    number_or_none,
    part,
    percent,
    rows,
    significant,
)

_ENDS = ("low", "high")


def statements(summary: Summary) -> list[Statement]:
    """Of the difference in profit, in the answer's findings."""
    found = [_through_others(summary), _saved(summary)]
    return [statement for statement in found if statement is not None]


# -------------------------------------------------------------------- direct and total effects


def _through_others(summary: Summary) -> Statement | None:
    row = profit_row(rows(summary, "effects"))
    if row is None:
        return None
    total, direct, spill = (part(row, name) for name in ("total", "direct", "spillover"))
    return Statement(
        "Through others.",
        f"Of {_amount(total)} profit per customer {_amount(direct)} ({_ends(direct, summary)}) is "
        f"what happens to customers themselves; {_amount(spill)} ({_ends(spill, summary)}) comes "
        "on top through friends and rivals.",
    )


def effects(summary: Summary) -> Markup:
    """Total effect, direct effect and spill-over per outcome; left out where nobody interacts."""
    found = [
        [
            what_name(row.get("what")),
            *(
                value
                for effect in ("total", "direct", "spillover")
                for value in _cells(row.get("what"), part(row, effect))
            ),
        ]
        for row in rows(summary, "effects")
        if any(number_or_none(part(row, effect).get("mean")) for effect in ("total", "direct"))
    ]
    if not found:
        return Markup("")
    ours, theirs = names(summary)
    level = percent(summary.get("confidence"))
    return section(
        "effects",
        "Through whom it comes",
        paragraph(
            "The total effect runs the whole market twice. The direct effect is each customer's "
            f"own: {ours.lower()} for this customer alone, while friends and rivals do what they "
            f"do under {theirs.lower()}. The rest is spill-over: what friends tell, who follows "
            "them or is brought by them, how rivals answer. A customer whom friends brought is "
            "spill-over from the first day."
        ),
        table(
            "Effects per person",
            [
                Column("What", "text"),
                Column("Total"),
                Column("Interval", note=level),
                Column("Direct"),
                Column("Interval", note=level),
                Column("Spill-over"),
                Column("Interval", note=level),
            ],
            Group("", found),
        ),
    )


# -------------------------------------------------------------------------------- common luck


def _saved(summary: Summary) -> Statement | None:
    row = profit_row(rows(summary, "precision"))
    if row is None:
        return None
    if row.get("exact"):
        text = "Every customer's difference in profit is the same: no luck is left in it."
        return Statement("What common luck saves.", text)
    people = number_or_none(summary.get("customers")) or 0.0
    factor = number_or_none(row.get("different_factor"))
    arms = NOTHING if factor is None else decimal(float(f"{people * factor:.2g}"))
    ends = interval(significant(row.get("low"), 2), significant(row.get("high"), 2))
    return Statement(
        "What common luck saves.",
        f"As sure a difference in profit would take {_times(row.get('factor'))} as many people "
        f"without common luck ({percent(summary.get('confidence'))} interval {ends}), and a test "
        f"with different people about {arms} in each arm.",
    )


def precision(summary: Summary) -> Markup:
    """Standard errors and variance-reduction factors per outcome."""
    found = []
    for row in rows(summary, "precision"):
        what, exact = row.get("what"), bool(row.get("exact"))
        errors = ("standard_error", "standard_error_independent", "standard_error_different")
        found.append(
            [
                what_name(what),
                *(
                    "0" if exact and at == 0 else what_error(what, row.get(name))
                    for at, name in enumerate(errors)
                ),
                "no luck left" if exact else significant(row.get("factor"), 3),
                NOTHING
                if exact
                else interval(significant(row.get("low"), 3), significant(row.get("high"), 3)),
                NOTHING if exact else significant(row.get("different_factor"), 3),
            ]
        )
    if not found:
        return Markup("")
    return section(
        "precision",
        "What common luck saves",
        paragraph(
            "Three ways to measure the same difference with as many people: the same people with "
            "the same luck (as here), the same people with independent luck, and different people "
            "on either side, as a firm would have to test it. Variances fall with the number of "
            "people, so the ratio of two variances, the variance-reduction factor, says how many "
            "times as many people the other way needs."
        ),
        table(
            "Standard error of the mean difference per person, and variance-reduction factors",
            [
                Column("What", "text"),
                Column("Same luck", note="standard error"),
                Column("Independent luck", note="standard error"),
                Column("Different people", note="standard error"),
                Column("Factor", note="independent luck"),
                Column("Interval", note="95 %"),
                Column("Factor", note="different people"),
            ],
            Group("", found),
        ),
        paragraph(
            "Measured with one more run of the other side on independent luck. People count as "
            "independent. How individual luck is coupled between the sides is a choice of the "
            "simulation (docs/contracts.md, §10): factors depend on it, mean differences do not.",
            class_="note",
        ),
    )


# ------------------------------------------------------------------------------------- pieces


def _amount(estimate: Mapping[str, Any]) -> str:
    return what_value("profit", estimate.get("mean"))


def _ends(estimate: Mapping[str, Any], summary: Summary) -> str:
    low, high = (what_value("profit", estimate.get(end)) for end in _ENDS)
    return f"{percent(summary.get('confidence'))} interval {interval(low, high)}"


def _cells(what: object, estimate: Mapping[str, Any]) -> tuple[str, str]:
    low, high = (what_value(what, estimate.get(end)).removesuffix(" pp") for end in _ENDS)
    return what_value(what, estimate.get("mean")), interval(low, high)


def _times(factor: object) -> str:
    number = number_or_none(factor)
    return NOTHING if number is None else f"{significant(number, 2)} times"
