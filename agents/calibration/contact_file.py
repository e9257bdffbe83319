"""Read and check a CSV or Parquet file of campaign contacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from agents.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("customer", "campaign", "kind", "start", "end", "redeemed")
_MOST_ROWS_NAMED = 3
_REDEEMED = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


def read_contacts(path: str) -> pd.DataFrame:
    """One row per customer and campaign, checked.

    Parameters
    ----------
    path : str
        CSV or Parquet file with the columns of `COLUMNS`; others are ignored.

    Returns
    -------
    pandas.DataFrame
        customer, campaign, kind (str), start, end (dates, both inclusive), coupons (0 or 1).

    Raises
    ------
    InputError
        If the file cannot be read or a value in it cannot be used: one line with file, column,
        rows (as numbered in the file, a CSV's header being row 1), value and what is allowed.
    """
    import pandas as pd

    raw, first_row = _texts(path)

    def refuse(column: str, bad: npt.NDArray[np.bool_], problem: str, allowed: str) -> NoReturn:
        at = np.flatnonzero(bad)
        named = ", ".join(str(row + first_row) for row in at[:_MOST_ROWS_NAMED])
        more = f" and {len(at) - _MOST_ROWS_NAMED:,} more" if len(at) > _MOST_ROWS_NAMED else ""
        value = raw[column].iloc[at[0]]
        rows = "row" if len(at) == 1 else "rows"
        raise InputError(
            f"{path}: column {column}, {rows} {named}{more}: {problem} ({value!r}); "
            f"allowed: {allowed}"
        )

    for column in COLUMNS:
        blank = (raw[column] == "").to_numpy()
        if blank.any():
            refuse(column, blank, "no value", "a value in every row")
    dates = {}
    for column in ("start", "end"):
        days = pd.to_datetime(raw[column], errors="coerce", format="ISO8601", utc=True)
        if days.isna().any():
            refuse(column, days.isna().to_numpy(), "not a date", "YYYY-MM-DD")
        dates[column] = days.dt.tz_localize(None).dt.normalize()
    backwards = (dates["end"] < dates["start"]).to_numpy()
    if backwards.any():
        refuse("end", backwards, "before the start", "the campaign's last day, not before start")
    redeemed = raw["redeemed"].str.lower().map(_REDEEMED)
    if redeemed.isna().any():
        refuse(
            "redeemed", redeemed.isna().to_numpy(), "neither yes nor no", "0 or 1, false or true"
        )
    again = raw.duplicated(["customer", "campaign"]).to_numpy()
    if again.any():
        refuse(
            "customer", again, "a second row for the same campaign",
            "one row per customer and campaign",
        )  # fmt: skip
    return raw[["customer", "campaign", "kind"]].assign(
        start=dates["start"], end=dates["end"], coupons=redeemed.astype(np.int64)
    )


def _texts(path: str) -> tuple[pd.DataFrame, int]:
    """The columns as texts without blanks around them, and the number of the first row."""
    import pandas as pd

    file = Path(path)
    if not file.is_file():
        raise InputError(
            f"{path}: no such file; allowed: completejourney, or a CSV or Parquet file of contacts"
        )
    with file.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    try:
        raw = (
            pd.read_parquet(file)
            if is_parquet
            else pd.read_csv(
                file, dtype=str, keep_default_na=False, sep=None, engine="python",
                encoding="utf-8-sig",
            )
        )  # fmt: skip
    except Exception as error:  # the readers raise whatever the bytes lead them to
        problem = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise InputError(
            f"{path}: not a readable table ({problem}); allowed: CSV in UTF-8 with a header, or "
            "Parquet"
        ) from error
    missing = [column for column in COLUMNS if column not in raw.columns]
    if missing:
        raise InputError(
            f"{path}: no column {missing[0]!r}; present: {', '.join(map(str, raw.columns))}; "
            f"allowed: {', '.join(COLUMNS)}"
        )
    if raw.empty:
        raise InputError(f"{path}: no rows; allowed: one row per customer and campaign")
    texts = raw[list(COLUMNS)]
    texts = texts.where(texts.notna(), "").astype(str).apply(lambda column: column.str.strip())
    return texts.reset_index(drop=True), 1 if is_parquet else 2
