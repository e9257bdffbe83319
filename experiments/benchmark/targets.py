"""What was asked of the policies beside what was found."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from experiments.benchmark.protocol import Entry
from experiments.benchmark.summary import MOST_NULL_BUDGET
from experiments.report.wording import interval, percent

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

SMALL_SHARE = 0.9  # of the belief-optimal gain
SUBJECT = "rollout"


class Target(NamedTuple):
    """What was asked, what was found, and "yes", "no" or "open" (neither is shown)."""

    asked: str
    found: str
    met: str


def targets(summary: Summary) -> list[Target]:
    """One line for each thing that the benchmark asks, as far as it has been run.

    Parameters
    ----------
    summary
        What ``bench policies --json`` prints.
    """
    return [
        *_first(summary),
        *_no_worse(summary),
        *_null_budget(summary),
        *_small(summary),
        _violations(summary),
    ]


def rivals(summary: Summary, row: Row) -> list[Row]:
    """How far a rollout is ahead of each entry that had no more time and was told no more."""
    told_no_more = {"rule", "robust", row["regime"]}
    return [
        other
        for other in summary["rollout_ahead"]
        if other["rollout"] == Entry(row["policy"], row["regime"], row["train_minutes"]).name
        and other["policy"] != SUBJECT
        and other["regime"] in told_no_more
        and other["train_minutes"] <= row["train_minutes"]
    ]


def name_of(row: Row) -> str:
    """Name of an entry in words: policy, regime, minutes of training."""
    minutes = row["train_minutes"]
    trained = f", {minutes:g} min" if minutes else ""
    return row["policy"] + (f" ({row['regime']}{trained})" if row["regime"] != "rule" else "")


def share(value: object) -> str:
    """A share of the margin in percent, with its sign."""
    return percent(value, 3, sign=True)


def with_interval(row: Row) -> str:
    """A share of the margin with its interval."""
    return f"{share(row['value'])} ({interval(share(row['ci_low']), share(row['ci_high']))})"


def _first(summary: Summary) -> Iterable[Target]:
    for row in summary["interquartile_mean"]:
        others = rivals(summary, row) if row["policy"] == SUBJECT else []
        if others:
            closest = min(others, key=lambda other: other["value"])
            behind = [other for other in others if not other["ci_low"] > 0]
            yield Target(
                f"{name_of(row)} has the best interquartile mean of all that were trained no "
                "longer and told no more",
                f"{share(row['value'])}; ahead of {name_of(closest)}, the next, by "
                f"{with_interval(closest)}; not shown to be ahead of {len(behind)} of "
                f"{len(others)}",
                "yes" if not behind else ("open" if closest["value"] > 0 else "no"),
            )
            yield Target(
                f"{name_of(row)} is worth more than no offers",
                with_interval(row),
                _above(row, 0.0),
            )


def _no_worse(summary: Summary) -> Iterable[Target]:
    for entry in summary["non_inferiority"]:
        if entry["policy"] != SUBJECT:
            continue
        failed = entry["markets"]
        lowest = min((market["value"] for market in failed), default=0.0)
        yield Target(
            f"{name_of(entry)} is not worse than no offers in any market: lower end above −0.2 %",
            f"{entry['tested'] - len(failed)} of {entry['tested']} markets"
            + (f"; the lowest mean is {share(lowest)}" if failed else ""),
            "no" if failed else "yes",
        )


def _null_budget(summary: Summary) -> Iterable[Target]:
    use = summary["null_informed_budget_use"]
    if use is not None:
        yield Target(
            "In null worlds the informed rollout uses under 5 % of the budget",
            f"{percent(use, 2)} at most",
            "yes" if use < MOST_NULL_BUDGET else "no",
        )


def _small(summary: Summary) -> Iterable[Target]:
    found = summary["small_problem_intervals"].get(SUBJECT)
    if found is not None:
        yield Target(
            "At least 90 % of the belief-optimal gain on the small problem",
            f"{percent(found['value'], 1)} "
            f"({interval(percent(found['low'], 1), percent(found['high'], 1))})",
            "yes" if found["value"] >= SMALL_SHARE else "no",
        )


def _violations(summary: Summary) -> Target:
    found = sum(row["violations"] for row in summary["rows"])
    return Target("No violation of a hard constraint", f"{found}", "no" if found else "yes")


def _above(row: Row, least: float) -> str:
    if row["ci_low"] > least:
        return "yes"
    return "no" if row["ci_high"] <= least else "open"
