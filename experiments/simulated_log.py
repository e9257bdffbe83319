"""Transaction logs of simulated customers, of any size: parameters that a fit must find again.

No programme, no offers, no season, no rivals, no word of mouth: customers live by the parameters
of their population alone. They are simulated and written some thousand at a time.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from agents.calibration.posterior import Posterior
from agents.errors import InputError
from agents.files import atomic_path
from agents.population import PosteriorLike, draw_population, dynamics_from, filter_from
from agents.profile import EventKind
from agents.records import SECONDS_PER_WEEK
from agents.response import ResponseParameters
from agents.rng import Purpose, derive_seed, draw_uniforms
from experiments.config import compose_simulate
from experiments.console import Progress
from experiments.own_keys import output_file, own_keys
from sim.engine import Engine, EventLog
from sim.world import World

CHUNK = 10_000
START = "2022-01-03"  # a Monday
# Numbers of the uniform draws of a customer's arrival and first basket; others are in population.
_ARRIVAL, _FIRST_BASKET = 240, 241
_MINOR = 100


class SimulatedLog(NamedTuple):
    """What was written."""

    customers: int
    purchases: int
    weeks: int


@dataclass(frozen=True)
class SimulatedLogKeys:
    """Keys of ``loyaltylab simulate-log`` besides those of the world."""

    out: str
    customers: int = 20_000
    weeks: int = 104
    arrival_weeks: int = 0
    posterior: str = ""
    draw: int = 0
    seed: int = 0
    start: str = START

    def __post_init__(self) -> None:
        for name, least, most in (
            ("customers", 2, 10**8),
            ("weeks", 1, 520),
            ("arrival_weeks", 0, 519),
            ("draw", 0, 100_000),
            ("seed", 0, 2**64 - 1),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"{name}={value!r} must be {least:,} to {most:,}")
        try:
            datetime.date.fromisoformat(self.start)
        except ValueError:
            raise InputError(f"start={self.start!r} must be a date such as {START}") from None


def run_simulated_log(overrides: Sequence[str]) -> SimulatedLog:
    """``loyaltylab simulate-log``: write the file and say what is in it."""
    keys, rest = own_keys(SimulatedLogKeys, overrides, ("world",))
    path = output_file(keys.out)
    population: PosteriorLike = compose_simulate(rest).world.population.posterior
    if keys.posterior:
        population = Posterior.load(keys.posterior)
    draws = len(next(iter(population.parameters.values()))) - 1
    if keys.draw > draws:
        raise InputError(f"draw={keys.draw} must be 0 to {draws}: the population has no more")
    with Progress() as progress, progress.stage("Simulate purchases", keys.customers) as tick:
        written = write_simulated_log(
            population,
            path,
            customers=keys.customers,
            weeks=keys.weeks,
            seed=keys.seed,
            arrival_weeks=keys.arrival_weeks,
            draw=keys.draw,
            start=keys.start,
            tell=tick,
        )
    origin = "first_purchase" if keys.arrival_weeks else "log_start"
    print(
        f"{keys.out}: {written.purchases:,} purchases of {written.customers:,} customers in "
        f"{written.weeks} weeks; read it with data={keys.out} data.origin={origin}"
    )
    return written


def write_simulated_log(
    posterior: PosteriorLike,
    path: str | Path,
    *,
    customers: int,
    weeks: int,
    seed: int = 0,
    arrival_weeks: int = 0,
    draw: int = 0,
    start: str = START,
    chunk: int = CHUNK,
    tell: Callable[[int], None] | None = None,
) -> SimulatedLog:
    """Write the purchases of a simulated cohort as Parquet: columns customer, time, amount.

    Times are local wall-clock times without zone, with one-second resolution; amounts are in
    currency units. Rows come by customer, then by time.

    Parameters
    ----------
    posterior
        What customers are drawn from; ``draw`` chooses the posterior draw, 0 is the mode.
    path
        The file; it appears whole or not at all.
    customers, weeks, seed
        Customers, observed weeks, seed of both population and luck.
    arrival_weeks
        0: customers existed before the log (read it with origin ``log_start``), and their clocks
        start with it; who buys nothing is not in it. Otherwise customers arrive uniformly in
        these first weeks, each with a first purchase that starts the clock (``first_purchase``).
    start
        Day of the first week's start.
    chunk
        Customers at a time, about 5 kB each; changes no row.
    tell
        Receives the number of customers done, after each chunk.

    Raises
    ------
    InputError
        If the population has no baskets, or customers would arrive after the log's end.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if posterior.spend_model == "none":
        raise InputError("spend_model='none': visits without a basket make no transaction log")
    if not 0 <= arrival_weeks < weeks:
        raise InputError(f"arrival_weeks={arrival_weeks} must be 0 to {weeks - 1}, below weeks")
    world = World(ResponseParameters(), dynamics_from(posterior, draw), filter_from(posterior))
    rules = world.rules()
    keys = derive_seed(seed, "population"), derive_seed(seed, "world")
    first_day = np.datetime64(start, "s")
    schema = pa.schema(
        [("customer", pa.int64()), ("time", pa.timestamp("s")), ("amount", pa.float64())]
    )
    # Made once: clearing room for a chunk's events takes longer than simulating it for weeks.
    room = EventLog(min(chunk, customers), recording=True)
    written = 0
    with atomic_path(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for first in range(0, customers, chunk):
            n = min(chunk, customers - first)
            cohort = draw_population(posterior, n, keys[0], first_id=first, draw=draw)
            # Prospects are for markets in which people join; here everybody is a customer.
            cohort.state["prospect"] = 0
            cohort.profile["joined"] = np.maximum(cohort.profile["joined"], 0)
            arrival, opening = _first_purchases(
                cohort.traits, keys[0], arrival_weeks, posterior.spend_model == "lognormal"
            )
            parts = [opening]
            engine = Engine(cohort, rules, keys[1])
            engine.log = room
            for _ in range(weeks):
                engine.advance()
                parts.append(_bought(engine.log.events(), first))
            row, time, amount = (np.concatenate(column) for column in zip(*parts, strict=True))
            time = time + arrival[row]
            inside = time < weeks * SECONDS_PER_WEEK
            row, time, amount = row[inside], time[inside], amount[inside]
            order = np.lexsort((amount, time, row))
            columns = row[order] + first, first_day + time[order], amount[order] / _MINOR
            writer.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema))
            written += len(order)
            if tell is not None:
                tell(n)
        if not written:
            raise InputError(f"weeks={weeks}: nobody bought anything; allowed: more weeks")
    return SimulatedLog(customers, written, weeks)


def _bought(events: NDArray[np.void], first: int) -> tuple[Any, Any, Any]:
    """Rows of the chunk, seconds since the clock's start and minor units of a week's purchases."""
    bought = events[events["kind"] == EventKind.PURCHASE]
    return bought["customer"].astype(np.int64) - first, bought["time"], bought["amount"]


def _first_purchases(
    traits: NDArray[np.void], key: np.uint64, weeks: int, lognormal: bool
) -> tuple[NDArray[np.int64], tuple[Any, Any, Any]]:
    """When clocks start, in seconds, and the purchases that start them (none if `weeks` is 0)."""
    n = len(traits)
    if not weeks:
        empty = np.zeros(0, np.int64)
        return np.zeros(n, np.int64), (empty, empty, empty)
    ids = np.ascontiguousarray(traits["id"])
    when, basket = (
        draw_uniforms(key, ids, Purpose.ACCOUNT, index) for index in (_ARRIVAL, _FIRST_BASKET)
    )
    arrival = (when * weeks * SECONDS_PER_WEEK).astype(np.int64)
    shape = traits["spend_shape"]
    if lognormal:
        unit = np.exp(shape * special.ndtri(basket) - shape**2 / 2)
    else:
        unit = special.gammaincinv(shape, basket) / shape
    amount = unit * traits["spend_mean"]
    amount = np.floor(amount + 0.5).astype(np.int64)
    return arrival, (np.arange(n), np.zeros(n, np.int64), amount)
