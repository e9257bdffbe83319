"""Decisions of a round: states of the worlds, branched in turn while there is time."""

from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np

from agents.records import Customers
from agents.rng import Purpose, derive_seed, draw_uniforms
from envs.decision import Policy
from envs.task import OfferTask, starts
from policies.rollout.ensemble import Data, LowerGain, ValueEnsemble
from policies.rollout.parameters import REPLICA_STRIDE, RolloutParameters
from policies.rollout.states import States, branch, following, sample_states
from policies.training_run import TrainingRun

# Decisions of a world between two looks at the clock, alone and where a policy follows, whose
# networks are slow on few rows.
_CHUNK, _FOLLOWED_CHUNK = 64, 1024
_SPLIT_DRAW = 3  # index of the draw; exploring has 2


class Iterate(NamedTuple):
    """The policy so far, whose decisions are branched.

    ``number`` of the round; ``values`` follow in the branches where there are any, at ``price``.
    """

    number: int
    policy: Policy
    values: ValueEnsemble | None
    price: float


class Gatherer:
    """Samples and branches decisions of all worlds of a task.

    Parameters
    ----------
    pools
        Customers to learn from, of each world.
    parameters
        Settings; ``weeks`` of a branch are at most two thirds of the horizon.
    latent
        Whether data show what no firm sees.
    """

    def __init__(
        self,
        task: OfferTask,
        pools: list[Customers],
        parameters: RolloutParameters,
        seed: int,
        latent: bool,
    ) -> None:
        self.task = task
        self.pools = pools
        weeks = min(parameters.weeks, -(-2 * task.horizon // 3))  # little is left after that
        self.parameters = replace(parameters, weeks=weeks)
        self.seed = seed
        self.plan = derive_seed(seed, "plan")
        self.latent = latent

    def gather(self, iterate: Iterate, until: float, run: TrainingRun) -> Data:
        """Branches of a round, from all worlds in turn, until the run's clock says so.

        Once every state was branched, further passes branch it again on other luck, up to
        ``parameters.passes``; gains and costs are means over passes.

        Raises
        ------
        ValueError
            If nobody in any world may be offered anything.
        """
        task, parameters = self.task, self.parameters
        each = -(-parameters.states // len(task.worlds))
        sampled = [self._sampled(iterate, at, each) for at in range(len(task.worlds))]
        values = iterate.values
        follows = [
            None
            if values is None
            else following(LowerGain(values), world, task.constraints, iterate.price)
            for world in task.worlds
        ]
        rows = _CHUNK if values is None else _FOLLOWED_CHUNK
        longest = max(states.customers.n for states in sampled)
        parts: dict[tuple[int, int], Data] = {}
        for turn, first, at in product(
            range(parameters.passes), range(0, longest, rows), range(len(task.worlds))
        ):
            if run.elapsed >= until and (turn, first) != (0, 0):
                break
            chunk = sampled[at].rows(slice(first, first + rows))
            if not chunk.customers.n:
                continue
            luck = self._luck(iterate, at) + turn * parameters.replicas
            data = branch(task.worlds[at], chunk, parameters, self.plan, luck, follows[at])
            known = parts.get((first, at))
            parts[first, at] = data if known is None else known.averaged(data, turn)
        if not parts:
            raise ValueError("no customer of any world may be offered anything: nothing to learn")
        return pooled(list(parts.values()))

    def _sampled(self, iterate: Iterate, at: int, n: int) -> States:
        """About ``n`` decisions in a world under the policy so far."""
        task = self.task
        return sample_states(
            task.worlds[at], self.pools[at], iterate.policy, task.constraints, task.horizon, n,
            derive_seed(self.seed, "train"), self._luck(iterate, at), self.parameters.exploring,
            self.latent,
        )  # fmt: skip

    def _luck(self, iterate: Iterate, world: int) -> int:
        """First replica of the luck of a round in a world."""
        return (1 + iterate.number * len(self.task.worlds) + world) * REPLICA_STRIDE


def pooled(parts: list[Data]) -> Data:
    """Several gatherings as one."""
    return Data(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def split(pool: Customers, held_out: float, key: np.uint64) -> tuple[Customers, Customers]:
    """Those to learn from, and those to compare iterates on; at least one each.

    By customer, not by row: who is held out in one world is held out in all.
    """
    rows = starts(pool)
    if rows.size < 2:
        raise ValueError(f"{rows.size} customers to start from: rollout needs two in each world")
    place = draw_uniforms(key, pool.traits["id"][rows], Purpose.POLICY, _SPLIT_DRAW)
    out = place < held_out
    if out.all() or not out.any():
        out = place == place.min()
    return pool.take(rows[~out]), pool.take(rows[out])
