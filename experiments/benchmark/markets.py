"""The markets of the protocol: worlds, customers of training and of test."""

from collections.abc import Sequence

import numpy as np

from agents.network import Network
from agents.records import Customers
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters
from envs.task import OfferTask
from experiments.benchmark.protocol import Cell, Entry, Protocol
from experiments.config import SimulateConfig, compose_simulate
from experiments.worlds import build_world, draw_customers, warm_up
from sim.world import World

_MINOR = 100


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


def world_of(config: SimulateConfig) -> World:
    """The cell's market."""
    return build_world(config, config.world.population.posterior, config.response.name)


def evaluation_cohort(
    protocol: Protocol, config: SimulateConfig, world: World, n: int
) -> tuple[Customers, Network | None, np.uint64]:
    """Test customers after the warm-up, who talks to whom, and the seed of their luck."""
    key = derive_seed(config.seed, "evaluate")
    customers = draw_customers(config, config.world.population.posterior, "evaluate", n)
    return customers, warm_up(world, customers, key, protocol.warmup_weeks).network, key


def training_task(protocol: Protocol, world: str, responses: Sequence[str], seed: int) -> OfferTask:
    """What learners train on: every programme of the protocol in these response worlds.

    Each market has training customers who have lived in it; none of them is a test customer, and
    their luck is that of the role "train".
    """
    worlds, pools = [], []
    constraints: ConstraintParameters | None = None
    share = max(protocol.pool // (len(responses) * len(protocol.programmes)), 1)
    for programme in protocol.programmes:
        for response in responses:
            config = config_of(protocol, Cell(world, response, programme, seed))
            market = world_of(config)
            pool = draw_customers(config, config.world.population.posterior, "train", share)
            warm_up(market, pool, derive_seed(seed, "train"), protocol.warmup_weeks)
            worlds.append(market)
            pools.append(pool)
            constraints = config.constraints
    assert constraints is not None
    return OfferTask(tuple(worlds), tuple(pools), constraints, horizon=protocol.weeks, paired=True)


def responses_told(protocol: Protocol, entry: Entry, response: str) -> tuple[str, ...]:
    """Response worlds that an entry is trained in."""
    return (response,) if entry.regime == "informed" else protocol.responses
