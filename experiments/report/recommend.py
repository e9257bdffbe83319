"""Page and console text of a recommendation."""

from collections.abc import Mapping
from typing import Any

from experiments.report import document
from experiments.report.console_text import aligned, wrapped
from experiments.report.elements import (
    Column,
    Group,
    Markup,
    bullets,
    figure,
    paragraph,
    section,
    table,
    tag,
)
from experiments.report.figures import amount, gains_with_intervals
from experiments.report.wording import decimal

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

_SHOWN = 8
_LIMITS = (
    "Everything is within the model. Response worlds are assumptions; which is true, only an "
    "experiment with a control group tells.",
    "Setting a programme up and running it costs nothing here; add what it costs.",
    "Intervals are over customers, for one training of each policy that learns; training's own "
    "luck is not in them.",
    "The figure and tables show all choices on the customers that the choice was made on; the best "
    "of many flatters there, so the answer above has other customers.",
    "Rivals do not copy the programme.",
)


def headline(summary: Summary) -> str:
    """The answer in one sentence or two."""
    best, runner_up = summary["choices"][0], summary["choices"][1]
    found, ahead = summary["confirmed"], summary["confirmed"]["ahead"]
    sure = "" if found["low"] > 0 else " That is not surely more than nothing."
    if ahead["low"] > 0:
        close = f"{amount(ahead['gain'])} less"
    elif ahead["high"] < 0:
        close = f"which did better on these customers, by {amount(-ahead['gain'])}"
    elif ahead["low"] == ahead["high"] == 0:
        close = "which did the same for every one of these customers"
    else:
        close = f"no different within luck ({amount(-ahead['high'])} to {amount(-ahead['low'])})"
    return (
        f"Choose {_name(best)}: {amount(found['gain'])} per customer in {summary['weeks']} weeks "
        f"above no programme and no offers ({amount(found['low'])} to {amount(found['high'])}), "
        f"mean over response worlds, on customers that the choice was not made on.{sure} "
        f"Runner-up: {_name(runner_up)}, {close}."
    )


def what_would_change_it(summary: Summary) -> list[str]:
    """Sentences: response worlds and budgets under which another choice is better."""
    best = summary["choices"][0]
    found = []
    for turn in summary["turns"]:
        belief = turn["belief"]
        sure = (
            ""
            if belief is None
            else f" It wins as soon as you believe in {turn['response']} with more than "
            f"{100 * belief:.0f} %."
        )
        found.append(
            f"If {turn['response']} is true, {_name(turn)} brings {amount(turn['gain'])} more per "
            f"customer ({amount(turn['low'])} to {amount(turn['high'])}).{sure}"
        )
    for row in summary["budgets"]:
        same = (row["programme"], row["policy"]) == (best["programme"], best["policy"])
        what = "the answer stays" if same else f"{_name(row)} is better"
        found.append(
            f"With a weekly budget of {row['weekly_budget']:.2f} per customer {what}: "
            f"{amount(row['gain'])} ({amount(row['low'])} to {amount(row['high'])})."
        )
    worst = min(zip(best["by_response"], summary["responses"], strict=True))
    found.append(
        f"In the worst response world for it ({worst[1]}) the answer brings {amount(worst[0])}; "
        f"the most it gives away in any world is {amount(best['regret'])}."
    )
    return found


def summary_text(summary: Summary) -> str:
    """What the console shows, at most 100 columns wide."""
    lines = ["", *wrapped(headline(summary)), ""]
    head = ["", "gain", "interval", "regret", "offer cost", "contacts"]
    lines += aligned([head, *([_name(row), *_cells(row)] for row in _shown(summary))])
    left = len(summary["choices"]) - _SHOWN
    if left > 0:
        lines.append(f"and {left} more in report.html")
    lines += ["", "What would change the answer"]
    for sentence in what_would_change_it(summary):
        lines += wrapped(f"- {sentence}", "  ")
    lines += ["", f"hard limits broken: {summary['violations']}"]
    return "\n".join(line.rstrip() for line in lines)


def render_recommendation(summary: Summary) -> str:
    """One offline HTML page; ``summary`` is summary.json."""
    about = (
        f"World “{summary['world']}”, {decimal(summary['weeks'])} weeks, constraints "
        f"“{summary['constraints']}”, weekly offer budget {summary['weekly_budget']:.2f} per "
        f"customer, {decimal(summary['customers'])} test customers. Money in currency units."
    )
    header = tag(
        "header",
        Markup(
            paragraph(f"loyaltylab · recommendation {summary['name']}", class_="eyebrow")
            + tag("h1", "Which programme, and which offers?")
            + paragraph(about, class_="about")
        ),
    )
    columns = (
        Column("choice", "text"),
        Column("gain"),
        Column("95 % interval" if summary["confidence"] == 0.95 else "interval"),
        Column("regret"),
        Column("offer cost"),
        Column("contacts"),
    )
    rows = [[_name(row), *_cells(row)] for row in summary["choices"]]
    worlds = (Column("choice", "text"), *(Column(name) for name in summary["responses"]))
    by_world = [[_name(row), *map(amount, row["by_response"])] for row in _shown(summary)]
    body = (
        section(
            "answer",
            "The answer",
            paragraph(headline(summary), class_="headline"),
            figure(
                "Gain above no programme and no offers",
                gains_with_intervals(
                    {
                        "": [
                            (_name(row), row["gain"], row["low"], row["high"])
                            for row in _shown(summary)
                        ]
                    }
                ),
                "Per customer, mean over response worlds weighted by belief; same customers and "
                "luck in every choice; intervals over customers.",
            ),
        ),
        section("change", "What would change the answer", bullets(what_would_change_it(summary))),
        section(
            "choices",
            "Every choice",
            paragraph(
                "Regret is the most that a choice gives away in any response world against the "
                "best there. Offer cost and contacts are per customer."
            ),
            table("Choices, best first", columns, Group("", rows)),
            table("Gain by response world", worlds, Group("", by_world)),
            paragraph(f"Hard limits broken in all runs: {summary['violations']}."),
        ),
        section("limits", "What these numbers do not show", bullets(_LIMITS)),
    )
    return document(
        f"Recommendation {summary['name']}", Markup(header + tag("main", Markup("".join(body))))
    )


def _shown(summary: Summary) -> list[Row]:
    return list(summary["choices"][:_SHOWN])


def _name(row: Row) -> str:
    return f"{row['programme']} with {row['policy']}".replace("_", " ")


def _cells(row: Row) -> list[str]:
    return [
        amount(row["gain"]),
        f"{amount(row['low'])} to {amount(row['high'])}",
        amount(row["regret"]),
        amount(row["settled"]),
        f"{row['contacts']:.1f}",
    ]
