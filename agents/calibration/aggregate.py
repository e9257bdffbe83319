"""Statistics of a file of any size, in one stream: DuckDB sorts, no one holds the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from agents.calibration.log import Origin, TransactionLog, joined
from agents.calibration.log_file import LogFile
from agents.calibration.refunds import Refunds
from agents.calibration.sufficient import LogStatistics, LogSums


def aggregate_file(
    path: str,
    columns: Mapping[str, str] | None = None,
    time_zone: str | None = None,
    origin: Origin = "first_purchase",
    refunds: Refunds = "refuse",
    notify: Callable[[str], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> LogStatistics:
    """Statistics of a CSV or Parquet file with one row per purchase.

    The same, to the last bit, as `statistics_of` of the log that `load_log` reads.

    Parameters
    ----------
    path, columns, origin, refunds
        As for `agents.calibration.log_file.LogFile`.
    time_zone : str, optional
        Zone of the wall clock, default UTC.
    notify : callable, optional
        Receives one line on what was done with negative amounts, if there are any.
    progress : callable, optional
        Receives the share of customers done, from 0 to 1.

    Raises
    ------
    InputError
        If an option is unknown or the file cannot be used: one line.
    """
    with LogFile(path, columns, time_zone or "UTC", origin, refunds) as file:
        return aggregate(file, notify, progress)[0]


def aggregate(
    file: LogFile,
    notify: Callable[[str], None] | None = None,
    progress: Callable[[float], None] | None = None,
    keep: int = 0,
) -> tuple[LogStatistics, TransactionLog | None]:
    """Statistics of an open file, and the rows of some of its customers.

    Parameters
    ----------
    file
        Entered as a context manager.
    notify, progress
        As for `aggregate_file`.
    keep
        At most so many customers are kept with their rows, evenly over the file's order of
        customers; 0 keeps none.
    """
    step = -(-file.n_customers // keep) if keep else 0
    kept: list[TransactionLog] = []
    sums = LogSums(file.origin, file.end_time, file.n_customers, *file.first_weeks())
    done = 0
    for part in file.chunks():
        sums.add(part)
        if step:
            kept.append(part.select(np.arange(-done % step, part.n_customers, step)))
        done += part.n_customers
        if progress is not None:
            progress(done / file.n_customers)
    sentence = file.refunded.sentence()
    if sentence and notify is not None:
        notify(f"{file.path}: {sentence}")
    found = sums.statistics(file.name, file.start.isoformat(), file.time_zone, refunds=sentence)
    return found, joined(kept) if kept else None
