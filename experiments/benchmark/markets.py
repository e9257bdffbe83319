"""The markets of the protocol: worlds, customers of training and of test."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from agents.network import Network
from agents.population import filter_from
from agents.profile import FilterParameters
from agents.records import Customers
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters
from envs.task import OfferTask
from experiments.benchmark.protocol import BEHAVIOUR, STRUCTURES, Cell, Entry, Protocol
from experiments.config import SimulateConfig, compose_simulate
from experiments.version import market_code
from experiments.worlds import build_world, draw_customers, warm_up
from sim.world import World

_MINOR = 100
_DECIDING = ("cells", "markets", "runner")  # modules that results depend on


def config_of(protocol: Protocol, cell: Cell) -> SimulateConfig:
    """Configuration of a cell: conf/'s defaults but for what the protocol names."""
    return compose_simulate(
        [
            f"world={cell.world}",
            f"response={cell.response}",
            f"programme={cell.programme}",
            f"seed={cell.seed}",
            f"constraints.offer_budget.weekly_per_customer={protocol.weekly_budget * _MINOR}",
            "constraints.approval=experiment",
        ]
    )


def mark(protocol: Protocol) -> str:
    """Digest of what results depend on besides the protocol: configurations and code."""
    first = protocol.seeds[0]
    configs = [asdict(config_of(protocol, cell)) for cell in protocol.cells if cell.seed == first]
    text = json.dumps([configs, STRUCTURES], sort_keys=True, default=str)
    digest = hashlib.sha256(f"{market_code()} {text}".encode())
    for name in _DECIDING:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def world_of(config: SimulateConfig) -> World:
    """The cell's market."""
    return build_world(config, config.world.population.posterior, config.response.name)


def as_pareto_nbd(config: SimulateConfig) -> SimulateConfig:
    """The same trade with customers whose rates do not drift: what a firm may wrongly fit."""
    own = config.world.population
    values = {
        name: value
        for name, value in own.parameters.items()
        if not name.startswith(("rate_", "drift_"))
    }
    population = replace(
        own,
        purchase_model="pareto_nbd",
        parameters=values | STRUCTURES[config.world.name],
    )
    return replace(config, world=replace(config.world, population=population))


def believed_filter(config: SimulateConfig, entry: Entry) -> FilterParameters:
    """What the firm that serves an entry believes of its customers."""
    wrong = as_pareto_nbd(config) if entry.wrong == BEHAVIOUR else config
    return filter_from(wrong.world.population.posterior)


def evaluation_cohort(
    protocol: Protocol, config: SimulateConfig, world: World, n: int
) -> tuple[Customers, Network | None, np.uint64]:
    """Test customers after the warm-up, who talks to whom, and the seed of their luck."""
    key = derive_seed(config.seed, "evaluate")
    customers = draw_customers(config, config.world.population.posterior, "evaluate", n)
    return customers, warm_up(world, customers, key, protocol.warmup_weeks).network, key


def training_task(
    protocol: Protocol,
    world: str,
    responses: Sequence[str],
    seed: int,
    change: Callable[[SimulateConfig], SimulateConfig] = lambda config: config,
) -> OfferTask:
    """What learners train on: every programme of the protocol in these response worlds.

    ``change`` is made to each market's configuration. Each market has training customers of its
    own who have lived in it; none of them is a test customer, and their luck is that of the role
    "train".
    """
    worlds: list[World] = []
    pools: list[Customers] = []
    constraints: ConstraintParameters | None = None
    share = max(protocol.pool // (len(responses) * len(protocol.programmes)), 1)
    for programme in protocol.programmes:
        for response in responses:
            config = change(config_of(protocol, Cell(world, response, programme, seed)))
            market = world_of(config)
            posterior = config.world.population.posterior
            pool = draw_customers(config, posterior, "train", share, cohort=len(pools))
            warm_up(market, pool, derive_seed(seed, "train"), protocol.warmup_weeks)
            worlds.append(market)
            pools.append(pool)
            constraints = config.constraints
    assert constraints is not None
    return OfferTask(tuple(worlds), tuple(pools), constraints, horizon=protocol.weeks, paired=True)


def responses_told(protocol: Protocol, entry: Entry, response: str) -> tuple[str, ...]:
    """Response worlds that an entry is trained in."""
    if entry.regime == "robust":
        return protocol.responses
    return (entry.wrong if entry.wrong in protocol.responses else response,)
