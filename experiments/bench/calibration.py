"""Calibration against published estimates, a peer's samplers, held-out weeks and large logs."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from agents.calibration.fit import fit, fit_purchases
from agents.calibration.laplace import compile_density, find_mode
from agents.calibration.log import TransactionLog
from agents.calibration.models import pareto_nbd
from agents.calibration.nuts import sample
from agents.calibration.sources import load_log
from agents.calibration.sufficient import statistics_of
from experiments.bench import child
from experiments.bench.machine import describe, load_average
from experiments.console import Progress
from experiments.holdout_models import holdout_facts

CDNOW_WEEKS = 39
GROCERY_WEEKS, GROCERY_HELD_OUT = 51, 13
CALIBRATION_MODELS = ("pareto_nbd", "bg_nbd", "lognormal", "drift")
# Fader, Hardie and Lee (2005) for both purchase models, Fader and Hardie (2013) for spend; the
# log-likelihoods are those of the same data at the maximum.
PUBLISHED: dict[str, dict[str, float]] = {
    "bg_nbd": {
        "rate_shape": 0.243, "rate_rate": 4.414, "dropout_a": 0.793, "dropout_b": 2.426,
        "log_likelihood": -9582.43,
    },
    "pareto_nbd": {
        "rate_shape": 0.553, "rate_rate": 10.578, "dropout_shape": 0.606, "dropout_rate": 11.669,
        "log_likelihood": -9594.98,
    },
    "gamma_gamma": {
        "spend_within_shape": 6.25, "spend_shape": 3.74, "spend_scale": 15.44,
        "log_likelihood": -4055.92,
    },
}  # fmt: skip
PARETO = {
    "rate_shape": "r", "rate_rate": "alpha", "dropout_shape": "s", "dropout_rate": "beta",
}  # fmt: skip
WHO = ("data", "model")
SCORED = ("log_density_per_customer", "standard_error", "predicted", "actual", "best",
          "difference", "difference_standard_error")  # fmt: skip
CHECKED = ("max_deviation", "band", "inside", "sharp_band", "inside_sharp")
LARGE_CUSTOMERS = 1_000_000
LARGE_WEEKS = 26
LARGE_RATE = 0.8
"""Mean purchase rate that gives 20 million purchases in 26 weeks."""


def bench_calibrate(full: bool = False) -> dict[str, Any]:
    """Measure everything.

    Parameters
    ----------
    full
        Also the habit model's forecast of groceries (minutes), and a log of a million customers
        and 20 million rows, made by the simulator.
    """
    before = load_average()
    with Progress() as progress:
        cdnow = load_log("cdnow", notify=progress.note)
        calibration, _ = cdnow.split(CDNOW_WEEKS)
        with progress.stage("Published estimates"):
            published = published_figures(calibration)
        with progress.stage("NUTS"):
            own = own_sampler(calibration)
        peer = peer_samplers(calibration, progress)
        holdout, pit = [], []
        groceries = load_log("completejourney", notify=progress.note)
        for log, weeks, models in (
            (cdnow, CDNOW_WEEKS, CALIBRATION_MODELS),
            (
                groceries,
                GROCERY_HELD_OUT,
                (*CALIBRATION_MODELS, "habit") if full else CALIBRATION_MODELS,
            ),
        ):
            with progress.stage(f"Hold out {weeks} weeks of {log.name}"):
                found = holdout_facts(log, weeks, models, note=progress.note)
            for row in found["scores"]:
                holdout.append({name: row[name] for name in (*WHO, *SCORED)})
                pit.append({name: row[name] for name in (*WHO, *CHECKED)})
        large = large_log(progress) if full else dict.fromkeys(LARGE_KEYS)
    return {
        "published": published,
        "ess_per_s": own["ess_per_s"],
        "peer_nuts_ess_per_s": peer.get("nuts", {}).get("ess_per_s"),
        "peer_demz_ess_per_s": peer.get("demz", {}).get("ess_per_s"),
        "sampler": own,
        "peer": peer,
        "holdout": holdout,
        "pit": pit,
        **large,
        "load_before": before,
        "machine": describe(),
    }


def published_figures(calibration: TransactionLog) -> list[dict[str, Any]]:
    """Maximum-likelihood estimates beside published ones, one row per parameter."""
    known = statistics_of(calibration)
    posterior = fit(known, "pareto_nbd", "gamma_gamma", priors="flat", draws=1)
    bg_nbd = fit_purchases(known, "bg_nbd", priors="flat")
    from agents.calibration.purchase_likelihoods import BGNBD

    at = np.array([bg_nbd[name] for name in BGNBD.names])
    bg_nbd["log_likelihood"] = BGNBD(known.histories)(at)[0]
    told = posterior.attributes
    fitted = {
        "bg_nbd": bg_nbd,
        "pareto_nbd": posterior.values()
        | {"log_likelihood": float(told["purchase_log_likelihood"])},
        "gamma_gamma": posterior.values() | {"log_likelihood": float(told["spend_log_likelihood"])},
    }
    return [
        {
            "model": model,
            "parameter": name,
            "published": value,
            "fitted": fitted[model][name],
            "relative_error": fitted[model][name] / value - 1,
        }
        for model, parameters in PUBLISHED.items()
        for name, value in parameters.items()
    ]


def own_sampler(calibration: TransactionLog) -> dict[str, Any]:
    """Full-Bayes Pareto/NBD from the log to draws: effective draws of the worst parameter."""
    begun = time.perf_counter()
    density = compile_density(pareto_nbd(statistics_of(calibration).histories))
    mode = find_mode(density, calibration.name)
    points, diagnostics = sample(density, mode)
    draws = density.parameters(points.reshape(-1, points.shape[-1]))
    chains = {name: draws[name].reshape(points.shape[:2]) for name in PARETO}
    seconds = time.perf_counter() - begun
    return _figures(chains, seconds) | {
        "divergences": diagnostics.divergences,
        "with_peers_priors": with_peers_priors(chains),
    }


def peer_samplers(calibration: TransactionLog, progress: Progress) -> dict[str, Any]:
    """pymc-marketing's ParetoNBDModel on the same data, with its own priors.

    Those suit its samplers: under the wider ones of `models.pareto_nbd` they are slower still.
    """
    if importlib.util.find_spec("pymc_marketing") is None:
        progress.note("pymc-marketing is not installed: install the extra dev to compare")
        return {}
    found = {}
    with progress.stage("pymc-marketing, NUTS"):
        found["nuts"] = _peer(calibration, method="mcmc", draws=200, tune=200, chains=2)
    with progress.stage("pymc-marketing, DEMetropolisZ"):
        found["demz"] = _peer(calibration, method="demz", draws=3000, tune=1000, chains=4)
    return found


def _peer(calibration: TransactionLog, **options: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from pymc_marketing.clv import ParetoNBDModel

        summary = calibration.summary()
        frame = pd.DataFrame(
            {
                "customer_id": np.arange(calibration.n_customers),
                "frequency": summary.frequency,
                "recency": summary.recency,
                "T": summary.age,
            }
        )
        begun = time.perf_counter()
        model = ParetoNBDModel(data=frame)
        model.fit(random_seed=1, progressbar=False, **options)
        seconds = time.perf_counter() - begun
    found: Any = model.idata
    posterior = found.posterior
    return _figures({name: np.asarray(posterior[short]) for name, short in PARETO.items()}, seconds)


def with_peers_priors(chains: dict[str, Any]) -> dict[str, Any]:
    """Mean and sd of the draws, weighted to the peer's priors: its posterior, if both are right.

    Its priors are Weibull of shape 2; these are lognormal (`models.pareto_nbd`).
    """
    from scipy import stats

    scales = {"rate_shape": 1.0, "rate_rate": 10.0, "dropout_shape": 1.0, "dropout_rate": 10.0}
    ours = {
        "rate_shape": (1.0, 1.5), "rate_rate": (10.0, 2.0), "dropout_shape": (1.0, 1.0),
        "dropout_rate": (20.0, 2.0),
    }  # fmt: skip
    log_weight = np.zeros(next(iter(chains.values())).size)
    for name, values in chains.items():
        centre, sd = ours[name]
        log_weight += stats.weibull_min.logpdf(values.ravel(), 2.0, scale=scales[name])
        log_weight -= stats.lognorm.logpdf(values.ravel(), sd, scale=centre)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = {name: float(weight @ values.ravel()) for name, values in chains.items()}
    return {
        "mean": mean,
        "sd": {
            name: float(np.sqrt(weight @ (values.ravel() - mean[name]) ** 2))
            for name, values in chains.items()
        },
        "ess": float(1 / (weight @ weight)),
    }


def _figures(chains: dict[str, Any], seconds: float) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    effective: Any = arviz.ess
    least = min(float(effective(values)) for values in chains.values())
    return {
        "ess_per_s": least / seconds,
        "ess": least,
        "seconds": seconds,
        "draws": int(next(iter(chains.values())).size),
        "mean": {name: float(values.mean()) for name, values in chains.items()},
        "median": {name: float(np.median(values)) for name, values in chains.items()},
        "sd": {name: float(values.std()) for name, values in chains.items()},
    }


LARGE_KEYS = (
    "million_customers_s", "million_customers_peak_gb", "million_customers_rows",
    "million_customers_scored_s", "million_customers_scored_peak_gb",
)  # fmt: skip


def large_log(progress: Progress) -> dict[str, Any]:
    """Whole commands on a simulated log: `calibrate` by MAP, then `customers` with its fit."""
    import dataclasses

    from agents.population import GROCERY
    from experiments.simulated_log import write_simulated_log

    parameters = GROCERY.parameters | {"rate_mean": np.array([LARGE_RATE])}
    population = dataclasses.replace(GROCERY, parameters=parameters)
    with tempfile.TemporaryDirectory(prefix="loyaltylab-bench-") as folder:
        path = str(Path(folder, "log.parquet"))
        with progress.stage("Simulate a million customers", LARGE_CUSTOMERS) as tick:
            written = write_simulated_log(
                population, path, customers=LARGE_CUSTOMERS, weeks=LARGE_WEEKS, tell=tick
            )
        origin = "data.origin=log_start"
        with progress.stage("Calibrate them"):
            calibrated = _command(
                "calibrate", f"data={path}", origin, f"runs_dir={folder}", "name=fit",
                "holdout_weeks=0", "cohorts=0",
            )  # fmt: skip
        with progress.stage("Score them"):
            scored = _command(
                "customers", f"posterior={folder}/fit/posterior.nc", f"data={path}", origin,
                f"out={folder}/customers.parquet",
            )  # fmt: skip
    values = (
        calibrated["seconds"], calibrated["peak_gb"], written.purchases, scored["seconds"],
        scored["peak_gb"],
    )  # fmt: skip
    return dict(zip(LARGE_KEYS, values, strict=True))


def _command(*arguments: str) -> dict[str, float]:
    line, _ = child.started("command", *arguments)
    result: dict[str, float] = json.loads(line)
    return result


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    from experiments.report.console_text import aligned

    rows = [["published", "parameter", "published", "fitted", "error"]]
    rows += [
        [row["model"], row["parameter"], f"{row['published']:g}", f"{row['fitted']:.5g}",
         f"{row['relative_error']:+.2%}"]
        for row in result["published"]
    ]  # fmt: skip
    lines = [*aligned(rows), ""]
    for name, key in (
        ("NUTS, effective draws per second", "ess_per_s"),
        ("pymc-marketing, NUTS", "peer_nuts_ess_per_s"),
        ("pymc-marketing, DEMetropolisZ", "peer_demz_ess_per_s"),
    ):
        value = result[key]
        lines.append(f"{name:<40} {'not measured' if value is None else f'{value:.1f}'}")
    scored = [["data", "model", "log density", "expected", "made", "deviation", "band", "inside"]]
    for row, check in zip(result["holdout"], result["pit"], strict=True):
        scored.append(
            [row["data"], row["model"], f"{row['log_density_per_customer']:.4f}",
             f"{row['predicted']:,.0f}", f"{row['actual']:,}", f"{check['max_deviation']:.4f}",
             f"{check['band']:.4f}", "yes" if check["inside"] else "no"]
        )  # fmt: skip
    lines += ["", *aligned(scored)]
    if result["million_customers_s"] is not None:
        lines += [
            "",
            f"{LARGE_CUSTOMERS:,} customers, {result['million_customers_rows']:,} purchases: "
            f"calibrated in {result['million_customers_s']:.0f} s and "
            f"{result['million_customers_peak_gb']:.2f} GB, scored in "
            f"{result['million_customers_scored_s']:.0f} s and "
            f"{result['million_customers_scored_peak_gb']:.2f} GB",
        ]
    return "\n".join(lines)
