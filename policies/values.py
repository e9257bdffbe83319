"""What an offer is worth: incremental value and cost per action, learned from paired branches.

Sampled customers are branched in the engine for every action against action 0 with common random
numbers; value and cost are regressed on the features by Bayesian linear regression, whose
posterior gives the lower bound (Bishop 2006, Pattern Recognition and Machine Learning, §3.3).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agents.records import Customers
from envs.features import CENTRE, SCALE, observe
from policies.network import scaled
from sim.counterfactual import branch_values
from sim.world import World

_PRIOR_PRECISION = 10.0
_LOWER_Z = 1.645  # one-sided 95 %


def _basis(observation: torch.Tensor, centre: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Scaled features and a constant, shape (n, N_FEATURES + 1)."""
    features = scaled(observation, centre, scale)
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


class ValueHeads(nn.Module):
    """Value, its lower bound and expected cost per action, in minor units.

    Parameters
    ----------
    value_weight, cost_weight
        Shape (N_FEATURES + 1, n_actions), of the scaled features and a constant.
    root
        Square root of the posterior covariance for unit noise, shape (k, k).
    noise
        Residual sd of the value per action, shape (n_actions,).
    floor, ceiling
        Least and most an action can cost, shape (n_actions,).
    """

    def __init__(
        self,
        value_weight: NDArray[np.float64],
        cost_weight: NDArray[np.float64],
        root: NDArray[np.float64],
        noise: NDArray[np.float64],
        floor: NDArray[np.float64],
        ceiling: NDArray[np.float64],
    ) -> None:
        super().__init__()
        buffers = {
            "centre": CENTRE,
            "scale": SCALE,
            "value_weight": value_weight,
            "cost_weight": cost_weight,
            "root": root,
            "noise": noise,
            "floor": floor,
            "ceiling": ceiling,
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.tensor(np.asarray(value), dtype=torch.float32))

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Value, value_lower, expected_cost, shape (n, n_actions) each; column 0 is 0."""
        basis = _basis(observation, self.get_buffer("centre"), self.get_buffer("scale"))
        value = basis @ self.get_buffer("value_weight")
        spread = (basis @ self.get_buffer("root")).square().sum(dim=1, keepdim=True).sqrt()
        lower = value - _LOWER_Z * spread * self.get_buffer("noise")
        cost = basis @ self.get_buffer("cost_weight")
        cost = torch.minimum(
            torch.maximum(cost, self.get_buffer("floor")), self.get_buffer("ceiling")
        )
        return value, lower, cost


def learn_values(
    worlds: tuple[World, ...],
    customers: Customers,
    key: np.uint64,
    weeks: int = 13,
    replicas: int = 8,
    allowed: tuple[str, ...] | None = None,
) -> ValueHeads:
    """Fit the heads on branches from these customers.

    Parameters
    ----------
    worlds
        Response worlds; values are averaged over them, as a robust policy must.
    customers
        Where to branch; all at one week and without an open offer for a clean comparison.
    key
        Seed of the planning luck (role "plan"): evaluation's luck is never seen.
    weeks, replicas
        Horizon and luck per customer and action.
    allowed
        Features that may be used, None: all; see ``envs.features.observe``.
    """
    table = worlds[0].table
    values, costs = zip(
        *(branch_values(world, customers, key, weeks, replicas) for world in worlds), strict=True
    )
    value, cost = np.mean(values, axis=0), np.mean(costs, axis=0)
    observation = observe(
        customers.profile,
        customers.state["week"].astype(np.int64),
        worlds[0].rules(),
        allowed=allowed,
    )
    features = _basis(torch.tensor(observation), torch.tensor(CENTRE), torch.tensor(SCALE))
    basis = features.numpy().astype(np.float64)
    covariance = np.linalg.inv(basis.T @ basis + _PRIOR_PRECISION * np.eye(basis.shape[1]))
    value_weight = covariance @ basis.T @ value
    cost_weight = covariance @ basis.T @ cost
    residual = value - basis @ value_weight
    noise = residual.std(axis=0)
    value_weight[:, 0] = cost_weight[:, 0] = noise[0] = 0.0
    return ValueHeads(
        value_weight,
        cost_weight,
        np.linalg.cholesky(covariance),
        noise,
        table.actions["contact_cost"].astype(np.float64),
        table.commitment.astype(np.float64),
    )
