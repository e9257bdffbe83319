"""An ensemble of small networks for gain and cost of every action, and how it is fitted.

Gain is value less expected cost. Each member is a two-layer network, trained on a bootstrap of
customers of its own; their spread says how much the data leave open (Lakshminarayanan, Pritzel &
Blundell 2017, https://arxiv.org/abs/1612.01474). The output for an action is ``a + b m`` with m
the margin expected a week, because what an offer moves grows with what there is to move.
"""

import itertools
import math
import time
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from envs.features import CENTRE, SCALE, column
from policies.base import CLIP
from policies.network import scaled
from policies.rollout.parameters import RolloutParameters

_VALUE = column("residual_value")
_TIMED_STEPS = 7
_STEP_OVERHEAD = 1.5  # of a step, for drawing rows and the optimiser
_LEAST_MARGIN = 0.3  # in scales of the feature; below it all customers count alike


class Data(NamedTuple):
    """What was learned from n decisions: observations, gains and costs, NaN where not allowed.

    Shapes (n, inputs), (n, A), (n, A); ``customer`` (n,) numbers whom a decision was about.
    """

    observation: NDArray[np.float32]
    gain: NDArray[np.float64]
    cost: NDArray[np.float64]
    customer: NDArray[np.int64]

    def averaged(self, other: "Data", before: int) -> "Data":
        """The mean of ``before`` passes and another pass over the same decisions."""
        share = 1.0 / (before + 1)
        return self._replace(
            gain=self.gain + share * (other.gain - self.gain),
            cost=self.cost + share * (other.cost - self.cost),
        )


class LeftOut(NamedTuple):
    """What members say of decisions of customers whom they were not trained on.

    Gain and cost have shape (n, A), ``some`` (n, A) tells where there is such a member.
    """

    gain: NDArray[np.float64]
    cost: NDArray[np.float64]
    some: NDArray[np.bool_]


class ValueEnsemble(nn.Module):
    """Value, its lower bound and expected cost per action, minor units.

    Parameters
    ----------
    n_actions
        Actions, 0 included.
    floor, ceiling
        Least and most an action can cost, minor units, shape (n_actions,).
    parameters
        Sizes, and what an offer must promise at least.
    generator
        Draws the first weights.
    centre, scale
        Of the inputs, the features first.
    """

    def __init__(
        self,
        n_actions: int,
        floor: NDArray[np.float64],
        ceiling: NDArray[np.float64],
        parameters: RolloutParameters,
        generator: torch.Generator,
        centre: NDArray[np.floating] = CENTRE,
        scale: NDArray[np.floating] = SCALE,
    ) -> None:
        super().__init__()
        self.n_actions = n_actions
        members, hidden = parameters.members, parameters.hidden
        sizes = (centre.size, hidden, hidden, 4 * n_actions)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for inputs, outputs in itertools.pairwise(sizes):
            start = torch.randn(members, inputs, outputs, generator=generator)
            gain = 2.0 if outputs == hidden else 0.1
            self.weights.append(nn.Parameter(start * (gain / inputs) ** 0.5))
            self.biases.append(nn.Parameter(torch.zeros(members, 1, outputs)))
        unit = np.ones(n_actions)
        for name, value in (
            ("centre", centre),
            ("scale", scale),
            ("gain_scale", unit),
            ("cost_scale", unit),
            ("shrinkage", unit),
            ("floor", floor),
            ("ceiling", ceiling),
            ("caution", np.array(0.0)),
            ("least_gain", np.array(parameters.least_gain)),
        ):
            self.register_buffer(name, torch.tensor(np.asarray(value), dtype=torch.float32))

    def outputs(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gain and cost of each member in its own scale, shape (members, n, n_actions)."""
        features = scaled(observation, self.get_buffer("centre"), self.get_buffer("scale"))
        margin = (observation[:, _VALUE] / SCALE[_VALUE]).clamp(0.0, 2.0 * CLIP)[None, :, None]
        layer = features[None]
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            layer = torch.matmul(layer, weight) + bias
            if at < 2:
                layer = torch.relu(layer)
        a, b, c, d = torch.split(layer, self.n_actions, dim=2)
        return a + b * margin, c + d * margin

    def gains(self, observation: torch.Tensor) -> torch.Tensor:
        """Gain of each action by each member, minor units, shape (members, n, n_actions)."""
        return self.outputs(observation)[0] * self.get_buffer("gain_scale")

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Value, value_lower, expected_cost, shape (n, n_actions) each; column 0 is 0."""
        gain, cost = self.outputs(observation)
        gain = gain * self.get_buffer("gain_scale")
        mean = gain.mean(dim=0)
        spread = (gain - mean).square().mean(dim=0).sqrt()
        cost = (cost * self.get_buffer("cost_scale")).mean(dim=0)
        cost = torch.minimum(
            torch.maximum(cost, self.get_buffer("floor")), self.get_buffer("ceiling")
        )
        shrunk = torch.minimum(mean, mean * self.get_buffer("shrinkage"))
        lower = shrunk - self.get_buffer("caution") * spread
        some = torch.ones_like(self.get_buffer("floor"))
        some[0] = 0.0
        return (mean + cost) * some, (lower + cost) * some, cost * some


class LowerGain(nn.Module):
    """Scores: lower bound of the value less expected cost less what it must promise at least."""

    def __init__(self, values: ValueEnsemble) -> None:
        super().__init__()
        self.values = values

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Score, minor units, shape (n, n_actions); column 0 is 0."""
        _, lower, cost = self.values(observation)
        some = torch.ones_like(cost[:1])
        some[:, 0] = 0.0
        scores: torch.Tensor = lower - cost - self.values.get_buffer("least_gain") * some
        return scores


def fit(
    ensemble: ValueEnsemble,
    data: Data,
    parameters: RolloutParameters,
    weight_decay: float,
    seed: int,
    seconds: float = math.inf,
) -> LeftOut:
    """Train the ensemble in place; the same seed gives the same weights on one machine.

    ``seconds`` of the processor bound the number of epochs, by the time that some steps take.
    """
    n = data.observation.shape[0]
    known = np.isfinite(data.gain)
    known[:, 0] = False
    gain = np.where(known, data.gain, 0.0)
    cost = np.where(known, data.cost, 0.0)
    count = np.maximum(known.sum(axis=0), 1)
    for name, values in (("gain_scale", gain), ("cost_scale", cost)):
        size = np.sqrt(np.square(values).sum(axis=0) / count)
        ensemble.get_buffer(name).copy_(torch.tensor(np.maximum(size, 1e-3)))
    rng = np.random.default_rng([seed, 1])
    who, row = np.unique(data.customer, return_inverse=True)
    draws = rng.poisson(1.0, (parameters.members, who.size))
    weight = torch.tensor(draws[:, row], dtype=torch.float32)[:, :, None]
    observation = torch.from_numpy(data.observation)
    mask = torch.tensor(known, dtype=torch.float32)
    # Gains vary in proportion to the margin there is to move: weighted least squares.
    precision = (_LEAST_MARGIN + observation[:, _VALUE] / SCALE[_VALUE]).square().reciprocal()
    precision = (precision / precision.mean())[:, None]
    goal_gain = torch.tensor(gain, dtype=torch.float32) / ensemble.get_buffer("gain_scale")
    goal_cost = torch.tensor(cost, dtype=torch.float32) / ensemble.get_buffer("cost_scale")
    each = -(-n // parameters.batch)
    epochs = parameters.epochs
    if math.isfinite(seconds):
        most = int(seconds / (each * _step_seconds(ensemble, parameters)))
        epochs = min(epochs, max(most, 1))
    steps = epochs * each
    optimizer = torch.optim.AdamW(
        ensemble.parameters(), lr=parameters.learning_rate, weight_decay=weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, parameters.learning_rate, total_steps=steps
    )
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(n))
        for at in range(0, n, parameters.batch):
            rows = order[at : at + parameters.batch]
            found_gain, found_cost = ensemble.outputs(observation[rows])
            error = (found_gain - goal_gain[rows]).square() + (
                found_cost - goal_cost[rows]
            ).square()
            loss = (error * mask[rows] * weight[:, rows] * precision[rows]).sum(dim=0).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return _left_out(ensemble, data, known, draws[:, row] == 0)


def _step_seconds(ensemble: ValueEnsemble, parameters: RolloutParameters) -> float:
    """Processor seconds of a step of the optimiser, the median of some that change nothing."""
    observation = torch.zeros(parameters.batch, ensemble.get_buffer("centre").shape[0])
    taken = []
    for _ in range(_TIMED_STEPS):
        begun = time.process_time()
        gain, cost = ensemble.outputs(observation)
        torch.autograd.grad((gain.square() + cost.square()).mean(), list(ensemble.parameters()))
        taken.append(time.process_time() - begun)
    return max(_STEP_OVERHEAD * float(np.median(taken)), 1e-6)


def _left_out(
    ensemble: ValueEnsemble,
    data: Data,
    known: NDArray[np.bool_],
    untrained: NDArray[np.bool_],
) -> LeftOut:
    """Means over the members that were not trained on a row; ``untrained`` is (members, n)."""
    with torch.no_grad():
        gain, cost = (x.numpy() for x in ensemble.outputs(torch.from_numpy(data.observation)))
    gain = gain * ensemble.get_buffer("gain_scale").numpy()
    cost = cost * ensemble.get_buffer("cost_scale").numpy()
    number = untrained.sum(axis=0)
    share = (untrained / np.maximum(number, 1))[:, :, None]
    some = (number > 0)[:, None] & known
    return LeftOut((gain * share).sum(axis=0), (cost * share).sum(axis=0), some)


def be_cautious(
    ensemble: ValueEnsemble, left_out: LeftOut, data: Data, caution: float, least_gain: float
) -> None:
    """Set caution, and shrink what looks like a gain to what it was on customers left out."""
    ensemble.get_buffer("caution").fill_(caution)
    shrinkage = ensemble.get_buffer("shrinkage")
    for action in range(1, ensemble.n_actions):
        promised = left_out.gain[:, action]
        rows = left_out.some[:, action] & (promised > least_gain)
        shrinkage[action] = _kept_share(
            promised[rows], data.gain[rows, action], data.customer[rows], caution
        )


def _kept_share(
    promised: NDArray[np.float64],
    found: NDArray[np.float64],
    customer: NDArray[np.int64],
    caution: float,
) -> float:
    """Cautious share of a promised sum that was found, 0 to 1; errors clustered by customer."""
    if promised.size == 0:
        return 0.0
    share = found.sum() / promised.sum()
    _, row = np.unique(customer, return_inverse=True)
    off = np.bincount(row, found - share * promised)
    error = np.sqrt(np.square(off).sum()) / promised.sum()
    return float(np.clip(share - caution * error, 0.0, 1.0))


def explained(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Share of the variance of ``truth`` that ``found`` explains."""
    if truth.size == 0 or truth.var() == 0:
        return 0.0
    return float(1.0 - np.square(truth - found).mean() / truth.var())
