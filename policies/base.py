"""What policies have in common: the protocol, and ways to speak of actions by their meaning."""

import numpy as np
from numpy.typing import NDArray

from agents.records import KINDS
from envs.features import column
from envs.policy import DecisionContext, Policy, no_scores
from sim.offers import ActionTable

__all__ = ["DecisionContext", "Policy", "actions_of_kind", "feature", "no_scores", "prefer"]

CLIP = 5.0  # scaled features are clipped at this, whoever learns from them


def feature(observation: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    """One feature by name, shape (n,)."""
    values: NDArray[np.float64] = observation[:, column(name)].astype(np.float64)
    return values


def actions_of_kind(table: ActionTable, kind: str) -> NDArray[np.intp]:
    """Actions whose offer is of this kind, cheapest commitment first."""
    kinds = table.offers["kind"][table.actions["offer"][1:]]
    actions = 1 + np.flatnonzero(kinds == KINDS.index(kind))
    return actions[np.argsort(table.commitment[actions], kind="stable")]


def prefer(
    score: NDArray[np.float64],
    rows: NDArray[np.bool_],
    actions: NDArray[np.intp],
    priority: NDArray[np.float64],
    mask: NDArray[np.bool_],
    weight: NDArray[np.int64] | None = None,
) -> None:
    """Score the first allowed of ``actions`` for some rows with their priority, in place.

    Parameters
    ----------
    score
        Shape (n, n_actions), changed.
    rows
        Who is meant, shape (n,).
    actions
        In order of preference.
    priority
        Score, shape (n,), above 0.
    mask
        Allowed actions, shape (n, n_actions). Where none is allowed, the first is asked for
        all the same, so that the decision names what bound it.
    weight
        Of each action, shape (n_actions,), at least 1 counts; multiplies the priority.
    """
    if actions.size == 0:
        return
    first = actions[mask[:, actions].argmax(axis=1)]
    chosen = np.flatnonzero(rows)
    urgency = np.maximum(priority[chosen], 1e-9)
    if weight is not None:
        urgency = urgency * np.maximum(weight[first[chosen]], 1)
    score[chosen, first[chosen]] = urgency
