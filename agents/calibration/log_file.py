"""Read a checked CSV or Parquet file: as one log, or as a stream of logs of some customers each.

DuckDB numbers the customers, sorts the rows, on disk where they do not fit into its memory, and
hands them over in order; only one chunk of customers is held at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS, SECONDS_PER_DAY, Origin, TransactionLog
from agents.calibration.refunds import REFUNDS, RefundCount, Refunds, net
from agents.calibration.validation import Checked, check, refuse_copies, unreadable
from agents.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MEMORY = "700MB"
CHUNK_ROWS = 1_000_000
_MICROSECONDS = 1_000_000
_DAY = SECONDS_PER_DAY * _MICROSECONDS


class LogFile:
    """Context manager: a file with one row per purchase, checked, its customers numbered.

    Customers are numbered in the order of their identifiers as texts. Week 0 starts at midnight
    of the first row's day; observation ends with the last row's day. Purchases of a customer at
    the same time are in the order of their amounts, so that the order of the file's rows does not
    matter. With refunds, rows that were removed still count for the observed period.

    Parameters
    ----------
    path : str
        CSV or Parquet file.
    columns : mapping, optional
        Column names for `customer`, `time` and `amount`; otherwise found by synonyms.
    time_zone : str
        Zone of the wall clock. Times with an offset are converted to it, times without one are
        taken as they stand.
    origin : {"first_purchase", "log_start"}
        Whether the log contains each customer's first purchase.
    refunds : {"refuse", "net", "drop"}
        What to do with negative amounts: refuse the file; subtract each from the same customer's
        most recent earlier purchases, never below 0; or remove the rows.
    memory : str
        What DuckDB may hold; beyond it, it sorts on disk.

    Attributes
    ----------
    name : str
        The file's name.
    n_customers : int
        Customers with a purchase.
    start : pandas.Timestamp
        Start of week 0, local wall-clock time, without zone.
    end_time : int
        End of observation (exclusive), seconds since `start`.
    refunded : RefundCount
        What was done with negative amounts; complete after all chunks were read.

    Raises
    ------
    InputError
        If an option is unknown or the file cannot be used: one line (`validation.check`).
    """

    def __init__(
        self,
        path: str,
        columns: Mapping[str, str] | None = None,
        time_zone: str = "UTC",
        origin: Origin = "first_purchase",
        refunds: Refunds = "refuse",
        *,
        memory: str = MEMORY,
    ) -> None:
        if origin not in ("first_purchase", "log_start"):
            raise InputError(f"origin is {origin!r}; allowed: first_purchase, log_start")
        if refunds not in REFUNDS:
            raise InputError(f"refunds is {refunds!r}; allowed: {', '.join(REFUNDS)}")
        self.path = path
        self.name = Path(path).name
        self.origin: Origin = origin
        self.time_zone = time_zone
        self.refunds: Refunds = refunds
        self._columns = columns
        self._memory = memory
        self._connection: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        import duckdb
        import pandas as pd

        self._folder = tempfile.TemporaryDirectory(prefix="loyaltylab-log-")
        self._connection = duckdb.connect(":memory:")
        try:
            for setting, value in (
                ("memory_limit", self._memory),
                ("temp_directory", self._folder.name),
                ("TimeZone", "UTC"),
                ("preserve_insertion_order", "false"),
                ("enable_progress_bar", "false"),
            ):
                self._connection.execute(f"SET {setting} = '{value}'")
            self._checked: Checked = check(
                self._connection, self.path, self._columns, self.time_zone, self.refunds
            )
            midnight = self._checked.first // _DAY * _DAY
            self.start: pd.Timestamp = pd.Timestamp(midnight, unit="us")
            self.end_time = (self._checked.last // _DAY * _DAY - midnight) // _MICROSECONDS
            self.end_time += SECONDS_PER_DAY
            self.refunded = RefundCount(self.refunds, self._checked.refunds)
            self._midnight = midnight
            self.n_customers = self._number_customers()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _rows(self) -> str:
        """SQL of the rows that can be purchases: label, seconds, amount in minor units, digest."""
        table = self._checked.table
        # Half up; the tolerance absorbs binary representation.
        minor = f"floor(abs(amount) * {MINOR_UNITS} + 0.5 + 1e-6)"
        return (
            f"SELECT label, (epoch_us(local) - {self._midnight}) // {_MICROSECONDS} AS second, "
            f"CAST(CASE WHEN amount < 0 THEN -{minor} ELSE {minor} END AS BIGINT) AS minor, "
            f"amount < 0 AS refund, digest FROM (SELECT {table.customer} AS label, "
            f"{self._checked.local} AS local, {table.amount} AS amount, "
            f"hash({', '.join(table.every)}) AS digest "
            f"FROM {table.source} WHERE {table.not_blank})"
        )

    def _number_customers(self) -> int:
        """Number the customers; returns how many there are."""
        self._connection.execute(
            "CREATE TABLE customers AS "
            "SELECT CAST(row_number() OVER (ORDER BY label) - 1 AS INTEGER) AS code, label, first "
            f"FROM (SELECT label, min(second) AS first FROM ({self._rows()}) WHERE NOT refund "
            "GROUP BY label)"
        )
        count, one = self._connection.execute(
            "SELECT count(*), first(label) FROM customers"
        ).fetchall()[0]
        if count < 2:
            column = self._checked.table.columns["customer"]
            found = "no customer with a purchase" if count == 0 else f"one customer only ({one!r})"
            raise InputError(
                f"{self.path}: column {column!r}: {found}; allowed: at least two customers"
            )
        return int(count)

    def first_weeks(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Weeks in which customers first bought, and how many did; shape (k,) each."""
        rows = self._connection.execute(
            "SELECT first // 604800 AS week, count(*) FROM customers GROUP BY week ORDER BY week"
        ).fetchall()
        table = np.array(rows, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def log(self) -> TransactionLog:
        """The whole log, in memory."""
        parts = list(self._sorted(CHUNK_ROWS))
        customer, time, amount = (np.concatenate(column) for column in zip(*parts, strict=True))
        return self._log(customer, time, amount, 0, self.n_customers)

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[TransactionLog]:
        """Logs of some customers each, in the order of their numbers, about `rows` rows a chunk.

        Customers are renumbered from 0 in each; together the chunks hold every customer once.
        """
        begin = 0
        for customer, time, amount in self._sorted(rows):
            end = int(customer[-1]) + 1
            yield self._log(customer - begin, time, amount, begin, end)
            begin = end

    def _log(self, customer: Any, time: Any, amount: Any, begin: int, end: int) -> TransactionLog:
        labels = self._connection.sql(
            f"SELECT label FROM customers WHERE code >= {begin} AND code < {end} ORDER BY code"
        ).to_arrow_table()
        return TransactionLog(
            name=self.name,
            customer=customer,
            time=time,
            amount=amount,
            customer_label=np.asarray(labels["label"].to_pylist(), str),
            start=self.start,
            end_time=self.end_time,
            origin=self.origin,
            time_zone=self.time_zone,
        )

    def _sorted(self, rows: int) -> Iterator[tuple[Any, Any, Any]]:
        """Purchases by customer and time, whole customers a batch; refunds are dealt with."""
        import duckdb

        kept = "WHERE NOT refund" if self.refunds != "net" else "WHERE NOT refund OR minor < 0"
        query = (
            f"SELECT code, second, minor, digest FROM (SELECT * FROM ({self._rows()}) {kept}) "
            "JOIN customers USING (label) ORDER BY code, second, minor < 0, minor, digest"
        )
        subtracted = amount_subtracted = 0
        carried: list[tuple[Any, ...]] = []
        try:
            # A cursor of its own: labels are read while this one is open.
            cursor = self._connection.cursor()
            cursor.execute("SET TimeZone = 'UTC'")
            reader = cursor.sql(query).to_arrow_reader(rows)
            for batch in _and_none(reader):
                if batch is not None:
                    columns = tuple(
                        column.to_numpy(zero_copy_only=False) for column in batch.columns
                    )
                    carried.append(columns)
                    # Whole customers: the last one may go on in the next batch.
                    if columns[0][-1] == carried[0][0][0]:
                        continue
                if not carried:
                    break
                joined = tuple(np.concatenate(parts) for parts in zip(*carried, strict=True))
                cut = len(joined[0])
                if batch is not None:
                    cut = int(np.searchsorted(joined[0], joined[0][-1]))
                carried = [tuple(column[cut:] for column in joined)] if cut < len(joined[0]) else []
                code, second, minor, digest = (column[:cut] for column in joined)
                self._refuse_copies(code, second, minor, digest)
                code, amount = code.astype(np.int64), minor
                if self.refunds == "net" and (minor < 0).any():
                    purchase, amount, lowered, total = net(code, minor)
                    subtracted += lowered
                    amount_subtracted += total
                    code, second, amount = code[purchase], second[purchase], amount[purchase]
                yield code, second, amount
        except duckdb.Error as error:
            raise unreadable(self.path, error) from error
        if self.refunds == "net":
            self.refunded = RefundCount(
                "net",
                self._checked.refunds,
                subtracted,
                amount_subtracted,
                self._all_refunds() - amount_subtracted,
            )

    def _all_refunds(self) -> int:
        """Minor units of all refunds, those of customers without a purchase included."""
        if not self._checked.refunds:
            return 0
        (total,) = self._connection.execute(
            f"SELECT coalesce(sum(-minor), 0) FROM ({self._rows()}) WHERE refund"
        ).fetchall()[0]
        return int(total)

    def _refuse_copies(self, code: Any, second: Any, minor: Any, digest: Any) -> None:
        """Equal digests of neighbours are copies, but for a coincidence: the file decides."""
        same = digest[1:] == digest[:-1]
        if (
            same.any()
            and (
                same
                & (code[1:] == code[:-1])
                & (second[1:] == second[:-1])
                & (minor[1:] == minor[:-1])
            ).any()
        ):
            refuse_copies(self._connection, self._checked.table)


def _and_none(reader: Any) -> Iterator[Any]:
    """The batches that hold rows, then None."""
    for batch in reader:
        if batch.num_rows:
            yield batch
    yield None


def read_log(
    path: str,
    columns: Mapping[str, str] | None,
    time_zone: str,
    origin: Origin,
    refunds: Refunds,
    notify: Callable[[str], None],
) -> TransactionLog:
    """A file's log in memory; see `LogFile`. What was done with refunds goes to `notify`."""
    with LogFile(path, columns, time_zone, origin, refunds) as file:
        log = file.log()
        if file.refunded.sentence():
            notify(f"{path}: {file.refunded.sentence()}")
        return log
