"""What a learned policy scores as a torch module, so that a bundle can hold it.

Networks are modules already. A frozen bandit is linear in the scaled features, with a bound;
uplift is trees and a line. Value and cost of a bundle come from elsewhere
(``policies.values.learn_values``, or a rollout's ensemble), and mean the same for all policies.
"""

import numpy as np
import torch
from torch import nn

from envs.features import CENTRE, SCALE
from policies.bandits.policies import MINOR, WORTHWHILE, LinearBandit
from policies.base import Policy
from policies.export.trees import Boosted
from policies.network import TorchPolicy, scaled
from policies.uplift.policy import REACH, Line, UpliftPolicy

_NEVER = -1e9  # minor units: no action that is scored is worse


def scores_of(policy: Policy) -> nn.Module:
    """Scores as a module: observation (n, N_FEATURES), float32, to score (n, n_actions).

    Raises
    ------
    ValueError
        For a bandit that is still learning, and for policies that are not learned.
    """
    if isinstance(policy, TorchPolicy):
        return policy.module
    if isinstance(policy, LinearBandit):
        if policy.learning:
            raise ValueError(
                f"policy {policy.name!r} is still learning: freeze it (policy.frozen()) to export"
            )
        return BanditScores(policy).eval()
    if isinstance(policy, UpliftPolicy):
        return UpliftScores(policy).eval()
    raise ValueError(
        f"policy {policy.name!r} cannot be exported: only networks, frozen bandits and uplift can"
    )


class BanditScores(nn.Module):
    """Lower bound of the gain, as ``LinearBandit.propose`` of a frozen one; minor units."""

    def __init__(self, bandit: LinearBandit) -> None:
        super().__init__()
        models = bandit.models
        for name, value in (
            ("centre", CENTRE),
            ("scale", SCALE),
            ("weight", (models.weight - models.weight[0]).T),
            ("root", models.root),
            ("noise", models.noise),
            ("caution", bandit.caution),
        ):
            self.register_buffer(name, torch.tensor(np.asarray(value), dtype=torch.float32))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Score, shape (n, n_actions); column 0 is 0."""
        features = scaled(observation, self.get_buffer("centre"), self.get_buffer("scale"))
        basis = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        spread = torch.matmul(basis, self.get_buffer("root").transpose(1, 2))  # (A, n, k)
        variance = spread.square().sum(dim=2).T * self.get_buffer("noise").square()
        gain = basis @ self.get_buffer("weight")
        gain = gain - self.get_buffer("caution") * (variance + variance[:, :1]).sqrt() - WORTHWHILE
        return torch.cat([torch.zeros_like(gain[:, :1]), MINOR * gain[:, 1:]], dim=1)


class UpliftScores(nn.Module):
    """Lower bound of the net gain, as ``UpliftPolicy.propose``; minor units."""

    def __init__(self, policy: UpliftPolicy) -> None:
        super().__init__()
        self.hopeful = policy.hopeful
        self.z = policy.z
        self.actions = len(policy.lines)
        self.lines = [_line(policy, action) for action in self.hopeful]
        self.margins = nn.ModuleList()
        self.costs = nn.ModuleList()
        for action in self.hopeful:
            arms = [fold.arms[action] for fold in policy.folds]
            self.margins.append(Boosted([arm.margin for arm in arms if arm is not None]))
            self.costs.append(Boosted([arm.cost for arm in arms if arm is not None]))
        firsts = [fold.arms[0] for fold in policy.folds]
        self.cost_without = Boosted([first.cost for first in firsts if first is not None])

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Score, shape (n, n_actions); column 0 is 0."""
        none = torch.zeros_like(observation[:, 0], dtype=torch.float64)
        columns = [none] + [none + _NEVER] * (self.actions - 1)
        for at, (margin, cost) in enumerate(zip(self.margins, self.costs, strict=True)):
            # What comes without an offer is in both sides of the gain, and cancels.
            gain = margin(observation) - cost(observation) + self.cost_without(observation)
            line = self.lines[at]
            off = (gain - line.mean).clamp(-REACH * line.sd, REACH * line.sd)
            (constant, mixed), (_, slope) = line.covariance.tolist()
            variance = (constant + 2.0 * off * mixed + off.square() * slope).clamp(min=0.0)
            columns[self.hopeful[at]] = line.intercept + line.slope * off - self.z * variance.sqrt()
        return torch.stack(columns, dim=1).to(torch.float32)


def _line(policy: UpliftPolicy, action: int) -> Line:
    line = policy.lines[action]
    assert line is not None
    return line
