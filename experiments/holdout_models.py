"""Fit the competing purchase models to the first weeks of a log and score the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agents.calibration.constant_rate import Values
from agents.calibration.fit import fit_purchases
from agents.calibration.holdout import (
    Evaluation,
    daily,
    evaluate,
    reliability,
    sharp_band,
    tracking,
)
from agents.calibration.log import TransactionLog
from agents.calibration.predictive import WEEKLY_MODELS
from agents.calibration.weekly_fit import fit_weekly


def fitted_models(
    calibration: TransactionLog,
    models: Sequence[str],
    *,
    priors: Any = "weak",
    seed: int = 0,
    note: Callable[[str], None] | None = None,
) -> dict[str, Values]:
    """Modes of each model's parameters: the static ones' by their likelihood, those of `drift` and
    `habit` by the forward filter's, of purchase days.
    """
    found: dict[str, Values] = {}
    for model in models:
        if note is not None:
            note(f"fitting {model} to {calibration.weeks} weeks")
        if model in WEEKLY_MODELS:
            found[model] = fit_weekly(model, daily(calibration))
        else:
            found[model] = fit_purchases(calibration, model, priors=priors, seed=seed)
    return found


def holdout_facts(
    log: TransactionLog,
    weeks: int,
    models: Sequence[str],
    *,
    priors: Any = "weak",
    seed: int = 0,
    note: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Scores, tracking and calibration of forecasts of the last whole weeks of a log.

    Returns
    -------
    dict
        weeks, customers, verdict, scores (best first), tracking (per model) and reliability (of
        the best): plain numbers and lists.
    """
    calibration, holdout = log.split(log.weeks - weeks)
    fitted = fitted_models(calibration, models, priors=priors, seed=seed, note=note)
    found = evaluate(calibration, holdout, fitted, seed=seed)
    return {
        "weeks": weeks,
        "customers": len(found.bought),
        "verdict": found.verdict(),
        "scores": scores(found, seed),
        "tracking": [
            _tracking(calibration, holdout, score.model, fitted[score.model], found)
            for score in found.scores
        ],
        "reliability": _plain(reliability(found.predictive[found.best], found.bought)),
    }


def scores(found: Evaluation, seed: int = 0) -> list[dict[str, Any]]:
    """One row per model, best first.

    `band` is that of one sample of uniform numbers; `sharp_band` that of the deviation of a
    right model with these counts, and the one that notices where most counts are 0.
    """
    sharp = {name: sharp_band(one, seed) for name, one in found.predictive.items()}
    return [
        {
            **score.row(),
            **score.pit_row(),
            "sharp_band": sharp[score.model],
            "inside_sharp": score.pit.max_deviation <= sharp[score.model],
            "best": score.best,
            "tied": score.tied,
            "pit_level": score.pit.level.tolist(),
            "pit_cumulative": score.pit.cumulative.tolist(),
        }
        for score in found.scores
    ]


def _tracking(
    calibration: TransactionLog,
    holdout: TransactionLog,
    model: str,
    values: Values,
    found: Evaluation,
) -> dict[str, Any]:
    one = tracking(calibration, holdout, model, values, found.predictive[model])
    return {"model": model, **_plain(one)}


def _plain(record: Any) -> dict[str, Any]:
    """A dataclass of arrays as lists."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(record).items()
    }
