"""Posterior mode of a PyMC model and a normal approximation around it; deterministic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agents.errors import InputError

if TYPE_CHECKING:
    import pymc as pm

Floats = npt.NDArray[np.float64]

HESSIAN_STEP = 1e-4
LARGEST_MOVE = 12.0
ENOUGH = 1e-4
"""Log density that a quadratic model at the mode may still promise."""


Evaluate = Callable[[Floats], tuple[float, float, Floats]]


@dataclass(frozen=True)
class Compiled:
    """A model's log density as one function of its free scalars.

    Attributes
    ----------
    names : tuple of str
        Free variables, in the order of `point`.
    initial : float64, shape (p,)
        Starting point.
    evaluate : callable
        point -> (log density, log-likelihood, gradient); one thread at a time.
    fork : callable
        Another `evaluate` with working memory of its own, for another thread.
    parameters : callable
        points, shape (draws, p) -> deterministics and free variables by name, shape (draws,).
    """

    names: tuple[str, ...]
    initial: Floats
    evaluate: Evaluate
    fork: Callable[[], Evaluate]
    parameters: Callable[[Floats], dict[str, Floats]]


@dataclass(frozen=True)
class Mode:
    """Where the density is highest, and the covariance of the normal approximation there."""

    names: tuple[str, ...]
    point: Floats
    covariance: Floats
    log_likelihood: float


def compile_density(model: pm.Model) -> Compiled:
    """Compile a model whose free variables are untransformed scalars.

    Python calls a handful of operations, the log-likelihood among them: a C compiler's seconds
    would not pay.
    """
    from pytensor.compile.mode import Mode as CompileMode

    plain = CompileMode(linker="py", optimizer="fast_compile")
    (likelihood,) = model.replace_rvs_by_values([model["likelihood"]])
    function = model.compile_fn(
        [model.logp(), likelihood, model.dlogp()],
        inputs=model.value_vars,
        point_fn=False,
        mode=plain,
    )
    names = tuple(str(variable.name) for variable in model.value_vars)
    start = model.initial_point()
    initial = np.array([float(start[name]) for name in names])

    def evaluation(function: Callable[..., list[Any]]) -> Evaluate:
        def evaluate(point: Floats) -> tuple[float, float, Floats]:
            density, log_likelihood, gradient = function(*point)
            return float(density), float(log_likelihood), np.array(gradient, np.float64)

        return evaluate

    known = [*model.deterministics, *model.free_RVs]
    transform = model.compile_fn(
        model.replace_rvs_by_values(known), inputs=model.value_vars, point_fn=False, mode=plain
    )

    def parameters(points: Floats) -> dict[str, Floats]:
        values = np.array([transform(*point) for point in points], np.float64)
        return {str(one.name): values[:, at] for at, one in enumerate(known)}

    return Compiled(
        names,
        initial,
        evaluation(function),
        lambda: evaluation(function.copy(share_memory=False)),
        parameters,
    )


def find_mode(density: Compiled, label: str) -> Mode:
    """Highest point by a trust-region Newton method, with the inverse Hessian there.

    Raises
    ------
    InputError
        If no mode is found near the start: the data do not identify the parameters.
    """
    from scipy.optimize import minimize

    def negative(point: Floats) -> tuple[float, Floats]:
        value, _, gradient = density.evaluate(point)
        return -value, -gradient

    found = minimize(
        negative,
        density.initial,
        jac=True,
        hess=lambda point: negative_hessian(density, point),
        method="trust-exact",
        options={
            "initial_trust_radius": 0.5,
            "max_trust_radius": 2.0,
            "gtol": 1e-4,
            "maxiter": 100,
        },
    )
    point = np.asarray(found.x, float)
    hessian = negative_hessian(density, point)
    try:
        np.linalg.cholesky(hessian)
        covariance = np.asarray(np.linalg.inv(hessian), np.float64)
        gradient = density.evaluate(point)[2]
        still_to_gain = float(gradient @ covariance @ gradient) / 2
    except np.linalg.LinAlgError:
        still_to_gain = np.inf
    far = np.abs(point - density.initial).max() > LARGEST_MOVE
    if not still_to_gain < ENOUGH or far:
        raise InputError(
            f"{label}: the log does not identify {', '.join(density.names)}; "
            "allowed: a longer log, more customers, or priors other than flat"
        )
    return Mode(density.names, point, covariance, density.evaluate(point)[1])


def negative_hessian(density: Compiled, point: Floats) -> Floats:
    """Minus the Hessian of the log density by central differences of its gradient."""
    rows = []
    for step in np.eye(len(point)) * HESSIAN_STEP:
        above, below = (density.evaluate(p)[2] for p in (point + step, point - step))
        rows.append((below - above) / (2 * HESSIAN_STEP))
    matrix = np.array(rows)
    return np.asarray((matrix + matrix.T) / 2)


def around(mode: Mode, draws: int, rng: np.random.Generator) -> Floats:
    """Draws of the normal approximation, shape (draws, p)."""
    noise = rng.standard_normal((draws, len(mode.point)))
    return np.asarray(mode.point + noise @ np.linalg.cholesky(mode.covariance).T)
