"""What the trade press claims of personalised programmes, beside what the benchmark finds.

The comparison is with the static tiered programme: the same tiers, offers to everybody alike
(``blanket``) and the same offer budget.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmark.protocol import Entry
from experiments.benchmark.results import Outcome
from experiments.benchmark.statistics import over_seeds
from experiments.benchmark.summary import Table

PROGRAMME = "tiered"
STATIC = Entry("blanket", "rule")


class Claim(NamedTuple):
    """A claim: what it speaks of, the least it promises, how it is measured here.

    ``in_points`` says that its value is a difference of shares, not relative.
    """

    name: str
    least: float
    measured: str
    value: Callable[[Outcome, Outcome], float]
    in_points: bool = False


def _roi(of: Outcome) -> float:
    return of.gain / of.settled if of.settled > 0 else np.nan


def _ratio(mine: float, other: float) -> float:
    return mine / other - 1.0 if other > 0 else np.nan


def _used(of: Outcome) -> float:
    return of.offers_used / of.contacts if of.contacts > 0 else np.nan


CLAIMS = (
    Claim(
        "ROI +15-40 %",
        0.15,
        "gain above no offers per unit of offer cost, difference",
        lambda mine, static: _roi(mine) - _roi(static),
        in_points=True,
    ),
    Claim(
        "retention +15 %",
        0.15,
        "share of customers alive at the end, relative difference",
        lambda mine, static: _ratio(mine.alive, static.alive),
    ),
    Claim(
        "redemption +40 %",
        0.40,
        "offers used of those sent, relative difference",
        lambda mine, static: _ratio(_used(mine), _used(static)),
    ),
)


def claim_rows(table: Table, entry: Entry) -> list[dict[str, Any]]:
    """One row for each claim, world and response in the tiered programme.

    ``holds`` is "yes" where the whole interval is at or above what is claimed, "no" where it is
    below, "open" between; "undefined" where one of the two spends or sends nothing in some seed.
    """
    rows = []
    for claim in CLAIMS:
        for market in table.markets:
            if market.programme != PROGRAMME:
                continue
            pairs = table.together(market, entry, STATIC)
            if not pairs:
                continue
            values = np.array([claim.value(mine, static) for mine, static in pairs])
            found = over_seeds(values)
            if not np.isfinite(values).all():
                holds = "undefined"
            elif found.low >= claim.least:
                holds = "yes"
            else:
                holds = "no" if found.high < claim.least else "open"
            rows.append(
                {
                    "claim": claim.name,
                    "world": market.world,
                    "response": market.response,
                    "policy": entry.name,
                    "seeds": len(pairs),
                    "value": found.value,
                    "ci_low": found.low,
                    "ci_high": found.high,
                    "holds": holds,
                }
            )
    return rows
