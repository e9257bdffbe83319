"""How an ensemble is fitted, and how much of what it promises is believed.

Each member is trained on a bootstrap of customers of its own; decisions of customers that it was
not trained on say how much of a promised gain is there.
"""

import math
import time
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from envs.features import SCALE, column
from policies.rollout.ensemble import Data, ValueEnsemble
from policies.rollout.parameters import RolloutParameters

_VALUE = column("residual_value")
_TIMED_STEPS = 7
_STEP_OVERHEAD = 1.5  # of a step, for drawing rows and the optimiser
_LEAST_MARGIN = 0.3  # in scales of the feature; below it all customers count alike


class LeftOut(NamedTuple):
    """What members say of decisions of customers whom they were not trained on.

    Gain and cost have shape (n, A), ``some`` (n, A) tells where there is such a member.
    """

    gain: NDArray[np.float64]
    cost: NDArray[np.float64]
    some: NDArray[np.bool_]


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
