"""Parameters of the weekly models by their forward filter's likelihood: for forecasts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.calibration.constant_rate import Floats
from agents.calibration.log import TransactionLog
from agents.calibration.weekly_rate import log_likelihood
from agents.errors import InputError

# Scale, centre and sd of the prior on that scale. Centre None: from the log.
_RATE = ("log", None, 2.0)
# As in `models.pareto_nbd`.
_DROPOUT = {"dropout_shape": ("log", 1.0, 1.0), "dropout_rate": ("log", 20.0, 2.0)}
_PRIORS: dict[str, dict[str, tuple[str, float | None, float]]] = {
    "drift": {
        "rate_mean": _RATE,
        "rate_log_sd": ("log", 0.9, 0.5),
        "drift_time_constant": ("log", 120.0, 1.0),
        **_DROPOUT,
    },
    "habit": {
        "rate_mean": _RATE,
        "rate_shape": ("log", 2.0, 1.0),
        "rate_power": ("log", 1.5, 0.7),
        "drift_time_constant": ("log", 200.0, 1.0),
        "shift_probability": ("logit", 0.01, 1.0),
        "regular_share": ("logit", 0.3, 1.0),
        "regularity": ("log", 1.5, 0.5),
        "growth": ("linear", 0.0, 0.001),
        **_DROPOUT,
    },
}
_STEP = 1e-3
_GRADIENT = 0.5  # of the log posterior per prior sd, at which the search ends
_IMPOSSIBLE = 1e6  # minus log density per customer of what cannot be: finite, to step back from
MOST_ITERATIONS = 60


def fit_weekly(
    model: str, log: TransactionLog, tell: Callable[[], None] | None = None
) -> dict[str, float]:
    """Mode of a weekly model's parameters.

    The drift model of the simulator is fitted to moments instead (`models.drift`), because
    weekly shopping is more regular than Poisson; forecasts gain from the likelihood of the
    filter that makes them. Priors are weak: normal on the log or logit scale; of `growth`
    N(0, .001 a week), as a quarter's level says little of the next one's.

    Parameters
    ----------
    model : {"drift", "habit"}
        See `predictive.predict`.
    log : TransactionLog
        One row per customer and day (`holdout.daily`).
    tell : callable, optional
        Called after each evaluation of the likelihood; some 100 for drift, 300 for habit.

    Raises
    ------
    InputError
        If the model is unknown, or the search does not get away from its start.
    """
    from scipy.optimize import minimize

    if model not in _PRIORS:
        raise InputError(f"model is {model!r}; allowed: {', '.join(_PRIORS)}")
    priors = _PRIORS[model]
    observed = (log.n_transactions + 1) / (log.n_customers * max(log.weeks, 1))
    centres = [observed if centre is None else centre for _, centre, _ in priors.values()]
    scales = [scale for scale, _, _ in priors.values()]
    sds = np.array([sd for _, _, sd in priors.values()])
    start = np.array([_to(scale, at) for scale, at in zip(scales, centres, strict=True)])

    def values(z: Floats) -> dict[str, float]:
        point = start + sds * z
        named = zip(priors, scales, point, strict=True)
        return {name: _back(scale, at) for name, scale, at in named}

    def negative(z: Floats) -> float:
        """Of the log posterior, per customer: the search's first step is one of its gradient."""
        if tell is not None:
            tell()
        density = log_likelihood(model, values(z), log) - float(z @ z) / 2
        return -density / log.n_customers if np.isfinite(density) else _IMPOSSIBLE

    found = minimize(
        negative,
        np.zeros(len(sds)),
        method="L-BFGS-B",
        options={
            "eps": _STEP,
            "maxiter": MOST_ITERATIONS,
            "ftol": 1e-8,
            "gtol": _GRADIENT / log.n_customers,
        },
        bounds=[(-4.0, 4.0)] * len(sds),
    )
    if found.nit == 0 or not found.fun < _IMPOSSIBLE:
        raise InputError(f"{log.name}: no better parameters of {model} found than its priors'")
    return values(np.asarray(found.x, np.float64))


def _to(scale: str, value: float) -> float:
    if scale == "log":
        return float(np.log(value))
    return float(np.log(value / (1 - value))) if scale == "logit" else value


def _back(scale: str, value: float) -> float:
    if scale == "log":
        return float(np.exp(value))
    return float(1 / (1 + np.exp(-value))) if scale == "logit" else float(value)
