"""Speed of the engine, the market and Mesa's agents, against what memory and cores allow."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from json import loads
from typing import Any

import numba

from agents.errors import InputError
from agents.records import TRAITS, mutable_bytes_per_customer
from experiments.bench import child, markets
from experiments.bench.machine import (
    Bandwidth,
    describe,
    load_average,
    memory_bandwidth,
    require_memory,
    threads,
)
from experiments.bench.roofline import Roofline, bytes_per_customer_week
from experiments.bench.runs import (
    Prepared,
    Run,
    agents_run,
    engine_run,
    market_run,
    prepare,
    unbroken_run,
    undecided_run,
)
from experiments.bench.spread import Spread
from experiments.console import Progress

LARGE_CUSTOMERS = 10_000_000
LARGE_WEEKS = 52
# 20,000 records of each kind, about 10 MB, stay in a server's last-level cache.
_CACHED_CUSTOMERS = 20_000
_CACHED_PASSES = 5
_SOCIETY_SHARE = 5
_MESA_CUSTOMERS = 20_000
_MESA_WEEKS = 5
_STARTS = 3
# Python with its packages, compiled code, and temporaries of drawing and deciding.
_BASE_BYTES = 500_000_000
_TEMPORARY_BYTES = 24


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Parameters
    ----------
    customers, weeks
        Cohort of the engine, and weeks of a repetition, after a year of warm-up.
    repetitions
        Each figure is the median of so many.
    threads
        0 = every core.
    """

    customers: int = 1_000_000
    weeks: int = 26
    repetitions: int = 5
    threads: int = 0

    def __post_init__(self) -> None:
        for name in ("customers", "weeks", "repetitions"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        most = numba.config.NUMBA_NUM_THREADS
        if not 0 <= self.threads <= most:
            raise InputError(f"threads={self.threads} must lie in 0..{most}, 0 = every core")

    @property
    def used_threads(self) -> int:
        """Threads that run."""
        return self.threads or int(numba.config.NUMBA_NUM_THREADS)


def bench_engine(size: Size | None = None, full: bool = False) -> dict[str, Any]:
    """Measure; progress goes to stderr.

    Every repetition runs the same weeks of the same customers with the same decisions, so what
    differs between repetitions is the machine. Compilation, drawing and deciding are not timed.

    Parameters
    ----------
    size
        How much.
    full
        Also 10 million customers for 52 weeks in a process of its own, and a start with nothing
        compiled.

    Returns
    -------
    dict
        ``experiments.bench.figures.FIGURES`` by key, rates in customer-weeks/s; ``spread``: least
        and largest by key; ``by_processor_time``: customer-weeks per second of processor time by
        key; ``cpu_share``: part of its threads' time that the engine got; ``roofline``: the verdict
        in a line; the size and the machine.

    Raises
    ------
    InputError
        For a size out of range, or one that the memory does not hold.
    """
    size = size or Size()
    _require(size, full)
    begun, load = time.perf_counter(), load_average()
    bench = _Bench(size)
    with Progress() as progress, threads(size.used_threads):
        if full:
            bench.large(progress)
        bandwidth = bench.bandwidth(progress)
        bench.engine(progress)
        bench.others(progress)
        bench.starts(progress, full)
    return bench.result(bandwidth) | {
        "customers": size.customers,
        "weeks": size.weeks,
        "repetitions": size.repetitions,
        "threads": size.used_threads,
        "threading_layer": numba.threading_layer(),
        **describe(),
        "load_average_before": load,
        "seconds": time.perf_counter() - begun,
    }


def _record_bytes() -> int:
    return TRAITS.itemsize + mutable_bytes_per_customer()


def _require(size: Size, full: bool) -> None:
    if full:
        needed = LARGE_CUSTOMERS * (_record_bytes() + _TEMPORARY_BYTES) + _BASE_BYTES
        require_memory(needed, f"--full ({LARGE_CUSTOMERS:,} customers)")
    each = 2 * _record_bytes() + size.weeks + _TEMPORARY_BYTES
    require_memory(
        size.customers * each + _BASE_BYTES, f"a benchmark of --customers {size.customers:,}"
    )


class _Bench:
    """Figures as they come in."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.spreads: dict[str, Spread] = {}
        self.values: dict[str, float] = {}
        self.by_processor: dict[str, float] = {}
        self.cpu_share = 0.0

    def large(self, progress: Progress) -> None:
        with progress.stage(f"{LARGE_CUSTOMERS:,} customers, {LARGE_WEEKS} weeks"):
            numbers = (LARGE_CUSTOMERS, LARGE_WEEKS, self.size.used_threads)
            line, _ = child.started("large", *(str(number) for number in numbers))
        found = loads(line)
        self.values |= {
            "ten_million_52_weeks_s": found["weeks_s"],
            "ten_million_draw_s": found["draw_s"],
            "ten_million_decisions_s": found["decisions_s"],
            "ten_million_peak_gb": found["peak_gb"],
        }

    def bandwidth(self, progress: Progress) -> Bandwidth:
        with progress.stage("Memory bandwidth"):
            found = memory_bandwidth()
            with threads(1):
                one = memory_bandwidth()
        self.spreads |= {
            "bandwidth_gb_per_s": found.copy,
            "bandwidth_triad_gb_per_s": found.triad,
            "bandwidth_one_thread_gb_per_s": one.copy,
        }
        return found

    def engine(self, progress: Progress) -> None:
        """Everything on: all threads and one in turn, then the same weeks as whole markets."""
        size, market = self.size, markets.everything_on()
        with progress.stage("Draw and warm up customers"):
            prepared = prepare(market, size.customers, size.weeks)
        fast, slow = [], []
        with progress.stage("Engine, everything on", size.repetitions) as tick:
            for _ in range(size.repetitions):
                fast.append(engine_run(prepared))
                with threads(1):
                    slow.append(engine_run(prepared))
                tick()
        done = prepared.customer_weeks
        self.spreads |= {
            "customer_weeks_per_s": Spread.of([done / took.wall for took in fast]),
            "customer_weeks_per_s_one_thread": Spread.of([done / took.wall for took in slow]),
            "thread_scaling": Spread.of(
                [one.wall / all_.wall for all_, one in zip(fast, slow, strict=True)]
            ),
        }
        self.by_processor |= {
            "customer_weeks_per_s": Spread.of([done / took.processor for took in fast]).median,
            "customer_weeks_per_s_one_thread": Spread.of(
                [done / took.processor for took in slow]
            ).median,
        }
        self.cpu_share = Spread.of(
            [took.processor / took.wall / size.used_threads for took in fast]
        ).median
        self._time(progress, "customer_weeks_per_s_unbroken", prepared, unbroken_run)
        self._time(progress, "market_customer_weeks_per_s", prepared, market_run)
        self._time(progress, "market_customer_weeks_per_s_no_decisions", prepared, undecided_run)
        del prepared
        small = prepare(market, min(size.customers, _CACHED_CUSTOMERS), size.weeks)
        self._time(progress, "customer_weeks_per_s_in_cache", small, engine_run, _CACHED_PASSES)

    def others(self, progress: Progress) -> None:
        """Other worlds, and agents one at a time."""
        size = self.size
        n = size.customers
        worlds: tuple[tuple[str, Callable[[], markets.Market], Run, int, int], ...] = (
            ("customer_weeks_per_s_marketing_off", markets.marketing_off, engine_run, n, 0),
            ("customer_weeks_per_s_music_store", markets.music_store, engine_run, n, 0),
            ("customer_weeks_per_s_example_world", markets.example, engine_run, n, 0),
            (
                "market_customer_weeks_per_s_society",
                markets.society,
                market_run,
                max(1, n // _SOCIETY_SHARE),
                0,
            ),
            (
                "mesa_customer_weeks_per_s",
                markets.by_agents,
                agents_run,
                min(n, _MESA_CUSTOMERS),
                _MESA_WEEKS,
            ),
        )
        for key, market, run, customers, weeks in worlds:
            prepared = prepare(market(), customers, weeks or size.weeks)
            if run is agents_run:
                run(prepared)  # compile what only agents call
            self._time(progress, key, prepared, run)

    def starts(self, progress: Progress, cold: bool) -> None:
        """Processes that begin with nothing."""
        with progress.stage("Start with cached kernels", _STARTS) as tick:
            child.started("first_week")
            found = []
            for _ in range(_STARTS):
                found.append(child.started("first_week")[1])
                tick()
        self.spreads["second_start_s"] = Spread.of(found)
        if cold:
            with (
                progress.stage("Start with nothing compiled"),
                tempfile.TemporaryDirectory() as folder,
            ):
                self.values["cold_start_s"] = child.started("first_week", cache=folder)[1]

    def result(self, bandwidth: Bandwidth) -> dict[str, Any]:
        """Figures by key, in the order of ``FIGURES``."""
        values = self.values | {key: spread.median for key, spread in self.spreads.items()}
        roof = Roofline(
            values["customer_weeks_per_s"],
            bytes_per_customer_week(),
            bandwidth.copy.median,
            values["customer_weeks_per_s_in_cache"],
        )
        values |= {
            "ratio": values["customer_weeks_per_s"] / values["mesa_customer_weeks_per_s"],
            "bytes_per_customer": mutable_bytes_per_customer(),
            "bytes_per_customer_week": roof.bytes_per_customer_week,
            "bandwidth_share": roof.bandwidth_share,
        }
        return values | {
            "bound": roof.bound,
            "roofline": roof.line(),
            "cpu_share": self.cpu_share,
            "by_processor_time": self.by_processor,
            "spread": {key: [spread.low, spread.high] for key, spread in self.spreads.items()},
        }

    def _time(
        self, progress: Progress, key: str, prepared: Prepared, run: Run, passes: int = 1
    ) -> None:
        rates, by_processor = [], []
        with progress.stage(key, self.size.repetitions) as tick:
            for _ in range(self.size.repetitions):
                took = [run(prepared) for _ in range(passes)]
                done = passes * prepared.customer_weeks
                rates.append(done / sum(one.wall for one in took))
                by_processor.append(done / sum(one.processor for one in took))
                tick()
        self.spreads[key] = Spread.of(rates)
        self.by_processor[key] = Spread.of(by_processor).median
