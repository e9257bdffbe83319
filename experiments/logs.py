"""The transaction log that a configuration names."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import numpy as np

from agents.calibration.log import TransactionLog
from agents.calibration.sources import load_log
from agents.dynamics import MAX_BASKET
from agents.errors import InputError
from experiments.config_schema import DataConfig


def load_data(data: DataConfig, notify: Callable[[str], None] | None = None) -> TransactionLog:
    """Read the log.

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
    largest = int(log.amount.max()) if log.n_transactions else 0
    if largest > MAX_BASKET:
        raise InputError(
            f"{data.path or data.source}: an amount is {largest / 100:,.2f}; allowed: at most "
            f"{MAX_BASKET / 100:,.0f} (give amounts in a larger unit, e.g. thousands)"
        )
    if data.contactable == "all":
        log = dataclasses.replace(log, contactable=None)
    if data.max_customers is not None and data.max_customers < log.n_customers:
        log = log.select(np.arange(data.max_customers))
    return log


def data_facts(data: DataConfig, log: TransactionLog) -> dict[str, Any]:
    """What reports say of a log."""
    return {
        "name": log.name,
        "source": data.source,
        "customers": log.n_customers,
        "purchases": log.n_transactions,
        "weeks": log.weeks,
        "start": str(log.start.date()),
        "end": str((log.start + datetime.timedelta(seconds=int(log.end_time))).date()),
        "currency": data.currency,
        "time_zone": log.time_zone,
        "notice": log.notice,
    }
