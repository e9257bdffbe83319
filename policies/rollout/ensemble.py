"""An ensemble of small networks for gain and cost of every action.

Gain is value less expected cost. The spread of the members says how much the data leave open
(Lakshminarayanan, Pritzel & Blundell 2017, https://arxiv.org/abs/1612.01474). The output for an
action is ``a + b m`` with m the margin expected a week, because what an offer moves grows with what
there is to move.
"""

import itertools
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
