"""One training of a rollout: its rounds, and its state in checkpoints."""

import math
from copy import deepcopy
from dataclasses import asdict, astuple
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.records import Customers
from agents.rng import derive_seed
from envs.decision import NoOffers, Policy
from envs.task import OfferTask
from policies.network import TorchPolicy
from policies.rollout.clairvoyant import LatentScaling, Seeing
from policies.rollout.comparison import HeldOut, Outcome
from policies.rollout.ensemble import Data, LowerGain, ValueEnsemble
from policies.rollout.fitting import be_cautious, explained, fit
from policies.rollout.gathering import Gatherer, Iterate, pooled, split
from policies.rollout.parameters import Guard, RolloutParameters
from policies.training_run import TrainingRun

NAME = "rollout"
_GATHERING, _FITTING = 0.55, 0.3  # shares of a round's time; what is left is for comparing


class RolloutPolicy(TorchPolicy):
    """Lower bounds of gains as scores; ``values`` are what a bundle exports beside them."""

    def __init__(self, values: ValueEnsemble) -> None:
        super().__init__(NAME, LowerGain(values))
        self.values = values


class Candidate(NamedTuple):
    """An ensemble under a guard, and how much it explains of what it was not trained on."""

    guard: Guard
    values: ValueEnsemble
    r2: dict[str, float]


class Learner:
    """State of one training, as it is kept in checkpoints.

    ``latent`` shows the networks what no firm sees. Nothing follows then: in branches, policies
    see accounts and profiles only.
    """

    def __init__(
        self, task: OfferTask, parameters: RolloutParameters, seed: int, latent: bool
    ) -> None:
        self.task = task
        self.latent = latent
        self.scaling = LatentScaling(_together(task.pools)) if latent else None
        self.parameters = parameters
        self.seed = seed
        plan = derive_seed(seed, "plan")
        parted = [split(pool, parameters.held_out, plan) for pool in task.pools]
        self.gatherer = Gatherer(task, [inner for inner, _ in parted], parameters, seed, latent)
        weeks = min(task.horizon, parameters.compared_weeks)
        self.held_out = HeldOut(
            task, [out for _, out in parted], weeks, parameters.onward_weeks, plan
        )
        self.iteration = 0
        self.best: ValueEnsemble | None = None
        self.best_runs = self.held_out.control
        self.most = np.zeros(len(task.worlds))  # gain of any candidate in each world
        self.price = 0.0
        self.decays = sorted({guard.weight_decay for guard in parameters.guards})
        self.follows = False  # whether the next round follows the policy so far in its branches
        self.found: dict[bool, list[Data]] = {False: [], True: []}  # by whether a policy followed

    def new_ensemble(self) -> ValueEnsemble:
        """Untrained, with the first weights of this round."""
        table = self.task.worlds[0].table
        generator = torch.Generator().manual_seed(self.seed * 1009 + self.iteration)
        floor = table.actions["contact_cost"].astype(np.float64)
        ceiling = table.commitment.astype(np.float64)
        if self.scaling is None:
            return ValueEnsemble(table.n, floor, ceiling, self.parameters, generator)
        centre, scale = self.scaling.centre, self.scaling.scale
        return ValueEnsemble(table.n, floor, ceiling, self.parameters, generator, centre, scale)

    def policy(self) -> Policy:
        """The best so far, as states are sampled under it."""
        return NoOffers() if self.best is None else RolloutPolicy(self.best)

    def deployed(self, values: ValueEnsemble) -> Policy:
        """Values as a policy that a market may be governed by."""
        return Seeing(RolloutPolicy(values)) if self.latent else RolloutPolicy(values)

    def rounds(self, seconds: float) -> int:
        """Rounds in so many seconds."""
        most = self.parameters.iterations
        if not math.isfinite(seconds):
            return most
        least = self.parameters.world_seconds * len(self.task.worlds)
        return min(max(int(seconds / least), 1), most)

    def step(self, run: TrainingRun) -> dict[str, float]:
        """One round; figures for the log.

        What is left of the run's time is shared by the rounds that are left. A round gathers
        something in each world, be its time over or not.
        """
        rounds = self.rounds(run.seconds)
        left = max(rounds - self.iteration, 1)
        begun, length = run.elapsed, (run.seconds - run.elapsed) / left
        followed = self.best if self.follows else None
        iterate = Iterate(self.iteration, self.policy(), followed, self.price)
        data = self.gatherer.gather(iterate, begun + _GATHERING * length, run)
        self.found[self.follows].append(data)
        data = pooled(self.found[self.follows])
        figures = self.compare(
            self.fitted(data, begun + (_GATHERING + _FITTING) * length, run), rounds
        )
        figures["states"] = float(data.observation.shape[0])
        figures |= {"shadow_price": self.price, "followed": float(self.follows)}
        if self.latent:
            self.follows = False
        elif figures["kept"]:
            self.follows = True
        else:  # try the other: more decisions with nobody following, or the policy so far
            self.follows = self.best is not None and not self.follows
        self.iteration += 1
        return figures

    def fitted(self, data: Data, end: float, run: TrainingRun) -> list[Candidate]:
        """An ensemble for each guard."""
        parameters = self.parameters
        seed = self.seed * 1009 + self.iteration
        found = []
        for number, decay in enumerate(self.decays):
            ensemble = self.new_ensemble()
            seconds = (end - run.elapsed) / (len(self.decays) - number)
            left_out = fit(ensemble, data, parameters, decay, seed, seconds)
            some = left_out.some
            r2 = {
                "r2_gain": explained(left_out.gain[some], data.gain[some]),
                "r2_cost": explained(left_out.cost[some], data.cost[some]),
            }
            for guard in parameters.guards:
                if guard.weight_decay == decay:
                    values = deepcopy(ensemble)
                    be_cautious(values, left_out, data, guard.caution, parameters.least_gain)
                    found.append(Candidate(guard, values, r2))
        return found

    def compare(self, candidates: list[Candidate], rounds: int) -> dict[str, float]:
        """Keep the best candidate if it beats the iterate before on customers held out.

        ``rounds`` are all that may be looked at so.
        """
        held_out = self.held_out
        runs = [held_out.run(self.deployed(one.values)) for one in candidates]
        changes = [held_out.change(one, self.best_runs) for one in runs]
        aversion = self.parameters.loss_aversion
        at = int(np.argmax([held_out.utility(one, aversion) for one in runs]))
        chosen, change = candidates[at], changes[at]
        looks = len(self.parameters.guards) * rounds
        sure = (
            NormalDist().inv_cdf(1.0 - self.parameters.risk / looks) if self.best is None else 0.0
        )
        kept = change.mean > sure * change.error
        if kept:
            self.decays = [chosen.guard.weight_decay]  # the others would take time from it
            self.best, self.best_runs = chosen.values, runs[at]
            self.price = float(np.mean([run.price for run in runs[at]]))
        self.most = np.maximum(self.most, np.max([held_out.gains(one) for one in runs], axis=0))
        gains = held_out.gains(self.best_runs)
        return chosen.r2 | {
            "weight_decay": chosen.guard.weight_decay,
            "caution": chosen.guard.caution,
            "change": change.mean,
            "change_low": change.mean - 1.96 * change.error,
            "change_high": change.mean + 1.96 * change.error,
            "kept": float(kept),
            "gain": float(gains.mean()),
            "worst_gain": float(gains.min()),
            "worst_regret": float((self.most - gains).max()),
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "parameters": _lasting(self.parameters),
            "seed": self.seed,
            "iteration": self.iteration,
            "best": None if self.best is None else self.best.state_dict(),
            "best_runs": [tuple(run) for run in self.best_runs],
            "most": self.most,
            "price": self.price,
            "decays": self.decays,
            "follows": self.follows,
            "found": {key: [tuple(data) for data in parts] for key, parts in self.found.items()},
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
        for name in ("iteration", "most", "price", "decays", "follows"):
            setattr(self, name, state[name])
        self.best_runs = [Outcome(*run) for run in state["best_runs"]]
        self.found = {key: [Data(*one) for one in parts] for key, parts in state["found"].items()}
        if state["best"] is not None:
            self.best = self.new_ensemble()
            self.best.load_state_dict(state["best"])


def _lasting(parameters: RolloutParameters) -> dict[str, Any]:
    """Settings that another session must share; how long it goes on may differ."""
    ending = ("iterations", "states", "passes")
    lasting = {name: value for name, value in asdict(parameters).items() if name not in ending}
    return lasting | {"guards": [astuple(guard) for guard in parameters.guards]}


def _together(pools: tuple[Customers, ...]) -> Customers:
    return Customers(*(np.concatenate(part) for part in zip(*pools, strict=True)))
