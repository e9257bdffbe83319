"""docs/validation.md and its figure, made from the facts of ``experiments.validate``.

Numbers have the digits that another machine gives too; what misses is said with its size, and why
where that is known.
"""

from experiments.report.markdown import Facts
from experiments.report.validation.cdnow import cdnow_section, outside_of_luck
from experiments.report.validation.closed_forms import closed_forms_section
from experiments.report.validation.figure import FIGURE, tracking_figure
from experiments.report.validation.groceries import (
    MISS,
    groceries_section,
    relative_error,
    statistic,
)
from experiments.report.wording import decimal, percent

__all__ = ["FIGURE", "tracking_figure", "validation_page"]


def validation_page(facts: Facts) -> str:
    """The page, in Markdown."""
    parts = (
        _opening(facts),
        groceries_section(facts["grocery"]),
        cdnow_section(facts["cdnow"]),
        closed_forms_section(facts["closed_forms"]),
        _limits(),
    )
    return "\n".join("\n".join(part) for part in parts)


def _opening(facts: Facts) -> list[str]:
    statistics = facts["grocery"]["statistics"]
    near = [row for row in statistics if abs(relative_error(row)) <= MISS]
    worst = max(statistics, key=lambda row: abs(relative_error(row)))
    holdout = facts["cdnow"]["holdout"]
    short, published = (
        percent(1 - holdout[name] / holdout["actual"], 1)
        for name in ("simulated", "published_expected")
    )
    largest = max(
        abs(value["simulated"] - value["exact"]) / value["standard_error"]
        for row in facts["closed_forms"]["weeks"]
        for value in (row["count"], row["alive"])
    )
    return [
        "# Validation",
        "",
        "How close simulated customers come to real ones, to published figures and to closed "
        "forms. Made by",
        "",
        "```console",
        "loyaltylab validate --write docs/validation.md",
        "```",
        "",
        "It is about purchases, dropout and baskets of customers to whom nothing is offered. What "
        "offers, points and tiers do to behaviour is assumed (`loyaltylab mechanisms`); nothing "
        "on this page bears on it.",
        "",
        f"- **Groceries:** {len(near)} of {len(statistics)} statistics are within "
        f"{percent(MISS)} of the log. The farthest is “{statistic(worst)}”, "
        f"{percent(relative_error(worst), sign=True)}: big spenders are too big, see below.",
        f"- **CDNOW:** parameters as published. Of the purchases held out the simulator misses "
        f"{short}, the published expectation {published}. {outside_of_luck(facts['cdnow'])}",
        f"- **Closed forms:** with marketing off, mean purchases and survival are those of "
        f"Pareto/NBD; the largest difference is {decimal(largest, 1)} standard errors.",
        "",
    ]


def _limits() -> list[str]:
    return [
        "## What this page does not show",
        "",
        "- Whether offers, points or tiers work: neither log holds an experiment. See the response "
        "worlds and `loyaltylab mechanisms`.",
        "- Other trades: `coffee_shop`, `boutique` and `fitness_app` are assumed throughout and "
        "have no log behind them.",
        "- The hold-out of Complete Journey: its one year is used for the fit, so the comparison "
        "above is of fit, not of forecast.",
        "",
    ]
