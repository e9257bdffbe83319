"""Compiled log-likelihoods as PyMC sees them: one operation with a value and a gradient.

A graph of elementary operations would be compiled anew for every log, which takes longer than
the fit. These are compiled once, and a model's priors stay ordinary PyMC.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROWS_AT_ONCE = 16_384
"""Rows that one thread sums; fixed, so that the number of threads changes no bit."""


class LogLikelihood(Protocol):
    """Log-likelihood of a data set under a vector of parameters."""

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, in the order of the vector."""

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """Value and gradient, shape (p,), at parameters, shape (p,)."""


def summed(
    kernel: Callable[..., None], rows: int, width: int, at_once: int = ROWS_AT_ONCE
) -> Floats:
    """Sums over all rows of a kernel that sums rows first..last into a vector, shape (width,).

    Parameters
    ----------
    kernel : callable
        ``kernel(first, last, out)`` adds what rows first..last-1 contribute to ``out``; it
        releases Python's lock.
    rows, width : int
        Number of rows and of sums.
    at_once : int
        Rows per call.
    """
    starts = range(0, rows, at_once)
    sums = np.zeros((len(starts), width))

    def run(at: int) -> None:
        kernel(starts[at], min(starts[at] + at_once, rows), sums[at])

    threads = min(len(starts), available_cores())
    if threads <= 1:
        for at in range(len(starts)):
            run(at)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, range(len(starts))))
    return np.asarray(sums.sum(axis=0))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def potential(likelihood: LogLikelihood, *parameters: Any) -> None:
    """Add the log-likelihood to the PyMC model at hand as the potential ``likelihood``.

    ``parameters`` are the model's scalars, in the order of ``likelihood.names``.
    """
    import pymc as pm
    import pytensor.tensor as pt

    value, _ = _operation()(likelihood)(pt.stack(parameters))
    pm.Potential("likelihood", value)


def _operation() -> Any:
    """The operation's class; PyTensor is imported only when a model is made."""
    import pytensor.tensor as pt
    from pytensor.graph.op import Op

    class Operation(Op):
        """Value and gradient of a compiled log-likelihood; PyTensor differentiates the value."""

        itypes = [pt.dvector]  # noqa: RUF012 (PyTensor's own convention)
        otypes = [pt.dscalar, pt.dvector]  # noqa: RUF012

        def __init__(self, likelihood: LogLikelihood) -> None:
            self.likelihood = likelihood

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            value, gradient = self.likelihood(inputs[0])
            outputs[0][0] = np.float64(value)
            outputs[1][0] = gradient

        def L_op(self, inputs: Any, outputs: Any, output_grads: Any) -> list[Any]:
            return [output_grads[0] * outputs[1]]

    return Operation
