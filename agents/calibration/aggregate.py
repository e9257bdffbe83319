"""Statistics of a file of any size, in one stream: DuckDB sorts, no one holds the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agents.calibration.log import Origin
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
        sums = LogSums(file.origin, file.end_time, file.n_customers, *file.first_weeks())
        done = 0
        for part in file.chunks():
            sums.add(part)
            done += part.n_customers
            if progress is not None:
                progress(done / file.n_customers)
        sentence = file.refunded.sentence()
        if sentence and notify is not None:
            notify(f"{path}: {sentence}")
        return sums.statistics(file.name, file.start.isoformat(), file.time_zone, refunds=sentence)
