"""Everything that the benchmark found, from what is on disk: the JSON of ``bench policies``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.benchmark.claims import claim_rows
from experiments.benchmark.protocol import CLAIRVOYANT, CLAIRVOYANT_ROLLOUT, Entry
from experiments.benchmark.results import Results
from experiments.benchmark.small_problem import SmallProblem, solve
from experiments.benchmark.statistics import over_seeds
from experiments.benchmark.summary import (
    SUBJECT,
    Table,
    clairvoyant_rows,
    compared,
    market_rows,
    mean_rows,
    misspecification_rows,
    non_inferiority_row,
    null_budget_use,
    regret_rows,
)

_PLAIN = 0.0


def findings(
    results: Results, small: Mapping[str, Sequence[float]], small_code: str = ""
) -> dict[str, Any]:
    """What ``bench policies --json`` prints.

    Parameters
    ----------
    results
        Cells, as far as they have been run.
    small
        Shares of the optimal gain on the small problem by policy, one a seed.
    small_code
        Mark of the code that these are of.
    """
    table = Table(results)
    protocol = results.protocol
    entries = protocol.entries
    rollouts = [entry for entry in entries if entry.policy == SUBJECT]
    told = [entry for entry in rollouts if entry.regime == "informed"]
    nulls = [use for entry in told if (use := null_budget_use(table, entry)) is not None]
    best_told = max(
        rollouts,
        key=lambda entry: (entry.regime == "informed", entry.minutes),
        default=Entry(SUBJECT, "informed"),
    )
    between = {name: over_seeds(np.array(shares)) for name, shares in small.items()}
    optimum = solve(SmallProblem())
    return {
        "protocol_version": protocol.version,
        "protocol_digest": protocol.digest,
        "code": results.mark,
        "small_problem_code": small_code,
        "programme_of_details": protocol.detail_programme,
        "seeds": list(protocol.seeds),
        "reference_seeds": list(protocol.reference_seeds),
        "markets": len(table.markets),
        "coverage": table.coverage(),
        "violations": table.violations(),
        "rows": market_rows(table, [*entries, CLAIRVOYANT_ROLLOUT, CLAIRVOYANT], CLAIRVOYANT),
        "interquartile_mean": mean_rows(table, entries),
        "plain_mean": mean_rows(table, entries, _PLAIN),
        "rollout_ahead": [
            {SUBJECT: entry.name, **row}
            for entry in rollouts
            for row in compared(table, entry, entries)
        ],
        "rollout_ahead_plain": [
            {SUBJECT: entry.name, **row}
            for entry in rollouts
            for row in compared(table, entry, entries, _PLAIN)
        ],
        "regret": regret_rows(table, entries),
        "non_inferiority": [non_inferiority_row(table, entry) for entry in entries],
        "null_informed_budget_use": max(nulls, default=None),
        "small_problem": {
            **{name: interval.value for name, interval in between.items()},
            "myopic": optimum.myopic_gain / optimum.gain,
        },
        "small_problem_intervals": {
            name: {**one._asdict(), "seeds": len(small[name]), "shares": list(small[name])}
            for name, one in between.items()
        },
        "clairvoyant": clairvoyant_rows(table, best_told),
        "misspecification": misspecification_rows(table),
        "trade_press_claims": claim_rows(table, best_told),
    }
