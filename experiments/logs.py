"""The transaction log that a configuration names."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import numpy as np

from agents.calibration.aggregate import aggregate
from agents.calibration.log import TransactionLog
from agents.calibration.log_file import LogFile
from agents.calibration.sources import load_log
from agents.calibration.sufficient import LogStatistics, statistics_of
from agents.dynamics import MAX_BASKET
from agents.errors import InputError
from experiments.config_schema import DataConfig

Notify = Callable[[str], None]


def load_data(data: DataConfig, notify: Notify | None = None) -> TransactionLog:
    """Read the log into memory.

    Raises
    ------
    InputError
        If it cannot be used: one line.
    """
    log = load_log(
        data.source,
        data.path,
        dataclasses.asdict(data.columns) if data.source == "csv" else None,
        data.time_zone if data.source == "csv" else None,
        origin=data.origin,
        refunds=data.refunds,
        sample=data.sample == "published",
        notify=notify,
    )
    _check_largest(data, int(log.amount.max()) if log.n_transactions else 0)
    if data.contactable == "all":
        log = dataclasses.replace(log, contactable=None)
    if data.max_customers is not None and data.max_customers < log.n_customers:
        log = log.select(np.arange(data.max_customers))
    return log


def statistics_and_sample(
    data: DataConfig,
    keep: int,
    notify: Notify | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[LogStatistics, TransactionLog]:
    """What fitting reads of the whole log, and at most ``keep`` customers with their rows.

    A file is streamed: its size is bounded by the disk, not by memory.

    Raises
    ------
    InputError
        If the log cannot be used: one line.
    """
    if data.source != "csv" or data.path is None or data.max_customers is not None:
        log = load_data(data, notify)
        known = statistics_of(log)
        return known, every_so_many(log, keep)
    columns = dataclasses.asdict(data.columns)
    with LogFile(data.path, columns, data.time_zone, data.origin, data.refunds) as file:
        known, sample = aggregate(file, notify, progress, keep)
    assert sample is not None
    _check_largest(data, known.largest_amount)
    return known, sample


def every_so_many(log: TransactionLog, keep: int) -> TransactionLog:
    """The log of at most ``keep`` customers, evenly over their order."""
    step = -(-log.n_customers // keep)
    return log.select(np.arange(0, log.n_customers, step)) if step > 1 else log


def _check_largest(data: DataConfig, largest: int) -> None:
    if largest > MAX_BASKET:
        raise InputError(
            f"{data.path or data.source}: an amount is {largest / 100:,.2f}; allowed: at most "
            f"{MAX_BASKET / 100:,.0f} (give amounts in a larger unit, e.g. thousands)"
        )


def data_facts(data: DataConfig, log: TransactionLog | LogStatistics) -> dict[str, Any]:
    """What reports say of a log."""
    start = datetime.datetime.fromisoformat(str(log.start))
    return {
        "name": log.name,
        "source": data.source,
        "customers": log.n_customers,
        "purchases": log.n_transactions,
        "weeks": log.weeks,
        "start": str(start.date()),
        "end": str((start + datetime.timedelta(seconds=int(log.end_time))).date()),
        "currency": data.currency,
        "time_zone": log.time_zone,
        "notice": log.notice,
    }
