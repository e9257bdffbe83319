"""``loyaltylab customers``: what a fitted model says of every customer of a log, as Parquet."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.calibration.customers import COLUMNS, CustomerTable, Question
from agents.calibration.log import TransactionLog
from agents.calibration.log_file import LogFile
from agents.calibration.posterior import Posterior
from agents.errors import InputError
from agents.files import atomic_path
from experiments.config import compose_demo
from experiments.config_schema import DataConfig
from experiments.console import Progress
from experiments.logs import load_data
from experiments.own_keys import output_file, own_keys

CHUNK_CUSTOMERS = 50_000


@dataclass(frozen=True)
class CustomersKeys(Question):
    """Keys of the command besides those of ``data``: a question, a posterior and an output."""

    posterior: str = ""
    out: str = "customers.parquet"
    draws: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.posterior:
            raise InputError(
                "posterior is missing: give posterior=FILE, as `loyaltylab demo` leaves one in "
                "runs/demo/posterior.nc"
            )
        if not 0 <= self.draws <= 10_000:
            raise InputError(f"draws={self.draws!r} must be 0 (chosen by model) to 10,000")


def run_customers(overrides: Sequence[str]) -> dict[str, Any]:
    """Write the table and say what is in it; returns its totals.

    Raises
    ------
    InputError
        If a key, the posterior or the log cannot be used: one line.
    """
    keys, rest = own_keys(CustomersKeys, overrides, ("data",))
    out = output_file(keys.out)
    data = compose_demo(rest).data
    table = CustomerTable(Posterior.load(keys.posterior), data.origin, keys, keys.draws or None)
    with Progress() as progress:
        totals = write_customers(table, data, out, keys.posterior, progress)
    print(
        f"{out}: {totals['customers']:,} customers; expected to be alive "
        f"{totals['p_alive']:,.0f}, purchases in the next {keys.weeks} weeks "
        f"{totals['expected_purchases']:,.0f}, residual value {totals['residual_value']:,.0f}; "
        f"unusually silent {totals['unusual']:,}"
    )
    return totals


def write_customers(
    table: CustomerTable, data: DataConfig, out: Path, posterior: str, progress: Progress
) -> dict[str, Any]:
    """Write every customer's row as Parquet, in the order of their identifiers; atomic.

    Definitions of the columns, and the question, are in the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"customer": pa.string(), "frequency": pa.int64(), "unusual": pa.bool_()}
    question = {name: getattr(table.question, name) for name in Question.__dataclass_fields__}
    schema = pa.schema(
        [
            pa.field(name, kinds.get(name, pa.float64()), metadata={"meaning": meaning})
            for name, meaning in COLUMNS.items()
        ],
        metadata={
            "loyaltylab": json.dumps(
                {"question": question, "posterior": posterior, "draws": table.draws}
            )
        },
    )
    totals = dict.fromkeys(("p_alive", "expected_purchases", "residual_value", "unusual"), 0.0)
    customers = 0
    with atomic_path(out) as partial, pq.ParquetWriter(partial, schema) as writer:
        with progress.stage("Read and sort the log") as tick:
            parts = _parts(data, progress)
            first = next(parts)
            tick()
        with progress.stage("Customers", first[1]) as tick:
            part: TransactionLog | None = first[0]
            while part is not None:
                columns = table.of(part)
                writer.write_table(pa.table({k: columns[k] for k in COLUMNS}, schema))
                for name in totals:
                    totals[name] += float(np.sum(columns[name]))
                customers += part.n_customers
                tick(part.n_customers)
                part = next(parts, (None, 0))[0]
    return {"customers": customers, **totals, "unusual": int(totals["unusual"])}


def _parts(data: DataConfig, progress: Progress) -> Iterator[tuple[TransactionLog, int]]:
    """The log some customers at a time, with the number of all."""
    if data.source != "csv" or data.max_customers is not None:
        log = load_data(data, progress.note)
        yield from ((part, log.n_customers) for part in log.parts(CHUNK_CUSTOMERS))
        return
    assert data.path is not None
    names = data.columns
    columns = {"customer": names.customer, "time": names.time, "amount": names.amount}
    with LogFile(data.path, columns, data.time_zone, data.origin, data.refunds) as file:
        for part in file.chunks():
            yield part, file.n_customers
        if file.refunded.sentence():
            progress.note(f"{data.path}: {file.refunded.sentence()}")
