"""Timed runs: always the same weeks of the same customers, in their second year."""

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.network import Network
from agents.records import Customers
from agents.rng import derive_seed
from experiments.bench.markets import Market, Recorder, Scripted
from sim.engine import Engine
from sim.market import LoyaltyMarket
from sim.world import Rules, World

WARMUP = 52
KEY = derive_seed(0, "world")


class Prepared(NamedTuple):
    """Customers with a history, and what is decided in the weeks to time.

    Attributes
    ----------
    world, rules, network
        As the market has them.
    start
        The cohort when timing begins.
    customers
        The cohort to run; ``reset`` makes it equal to ``start``.
    actions
        One a week, shape (n,), or None where nobody is contacted.
    """

    world: World
    rules: Rules
    network: Network | None
    start: Customers
    customers: Customers
    actions: list[NDArray[np.uint8] | None]

    @property
    def customer_weeks(self) -> int:
        """Size of a run."""
        return self.customers.n * len(self.actions)

    def reset(self) -> Customers:
        """The cohort as it was when timing began."""
        for mine, theirs in zip(self.customers, self.start, strict=True):
            np.copyto(mine.view(np.uint8), theirs.view(np.uint8))
        return self.customers

    def decider(self) -> Scripted | None:
        """Repeats the actions; None where nobody is contacted."""
        actions = [week for week in self.actions if week is not None]
        return Scripted(actions) if actions else None


def prepare(market: Market, n: int, weeks: int, warmup: int = WARMUP) -> Prepared:
    """Draw, live through ``warmup`` weeks, and write down what is decided in the next ones.

    All kernels that a run needs are compiled then, and all memory has been touched.
    """
    customers = market.cohort(n)
    decider = None if market.decider is None else market.decider()
    model = LoyaltyMarket(market.world, customers, KEY, decider=decider)
    model.advance(warmup)
    start = Customers(*(part.view(np.uint8).copy().view(part.dtype) for part in customers))
    actions: list[NDArray[np.uint8] | None] = [None] * weeks
    if decider is None:
        model.advance(weeks)
    else:
        model.firm.decider = recorder = Recorder(decider)
        model.advance(weeks)
        actions = list(recorder.weeks)
    return Prepared(market.world, model.engine.rules, model.network, start, customers, actions)


class Took(NamedTuple):
    """Seconds of a run: on the clock, and of processors, those of all threads summed."""

    wall: float
    processor: float


def _took(run: Callable[[], None]) -> Took:
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return Took(time.perf_counter() - wall, time.process_time() - processor)


def engine_run(prepared: Prepared) -> Took:
    """Week by week, as decisions come in, with the sums of each."""
    engine = Engine(prepared.reset(), prepared.rules, KEY)

    def weeks() -> None:
        for actions in prepared.actions:
            engine.run(1, actions)

    return _took(weeks)


def unbroken_run(prepared: Prepared) -> Took:
    """All weeks at once, nobody contacted: each customer stays in the cache for all of them."""
    engine = Engine(prepared.reset(), prepared.rules, KEY)

    def weeks() -> None:
        engine.run(len(prepared.actions))

    return _took(weeks)


def market_run(prepared: Prepared) -> Took:
    """The whole market: deciding is replaced by reading, all else is there."""
    return _advanced(prepared, "engine", prepared.decider())


def undecided_run(prepared: Prepared) -> Took:
    """The whole market, several weeks at once without decisions in between."""
    return _advanced(prepared, "engine", None)


def agents_run(prepared: Prepared) -> Took:
    """Mesa agents, one at a time; making them is not timed."""
    return _advanced(prepared, "agents", prepared.decider())


def _advanced(
    prepared: Prepared, mode: Literal["engine", "agents"], decider: Scripted | None
) -> Took:
    model = LoyaltyMarket(
        prepared.world, prepared.reset(), KEY, mode, decider, network=prepared.network
    )
    return _took(lambda: model.advance(len(prepared.actions)))


Run = Callable[[Prepared], Took]
