"""What was asked of the policies beside what was found."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from experiments.benchmark.protocol import Entry
from experiments.benchmark.summary import MOST_NULL_BUDGET, SUBJECT, TOLERANCE
from experiments.report.wording import interval, percent

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

SMALL_SHARE = 0.9  # of the belief-optimal gain
RESOLUTION = 5e-6  # a share of the margin that is printed as 0.000 % is none


class Target(NamedTuple):
    """What was asked, what was found, and whether it is met.

    ``met`` is "yes", "no", or "open": not shown, or not all of it run.
    """

    asked: str
    found: str
    met: str


def targets(summary: Summary) -> list[Target]:
    """One line for each thing that the benchmark asks.

    What is not all run is "no" or "open", and so is everything in a quick look.

    Parameters
    ----------
    summary
        What ``experiments.benchmark.findings`` gives, with ``quick``.
    """
    ours = [row for row in deployable(summary) if row["policy"] == SUBJECT]
    found = [
        *(target for row in ours for target in (_first(summary, row), _worth(summary, row))),
        *_not_asked(ours),
        *(_no_worse(summary, row) for row in ours),
        *(_null_budget(summary, row) for row in ours if row["regime"] == "informed"),
        _small(summary),
        _violations(summary),
    ]
    whole = not summary["quick"]
    return [target._replace(met=_met(target.met, whole)) for target in found]


def rivals(rows: Iterable[Row], subject: Row) -> list[Row]:
    """Rows of other policies that had no more time than the subject and were told no more."""
    told_no_more = {"rule", "robust", subject["regime"]}
    return [
        row
        for row in rows
        if row["policy"] != SUBJECT
        and row["regime"] in told_no_more
        and row["train_minutes"] <= subject["train_minutes"]
    ]


def unfinished(row: Row) -> str:
    """How much of an entry has been run, in words; empty where all has."""
    return "" if row["done"] == row["runs"] else f"{row['done']:,} of {row['runs']:,} runs"


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
    """Whether something is above ``least``: "yes" or "no" where its whole interval says so.

    By less than what is printed is not above.
    """
    if low > least + RESOLUTION:
        return "yes"
    return "no" if high <= least + RESOLUTION else "open"


def deployable(summary: Summary) -> list[Row]:
    """Coverage of the entries that a firm could use and that were told the truth."""
    return [
        row for row in summary["coverage"] if row["regime"] != "reference" and not row["told_wrong"]
    ]


def _met(found: str, whole: bool) -> str:
    return "open" if found == "yes" and not whole else found


def _of(rows: Iterable[Row], entry: Row) -> Row | None:
    return next((row for row in rows if name_of(row) == name_of(entry)), None)


def _first(summary: Summary, entry: Row) -> Target:
    asked = (
        f"{name_of(entry)} is ahead of every other policy that was trained no longer and told no "
        "more, in interquartile mean"
    )
    row = _of(summary["interquartile_mean"], entry)
    mine = [one for one in summary["rollout_ahead"] if one[SUBJECT] == entry_of(entry).name]
    others = rivals(mine, entry)
    missing = [one for one in rivals(deployable(summary), entry) if unfinished(one)]
    if row is None or not others:
        return Target(asked, unfinished(entry) or "nobody to compare it with", "open")
    verdicts = [verdict(other["ci_low"], other["ci_high"], 0.0) for other in others]
    closest = min(others, key=lambda other: other["value"])
    won, lost = verdicts.count("yes"), sum(other["ci_high"] < -RESOLUTION for other in others)
    found = (
        f"{share(row['value'])}; distance to the best of them, {name_of(closest)}: "
        f"{with_interval(closest)}. Of {len(others)} ({_equals(others, entry)}): ahead of {won}, "
        f"behind {lost}, level with or undecided {len(others) - won - lost}"
    )
    if missing:
        found += f"; {len(missing)} more are unfinished"
    worst = "no" if "no" in verdicts else "open" if "open" in verdicts else "yes"
    return Target(asked, found, _met(worst, not missing))


def _equals(others: Iterable[Row], entry: Row) -> str:
    """How many of the rivals were told what the subject was, and of those trained as long."""
    same = [one for one in others if one["regime"] == entry["regime"]]
    known = "told as much" if entry["regime"] == "informed" else "learned without being told"
    trained = sum(one["train_minutes"] == entry["train_minutes"] for one in same)
    return f"{len(same)} of them {known}, {trained} of those trained as long"


def _not_asked(ours: Iterable[Row]) -> list[Target]:
    """Times of training that the protocol gives the subject in one regime and not in another."""
    had = {(row["regime"], row["train_minutes"]) for row in ours}
    return [
        Target(
            f"{SUBJECT} ({regime}, {minutes:g} min): the same",
            "not in this protocol, so not run",
            "open",
        )
        for regime in sorted({regime for regime, _ in had})
        for minutes in sorted({minutes for _, minutes in had})
        if (regime, minutes) not in had
    ]


def _worth(summary: Summary, entry: Row) -> Target:
    asked = f"{name_of(entry)} is worth more than no offers, in interquartile mean"
    row = _of(summary["interquartile_mean"], entry)
    plain = _of(summary["plain_mean"], entry)
    if row is None or plain is None:
        return Target(asked, unfinished(entry), "open")
    mine = [one for one in summary["rows"] if name_of(one) == name_of(row)]
    worst = min(mine, key=lambda one: one["incremental_share"])
    idle = " and ".join(entry["idle_worlds"])
    return Target(
        asked,
        f"{with_interval(row)}; plain mean {with_interval(plain)}; worst market "
        f"{share(worst['incremental_share'])} ({market(worst)}); offers nothing in "
        f"{entry['idle']} of {entry['done']} runs{f', {idle} as a whole' if idle else ''}",
        verdict(row["ci_low"], row["ci_high"], 0.0),
    )


def _no_worse(summary: Summary, entry: Row) -> Target:
    row = _of(summary["non_inferiority"], entry)
    asked = (
        f"{name_of(entry)} is not worse than no offers in any market: lower end above "
        f"{percent(TOLERANCE, 1)}"
    )
    if row is None or not row["tested"]:
        return Target(asked, unfinished(entry), "open")
    failed, tested = row["markets"], row["tested"]
    worse = [market for market in failed if market["high"] <= TOLERANCE]
    found = f"shown in {tested - len(failed)} of {tested} markets, shown worse in {len(worse)}"
    if failed:
        lowest = min(failed, key=lambda one: one["low"])
        found += (
            f"; lowest lower end {share(lowest['low'])} (mean {share(lowest['value'])}, "
            f"{market(lowest)})"
        )
    if unfinished(entry):
        found += f"; {unfinished(entry)}"
    met = "no" if worse else "open" if failed else "yes"
    return Target(asked, found, _met(met, not unfinished(entry)))


def _null_budget(summary: Summary, entry: Row) -> Target:
    asked = f"In null worlds {name_of(entry)} uses under {percent(MOST_NULL_BUDGET)} of the budget"
    use = summary["null_informed_budget_use"]
    if use is None:
        return Target(asked, unfinished(entry), "open")
    found = f"{percent(use, 2)}, the largest mean of any market"
    if unfinished(entry):
        found += f"; {unfinished(entry)}"
    met = "yes" if use < MOST_NULL_BUDGET else "no"
    return Target(asked, found, _met(met, not unfinished(entry)))


def _small(summary: Summary) -> Target:
    asked = f"At least {percent(SMALL_SHARE)} of the belief-optimal gain on the small problem"
    found = summary["small_problem_intervals"].get(SUBJECT)
    seeds = len(summary["seeds"])
    if found is None:
        return Target(asked, f"0 of {seeds} seeds", "open")
    ends = interval(percent(found["low"], 1), percent(found["high"], 1))
    said = f"{percent(found['value'], 1)} ({ends})"
    whole = found["seeds"] == seeds
    if not whole:
        said += f"; {found['seeds']} of {seeds} seeds"
    return Target(asked, said, _met(verdict(found["low"], found["high"], SMALL_SHARE), whole))


def _violations(summary: Summary) -> Target:
    found, runs = summary["violations"]["found"], summary["violations"]["runs"]
    asked = sum(row["runs"] for row in summary["coverage"])
    met = "no" if found else "yes" if runs else "open"
    return Target(
        "No violation of a hard constraint",
        f"{found} in {runs:,} runs" + ("" if runs == asked else f" of {asked:,}"),
        _met(met, runs == asked),
    )


def market(row: Row) -> str:
    """A market in words."""
    return f"{row['world']} {row['response']} {row['programme']}"


def entry_of(row: Row) -> Entry:
    """The entry that a row names."""
    return Entry(row["policy"], row["regime"], row["train_minutes"])
