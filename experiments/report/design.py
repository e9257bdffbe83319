"""Page and console text of a programme search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.report import document
from experiments.report.console_text import aligned, wrapped
from experiments.report.elements import (
    Group,
    Markup,
    bullets,
    figure,
    paragraph,
    section,
    table,
    tag,
)
from experiments.report.figures import BLUE, Figure, amount, base_layout, gains_with_intervals
from experiments.report.redesign import (
    COLUMNS,
    cells,
    changed_rule,
    programme_name,
    redesigned,
    redesigned_text,
    spaced,
)
from experiments.report.wording import decimal

Summary = Mapping[str, Any]

_NOT_SHOWN = (
    "Programmes are compared within the model: response worlds are assumptions, and what is best "
    "in one can lose money in another. Give several to responses=[…] for a design that is best on "
    "average.",
    "A rule's effect is that of changing it alone; together rules may do more or less.",
    "Competitors do not copy the programme, and setting one up costs nothing here.",
)


def headline(summary: Summary) -> str:
    """The answer in one or two sentences."""
    means = {
        name: float(np.mean([_gain(world, name)["gain"] for world in summary["compared"]]))
        for name in (*summary["presets"], "found")
    }
    best = max(summary["presets"], key=lambda name: means[name])
    found = means["found"]
    lows = [_gain(world, "found")["low"] for world in summary["compared"]]
    if found <= 0 and means[best] <= 0:
        least = best if means[best] > found else "found"
        return (
            f"No programme pays: the best, {programme_name(least)}, costs "
            f"{amount(-means[least])} per customer in {summary['weeks']} weeks."
        )
    sure = "" if min(lows) > 0 else " Its interval includes losses in at least one world."
    ahead = found - means[best]
    word = "more" if ahead >= 0 else "less"
    return (
        f"The design found brings {amount(found)} per customer in {summary['weeks']} weeks above "
        f"no programme, {amount(abs(ahead))} {word} than the best preset "
        f"({programme_name(best)}).{sure}"
    )


def summary_text(summary: Summary) -> str:
    """What the console shows, at most 100 columns wide."""
    lines = ["", *wrapped(headline(summary)), ""]
    for world in summary["compared"]:
        lines += [f"response {world['response']}: above no programme, per customer"]
        lines += aligned(
            [[programme_name(row["programme"]), *cells(row)] for row in world["programmes"]]
        )
        if world["rules"]:
            lines += ["", f"each rule changed alone, above {summary['found']['start']}"]
            lines += aligned([[_rule(summary, row["rule"]), *cells(row)] for row in world["rules"]])
        lines.append("")
    if summary.get("redesign"):
        lines += redesigned_text(summary["redesign"])
    return "\n".join(line.rstrip() for line in lines)


def render_design(summary: Summary) -> str:
    """One offline HTML page; ``summary`` is summary.json."""
    title = f"Which programme? {summary['name']}"
    about = (
        f"World “{summary['world']}”, response {', '.join(summary['responses'])}, "
        f"{decimal(summary['weeks'])} weeks; {decimal(summary['trials'])} designs tried on "
        f"{decimal(summary['search_customers'])} customers, compared on "
        f"{decimal(summary['customers'])} others. Money in currency units."
    )
    header = tag(
        "header",
        Markup(
            paragraph(f"loyaltylab · design {summary['name']}", class_="eyebrow")
            + tag("h1", "Which programme pays?")
            + paragraph(about, class_="about")
        ),
    )
    body = "".join(
        (
            _answer(summary),
            _rules(summary),
            _search(summary),
            redesigned(summary),
            section("limits", "What these numbers do not show", bullets(_NOT_SHOWN)),
        )
    )
    return document(title, Markup(header + tag("main", Markup(body))))


def _answer(summary: Summary) -> Markup:
    groups = [
        Group(
            f"response {world['response']}",
            [[programme_name(row["programme"]), *cells(row)] for row in world["programmes"]],
        )
        for world in summary["compared"]
    ]
    found = summary["found"]
    changed = bullets(changed_rule(row) for row in found["rules"])
    return section(
        "answer",
        "The answer",
        paragraph(headline(summary), class_="headline"),
        figure(
            "Profit above no programme",
            _forest(summary["compared"], "programmes", "programme", programme_name),
            "Per customer over the whole run, margin less rewards less points owed at the end; "
            "same customers and luck in every programme; 95 % intervals over customers.",
        ),
        table("Profit per customer above no programme", COLUMNS, *groups),
        tag("h3", f"The design found, starting from {found['start']}"),
        changed or paragraph("No rule was changed."),
    )


def _rules(summary: Summary) -> Markup:
    groups = [
        Group(
            f"response {world['response']}",
            [[_rule(summary, row["rule"]), *cells(row)] for row in world["rules"]],
        )
        for world in summary["compared"]
        if world["rules"]
    ]
    start = summary["found"]["start"]
    return section(
        "rules",
        "Which rule does it",
        figure(
            f"Each rule changed alone, above {start}",
            _forest(summary["compared"], "rules", "rule", lambda name: _rule(summary, name)),
            "Paired with the unchanged preset on the same customers and luck.",
        ),
        table(f"Profit per customer above {start}", COLUMNS, *groups),
    )


def _search(summary: Summary) -> Markup:
    best = summary["best_by_trial"]
    layout = base_layout("trial")
    layout["height"] = 260
    drawing: Figure = {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(range(1, len(best) + 1)),
                "y": best,
                "line": {"shape": "hv", "color": BLUE},
                "hovertemplate": "trial %{x}: %{y:.2f}<extra></extra>",
            }
        ],
        "layout": layout,
    }
    return section(
        "search",
        "The search",
        figure(
            "Best gain so far",
            drawing,
            "On the customers of the search. The last value is the best of many looks at one "
            "cohort and flatters; the answer above is on other customers.",
        ),
    )


def _forest(worlds: Sequence[Mapping[str, Any]], key: str, name: str, named: Any) -> Figure | None:
    return gains_with_intervals(
        {
            world["response"]: [
                (named(row[name]), row["gain"], row["low"], row["high"]) for row in world[key]
            ]
            for world in worlds
            if world[key]
        }
    )


def _gain(world: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    row: Mapping[str, Any] = next(r for r in world["programmes"] if r["programme"] == name)
    return row


def _rule(summary: Summary, name: str) -> str:
    changed = {row["rule"]: row for row in summary["found"]["rules"]}
    return changed_rule(changed[name]) if name in changed else spaced(name)
