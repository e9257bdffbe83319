"""What a benchmark does in a process of its own, and how it starts one.

``python -m experiments.bench.child engine|market CUSTOMERS WEEKS`` is a run to look at with a
profiler: its stacks below ``run_weeks`` are the timed weeks.
"""

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.bench.markets import Market
    from sim.market import Decider

FIRST_WEEK = "first week done"


def started(*arguments: str, cache: str | None = None) -> tuple[str, float]:
    """Start a process, and read its first line of output.

    Parameters
    ----------
    arguments
        A job of ``main`` and its numbers.
    cache
        Folder for compiled kernels instead of the usual one.

    Returns
    -------
    str, float
        The line, and seconds from the start of the process to it.

    Raises
    ------
    RuntimeError
        If the process failed.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if cache is not None:
        environment["LOYALTYLAB_CACHE"] = cache
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.bench.child", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        passed = time.perf_counter() - begun
    if process.returncode != 0 or not line:
        raise RuntimeError(f"{' '.join(arguments)}: process ended with code {process.returncode}")
    return line, passed


def first_week(customers: int = 1000) -> None:
    """From nothing to the end of the first week of a small market."""
    from experiments.bench.markets import everything_on
    from experiments.bench.runs import KEY
    from sim.market import LoyaltyMarket

    market = everything_on()
    LoyaltyMarket(market.world, market.cohort(customers), KEY, decider=_decider(market)).step()
    print(FIRST_WEEK, flush=True)


def large(customers: int, weeks: int, threads: int) -> None:
    """Draw a large cohort and run its first weeks as a market; prints seconds and memory."""
    import numba

    from experiments.bench.machine import GIGA, peak_memory
    from experiments.bench.markets import everything_on
    from experiments.bench.runs import KEY
    from sim.market import LoyaltyMarket

    numba.set_num_threads(threads)
    market = everything_on()
    # Compile (or load) every kernel.
    LoyaltyMarket(market.world, market.cohort(100), KEY, decider=_decider(market)).step()
    begun = time.perf_counter()
    cohort = market.cohort(customers)
    drawn = time.perf_counter()
    decider = _Clocked(_decider(market))
    model = LoyaltyMarket(market.world, cohort, KEY, decider=decider)
    opened = time.perf_counter()
    model.advance(weeks)
    passed = time.perf_counter() - opened
    result = {
        "draw_s": drawn - begun,
        "weeks_s": passed - decider.seconds,
        "decisions_s": decider.seconds,
        "peak_gb": peak_memory() / GIGA,
    }
    print(json.dumps(result), flush=True)


def command(arguments: list[str]) -> None:
    """Run a command line of the project; prints seconds, imports included, and peak memory."""
    import contextlib

    from experiments import cli
    from experiments.bench.machine import GIGA, peak_memory

    begun = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        code = cli.main(arguments)
    if code:
        raise SystemExit(code)
    result = {"seconds": time.perf_counter() - begun, "peak_gb": peak_memory() / GIGA}
    print(json.dumps(result), flush=True)


def profiled(mode: str, customers: int, weeks: int) -> None:
    """A run for a profiler."""
    from experiments.bench.markets import everything_on
    from experiments.bench.runs import engine_run, market_run, prepare

    prepared = prepare(everything_on(), customers, weeks)

    def run_weeks() -> float:
        return (engine_run if mode == "engine" else market_run)(prepared).wall

    print(f"{prepared.customer_weeks / run_weeks() / 1e6:.2f} million customer-weeks/s")


def _decider(market: "Market") -> "Decider":
    assert market.decider is not None
    return market.decider()


class _Clocked:
    """A decider whose seconds are counted."""

    def __init__(self, decider: Any) -> None:
        self._decider = decider
        self.seconds = 0.0

    def decide(self, view: Any) -> Any:
        begun = time.perf_counter()
        actions = self._decider.decide(view)
        self.seconds += time.perf_counter() - begun
        return actions

    def finish(self, view: Any) -> None:
        """Nothing to look at."""


def main(arguments: list[str]) -> None:
    """Do one job of ``first_week``, ``large``, ``engine``, ``market`` and ``command``."""
    if arguments[0] == "command":
        command(arguments[1:])
        return
    job, numbers = arguments[0], [int(number) for number in arguments[1:]]
    if job == "first_week":
        first_week(*numbers)
    elif job == "large":
        large(*numbers)
    else:
        profiled(job, *numbers)


if __name__ == "__main__":
    main(sys.argv[1:])
