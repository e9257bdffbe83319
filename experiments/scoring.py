"""Score every customer of a real log with a bundle: log, fold, features, network, allocation."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from agents.calibration.events import log_events
from agents.calibration.log import TransactionLog
from agents.calibration.sources import load_log
from agents.errors import InputError
from agents.files import write_atomic
from agents.records import CHANNELS, SECONDS_PER_WEEK
from envs.constraints.budgets import FirmBudgets, Rooms
from envs.constraints.names import Constraint
from experiments.config import Columns
from experiments.worlds import week_of_year
from policies.scoring.scorer import Scorer, Scores
from sim.replay import replay

COLUMNS = (
    "customer",
    "offer",
    "channel",
    "expected_value",
    "expected_value_lower",
    "expected_cost",
    "expected_net",
    "commitment",
    "reasons",
    "proposed",
    "binding_constraint",
)


def score_transactions(scorer: Scorer, log: TransactionLog) -> tuple[str, dict[str, Any]]:
    """Offers for all customers of a log for the week after it ends.

    Customers are taken as enrolled, in the tier their spend deserves and with no points: the
    programme starts now. A log that knows who can be contacted gives consent by e-mail to those
    only; otherwise everybody is taken to consent by e-mail. Neither vulnerable customers nor
    groups are in a transaction log.

    Returns
    -------
    text, counts
        The CSV file, and what it holds: customers, offers, commitment, budget, by offer and by
        binding constraint.
    """
    # Weeks are counted back from the end of the log: a part of a week would look like silence.
    shift = -log.end_time % SECONDS_PER_WEEK
    weeks = (log.end_time + shift) // SECONDS_PER_WEEK
    rules = scorer.rules(week_of_year(log.start.day_of_year))
    events = log_events(log)
    events["time"] += shift
    profile, account = replay(events, log.n_customers, weeks, rules, status_match=True)
    account["enrolled"] = 1
    account["consent"][:, CHANNELS.index("email")] = (
        1 if log.contactable is None else log.contactable
    )
    n = log.n_customers
    # No points are owed yet, so no alarm sounds.
    rooms = FirmBudgets(scorer.bundle.constraints, scorer.table, n, profile).rooms(account, profile)
    ids = np.arange(n, dtype=np.uint64)
    scores = scorer.score(profile, account, ids, weeks, rules, rooms)
    return _table(scorer, log, scores), _counts(scorer, scores, n, rooms)


def _table(scorer: Scorer, log: TransactionLog, scores: Scores) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    labels = scorer.table.labels
    decision = scores.decision
    for row in range(log.n_customers):
        label = labels[decision.executed[row]]
        offer, _, channel = label.partition("/")
        writer.writerow(
            (
                log.customer_label[row],
                offer,
                channel,
                f"{scores.value[row] / 100:.4f}",
                f"{scores.value_lower[row] / 100:.4f}",
                f"{scores.expected_cost[row] / 100:.4f}",
                f"{(scores.value[row] - scores.expected_cost[row]) / 100:.4f}",
                f"{scores.commitment[row] / 100:.2f}",
                scores.reasons[row],
                labels[decision.proposed[row]],
                Constraint(int(decision.binding[row])).name.lower(),
            )
        )
    return text.getvalue()


def _counts(scorer: Scorer, scores: Scores, n: int, rooms: Rooms) -> dict[str, Any]:
    budget = rooms.offer_budget
    labels = scorer.table.labels
    executed = Counter(labels[action] for action in scores.decision.executed)
    binding = Counter(Constraint(int(code)).name.lower() for code in scores.decision.binding)
    return {
        "customers": n,
        "with_offer": int((scores.decision.executed > 0).sum()),
        "expected_net_negative": int((scores.value < scores.expected_cost).sum()),
        "reserved": scores.decision.reserved / 100,
        "budget": None if budget is None else budget / 100,
        "by_offer": dict(executed.most_common()),
        "by_binding": dict(binding.most_common()),
    }


def score_log(
    bundle: Path,
    log: Path,
    output: Path,
    *,
    columns: Columns,
    time_zone: str,
    origin: str = "first_purchase",
) -> dict[str, Any]:
    """Score a CSV or Parquet log and write offers atomically to ``output``.

    Raises
    ------
    InputError
        If the bundle is damaged or the log cannot be used.
    """
    scorer = Scorer(bundle)
    if origin not in ("first_purchase", "log_start"):
        raise InputError(f"--origin {origin!r}: choose first_purchase or log_start")
    names = {"customer": columns.customer, "time": columns.time, "amount": columns.amount}
    transactions = load_log(
        "csv",
        str(log),
        names,
        time_zone,
        origin="log_start" if origin == "log_start" else "first_purchase",
    )
    text, counts = score_transactions(scorer, transactions)
    write_atomic(output, text)
    return counts
