"""From a transaction log to a posterior, with a report on whether it can be trusted."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.calibration.fit import choose, fit
from agents.calibration.log import TransactionLog
from agents.calibration.posterior import Posterior
from agents.calibration.sufficient import LogStatistics, statistics_of
from agents.errors import InputError
from experiments.cohorts import observed_purchases, simulated_purchases
from experiments.config import CalibrateConfig
from experiments.console import Progress
from experiments.covariates import read_covariates
from experiments.holdout_models import holdout_facts
from experiments.logs import data_facts, every_so_many, load_data, statistics_and_sample
from experiments.report.calibration import render_calibration
from experiments.report.calibration_words import console_text
from experiments.run_directory import RunDirectory, write_json
from experiments.version import version
from experiments.worlds import week_of_year

MOST_COMPARED = 5_000
"""Customers of the log that forecasts and simulated cohorts are compared with, at most."""
DENSITY_POINTS = 61
FEWEST_CALIBRATION_WEEKS = 8


def run_calibrate(config: CalibrateConfig) -> dict[str, Any]:
    """Fit, check, write posterior.nc, report.html and summary.json; returns the summary.

    Nothing appears under the final name unless all of it is there.

    Raises
    ------
    InputError
        If the log cannot be used, does not identify the model, or the draws of NUTS cannot be
        trusted: one line.
    """
    begun = time.perf_counter()
    with RunDirectory(config.runs_dir, config.name) as run, Progress() as progress:
        with progress.stage("Load the log", total=1.0) as tick:
            if config.covariates is None:
                known, log = statistics_and_sample(
                    config.data, MOST_COMPARED, progress.note, shares(tick)
                )
                covariates = None
            else:
                log = load_data(config.data, progress.note)
                known, covariates = statistics_of(log), read_covariates(config.covariates, log)
                log = every_so_many(log, MOST_COMPARED)
        weeks = holdout_weeks(config, log)
        with progress.stage("Fit the whole log", total=1.0) as tick:
            posterior = fit_as_asked(config, known, covariates, progress.note, tick)
            posterior.save(run.path / "posterior.nc")
        held_out = None
        if weeks:
            with progress.stage("Compare forecasts on held-out weeks"):
                held_out = holdout_facts(
                    log,
                    weeks,
                    config.compare,
                    priors=config.priors,
                    seed=config.seed % 2**32,
                    note=progress.note,
                )
        checks = []
        if config.cohorts:
            total = config.cohorts * log.weeks
            with progress.stage("Simulate and compare with the log", total=total) as tick:
                checks = predictive_checks(config, log, posterior, tick)
        summary = _summary(config, known, posterior) | {
            "predictive_checks": checks,
            "customers_compared": log.n_customers,
            "holdout": held_out,
            "seconds": round(time.perf_counter() - begun, 1),
            "stages": {name: round(took, 1) for name, took in progress.seconds.items()},
            "posterior": f"{run.final}/posterior.nc",
            "report": f"{run.final}/report.html",
        }
        with progress.stage("Write the report"):
            write_json(run.path / "summary.json", summary)
            (run.path / "report.html").write_text(render_calibration(summary), encoding="utf-8")
    print(console_text(summary))
    return summary


def fit_as_asked(
    config: CalibrateConfig,
    log: LogStatistics,
    covariates: Mapping[str, NDArray[np.float64]] | None = None,
    note: Callable[[str], None] | None = None,
    tick: Callable[[float], None] | None = None,
) -> Posterior:
    """Fit a log with the configuration's models and inference; ``tick`` gets shares of draws."""
    parts = 1 if "lognormal" in choose(log, config.model, config.spend)[0] else 2

    def sampled(made: int, total: int) -> None:
        if tick is not None:
            tick(1 / (total * parts))

    return fit(
        log,
        config.model,
        config.spend,
        inference=config.inference,
        priors=config.priors,
        draws=config.draws,
        seed=config.seed % 2**32,
        untrusted=config.untrusted,
        covariates=covariates,
        progress=note,
        sampled=sampled,
    )


def shares(tick: Callable[[float], None]) -> Callable[[float], None]:
    """A callback that gets the share done so far, from one that gets what was added."""
    done = 0.0

    def reached(share: float) -> None:
        nonlocal done
        tick(share - done)
        done = share

    return reached


def holdout_weeks(config: CalibrateConfig, log: TransactionLog) -> int:
    """Weeks to hold out, 0 for none.

    Raises
    ------
    InputError
        If more are asked for than leave 8 weeks to fit.
    """
    most = log.weeks - FEWEST_CALIBRATION_WEEKS
    if config.holdout_weeks is None:
        return log.weeks // 4 if log.weeks // 4 <= most else 0
    if config.holdout_weeks > max(most, 0):
        raise InputError(
            f"holdout_weeks={config.holdout_weeks} of {log.weeks} whole weeks; allowed: "
            f"0 to {max(most, 0)}, so that {FEWEST_CALIBRATION_WEEKS} are left to fit"
        )
    return config.holdout_weeks


def predictive_checks(
    config: CalibrateConfig,
    log: TransactionLog,
    posterior: Posterior,
    tell: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """Statistics of the log against cohorts simulated from posterior draws.

    Each cohort has the size, weeks and starting clocks of the log and parameters of a draw of its
    own; no programme, no offers. First purchases are left out of both where they start the clock.

    Returns
    -------
    list of dict
        statistic, observed, median, low, high (of the cohorts, at the configuration's
        confidence), difference (median over observed, less 1) and inside.
    """
    n, weeks = log.n_customers, log.weeks
    bought, join = observed_purchases(log)
    observed = bought.statistics(n, weeks)
    first_week = week_of_year(log.start.day_of_year)
    found = []
    for cohort in range(config.cohorts):
        draw = 1 + cohort * posterior.n_draws // config.cohorts
        bought = simulated_purchases(
            posterior, n, weeks, config.seed + cohort, config.world.season, first_week, tell, draw
        )
        found.append(bought.delayed(join).statistics(n, weeks))
    tail = (1 - config.confidence) / 2
    rows = []
    for name, value in observed.items():
        low, median, high = np.quantile([one[name] for one in found], [tail, 0.5, 1 - tail])
        rows.append(
            {
                "statistic": name,
                "observed": value,
                "median": float(median),
                "low": float(low),
                "high": float(high),
                "difference": float(median / value - 1) if value else None,
                "inside": bool(low <= value <= high),
            }
        )
    return rows


def _summary(config: CalibrateConfig, log: LogStatistics, posterior: Posterior) -> dict[str, Any]:
    told = posterior.attributes
    return {
        "name": config.name,
        "version": version(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seed": config.seed,
        "confidence": config.confidence,
        "data": data_facts(config.data, log) | {"refunds": told.get("refunds", "")},
        "model": {
            "purchase": posterior.purchase_model,
            "spend": posterior.spend_model,
            "choice": told.get("choice", ""),
            "inference": config.inference,
            "priors": config.priors,
            "draws": posterior.n_draws,
            "covariates": json.loads(told.get("covariates", "{}")),
        },
        "parameters": [
            _parameter(name, values, _priors(posterior).get(name), config.confidence)
            for name, values in posterior.parameters.items()
        ],
        "diagnostics": _diagnostics(posterior),
    }


def _diagnostics(posterior: Posterior) -> list[dict[str, Any]]:
    from agents.calibration.nuts import Diagnostics

    found = []
    for part, model in (("purchase", posterior.purchase_model), ("spend", posterior.spend_model)):
        text = posterior.attributes.get(f"{part}_diagnostics")
        if text is not None:
            values = json.loads(text)
            failures = Diagnostics(**values).failures()
            found.append({"model": model, **values, "failures": failures})
    return found


def _priors(posterior: Posterior) -> dict[str, tuple[str, float, float]]:
    found: dict[str, tuple[str, float, float]] = {}
    for part in ("purchase", "spend"):
        found |= json.loads(posterior.attributes.get(f"{part}_priors", "{}"))
    return found


def _parameter(
    name: str, values: NDArray[np.float64], prior: Any, confidence: float
) -> dict[str, Any]:
    """Prior and posterior of one parameter; flat priors have no range."""
    from scipy import stats

    tail = (1 - confidence) / 2
    draws = values[1:] if len(values) > 1 else values
    low, high = np.quantile(draws, [tail, 1 - tail])
    row: dict[str, Any] = {
        "name": name,
        "mode": float(values[0]),
        "mean": float(draws.mean()),
        "low": float(low),
        "high": float(high),
    }
    back: dict[str, Callable[[Any], Any]] = {"linear": lambda z: z, "log": np.exp, "atanh": np.tanh}
    flat = prior is None or not np.isfinite(prior[2])
    if not flat:
        scale, centre, sd = prior
        ends = back[scale](centre + sd * stats.norm.ppf([tail, 1 - tail]))
        row["prior"] = {"low": float(ends[0]), "high": float(ends[1])}
    spread = float(draws.std())
    if len(draws) < 20 or spread == 0:
        return row
    x = np.linspace(draws.min() - spread, draws.max() + spread, DENSITY_POINTS)
    if draws.min() > 0:
        x = x[x > 0]
    row["density"] = {"x": x.tolist(), "posterior": stats.gaussian_kde(draws)(x).tolist()}
    if not flat:
        slope = {"linear": 1.0, "log": 1 / x, "atanh": 1 / np.maximum(1 - x**2, 1e-9)}[scale]
        at = {
            "linear": lambda: x,
            "log": lambda: np.log(x),
            "atanh": lambda: np.arctanh(np.clip(x, -1 + 1e-9, 1 - 1e-9)),
        }[scale]()
        row["density"]["prior"] = (stats.norm.pdf(at, centre, sd) * slope).tolist()
    return row
