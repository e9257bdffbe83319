"""Lagrange multipliers: expected constraints as a price on their costs.

A policy that maximises reward − Σ λ·cost meets the constraints E[cost] <= 0 at the right λ
(Altman 1999, Constrained Markov Decision Processes). λ follows the violations: it rises while
a constraint is missed and falls while there is slack (dual ascent), between 0 and a bound; a
proportional part damps the swings (Stooke et al. 2020, https://arxiv.org/abs/2007.03964).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.ranges import check_range


@dataclass(frozen=True)
class MultiplierParameters:
    """How λ moves, in currency units per unit of cost.

    Parameters
    ----------
    learning_rate
        Rise of λ per unit of violation and update; with no proportional part, 0 holds λ at 0.
    proportional
        Part of λ that is this much times the present violation; 0 is plain dual ascent.
    largest
        Bound on λ, so that a constraint nobody can meet does not drown the reward.
    """

    learning_rate: float = 0.05
    proportional: float = 0.0
    largest: float = 2.0

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, 0.0, 1e3)
        check_range("proportional", self.proportional, 0.0, 1e3)
        check_range("largest", self.largest, 0.0, 1e6)


class Multipliers:
    """λ of each expected constraint by name; all start at 0.

    Attributes
    ----------
    value
        λ, shape (n_constraints,).
    violation
        Mean cost at the last update, shape (n_constraints,): above 0 the constraint is missed.
    """

    def __init__(self, names: Sequence[str], parameters: MultiplierParameters) -> None:
        self.names = tuple(names)
        self.parameters = parameters
        self.value: NDArray[np.float64] = np.zeros(len(self.names))
        self.violation: NDArray[np.float64] = np.zeros(len(self.names))
        self._sum: NDArray[np.float64] = np.zeros(len(self.names))

    def charge(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Σ λ·cost of each row, shape (n,), for costs of shape (n_constraints, n)."""
        charged: NDArray[np.float64] = self.value @ costs
        return charged

    def update(self, violation: NDArray[np.float64]) -> None:
        """One step of dual ascent with the mean cost of each constraint, shape (n_constraints,)."""
        parameters = self.parameters
        self.violation = np.asarray(violation, np.float64)
        self._sum = np.clip(
            self._sum + parameters.learning_rate * self.violation, 0.0, parameters.largest
        )
        self.value = np.clip(
            self._sum + parameters.proportional * self.violation, 0.0, parameters.largest
        )

    def figures(self) -> dict[str, float]:
        """For the log: ``lambda/<name>`` and ``violation/<name>``."""
        told = {f"lambda/{n}": float(v) for n, v in zip(self.names, self.value, strict=True)}
        return told | {
            f"violation/{n}": float(v) for n, v in zip(self.names, self.violation, strict=True)
        }

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs."""
        return {"value": self.value, "violation": self.violation, "sum": self._sum}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state``."""
        self.value, self.violation = state["value"], state["violation"]
        self._sum = state["sum"]


def multiplier_figure(log: Any) -> Any:
    """λ and violation of each constraint over training, a plotly figure.

    Parameters
    ----------
    log
        Table of ``policies.training_run.read_log``.

    Raises
    ------
    ValueError
        If no multiplier was logged.
    """
    from plotly.subplots import make_subplots

    names = [c.removeprefix("lambda/") for c in log.columns if c.startswith("lambda/")]
    if not names:
        raise ValueError("the log has no multipliers: the task has no expected constraint")
    figure = make_subplots(rows=2, shared_xaxes=True, subplot_titles=("λ", "violation"))
    for name in names:
        for row, what in ((1, "lambda"), (2, "violation")):
            label = {"name": name, "legendgroup": name, "showlegend": row == 1}
            figure.add_scatter(x=log["step"], y=log[f"{what}/{name}"], row=row, col=1, **label)
    figure.update_xaxes(title_text="customer-weeks", row=2, col=1)
    return figure
