"""A cohort with marketing off against Pareto/NBD."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.population import (
    MUSIC_STORE,
    PosteriorLike,
    draw_population,
    dynamics_from,
    filter_from,
)
from agents.response import ResponseParameters
from agents.rng import derive_seed
from sim.engine import Engine
from sim.world import World

CUSTOMERS = 200_000
WEEKS = (1, 4, 13, 26, 52)


def expected_repeats(
    posterior: PosteriorLike, weeks: NDArray[np.floating] | float
) -> NDArray[np.float64]:
    """Expected purchases of a random Pareto/NBD customer by its age in weeks, marketing off.

    Schmittlein, Morrison & Colombo (1987), eq. 17, https://doi.org/10.1287/mnsc.33.1.1.
    """
    r, alpha, s, beta = _rates(posterior)
    span = np.log1p(np.asarray(weeks, float) / beta)
    exposure = span if abs(s - 1) < 1e-9 else -np.expm1(-(s - 1) * span) / (s - 1)
    return np.asarray(r / alpha * beta * exposure)


def survival(posterior: PosteriorLike, weeks: float) -> float:
    """Share of Pareto/NBD customers still there at that age."""
    _, _, s, beta = _rates(posterior)
    return float((beta / (beta + weeks)) ** s)


def _rates(posterior: PosteriorLike) -> tuple[float, float, float, float]:
    names = ("rate_shape", "rate_rate", "dropout_shape", "dropout_rate")
    r, alpha, s, beta = (float(posterior.parameters[name][0]) for name in names)
    return r, alpha, s, beta


def closed_form_facts(
    seed: int, n: int = CUSTOMERS, tell: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Mean counts and survival of a simulated cohort against Pareto/NBD, marketing off.

    Also whether P(alive), which the firm computes from what it observed, is right: of all
    customers to whom it gives about p, the share p should truly be there.

    Parameters
    ----------
    seed, n
        Seed and customers of the cohort.
    tell
        Called after each week.
    """
    customers = draw_population(MUSIC_STORE, n, derive_seed(seed, "population"))
    world = World(ResponseParameters(), dynamics_from(MUSIC_STORE), filter_from(MUSIC_STORE))
    engine = Engine(customers, world.rules(), derive_seed(seed, "world"))
    rows = []
    for week in range(1, max(WEEKS) + 1):
        engine.advance()
        if tell is not None:
            tell()
        if week in WEEKS:
            counts = customers.profile["repeats"].astype(float)
            alive = customers.state["alive"].astype(float)
            rows.append(
                {
                    "week": week,
                    "count": _compared(counts, float(expected_repeats(MUSIC_STORE, week))),
                    "alive": _compared(alive, survival(MUSIC_STORE, week)),
                }
            )
    chance = 1.0 / (1.0 + customers.profile["dead_odds"])
    there = customers.state["alive"] > 0
    edges = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    bands = []
    for low, high in itertools.pairwise(edges):
        inside = (chance >= low) & ((chance < high) | (high == 1.0))
        if inside.any():
            size = int(inside.sum())
            share = float(there[inside].mean())
            bands.append(
                {
                    "low": low,
                    "high": high,
                    "customers": size,
                    "predicted": float(chance[inside].mean()),
                    "true": share,
                    "standard_error": float(np.sqrt(share * (1 - share) / size)),
                }
            )
    return {"customers": n, "weeks": rows, "p_alive": bands, "p_alive_week": max(WEEKS)}


def _compared(sample: NDArray[np.float64], exact: float) -> dict[str, float]:
    error = float(sample.std(ddof=1) / np.sqrt(sample.size))
    return {"exact": exact, "simulated": float(sample.mean()), "standard_error": error}
