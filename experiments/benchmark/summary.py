"""From outcomes of cells to the figures that are reported."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.benchmark.protocol import (
    CLAIRVOYANT,
    CLAIRVOYANT_ROLLOUT,
    Cell,
    Entry,
    Protocol,
)
from experiments.benchmark.results import Outcome, Results
from experiments.benchmark.statistics import INTERQUARTILE, Interval, over_markets, over_seeds

TOLERANCE = -0.002  # of the no_offers margin: what counts as not worse
MOST_NULL_BUDGET = 0.05
SUBJECT = "rollout"  # the policy that the benchmark is to prove


class Market(NamedTuple):
    """Cells that differ in their seed only."""

    world: str
    response: str
    programme: str


class Table:
    """Outcomes of one entry after another by market and seed.

    Parameters
    ----------
    results
        As they are on disk; only seeds that a market has for an entry count.
    """

    def __init__(self, results: Results) -> None:
        self.protocol: Protocol = results.protocol
        self.known: dict[Cell, dict[str, Outcome]] = {
            cell: results.known(cell) for cell in results.protocol.cells
        }
        self.markets = list(
            dict.fromkeys(Market(c.world, c.response, c.programme) for c in self.known)
        )

    def outcomes(self, market: Market, entry: Entry) -> list[Outcome]:
        """Of the seeds that were run, in the protocol's order."""
        found = (self.known[Cell(*market, seed)].get(entry.name) for seed in self.protocol.seeds)
        return [outcome for outcome in found if outcome is not None]

    def together(self, market: Market, *entries: Entry) -> list[tuple[Outcome, ...]]:
        """Outcomes of several entries in the cells of a market that all of them have run."""
        cells = (self.known[Cell(*market, seed)] for seed in self.protocol.seeds)
        return [
            tuple(known[entry.name] for entry in entries)
            for known in cells
            if all(entry.name in known for entry in entries)
        ]

    def shares(
        self, entry: Entry, markets: Iterable[Market] | None = None
    ) -> NDArray[np.float64] | None:
        """Gains as shares of the no_offers margin, (markets, seeds); None if any is missing."""
        rows = []
        for market in self.markets if markets is None else markets:
            found = self.outcomes(market, entry)
            if len(found) < len(self.protocol.seeds):
                return None
            rows.append([outcome.share for outcome in found])
        return np.array(rows)

    def coverage(self) -> list[dict[str, Any]]:
        """Runs that the protocol asks for and those that are there, by entry.

        ``idle`` counts the runs in which nobody was contacted, ``idle_worlds`` are those with runs
        that were all such. Entries that were told wrong are one row for each policy.
        """
        rows: dict[tuple[Entry, bool], dict[str, Any]] = {}
        contacts: dict[tuple[Entry, bool], dict[str, float]] = defaultdict(dict)  # by world
        for cell, known in self.known.items():
            asked = [*self.protocol.entries, *self.protocol.references(cell)]
            for entry in [*asked, *self.protocol.told_wrong(cell)]:
                kind = entry._replace(wrong="")
                key = kind, bool(entry.wrong)
                row = rows.setdefault(
                    key, {**labels(kind), "told_wrong": key[1], "runs": 0, "done": 0, "idle": 0}
                )
                row["runs"] += 1
                if entry.name not in known:
                    continue
                row["done"] += 1
                row["idle"] += known[entry.name].contacts == 0
                world = contacts[key]
                world[cell.world] = world.get(cell.world, 0) + known[entry.name].contacts
        for key, row in rows.items():
            row["idle_worlds"] = [w for w in self.protocol.worlds if contacts[key].get(w) == 0]
        return list(rows.values())

    def violations(self) -> dict[str, int]:
        """Violations of hard constraints in all runs, those that were told wrong among them."""
        found = [outcome.violations for known in self.known.values() for outcome in known.values()]
        return {"found": sum(found), "runs": len(found)}

    @property
    def strata(self) -> list[str]:
        """World of each market: markets of one world share customers and luck by seed."""
        return [market.world for market in self.markets]

    def finished(self, entry: Entry) -> bool:
        """Whether every cell has been run."""
        return self.shares(entry) is not None


def market_rows(table: Table, entries: Iterable[Entry], reference: Entry) -> list[dict[str, Any]]:
    """One row for each market and entry that has been run."""
    rows = []
    for entry in entries:
        for market in table.markets:
            found = table.outcomes(market, entry)
            if not found:
                continue
            share = over_seeds(np.array([outcome.share for outcome in found]))
            rows.append(
                {
                    **market._asdict(),
                    **labels(entry),
                    "seeds": len(found),
                    "incremental_share": share.value,
                    "ci_low": share.low,
                    "ci_high": share.high,
                    "budget_settled": float(np.mean([o.settled / o.budget for o in found])),
                    "violations": sum(outcome.violations for outcome in found),
                    "override_rate": float(np.mean([o.override_rate for o in found])),
                    "share_of_clairvoyant": _share_of(table, market, entry, reference),
                }
            )
    return rows


def _share_of(table: Table, market: Market, entry: Entry, reference: Entry) -> float | None:
    """Gain as a share of the reference's, over the seeds that both have run.

    None where the reference was not run, or gained nothing to take a share of.
    """
    both = table.together(market, entry, reference)
    best = sum(theirs.gain for _, theirs in both)
    return sum(mine.gain for mine, _ in both) / best if both and best > 0 else None


def mean_rows(
    table: Table, entries: Iterable[Entry], cut: float = INTERQUARTILE
) -> list[dict[str, Any]]:
    """Trimmed mean of each entry that has been run everywhere, best first.

    ``cut`` is left out at each end: a quarter gives the interquartile mean, 0 the plain mean.
    """
    rows = []
    for entry in entries:
        shares = table.shares(entry)
        if shares is not None:
            rows.append(_labelled(entry, over_markets(shares, table.strata, cut=cut)))
    return sorted(rows, key=lambda row: -row["value"])


def compared(
    table: Table, entry: Entry, others: Iterable[Entry], cut: float = INTERQUARTILE
) -> list[dict[str, Any]]:
    """How far an entry is ahead of each other in trimmed mean, with paired intervals."""
    mine = table.shares(entry)
    if mine is None:
        return []
    found = []
    for other in others:
        theirs = table.shares(other)
        if theirs is not None and other != entry:
            found.append(_labelled(other, over_markets(mine, table.strata, theirs, cut)))
    return found


def labels(entry: Entry) -> dict[str, Any]:
    """How a row names its entry."""
    return {"policy": entry.policy, "regime": entry.regime, "train_minutes": entry.minutes}


def _labelled(entry: Entry, interval: Interval) -> dict[str, Any]:
    return {
        **labels(entry),
        "value": interval.value,
        "ci_low": interval.low,
        "ci_high": interval.high,
    }


def non_inferiority_row(table: Table, entry: Entry) -> dict[str, Any]:
    """Markets in which an entry is not shown to be no worse than no_offers, the lowest first."""
    found: list[dict[str, Any]] = []
    for market in table.markets:
        outcomes = table.outcomes(market, entry)
        if not outcomes:
            continue
        share = over_seeds(np.array([outcome.share for outcome in outcomes]))
        if not share.low > TOLERANCE:
            found.append({**market._asdict(), **share._asdict()})
    return {
        **labels(entry),
        "tested": sum(bool(table.outcomes(market, entry)) for market in table.markets),
        "markets": sorted(found, key=lambda row: row["low"]),
    }


def null_budget_use(table: Table, entry: Entry) -> float | None:
    """Largest share of the offer budget settled in any null market; None if none was run."""
    used = [
        float(np.mean([outcome.settled / outcome.budget for outcome in outcomes]))
        for market in table.markets
        if market.response == "null" and (outcomes := table.outcomes(market, entry))
    ]
    return max(used, default=None)


def regret_rows(table: Table, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """What another choice would have brought: best of a market less this one, mean and worst.

    No offers, which bring nothing, are a choice too.
    """
    chosen = [entry for entry in entries if table.finished(entry)]
    values = {entry: table.shares(entry) for entry in chosen}
    means = {entry: of.mean(axis=1) for entry, of in values.items() if of is not None}
    if not means:
        return []
    best = np.maximum(np.max(list(means.values()), axis=0), 0.0)
    rows = [
        {
            **labels(entry),
            "mean_regret": float((best - mean).mean()),
            "worst_regret": float((best - mean).max()),
        }
        for entry, mean in means.items()
    ]
    return sorted(rows, key=lambda row: float(row["mean_regret"]))


def misspecification_rows(table: Table) -> list[dict[str, Any]]:
    """What it costs to be told wrong: paired with the same policy told the truth, over seeds."""
    rows = []
    for market in table.markets:
        for wrong in table.protocol.told_wrong(Cell(*market, table.protocol.seeds[0])):
            both = table.together(market, wrong, wrong._replace(wrong=""))
            if not both:
                continue
            loss = over_seeds(np.array([right.share - mine.share for mine, right in both]))
            rows.append(
                {
                    **market._asdict(),
                    "policy": wrong.policy,
                    "told": wrong.wrong,
                    "seeds": len(both),
                    "share": float(np.mean([mine.share for mine, _ in both])),
                    "loss": loss.value,
                    "ci_low": loss.low,
                    "ci_high": loss.high,
                }
            )
    return rows


def clairvoyant_rows(table: Table, entry: Entry) -> list[dict[str, Any]]:
    """The clairvoyant's gain as a share of the margin, and where it goes, as shares of that gain.

    ``share`` is what the entry reaches; ``information`` what the clairvoyant rollout reaches beyond
    it; ``learning`` what the clairvoyant, who learns nothing, reaches beyond that. None where the
    clairvoyant gains nothing. Of the seeds that all three have run.
    """
    rows = []
    for market in table.markets:
        three = table.together(market, entry, CLAIRVOYANT_ROLLOUT, CLAIRVOYANT)
        if not three:
            continue
        mine, seeing, best = (sum(of.gain for of in each) for each in zip(*three, strict=True))
        row: dict[str, Any] = {
            **market._asdict(),
            "seeds": len(three),
            "clairvoyant": best / sum(reference.margin for *_, reference in three),
            "share": None,
            "information": None,
            "learning": None,
        }
        if best > 0:
            row["share"] = mine / best
            row["information"] = (seeing - mine) / best
            row["learning"] = (best - seeing) / best
        rows.append(row)
    return rows
