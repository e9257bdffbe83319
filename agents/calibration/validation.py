"""Check a customer's own CSV or Parquet file, or say in one line what is wrong with it.

DuckDB reads the file, in a stream: nothing here holds its rows. `agents.calibration.log_file`
reads what was checked.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from agents.calibration.refunds import Refunds
from agents.errors import InputError

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
LARGEST_AMOUNT = 1e12
EARLIEST = "1900-01-01"
_TIMES = "ISO 8601 (2024-03-31, 2024-03-31 17:05:00, with or without offset) or YYYYMMDD"
_OFFSET = r"\s*(?:Z|[+-]\d\d(?::?\d\d)?)"
_DATE = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?"
_NAIVE = f"{_DATE}(?:[T ]{_CLOCK})?"
_AWARE = f"{_DATE}[T ]{_CLOCK}{_OFFSET}"
_TYPES_WITHOUT_ZONE = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_TYPE_WITH_ZONE = "TIMESTAMP WITH TIME ZONE"
_PARALLEL, _SEQUENTIAL = "parallel = true", "parallel = false"
_BLANK = "E' \\t\\r\\n'"


@dataclass(frozen=True)
class Table:
    """How DuckDB reads a file: SQL expressions over its rows.

    Attributes
    ----------
    path : str
        The file, as it was given.
    source : str
        What stands behind FROM.
    columns : dict of str
        The file's name of the column of each field.
    every : tuple of str
        SQL of every column.
    customer, amount : str
        SQL of the identifier (text without surrounding blanks) and of the amount (DOUBLE).
    moment : str
        SQL of the time, converted to UTC where it has an offset.
    offset : str
        SQL that says whether a time has an offset.
    raw : dict of str
        SQL of the unconverted columns, for messages.
    row : str
        SQL of a row's number, from 0, blank lines of a CSV file not counted.
    is_csv : bool
    separator : str
        Of a CSV file.
    """

    path: str
    source: str
    columns: dict[str, str]
    every: tuple[str, ...]
    customer: str
    amount: str
    moment: str
    offset: str
    raw: dict[str, str]
    row: str
    is_csv: bool
    separator: str = ","

    @property
    def not_blank(self) -> str:
        """SQL that is true of rows with at least one value."""
        return f"NOT ({' AND '.join(f'{column} IS NULL' for column in self.every)})"


@dataclass(frozen=True)
class Checked:
    """A file without a row that cannot be used.

    Attributes
    ----------
    table : Table
        Its SQL.
    local : str
        SQL of the local wall-clock time (TIMESTAMP).
    first, last : int
        Earliest and latest local time, in microseconds since 1970.
    refunds : int
        Rows with a negative amount.
    """

    table: Table
    local: str
    first: int
    last: int
    refunds: int


def check(
    connection: Any,
    path: str,
    columns: Mapping[str, str] | None,
    time_zone: str,
    refunds: Refunds,
) -> Checked:
    """Check a file with one row per purchase, all rows but exact copies (`refuse_copies`).

    Times are ISO 8601 (`2024-03-31`, `2024-03-31 17:05:00`, with or without offset) or
    `YYYYMMDD`. Row numbers in messages are those of the file, from 1; a CSV's header is row 1.

    Raises
    ------
    InputError
        If the file is missing, unreadable or empty, lacks a column, or has a row that cannot be
        used. The first problem found is reported with its first rows and their number.
    """
    import duckdb

    zone = _zone(time_zone)
    table = _open(connection, path, columns)
    try:
        return _check(connection, table, zone, refunds)
    except duckdb.Error as error:
        if _SEQUENTIAL.replace(" ", "") not in str(error):
            raise unreadable(path, error) from error
    # Line breaks within quotes need the reader that is not parallel.
    table = replace(table, source=table.source.replace(_PARALLEL, _SEQUENTIAL))
    try:
        return _check(connection, table, zone, refunds)
    except duckdb.Error as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: Exception) -> InputError:
    """The message for whatever a reader raised."""
    lines = []
    for line in str(error).strip().splitlines():
        if line.strip() == "" or line.startswith(("Possible", "Candidate")):
            break
        lines.append(line.strip())
    reason = " ".join(lines)[:300] or type(error).__name__
    return InputError(
        f"{path}: unreadable ({reason}); allowed: a CSV file in UTF-8 or a Parquet file"
    )


def refuse_copies(connection: Any, table: Table) -> None:
    """Refuse rows that are exact copies of an earlier one, if there are any.

    Raises
    ------
    InputError
        With their numbers.
    """
    every = ", ".join(table.every)
    copies = (
        f"SELECT row FROM (SELECT row, row_number() OVER (PARTITION BY {every} ORDER BY row) "
        f"AS copy FROM ({_numbered(table)})) WHERE copy > 1"
    )
    _refuse(
        connection,
        table,
        None,
        copies,
        "the row is an exact copy of an earlier one",
        "each purchase once (a transaction id column tells equal purchases apart)",
    )


def _zone(time_zone: str) -> str:
    """The zone as an SQL text, if it exists."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(time_zone)
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise InputError(
            f"time zone is {time_zone!r}; allowed: an IANA name such as Europe/Berlin"
        ) from error
    return _text(time_zone)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _open(connection: Any, path: str, columns: Mapping[str, str] | None) -> Table:
    """The SQL of a file's columns."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: no such file; allowed: a CSV or Parquet file")
    if file.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; allowed: a header and one row per purchase")
    try:
        with file.open("rb") as stream:
            is_parquet = stream.read(4) == b"PAR1"
        if is_parquet:
            # DuckDB would take *, ? and [ in a file's name for a pattern.
            source = f"read_parquet({_pattern(file)}, file_row_number = true)"
            described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            present = {row[0]: row[1] for row in described if row[0] != "file_row_number"}
            expression = {name: _name(name) for name in present}
            every = list(expression.values())
            separator, number = "", "file_row_number"
        else:
            with file.open(encoding="utf-8-sig", newline="") as text:
                line = text.readline()
                separator = max(",;\t|", key=line.count)
                text.seek(0)
                header = next(csv.reader(text, delimiter=separator), [])
            present = dict.fromkeys(header, "VARCHAR")
            expression = {name: f"c{at}" for at, name in enumerate(header)}
            every = [f"c{at}" for at in range(len(header))]
            source, number = _csv(file, separator, len(header)), "row_number() OVER () - 1"
    except Exception as error:  # pyarrow, DuckDB and the decoder raise many kinds
        raise unreadable(path, error) from error
    chosen = _columns(path, list(present), columns)
    customer, time, amount = (expression[chosen[field]] for field in SYNONYMS)
    moment, offset = _moment(time, present[chosen["time"]])
    return Table(
        path=path,
        source=source,
        columns=chosen,
        every=tuple(every),
        customer=_trimmed(f"CAST({customer} AS VARCHAR)"),
        amount=_amount(amount, present[chosen["amount"]]),
        moment=moment,
        offset=offset,
        raw={"customer": customer, "time": time, "amount": amount},
        row=number,
        is_csv=not is_parquet,
        separator=separator,
    )


def _trimmed(text: str) -> str:
    """SQL of a text without blanks around it; `trim` by itself takes most of the time."""
    ends = " OR ".join(f"ends_with({text}, E'{blank}')" for blank in (" ", "\\t", "\\r", "\\n"))
    return f"(CASE WHEN {text} < '!' OR {ends} THEN trim({text}, {_BLANK}) ELSE {text} END)"


def _pattern(file: Path) -> str:
    """A path as an SQL text that matches this file only."""
    escaped = "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(file))
    return _text(escaped)


def _csv(file: Path, separator: str, columns: int) -> str:
    """All columns as text."""
    types = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(columns))
    return (
        f"read_csv({_pattern(file)}, auto_detect = false, header = true, "
        f"delim = {_text(separator)}, quote = '\"', escape = '\"', columns = {{{types}}}, "
        f"null_padding = true, {_PARALLEL})"
    )


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


def _moment(column: str, type_name: str) -> tuple[str, str]:
    """SQL of the time in UTC (or as it stands, without offset), and of whether it has an offset."""
    if type_name == _TYPE_WITH_ZONE:
        return f"({column} AT TIME ZONE 'UTC')", "true"
    if type_name in _TYPES_WITHOUT_ZONE:
        return f"CAST({column} AS TIMESTAMP)", "false"
    text = _trimmed(f"CAST({column} AS VARCHAR)")
    aware = f"regexp_full_match({text}, '{_AWARE}')"
    wall = f"TRY_CAST(regexp_extract({text}, '^{_DATE}[T ]{_CLOCK}') AS TIMESTAMP)"
    shift = f"regexp_replace(regexp_extract({text}, '(?:Z|[+-][0-9:]+)$'), '[:Z]', '')"
    # An offset of hours alone, or none for Z, is padded to +HHMM.
    padded = f"rpad(CASE WHEN {shift} = '' THEN '+' ELSE {shift} END, 5, '0')"
    minutes = (
        f"(CASE WHEN {padded}[1] = '-' THEN -1 ELSE 1 END) * "
        f"(CAST({padded}[2:3] AS INTEGER) * 60 + CAST({padded}[4:5] AS INTEGER))"
    )
    moment = (
        f"CASE WHEN regexp_full_match({text}, '{_NAIVE}') THEN TRY_CAST({text} AS TIMESTAMP) "
        f"WHEN {aware} THEN {wall} - to_minutes({minutes}) "
        f"WHEN regexp_full_match({text}, '\\d{{8}}') THEN try_strptime({text}, '%Y%m%d') END"
    )
    return moment, aware


def _amount(column: str, type_name: str) -> str:
    if type_name != "VARCHAR":
        return f"TRY_CAST({column} AS DOUBLE)"
    # DuckDB reads 1_000 as a number; nobody else does.
    return f"CASE WHEN NOT contains({column}, '_') THEN TRY_CAST({column} AS DOUBLE) END"


def _check(connection: Any, table: Table, zone: str, refunds: Refunds) -> Checked:
    (mostly_aware,) = connection.execute(
        f"SELECT coalesce(first({table.offset}), false) FROM "
        f"(SELECT * FROM {table.source} WHERE {table.not_blank} AND "
        f"{table.raw['time']} IS NOT NULL LIMIT 1)"
    ).fetchall()[0]
    local = table.moment
    if mostly_aware:
        local = f"(({table.moment}) AT TIME ZONE 'UTC') AT TIME ZONE {zone}"
    problems = {
        "customer": "customer IS NULL OR customer = ''",
        "time": "local IS NULL OR NOT isfinite(local)",
        "early": f"local < TIMESTAMP '{EARLIEST}'",
        "aware": "aware",
        "future": "local > now",
        "amount": "amount IS NULL OR NOT isfinite(amount)",
        "negative": "amount < 0",
        "large": f"abs(amount) > {LARGEST_AMOUNT}",
    }
    now = connection.execute(f"SELECT now() AT TIME ZONE {zone}").fetchall()[0][0]
    fields = (
        f"{table.customer} AS customer, {local} AS local, {table.offset} AS aware, "
        f"{table.amount} AS amount, TIMESTAMP '{now}' AS now"
    )
    counts = ", ".join(f"count_if({condition})" for condition in problems.values())
    rows, first, last, *found = connection.execute(
        f"SELECT count(*), epoch_us(min(local)), epoch_us(max(local)), {counts} FROM "
        f"(SELECT {fields} FROM {table.source} WHERE {table.not_blank})"
    ).fetchall()[0]
    if not rows:
        raise InputError(f"{table.path}: no rows; allowed: at least two customers' purchases")
    count = dict(zip(problems, found, strict=True))

    quoted = "'''' || CAST(raw AS VARCHAR) || ''''"

    def refuse(
        problem: str, field: str, text: str, allowed: str, value: str | None = None,
        condition: str | None = None,
    ) -> NoReturn:  # fmt: skip
        where = condition or problems[problem]
        inner = f"SELECT row, raw, {fields} FROM ({_numbered(table, table.raw[field])})"
        query = f"SELECT row FROM ({inner}) WHERE {where}"
        if value is not None:
            shown = connection.execute(
                f"SELECT {value} FROM ({inner}) WHERE {where} ORDER BY row LIMIT 1"
            ).fetchall()[0][0]
            text = text.format("empty" if shown is None else shown)
        _refuse(connection, table, field, query, text, allowed)
        raise AssertionError(f"{table.path}: {problem} was counted but not found")

    if count["customer"]:
        refuse("customer", "customer", "customer id is missing", "an id in every row")
    if count["time"]:
        refuse("time", "time", "not a date or time ({})", _TIMES, quoted)
    if 0 < count["aware"] < rows:
        few = "aware" if count["aware"] * 2 <= rows else "NOT aware"
        problem = "some times have an offset and others do not"
        refuse("aware", "time", problem, "all or none", condition=few)
    if count["early"]:
        refuse(
            "early", "time", "too early ({})", f"times from {EARLIEST}", "CAST(local AS VARCHAR)"
        )
    if count["future"]:
        allowed = f"times up to now ({now:%Y-%m-%d})"
        refuse("future", "time", "in the future ({})", allowed, "CAST(local AS VARCHAR)")
    if count["amount"]:
        allowed = "amounts such as 12.50"
        refuse("amount", "amount", "not a finite number ({})", allowed, quoted)
    if count["large"]:
        refuse("large", "amount", "too large", f"amounts up to {LARGEST_AMOUNT:g}")
    if count["negative"] and refunds == "refuse":
        allowed = (
            "amounts of at least 0, or refunds=net (subtract them from the customer's latest "
            "earlier purchases) or refunds=drop (leave these rows out)"
        )
        text = "negative ({})"
        refuse("negative", "amount", text, allowed, "format('{:g}', amount)")
    return Checked(table, local, first, last, count["negative"])


def _numbered(table: Table, raw: str | None = None) -> str:
    """Rows with their numbers, and one column once more as `raw`; blank ones left out."""
    also = f", {raw} AS raw" if raw is not None else ""
    return (
        f"SELECT * FROM (SELECT *, {table.row} AS row{also} FROM {table.source}) "
        f"WHERE {table.not_blank}"
    )


def _refuse(
    connection: Any, table: Table, field: str | None, rows: str, problem: str, allowed: str
) -> None:
    """Raise with the first of the rows that a query names; return if it names none."""
    # Numbering rows takes a reader that keeps their order.
    connection.execute("SET preserve_insertion_order = true")
    found = connection.execute(
        f"SELECT row, count(*) OVER () FROM ({rows}) ORDER BY row LIMIT {ROWS_SHOWN}"
    ).fetchall()
    connection.execute("SET preserve_insertion_order = false")
    if not found:
        return
    total = found[0][1]
    shown = ", ".join(str(number) for number in _file_rows(table, [row for row, _ in found]))
    more = ", ..." if total > ROWS_SHOWN else ""
    where = "all columns" if field is None else f"column {table.columns[field]!r}"
    count = f"{total} row" if total == 1 else f"{total} rows"
    raise InputError(
        f"{table.path}: {where}: {problem} in {count} ({shown}{more}); allowed: {allowed}"
    )


def _file_rows(table: Table, rows: list[int]) -> list[int]:
    """Numbers in the file, from 1, of rows that were numbered without blank lines, from 0."""
    if not table.is_csv:
        return [row + 1 for row in rows]
    wanted, found, record = set(rows), [], 0
    with Path(table.path).open(encoding="utf-8-sig", newline="") as text:
        for number, fields in enumerate(csv.reader(text, delimiter=table.separator), start=1):
            if number == 1 or not fields:
                continue
            if record in wanted:
                found.append(number)
                if len(found) == len(rows):
                    break
            record += 1
    return found
