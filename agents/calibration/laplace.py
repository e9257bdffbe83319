"""Posterior mode of a PyMC model and a normal approximation around it; deterministic."""

from __future__ import annotations

import warnings
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


@dataclass(frozen=True)
class Compiled:
    """A model's log density as one function of its free scalars.

    Attributes
    ----------
    names : tuple of str
        Free variables, in the order of `point`. A leading `log_` marks the log of a parameter.
    initial : float64, shape (p,)
        Starting point.
    evaluate : callable
        point -> (log density, log-likelihood, gradient).
    """

    names: tuple[str, ...]
    initial: Floats
    evaluate: Callable[[Floats], list[Any]]


@dataclass(frozen=True)
class Mode:
    """Where the density is highest, and the covariance of the normal approximation there."""

    names: tuple[str, ...]
    point: Floats
    covariance: Floats
    log_likelihood: float


def compile_density(model: pm.Model, small: bool = False) -> Compiled:
    """Compile a model whose free variables are untransformed scalars.

    `small` evaluates a model of a handful of numbers with numpy: a C compiler's seconds would
    not pay.
    """
    from pytensor.compile.mode import Mode as CompileMode

    (likelihood,) = model.replace_rvs_by_values([model["likelihood"]])
    with warnings.catch_warnings():
        # The models use no linear algebra, for which a missing BLAS would matter.
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
        function = model.compile_fn(
            [model.logp(), likelihood, model.dlogp()],
            inputs=model.value_vars,
            point_fn=False,
            mode=CompileMode(linker="py", optimizer="merge") if small else None,
        )
    names = tuple(str(variable.name) for variable in model.value_vars)
    start = model.initial_point()
    initial = np.array([float(start[name]) for name in names])
    return Compiled(names, initial, lambda point: list(function(*point)))


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
        return -float(value), -np.asarray(gradient, float)

    found = minimize(
        negative,
        density.initial,
        jac=True,
        hess=lambda point: negative_hessian(density, point),
        method="trust-exact",
        options={"initial_trust_radius": 0.5, "max_trust_radius": 2.0, "gtol": 1e-4},
    )
    point = np.asarray(found.x, float)
    hessian = negative_hessian(density, point)
    try:
        np.linalg.cholesky(hessian)
        covariance = np.asarray(np.linalg.inv(hessian), np.float64)
        gradient = np.asarray(density.evaluate(point)[2], float)
        still_to_gain = float(gradient @ covariance @ gradient) / 2
    except np.linalg.LinAlgError:
        still_to_gain = np.inf
    far = np.abs(point - density.initial).max() > LARGEST_MOVE
    if not still_to_gain < ENOUGH or far:
        raise InputError(
            f"{label}: the log does not identify {', '.join(density.names)}; "
            "allowed: a longer log, more customers, or priors other than flat"
        )
    return Mode(density.names, point, covariance, float(density.evaluate(point)[1]))


def negative_hessian(density: Compiled, point: Floats) -> Floats:
    """Minus the Hessian of the log density by central differences of its gradient."""
    rows = []
    for step in np.eye(len(point)) * HESSIAN_STEP:
        above, below = (np.asarray(density.evaluate(p)[2]) for p in (point + step, point - step))
        rows.append((below - above) / (2 * HESSIAN_STEP))
    matrix = np.array(rows)
    return np.asarray((matrix + matrix.T) / 2)


def sample(mode: Mode, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Parameters at the mode (index 0) and at draws of the normal approximation."""
    factor = np.linalg.cholesky(mode.covariance)
    noise = rng.standard_normal((draws, len(mode.point)))
    points = np.vstack([mode.point, mode.point + noise @ factor.T])
    return {
        name.removeprefix("log_"): np.exp(column) if name.startswith("log_") else column
        for name, column in zip(mode.names, points.T, strict=True)
    }
