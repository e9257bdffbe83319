"""Learning the uplift policy: trial, models on one half, check on the other, lower bound."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.ranges import check_range
from agents.records import Customers
from agents.rng import derive_seed
from envs.task import OfferTask, starts
from policies.folds import fold_of
from policies.uplift.policy import (
    ArmModels,
    FoldModels,
    Line,
    UpliftPolicy,
    one_thread,
    predicted,
)
from policies.uplift.trial import TrialData, joined, run_trial

if TYPE_CHECKING:
    from policies.training_run import TrainingRun

_SIMULATION_SHARE = 0.015  # of limited time: fitting and checking take some thirty times as long
_LEAVES = 10  # that the rows of an action would fill


@dataclass(frozen=True)
class UpliftParameters:
    """Settings of trial and models.

    Parameters
    ----------
    customers
        In the trial, shared out evenly to the worlds.
    weeks
        Weeks of decisions in each market.
    replicas
        Markets of the same customers with other luck, in each world.
    window
        Weeks after a decision whose margin counts.
    share
        Share of customers who get an offer each week.
    trees, leaves, least, learning_rate
        Of the gradient boosting; ``least`` rows a leaf.
    folds
        Parts of the customers; each part is checked with models of the others.
    confidence
        Of the lower bounds, jointly over all actions.
    """

    customers: int = 4000
    weeks: int = 26
    replicas: int = 4
    window: int = 2
    share: float = 0.5
    trees: int = 60
    leaves: int = 8
    least: int = 100
    learning_rate: float = 0.1
    folds: int = 2
    confidence: float = 0.95

    def __post_init__(self) -> None:
        check_range("customers", self.customers, 10, 1e8)
        check_range("weeks", self.weeks, 1, 520)
        check_range("replicas", self.replicas, 1, 10_000)
        check_range("window", self.window, 1, 52)
        check_range("share", self.share, 0.01, 0.99)
        check_range("trees", self.trees, 1, 10_000)
        check_range("leaves", self.leaves, 2, 1000)
        check_range("least", self.least, 1, 1e6)
        check_range("learning_rate", self.learning_rate, 1e-4, 1.0)
        check_range("folds", self.folds, 2, 20)
        check_range("confidence", self.confidence, 0.5, 1 - 1e-9)


def learn_uplift(
    task: OfferTask, parameters: UpliftParameters, seed: int, run: "TrainingRun"
) -> UpliftPolicy:
    """Simulate a trial in the task's worlds, fit, check, and bound.

    With several worlds the trial has as many customers of each, and what is learned is their mean.
    ``task.paired`` and the horizon make no difference: nothing counterfactual is used. Where the
    time is limited there are fewer replicas. Models are kept after each fold; the trial is
    simulated anew when learning is taken up again.
    """
    kept = run.load() or {}
    folds: list[FoldModels] = list(kept.get("folds", ()))
    data, replicas = _trial(task, parameters, seed, run, kept.get("replicas"))
    part = fold_of(data.customer, parameters.folds)
    n_actions = task.worlds[0].table.n
    for fold in range(len(folds), parameters.folds):
        folds.append(_fit(data, part != fold, n_actions, parameters, seed))
        run.log(fold + 1, rows=float(data.n), replicas=float(replicas))
        run.save({"folds": folds, "replicas": replicas})
    z = float(stats.norm.ppf(1.0 - (1.0 - parameters.confidence) / max(n_actions - 1, 1)))
    lines = _lines(data, part, tuple(folds), n_actions)
    run.log(parameters.folds + 1, hopeful=float(sum(line.best(z) > 0 for line in lines if line)))
    return UpliftPolicy(tuple(folds), lines, z)


def _trial(
    task: OfferTask,
    parameters: UpliftParameters,
    seed: int,
    run: "TrainingRun",
    replicas: int | None,
) -> tuple[TrialData, int]:
    """All replicas (those of an earlier session, if any), or as many as the time allows."""
    key = derive_seed(seed, "plan")
    parts: list[TrialData] = []
    done = 0
    for replica in range(1, 1 + (replicas or parameters.replicas)):
        late = run.elapsed > _SIMULATION_SHARE * run.seconds
        if replicas is None and done and late:
            break
        for world, pool in zip(task.worlds, task.pools, strict=True):
            each = max(parameters.customers // len(task.worlds), 1)
            parts.append(
                run_trial(
                    world,
                    _chosen(pool, each),
                    task.constraints,
                    key,
                    replica,
                    parameters.weeks,
                    parameters.window,
                    parameters.share,
                )
            )
        done = replica
    return joined(parts), done


def _chosen(pool: Customers, customers: int) -> Customers:
    return pool.take(starts(pool)[:customers])


def _fit(
    data: TrialData,
    rows: NDArray[np.bool_],
    n_actions: int,
    parameters: UpliftParameters,
    seed: int,
) -> FoldModels:
    """Models of one fold, from the rows of the other customers."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    def boosted(chosen: NDArray[np.bool_], outcome: NDArray[np.float64], least: int) -> Any:
        if outcome[chosen].std() < 1.0:
            return float(outcome[chosen].mean())
        model = HistGradientBoostingRegressor(
            learning_rate=parameters.learning_rate,
            max_iter=parameters.trees,
            max_leaf_nodes=parameters.leaves,
            min_samples_leaf=least,
            early_stopping=False,
            random_state=seed,
        )
        with one_thread():
            return model.fit(data.observation[chosen], outcome[chosen])

    ordinary = data.margin.copy()
    arms: list[ArmModels | None] = []
    for action in range(n_actions):
        chosen = rows & (data.action == action)
        # Effects are small beside differences between customers: few, large leaves.
        large = max(parameters.least, int(chosen.sum()) // _LEAVES)
        enough = chosen.sum() >= 2 * parameters.least
        arms.append(
            ArmModels(
                boosted(chosen, ordinary, parameters.least if action == 0 else large),
                boosted(chosen, data.cost, parameters.least),
            )
            if enough
            else None
        )
        first = arms[0]
        if action == 0 and first is not None:  # from here on: what is left above no offer
            ordinary = data.margin - predicted(first.margin, data.observation)
    if arms[0] is None:
        raise ValueError(
            f"the trial has {int((rows & (data.action == 0)).sum())} rows without an offer: "
            "give it more customers, weeks or replicas"
        )
    return FoldModels(tuple(arms))


def _lines(
    data: TrialData,
    part: NDArray[np.int64],
    folds: tuple[FoldModels, ...],
    n_actions: int,
) -> tuple[Line | None, ...]:
    """Measured on predicted net gain of each action, every customer predicted from the others."""
    mean = np.full((data.n, n_actions), np.nan)
    for fold, models in enumerate(folds):
        rows = part == fold
        for action, arm in enumerate(models.arms):
            if arm is not None:
                mean[rows, action] = models.net(data.observation[rows], action)
    lines: list[Line | None] = [None]
    for action in range(1, n_actions):
        if any(models.arms[action] is None for models in folds):
            lines.append(None)
        else:
            lines.append(_line(data, action, mean[:, 0], mean[:, action]))
    return tuple(lines)


def _line(
    data: TrialData, action: int, without: NDArray[np.float64], given: NDArray[np.float64]
) -> Line:
    """Least squares of the doubly robust gain (Robins & Rotnitzky 1995) on the predicted one.

    Errors are robust to rows of one customer going together.
    """
    rows = np.flatnonzero(data.propensity[:, action] > 0)
    net = data.margin[rows] - data.cost[rows]
    gain = given[rows] - without[rows]
    chance = data.propensity[rows]
    treated, control = data.action[rows] == action, data.action[rows] == 0
    measured = gain + treated * (net - given[rows]) / chance[:, action]
    measured -= control * (net - without[rows]) / chance[:, 0]
    mean, sd = float(gain.mean()), float(gain.std())
    x = np.column_stack([np.ones(rows.size), gain - mean])
    bread = np.diag(1.0 / np.maximum(np.square(x).sum(axis=0), 1e-12))
    weight = bread @ x.T @ measured
    _, customer = np.unique(data.customer[rows], return_inverse=True)
    missed = measured - x @ weight
    scores = np.column_stack([np.bincount(customer, column * missed) for column in x.T])
    covariance = bread @ (scores.T @ scores) @ bread
    slope = float(weight[1])
    if slope <= 0.0 or sd <= 0.0:  # what was predicted tells nothing: the same for everybody
        slope = 0.0
        covariance[:, 1] = covariance[1, :] = 0.0
    return Line(float(weight[0]), min(slope, 1.0), covariance, mean, sd)
