"""Read a customer's own CSV or Parquet file, or say in one line what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from agents.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SYNONYMS: dict[str, tuple[str, ...]] = {
    "customer": (
        "customer", "customer_id", "customerid", "client_id", "cust_id", "user_id", "userid",
        "user", "household_id", "household", "member_id", "account_id", "card_id", "id",
    ),
    "time": (
        "time", "timestamp", "datetime", "date", "transaction_time", "transaction_timestamp",
        "transaction_date", "purchase_date", "order_date", "invoice_date", "invoicedate",
        "created_at",
    ),
    "amount": (
        "amount", "spend", "revenue", "value", "sales_value", "total", "price_paid", "paid",
        "order_value", "basket_value", "dollar_value", "monetary_value", "transaction_amount",
    ),
}  # fmt: skip
ROWS_SHOWN = 5
OFFSET = r":\d\d(?:\.\d+)?\s*(?:Z|[+-]\d\d(?::?\d\d)?)$"


@dataclass(frozen=True)
class Rows:
    """A valid file's rows, in file order; shape (rows,).

    `customer` holds str identifiers, `time` local wall-clock times without zone, `amount`
    currency units.
    """

    customer: npt.NDArray[Any]
    time: pd.DatetimeIndex
    amount: npt.NDArray[np.float64]


def read_table(path: str, columns: Mapping[str, str] | None, time_zone: str) -> Rows:
    """Read and check a file with one row per purchase.

    Times are ISO 8601 (`2024-03-31`, `2024-03-31 17:05:00`, with or without offset) or
    `YYYYMMDD`. Row numbers in messages are those of the file, from 1; a CSV's header is row 1.

    Raises
    ------
    InputError
        If the file is missing, unreadable or empty, lacks a column, or has a row that cannot be
        used. The first problem found is reported with its first rows and their number.
    """
    frame, first_row = _read(path)
    chosen = _columns(path, [str(name) for name in frame.columns], columns)
    blank = frame.isna().all(axis=1).to_numpy()
    row = np.flatnonzero(~blank) + first_row
    frame = frame[~blank]
    if frame.empty:
        raise InputError(f"{path}: no rows; allowed: at least two customers' purchases")
    customer = _customer(path, chosen["customer"], frame[chosen["customer"]], row)
    time = _time(path, chosen["time"], frame[chosen["time"]], row, time_zone)
    amount = _amount(path, chosen["amount"], frame[chosen["amount"]], row)
    repeated = frame.duplicated().to_numpy()
    if repeated.any():
        _refuse(
            path,
            "all columns",
            row[repeated],
            "the row is an exact copy of an earlier one",
            "each purchase once (a transaction id column tells equal purchases apart)",
        )
    if (customer == customer[0]).all():
        raise InputError(
            f"{path}: column {chosen['customer']!r}: one customer only ({str(customer[0])!r}); "
            "allowed: at least two customers"
        )
    return Rows(customer, time, amount)


def _read(path: str) -> tuple[pd.DataFrame, int]:
    """The file's table and the file row of its first record."""
    import pandas as pd

    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: no such file; allowed: a CSV or Parquet file")
    if file.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; allowed: a header and one row per purchase")
    try:
        with file.open("rb") as stream:
            if stream.read(4) == b"PAR1":
                return pd.read_parquet(file), 1
        with file.open(encoding="utf-8-sig", newline="") as text:
            header = text.readline()
        separator = max(",;\t|", key=header.count)
        frame = pd.read_csv(
            file, sep=separator, dtype=str, encoding="utf-8-sig", skip_blank_lines=False,
            keep_default_na=False, na_values=[""], index_col=False,
        )  # fmt: skip
    except Exception as error:  # pandas and pyarrow raise many kinds for an unreadable file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: unreadable ({reason}); allowed: a CSV file in UTF-8 or a Parquet file"
        ) from error
    return frame, 2


def _columns(path: str, present: list[str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Column name per field, as given or by synonym."""
    given = given or {}
    unknown = sorted(set(given) - set(SYNONYMS))
    if unknown:
        raise InputError(f"columns: {unknown[0]!r} is no field; allowed: {', '.join(SYNONYMS)}")
    chosen: dict[str, str] = {}
    simple = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in present}
    for field, synonyms in SYNONYMS.items():
        if field in given:
            if given[field] not in present:
                raise InputError(
                    f"{path}: column {given[field]!r} given for {field} is missing; "
                    f"present: {', '.join(present)}"
                )
            chosen[field] = given[field]
            continue
        match = next((simple[name] for name in synonyms if name in simple), None)
        if match is None:
            raise InputError(
                f"{path}: no column for {field}; present: {', '.join(present)}; "
                f"allowed names: {', '.join(synonyms)}, or name it in columns"
            )
        chosen[field] = match
    return chosen


def _customer(path: str, column: str, values: pd.Series, row: npt.NDArray[Any]) -> npt.NDArray[Any]:
    text = values.astype("string").str.strip()
    missing = (text.isna() | (text == "")).fillna(True).to_numpy(bool)
    if missing.any():
        _refuse(path, column, row[missing], "customer id is missing", "an id in every row")
    return np.asarray(text.to_numpy(object), str)


def _time(
    path: str, column: str, values: pd.Series, row: npt.NDArray[Any], time_zone: str
) -> pd.DatetimeIndex:
    import pandas as pd

    allowed = "ISO 8601 (2024-03-31, 2024-03-31 17:05:00, with or without offset) or YYYYMMDD"
    if pd.api.types.is_datetime64_any_dtype(values):
        aware = np.full(len(values), values.dt.tz is not None)
        parsed = values.dt.tz_convert("UTC") if aware.any() else values.dt.tz_localize("UTC")
    else:
        text = values.astype("string").str.strip()
        aware = text.str.contains(OFFSET).fillna(False).to_numpy(bool)
        # UTC is only a common container for the times without offset: it is taken off below.
        parsed = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    bad = parsed.isna().to_numpy()
    if bad.any():
        value = values[bad].iloc[0]
        _refuse(path, column, row[bad], f"not a date or time ({value!r})", allowed)
    if aware.any() and not aware.all():
        few = aware if aware.sum() * 2 <= len(aware) else ~aware
        problem = "some times have an offset and others do not"
        _refuse(path, column, row[few], problem, "all or none")
    index = pd.DatetimeIndex(parsed)
    try:
        now = pd.Timestamp.now(time_zone).tz_localize(None)
        local = index.tz_convert(time_zone if aware.any() else "UTC").tz_localize(None)
    except (KeyError, ValueError, OSError) as error:
        raise InputError(
            f"time zone is {time_zone!r}; allowed: an IANA name such as Europe/Berlin"
        ) from error
    future = np.asarray(local > now)
    if future.any():
        value = local[future][0]
        allowed = f"times up to now ({now:%Y-%m-%d})"
        _refuse(path, column, row[future], f"in the future ({value})", allowed)
    return local


def _amount(
    path: str, column: str, values: pd.Series, row: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    import pandas as pd

    numeric = pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan)
    bad = ~np.isfinite(numeric)
    if bad.any():
        value = values[bad].iloc[0]
        _refuse(path, column, row[bad], f"not a finite number ({value!r})", "amounts such as 12.50")
    negative = numeric < 0
    if negative.any():
        _refuse(
            path,
            column,
            row[negative],
            f"negative ({numeric[negative][0]:g})",
            "amounts of at least 0 (refunds are not supported yet: remove them)",
        )
    too_large = numeric > 1e12
    if too_large.any():
        _refuse(path, column, row[too_large], "too large", "amounts up to 1e12")
    return np.asarray(numeric, np.float64)


def _refuse(path: str, column: str, rows: npt.NDArray[Any], problem: str, allowed: str) -> NoReturn:
    shown = ", ".join(str(number) for number in rows[:ROWS_SHOWN])
    more = ", ..." if len(rows) > ROWS_SHOWN else ""
    where = "all columns" if column == "all columns" else f"column {column!r}"
    count = f"{len(rows)} row" if len(rows) == 1 else f"{len(rows)} rows"
    raise InputError(f"{path}: {where}: {problem} in {count} ({shown}{more}); allowed: {allowed}")
