"""Numbers known of each customer, from a file beside the transaction log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.calibration.log import TransactionLog
from agents.errors import InputError

ALLOWED = "a CSV or Parquet file with a column customer and columns of numbers"
MOST = 20


def read_covariates(path: str, log: TransactionLog) -> dict[str, NDArray[np.float64]]:
    """Columns of a file with one row per customer, in the order of the log's customers.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a customer of the log, has one twice, or holds a value
        that is not a finite number: one line.
    """
    import pandas as pd

    file = Path(path)
    if not file.is_file():
        raise InputError(f"covariates={path}: no such file; allowed: {ALLOWED}")
    try:
        with file.open("rb") as stream:
            parquet = stream.read(4) == b"PAR1"
        frame: Any = (
            pd.read_parquet(file) if parquet else pd.read_csv(file, dtype={"customer": str})
        )
    except Exception as error:  # whatever the readers raise for a file that is neither
        raise InputError(f"covariates={path}: unreadable; allowed: {ALLOWED}") from error
    names = [str(name) for name in frame.columns if name != "customer"]
    if "customer" not in frame.columns or not 1 <= len(names) <= MOST:
        raise InputError(
            f"covariates={path}: columns are {', '.join(map(str, frame.columns))}; allowed: "
            f"customer and 1 to {MOST} columns of numbers"
        )
    frame["customer"] = frame["customer"].astype(str)
    twice = frame["customer"].duplicated()
    if twice.any():
        raise InputError(
            f"covariates={path}: customer {frame['customer'][twice].iloc[0]!r} stands twice; "
            "allowed: one row per customer"
        )
    known = frame.set_index("customer").reindex(pd.Index(log.customer_label))
    found = {}
    for name in names:
        values = pd.to_numeric(known[name], errors="coerce").to_numpy(np.float64)
        bad = ~np.isfinite(values)
        if bad.any():
            raise InputError(
                f"covariates={path}: column {name!r} has no finite number for {int(bad.sum())} of "
                f"the log's customers (first: {log.customer_label[bad][0]!r}); allowed: a number "
                "for each"
            )
        found[name] = values
    return found
