"""What was asked of the policies beside what was found."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from experiments.benchmark.protocol import Entry
from experiments.benchmark.summary import MOST_NULL_BUDGET, TOLERANCE
from experiments.report.wording import interval, percent

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

SMALL_SHARE = 0.9  # of the belief-optimal gain
SUBJECT = "rollout"


class Target(NamedTuple):
    """What was asked, what was found, and whether it is met: "yes", "no", or "open" (not shown)."""

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
    """Distances of a rollout to each other policy that had no more time and was told no more."""
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


def verdict(low: float, high: float, least: float) -> str:
    """Whether something is above ``least``: "yes" or "no" where its whole interval says so."""
    if low > least:
        return "yes"
    return "no" if high <= least else "open"


def _first(summary: Summary) -> Iterable[Target]:
    for row in summary["interquartile_mean"]:
        others = rivals(summary, row) if row["policy"] == SUBJECT else []
        if not others:
            continue
        verdicts = [verdict(other["ci_low"], other["ci_high"], 0.0) for other in others]
        closest = min(others, key=lambda other: other["value"])
        yield Target(
            f"{name_of(row)} is ahead of every other policy that was trained no longer and told no "
            "more, in interquartile mean",
            f"{share(row['value'])}; distance to the best of them, {name_of(closest)}: "
            f"{with_interval(closest)}. Of {len(others)}: ahead of {verdicts.count('yes')}, behind "
            f"{verdicts.count('no')}, undecided {verdicts.count('open')}",
            "no" if "no" in verdicts else "open" if "open" in verdicts else "yes",
        )
        mine = [one for one in summary["rows"] if name_of(one) == name_of(row)]
        worst = min(mine, key=lambda one: one["incremental_share"])
        mean = sum(one["incremental_share"] for one in mine) / len(mine)
        yield Target(
            f"{name_of(row)} is worth more than no offers, in interquartile mean",
            f"{with_interval(row)}; plain mean {share(mean)}, worst market "
            f"{share(worst['incremental_share'])} ({_market(worst)})",
            verdict(row["ci_low"], row["ci_high"], 0.0),
        )


def _no_worse(summary: Summary) -> Iterable[Target]:
    for entry in summary["non_inferiority"]:
        if entry["policy"] != SUBJECT:
            continue
        failed, tested = entry["markets"], entry["tested"]
        worse = [market for market in failed if market["high"] <= TOLERANCE]
        found = f"shown in {tested - len(failed)} of {tested} markets, shown worse in {len(worse)}"
        if failed:
            lowest = min(failed, key=lambda market: market["low"])
            found += (
                f"; lowest lower end {share(lowest['low'])} (mean {share(lowest['value'])}, "
                f"{_market(lowest)})"
            )
        yield Target(
            f"{name_of(entry)} is not worse than no offers in any market: lower end above "
            f"{percent(TOLERANCE, 1)}",
            found,
            "no" if worse else "open" if failed else "yes",
        )


def _null_budget(summary: Summary) -> Iterable[Target]:
    use = summary["null_informed_budget_use"]
    if use is not None:
        yield Target(
            f"In null worlds the informed {SUBJECT} uses under {percent(MOST_NULL_BUDGET)} of the "
            "budget",
            f"{percent(use, 2)}, the largest mean of any market",
            "yes" if use < MOST_NULL_BUDGET else "no",
        )


def _small(summary: Summary) -> Iterable[Target]:
    found = summary["small_problem_intervals"].get(SUBJECT)
    if found is not None:
        yield Target(
            f"At least {percent(SMALL_SHARE)} of the belief-optimal gain on the small problem",
            f"{percent(found['value'], 1)} "
            f"({interval(percent(found['low'], 1), percent(found['high'], 1))})",
            verdict(found["low"], found["high"], SMALL_SHARE),
        )


def _violations(summary: Summary) -> Target:
    found = sum(row["violations"] for row in summary["rows"])
    runs = sum(row["seeds"] for row in summary["rows"])
    return Target(
        "No violation of a hard constraint",
        f"{found} in {runs:,} runs",
        "no" if found else "yes" if runs else "open",
    )


def _market(row: Row) -> str:
    return f"{row['world']} {row['response']} {row['programme']}"
