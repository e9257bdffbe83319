"""Gradient-boosted trees of scikit-learn as a torch module, which ONNX can hold."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class Boosted(nn.Module):
    """Mean prediction of several boosted models; a number stands for a model that is constant.

    All trees are walked side by side, one step a level: every row holds one node in each tree. A
    leaf leads to itself. Thresholds are rounded down to float32, which puts every float32 feature
    on the side that scikit-learn puts it on; leaves are summed in float64.

    Parameters
    ----------
    models
        Fitted ``HistGradientBoostingRegressor`` of numbers without missing values, or floats.
    """

    def __init__(self, models: list[Any]) -> None:
        super().__init__()
        self.constant = 0.0
        trees: list[NDArray[np.void]] = []
        for model in models:
            if isinstance(model, float):
                self.constant += model / len(models)
            else:  # the fitted trees are no public part of scikit-learn: a test compares
                self.constant += float(model._baseline_prediction.item()) / len(models)
                trees += [grown[0].nodes for grown in model._predictors]
        self.depth = max((int(nodes["depth"].max()) for nodes in trees), default=0)
        width = max((nodes.size for nodes in trees), default=1)
        shape = (len(trees), width)
        feature = np.zeros(shape, np.int64)
        threshold = np.zeros(shape, np.float32)
        below, above = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        value = np.zeros(shape)
        for at, nodes in enumerate(trees):
            first, own = at * width, np.arange(nodes.size)
            leaf = nodes["is_leaf"] > 0
            some = slice(nodes.size)
            feature[at, some] = np.where(leaf, 0, nodes["feature_idx"])
            threshold[at, some] = _rounded_down(nodes["num_threshold"])
            below[at, some] = first + np.where(leaf, own, nodes["left"])
            above[at, some] = first + np.where(leaf, own, nodes["right"])
            value[at, some] = np.where(leaf, nodes["value"], 0.0) / len(models)
        for name, table in (
            ("feature", feature),
            ("threshold", threshold),
            ("below", below),
            ("above", above),
            ("value", value),
        ):
            self.register_buffer(name, torch.from_numpy(table.ravel()))
        self.register_buffer("roots", torch.arange(len(trees), dtype=torch.int64) * width)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Prediction, shape (n,), float64."""
        nothing = torch.zeros_like(observation[:, 0], dtype=torch.float64)
        if self.get_buffer("roots").shape[0] == 0:
            return nothing + self.constant
        node = torch.zeros_like(observation[:, :1], dtype=torch.int64) + self.get_buffer("roots")
        for _ in range(self.depth):
            seen = torch.gather(observation, 1, self.get_buffer("feature")[node])
            left = seen <= self.get_buffer("threshold")[node]
            node = torch.where(left, self.get_buffer("below")[node], self.get_buffer("above")[node])
        return self.get_buffer("value")[node].sum(dim=1) + self.constant


def _rounded_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Largest float32 not above each value."""
    near = values.astype(np.float32)
    above = near.astype(np.float64) > values
    rounded: NDArray[np.float32] = np.where(
        above, np.nextafter(near, np.float32(-np.inf)), near
    ).astype(np.float32)
    return rounded
