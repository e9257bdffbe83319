"""Learning by paired rollouts: sample, branch, regress, compare, repeat."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from agents.records import Customers
from agents.rng import Purpose, derive_seed, draw_uniforms
from envs.decision import NoOffers, Policy
from envs.task import OfferTask, starts
from policies.network import TorchPolicy, one_torch_thread
from policies.rollout.comparison import Outcome, expected_outcome
from policies.rollout.ensemble import Data, LowerGain, ValueEnsemble, fit
from policies.rollout.parameters import RolloutParameters
from policies.rollout.states import States, branch, following, sample_states
from policies.training_run import TrainingRun

NAME = "rollout"
_CHUNK = 64  # decisions of a world between two looks at the clock
_FITTING = 0.25  # share of a round's time
_SPLIT_DRAW = 3  # index of the draw; exploring has 2
_REPLICA_STRIDE = 1 << 16  # of the luck of rounds and worlds, apart from each other


class RolloutPolicy(TorchPolicy):
    """Lower bounds of gains as scores; ``values`` are what a bundle exports beside them."""

    def __init__(self, values: ValueEnsemble) -> None:
        super().__init__(NAME, LowerGain(values))
        self.values = values


class _Learner:
    """State of one training, as it is kept in checkpoints."""

    def __init__(self, task: OfferTask, parameters: RolloutParameters, seed: int) -> None:
        self.task = task
        self.parameters = parameters
        self.seed = seed
        self.plan = derive_seed(seed, "plan")
        self.pools = [_split(pool, parameters.held_out, self.plan) for pool in task.pools]
        self.iteration = 0
        self.best: ValueEnsemble | None = None
        self.price = 0.0
        # Expected profit by customer held out and world, of no offers and of the best iterate.
        begun = time.process_time()
        self.control = [run.profit for run in self._held_out(NoOffers())]
        self.comparing = time.process_time() - begun
        self.best_profit = self.control
        self.most = [float(profit.mean()) for profit in self.control]

    def _held_out(self, policy: Policy) -> list[Outcome]:
        task = self.task
        return [
            expected_outcome(world, pool, policy, task.constraints, task.horizon, self.plan)
            for world, (_, pool) in zip(task.worlds, self.pools, strict=True)
        ]

    def new_ensemble(self) -> ValueEnsemble:
        table = self.task.worlds[0].table
        generator = torch.Generator().manual_seed(self.seed * 1009 + self.iteration)
        floor = table.actions["contact_cost"].astype(np.float64)
        ceiling = table.commitment.astype(np.float64)
        return ValueEnsemble(table.n, floor, ceiling, self.parameters, generator)

    def policy(self) -> Policy:
        return NoOffers() if self.best is None else RolloutPolicy(self.best)

    def gather(self, until: float, run: TrainingRun) -> Data:
        """Branches of this round, from all worlds in turn, until the run's clock says so.

        Once every state was branched, further passes branch it again on other luck, up to
        ``parameters.passes``; gains and costs are means over passes.
        """
        task, parameters = self.task, self.parameters
        each = -(-parameters.states // len(task.worlds))
        sampled = [self._sampled(at, each) for at in range(len(task.worlds))]
        follows = [
            None
            if self.best is None
            else following(LowerGain(self.best), world, task.constraints, self.price)
            for world in task.worlds
        ]
        parts: list[Data] = []
        for turn in range(parameters.passes):
            place = 0
            for first in range(0, max(states.customers.n for states in sampled), _CHUNK):
                for at, world in enumerate(task.worlds):
                    if parts and run.elapsed >= until:
                        break
                    chunk = sampled[at].rows(slice(first, first + _CHUNK))
                    if not chunk.customers.n:
                        continue
                    luck = self._luck(at) + turn * parameters.replicas
                    data = branch(world, chunk, parameters, self.plan, luck, follows[at])
                    if turn == 0:
                        parts.append(data)
                    else:
                        parts[place] = parts[place].averaged(data, turn)
                    place += 1
        return Data(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _sampled(self, at: int, n: int) -> States:
        """About ``n`` decisions in a world under the policy so far."""
        task = self.task
        return sample_states(
            task.worlds[at], self.pools[at][0], self.policy(), task.constraints, task.horizon, n,
            derive_seed(self.seed, "train"), self._luck(at), self.parameters.exploring,
        )  # fmt: skip

    def _luck(self, world: int) -> int:
        """First replica of the luck of this round in a world."""
        return (1 + self.iteration * len(self.task.worlds) + world) * _REPLICA_STRIDE

    def step(self, run: TrainingRun) -> dict[str, float]:
        """One round; figures for the log.

        What is left of the run's time is shared by the rounds that are left. Comparing takes as
        long as it took before the first round, fitting at most a share of the round.
        """
        rounds = self.parameters.iterations - self.iteration
        end = run.elapsed + (run.seconds - run.elapsed) / rounds
        gathering = (1.0 - _FITTING) * (end - run.elapsed) - self.comparing
        data = self.gather(run.elapsed + gathering, run)
        ensemble = self.new_ensemble()
        seed = self.seed * 1009 + self.iteration
        figures = fit(ensemble, data, self.parameters, seed, end - self.comparing - run.elapsed)
        figures["states"] = float(data.observation.shape[0])
        figures |= self.compare(ensemble)
        figures["shadow_price"] = self.price
        self.iteration += 1
        return figures

    def compare(self, ensemble: ValueEnsemble) -> dict[str, float]:
        """Keep the new iterate if it beats the one before on customers held out.

        Gains are shares of the profit without offers, so that worlds weigh alike.
        """
        found = self._held_out(RolloutPolicy(ensemble))
        profit = [run.profit for run in found]
        # A customer may live in several worlds, on the same luck: changes are summed by customer.
        means, shares = [], []
        for new, old, control in zip(profit, self.best_profit, self.control, strict=True):
            change = (new - old) / abs(control.mean())
            means.append(change.mean())
            shares.append((change - change.mean()) / change.size)
        mean = float(np.mean(means))
        ids = np.concatenate([pool.traits["id"] for _, pool in self.pools])
        _, customer = np.unique(ids, return_inverse=True)
        off = np.bincount(customer, np.concatenate(shares))
        error = float(np.sqrt(np.square(off).sum())) / len(means)
        kept = mean > self.parameters.confidence_z * error
        if kept:
            self.best, self.best_profit = ensemble, profit
            self.price = float(np.mean([run.price for run in found]))
        self.most = [max(m, float(new.mean())) for m, new in zip(self.most, profit, strict=True)]
        shares = [
            (float(best.mean() - control.mean()), most - float(best.mean()), abs(control.mean()))
            for best, control, most in zip(self.best_profit, self.control, self.most, strict=True)
        ]
        return {
            "change": mean,
            "change_low": mean - 1.96 * error,
            "change_high": mean + 1.96 * error,
            "kept": float(kept),
            "gain": float(np.mean([gain / scale for gain, _, scale in shares])),
            "worst_gain": float(min(gain / scale for gain, _, scale in shares)),
            "worst_regret": float(max(regret / scale for _, regret, scale in shares)),
        }

    def state(self) -> dict[str, Any]:
        return {
            "parameters": _lasting(self.parameters),
            "seed": self.seed,
            "iteration": self.iteration,
            "best": None if self.best is None else self.best.state_dict(),
            "best_profit": self.best_profit,
            "most": self.most,
            "price": self.price,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ValueError
            If it is one of other settings or another seed.
        """
        if state["parameters"] != _lasting(self.parameters) or state["seed"] != self.seed:
            raise ValueError("the checkpoint is of a rollout with other parameters or seed")
        self.iteration = state["iteration"]
        self.best_profit, self.most = state["best_profit"], state["most"]
        self.price = state["price"]
        if state["best"] is not None:
            self.best = self.new_ensemble()
            self.best.load_state_dict(state["best"])


def _lasting(parameters: RolloutParameters) -> dict[str, Any]:
    """Settings that another session must share; how long it goes on may differ."""
    ending = ("iterations", "states", "passes")
    return {name: value for name, value in asdict(parameters).items() if name not in ending}


def learn_rollout(
    task: OfferTask, parameters: RolloutParameters, seed: int, run: TrainingRun
) -> Policy:
    """Learn what offers are worth by paired rollouts.

    With several worlds the network sees decisions of all of them, so it learns the mean over the
    worlds given what is observed, and iterates are compared by their mean over worlds.

    Parameters
    ----------
    task
        Worlds, pool, constraints and horizon; ``paired`` does not matter here.
    parameters
        Settings.
    seed
        Of states, branches and networks; the same seed gives the same policy on one machine where
        the run's time is not limited.
    run
        Clock, log and checkpoint. Rows of the log: ``r2_gain`` and ``r2_cost`` on customers left
        out; ``change`` with its 95 % interval, of the new iterate over the one before, and whether
        it was ``kept``; ``gain`` of the best so far over no offers, ``worst_gain`` and
        ``worst_regret`` over worlds (against the best iterate of each world); all three as shares
        of the profit without offers, by expectations, on customers held out.

    Returns
    -------
    Policy
        The best iterate, a ``RolloutPolicy``, or no offers at all if none was better than that.
    """
    learner = _Learner(task, parameters, seed)
    saved = run.load()
    if saved is not None:
        learner.restore(saved)
    with one_torch_thread():
        while learner.iteration < parameters.iterations and not run.over:
            figures = learner.step(run)
            run.log(learner.iteration, **figures)
            run.save(learner.state())
    if learner.best is None:
        learner.best = learner.new_ensemble()
        learner.best.get_buffer("shrinkage").zero_()
        learner.best.get_buffer("least_gain").fill_(1e9)
    return RolloutPolicy(learner.best)


def _split(pool: Customers, held_out: float, key: np.uint64) -> tuple[Customers, Customers]:
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
