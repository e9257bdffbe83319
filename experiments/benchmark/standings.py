"""Sections of the benchmark's page on who is ahead of whom, and where."""

from collections.abc import Iterable

import numpy as np

from experiments.benchmark.summary import SUBJECT, TOLERANCE
from experiments.benchmark.targets import (
    Row,
    Summary,
    deployable,
    entry_of,
    market,
    name_of,
    share,
    unfinished,
    with_interval,
)
from experiments.report.markdown import section, table_text
from experiments.report.wording import NOTHING, interval, percent

_SHOWN_MARKETS = 4


def ladder(summary: Summary, figure: str) -> str:
    """Every entry that has been run everywhere, best first."""
    regret = {name_of(row): row for row in summary["regret"]}
    plain = {name_of(row): row for row in summary["plain_mean"]}
    covered = {name_of(row): row for row in summary["coverage"] if not row["told_wrong"]}
    rows = []
    for row in summary["interquartile_mean"]:
        name = name_of(row)
        mine = [other for other in summary["rows"] if name_of(other) == name]
        rows.append(
            [
                name,
                share(row["value"]),
                _ends(row),
                share(plain[name]["value"]),
                _ends(plain[name]),
                share(min(other["incremental_share"] for other in mine)),
                share(regret[name]["mean_regret"]),
                share(regret[name]["worst_regret"]),
                percent(_mean(other["budget_settled"] for other in mine), 1),
                percent(covered[name]["idle"] / covered[name]["runs"]),
                percent(max(other["override_rate"] for other in mine), 1),
            ]
        )
    head = [
        "policy", "interquartile mean", "interval", "mean", "its interval", "worst market",
        "mean regret", "worst regret", "budget used", "idle", "overridden",
    ]  # fmt: skip
    return section(
        "The ladder",
        "Interquartile mean over all markets and seeds: it leaves out the best and the worst "
        "quarter, which the plain mean beside it does not. Intervals of both are from a bootstrap "
        "over seeds; with fewer than three it says nothing and none is given. Regret: how far a "
        "market's mean is behind that of the best choice there, no offers among them. Budget used: "
        "settled, as a share of the offer budget that all have; what was offered and not redeemed "
        "is not in it. Idle: share of runs in which nobody was contacted. Overridden: share of "
        "proposals that masks or budgets changed, the largest of any market; who proposes for "
        "everybody leaves it to the budget to choose, so that a large share is no fault.",
        f"![The ladder, and the mean by world and response world]({figure})" if figure else "",
        table_text(head, rows),
    )


def ahead(summary: Summary) -> str:
    """Distances of each rollout to every other entry."""
    parts = []
    for title, key in (
        ("In interquartile mean", "rollout_ahead"),
        ("In plain mean", "rollout_ahead_plain"),
    ):
        found: dict[str, dict[str, str]] = {}
        for row in summary[key]:
            found.setdefault(name_of(row), {})[row["rollout"]] = with_interval(row)
        ours = list(dict.fromkeys(row["rollout"] for row in summary[key]))
        if found:
            rows = [
                [name, *(mine.get(one, NOTHING) for one in ours)] for name, mine in found.items()
            ]
            names = {entry_of(row).name: name_of(row) for row in deployable(summary)}
            head = ["other", *(names[one] for one in ours)]
            parts += [f"### {title}", table_text(head, rows)]
    return section(
        "How far the rollout is ahead",
        "Value of the rollout less that of the other, paired by cell. Rollouts among the others "
        "show what more minutes, and being told, bring.",
        *parts,
    )


def non_inferior(summary: Summary) -> str:
    """Who loses against no offers, and where."""
    rows = []
    whole = _finished(summary)
    for entry in summary["non_inferiority"]:
        failed = entry["markets"]
        if name_of(entry) not in whole:
            continue
        worse = sum(one["high"] <= TOLERANCE for one in failed)
        named = "; ".join(f"{market(one)} ({share(one['low'])})" for one in failed[:_SHOWN_MARKETS])
        more = len(failed) - _SHOWN_MARKETS
        rows.append(
            [
                name_of(entry),
                f"{entry['tested'] - len(failed)}",
                f"{len(failed) - worse}",
                f"{worse}",
                named + (f"; and {more} more" if more > 0 else ""),
            ]
        )
    return section(
        "No worse than no offers?",
        "Markets by the interval over seeds: shown where its lower end is above "
        f"{percent(TOLERANCE, 1)} of the margin without offers, worse where its upper end is not, "
        "open where it holds both answers.",
        table_text(["policy", "shown", "open", "worse", "lowest not shown (lower end)"], rows),
    )


def by_world(summary: Summary) -> str:
    """Means by world and response world."""
    tables = []
    whole = _finished(summary)
    entries = [row for row in summary["rows"] if name_of(row) in whole]
    for world in dict.fromkeys(row["world"] for row in entries):
        by: dict[str, dict[str, list[float]]] = {}
        for row in entries:
            if row["world"] == world:
                mine = by.setdefault(name_of(row), {})
                mine.setdefault(row["response"], []).append(row["incremental_share"])
        responses = list(dict.fromkeys(name for mine in by.values() for name in mine))
        rows = [
            [name, *(share(_mean(mine.get(one, ()))) for one in responses)]
            for name, mine in by.items()
        ]
        tables += [f"### {world}", table_text(["policy", *responses], rows)]
    return section(
        "By world",
        "Means over programmes and seeds, of entries that have been run everywhere. Every market "
        "with its interval is in the JSON.",
        _where_it_pays(summary),
        *tables,
    )


def never_told(summary: Summary) -> str:
    """Why who is never told the response world does so little: means over all of them."""
    whole = _finished(summary)
    rows = [row for row in summary["rows"] if name_of(row) in whole]
    untold = [row for row in rows if row["regime"] in ("rule", "robust")]
    ours = list(dict.fromkeys(name_of(row) for row in untold if row["policy"] == SUBJECT))
    others = list(dict.fromkeys(name_of(row) for row in untold if row["policy"] != SUBJECT))
    told = list(dict.fromkeys(name_of(row) for row in rows if _is_told(row)))
    idle = {name_of(row): row["idle_worlds"] for row in deployable(summary)}
    if not ours or not others:
        return ""

    def mean(name: str, world: str) -> float:
        mine = [row for row in rows if name_of(row) == name and row["world"] == world]
        return float(np.mean([row["incremental_share"] for row in mine]))

    table = []
    for world in dict.fromkeys(row["world"] for row in rows):
        offering = [name for name in others if world not in idle[name]]
        best = max(offering, key=lambda name: mean(name, world), default=None)
        table.append(
            [
                world,
                *(share(mean(name, world)) for name in ours),
                f"{share(mean(best, world))} ({best})" if best else NOTHING,
                *(share(mean(name, world)) for name in told),
            ]
        )
    return section(
        "Never told",
        "Means over all response worlds, which are equally likely here, and programmes. Who is "
        "never told which of them holds can be good in this mean only: an offer that pays where "
        "customers respond as optimists hope costs where it backfires. Where no such policy gains "
        "in the mean, offering nothing is the best that is known; interquartile means then tie at "
        "0. What was tried against it is in [policies](policies.md#rollout).",
        table_text(["world", *ours, "best of the others that make offers", *told], table),
    )


def _where_it_pays(summary: Summary) -> str:
    whole = _finished(summary)
    shown = [row for row in summary["rows"] if name_of(row) in whole and row["ci_low"] > 0]
    told = {name_of(row) for row in deployable(summary) if _is_told(row)} & whole
    if not told:
        return ""
    gains = [row for row in shown if name_of(row) in told]
    others = {market(row) for row in shown} - {market(row) for row in gains}
    places: dict[str, int] = {}
    for row in gains:
        place = f"{row['world']} {row['response']}"
        places[place] = places.get(place, 0) + 1
    named = ", ".join(f"{place} (in {count})" for place, count in places.items())
    return (
        f"Where a gain is shown (whole interval above 0): by the informed {SUBJECT} in "
        f"{len(gains)} of {summary['markets']} markets, only by others in {len(others)} (of the "
        "markets that a policy changes without gaining, one in forty is to be expected by luck)."
        + (f" By world and number of programmes: {named}." if named else "")
    )


def _is_told(row: Row) -> bool:
    return bool(row["policy"] == SUBJECT and row["regime"] == "informed")


def _finished(summary: Summary) -> set[str]:
    return {name_of(row) for row in deployable(summary) if not unfinished(row)}


def _ends(row: Row) -> str:
    return interval(share(row["ci_low"]), share(row["ci_high"]))


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None
