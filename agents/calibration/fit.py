"""Fit the models to a log: posterior mode and Laplace approximation, or NUTS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from agents.calibration import models
from agents.calibration.customer_histories import CustomerHistories
from agents.calibration.laplace import Compiled, Floats, Mode, around, compile_density, find_mode
from agents.calibration.log import SECONDS_PER_WEEK, TransactionLog
from agents.calibration.nuts import Diagnostics, diagnose_normal, sample
from agents.calibration.posterior import (
    PURCHASE_MODELS,
    PURCHASE_PARAMETERS,
    SPEND_MODELS,
    SPEND_PARAMETERS,
    Posterior,
)
from agents.calibration.sufficient import LogStatistics, statistics_of
from agents.errors import InputError

if TYPE_CHECKING:
    import pymc as pm

DRIFT_MEAN_WEEKLY = 0.3
DRIFT_WEEKS = 26
FEWEST_WEEKS = 8
FEWEST_REPEAT_CUSTOMERS = 20
MOST_CUSTOMERS = 20_000
MOST_CHECKED = 100_000
"""Customers: with more the posterior is normal, and looking at each draw would take minutes."""
DRAWS_CHECKED = 200

Inference = Literal["map", "nuts"]
INFERENCES = ("map", "nuts")


def fit(
    log: TransactionLog | LogStatistics,
    model: str = "auto",
    spend: str = "auto",
    *,
    inference: Inference = "map",
    priors: models.Priors = "weak",
    draws: int = 200,
    seed: int = 0,
    untrusted: bool = False,
    covariates: Mapping[str, Floats] | None = None,
    progress: Callable[[str], None] | None = None,
    sampled: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Fit purchases and spend of a log.

    Parameters
    ----------
    log : TransactionLog or LogStatistics
        At least 8 whole weeks (26 for drift) and 20 customers with repeat purchases. `lognormal`
        reads 20,000 customers at most, drawn at random; the other models read everybody.
    model : {"auto", "pareto_nbd", "lognormal", "drift"}
        Purchase model; see `choose`.
    spend : {"auto", "gamma_gamma", "lognormal_gamma", "lognormal"}
        Spend model; see `choose`.
    inference : {"map", "nuts"}
        `map` draws from the normal approximation at the mode, on the scale of the free
        variables; `nuts` samples the posterior itself and keeps `draws` of its draws.
    priors : {"weak", "flat"}
        Flat priors give maximum likelihood; the drift model's hazard keeps its prior.
    draws : int
        Draws kept.
    seed : int
        Seed of the draws and of the subset.
    untrusted : bool
        Keep a fit whose NUTS diagnostics are beyond their bounds.
    covariates : mapping of str to float64, shape (n,), optional
        For `lognormal`: numbers known of each customer that shift the means of its log rate,
        log hazard and log basket. They are standardised; the coefficients go to the posterior's
        attributes, and its parameters are those of the whole population, covariates' share
        included.
    progress : callable, optional
        Receives one line per stage.
    sampled : callable, optional
        Receives draws made and draws in all while NUTS runs.

    Raises
    ------
    InputError
        If a model is unknown, the log is too short or has too few repeat customers, all amounts
        are equal, the log does not identify the model, or diagnostics are beyond their bounds.
    """
    report = progress or (lambda line: None)
    if inference not in INFERENCES:
        raise InputError(f"inference is {inference!r}; allowed: {', '.join(INFERENCES)}")
    purchase_model, spend_model, reason = choose(log, model, spend)
    known = log if isinstance(log, LogStatistics) else statistics_of(log)
    _require(known, purchase_model)
    report(f"{log.name}: {reason}")
    rng = np.random.default_rng(seed)
    parameters: dict[str, Floats] = {}
    attributes: dict[str, str] = {}
    if covariates:
        if purchase_model != "lognormal":
            raise InputError(f"covariates are for model=lognormal; the model is {purchase_model}")
        known = replace(known, customers=known.customers.with_covariates(covariates))
    for part, name, build in _parts(known, purchase_model, spend_model, priors, rng):
        report(f"fitting {name}")
        built = build()
        density = compile_density(built)
        mode = find_mode(density, log.name)
        if purchase_model == "lognormal":
            _require_spread(log.name, built, density, mode)
        points, diagnostics = _draws(density, mode, inference, draws, seed, rng, sampled)
        if inference == "map" and known.n_customers <= MOST_CHECKED:
            looked_at = around(mode, DRAWS_CHECKED, np.random.default_rng([seed, 1]))
            diagnostics = diagnose_normal(density, mode, looked_at)
        failures = diagnostics.failures()
        if failures and inference == "nuts" and not untrusted:
            raise InputError(
                f"{log.name}: draws of {name} cannot be trusted: {'; '.join(failures)}; allowed: "
                "another model, a longer log, priors other than flat, or untrusted=true to keep "
                "them as they are"
            )
        # A normal approximation that is not close is said, not refused: its mode still holds.
        for failure in failures:
            report(f"{name}: {failure}")
        parameters |= density.parameters(np.vstack([mode.point, points]))
        attributes[f"{part}_log_likelihood"] = f"{mode.log_likelihood:.4f}"
        attributes[f"{part}_diagnostics"] = json.dumps(asdict(diagnostics))
        attributes[f"{part}_priors"] = json.dumps(built.priors)
    if covariates:
        parameters, coefficients = marginal(parameters, list(covariates), known.customers)
        attributes["covariates"] = json.dumps(coefficients)
    return Posterior(
        purchase_model,
        spend_model,
        _named(parameters, purchase_model, spend_model),
        _attributes(known)
        | {"choice": reason, "priors": priors, "seed": str(seed), "inference": inference}
        | attributes,
    )


def fit_purchases(
    log: TransactionLog | LogStatistics,
    model: str,
    *,
    priors: models.Priors = "weak",
    seed: int = 0,
) -> dict[str, float]:
    """Mode of one purchase model's parameters, to compare forecasts.

    Parameters
    ----------
    log : TransactionLog or LogStatistics
        As for `fit`.
    model : {"pareto_nbd", "bg_nbd", "lognormal"}
        `lognormal` is fitted with its spend.
    priors, seed
        As for `fit`.

    Raises
    ------
    InputError
        If the log does not identify the model.
    """
    known = log if isinstance(log, LogStatistics) else statistics_of(log)
    if model == "bg_nbd":
        built = models.bg_nbd(known.histories, priors)
    else:
        rng = np.random.default_rng(seed)
        spend = "lognormal" if model == "lognormal" else "gamma_gamma"
        built = _parts(known, model, spend, priors, rng)[0][2]()
    density = compile_density(built)
    mode = find_mode(density, log.name)
    found = density.parameters(mode.point[None])
    return {name: float(values[0]) for name, values in found.items()}


def _parts(
    log: LogStatistics,
    purchase_model: str,
    spend_model: str,
    priors: models.Priors,
    rng: np.random.Generator,
) -> list[tuple[str, str, Callable[[], pm.Model]]]:
    """What is fitted by itself: part, name and model."""
    if purchase_model == "lognormal":
        customers = log.customers
        if log.n_customers > MOST_CUSTOMERS:
            chosen = rng.choice(log.n_customers, MOST_CUSTOMERS, replace=False)
            customers = customers.take(np.sort(chosen))
        return [("purchase", "lognormal", lambda: models.lognormal(customers, priors))]
    purchase: dict[str, Callable[[], pm.Model]] = {
        "pareto_nbd": lambda: models.pareto_nbd(log.histories, priors),
        "drift": lambda: models.drift(log.required_moments(), priors),
    }
    basket: dict[str, Callable[[], pm.Model]] = {
        "lognormal_gamma": lambda: models.lognormal_gamma(log.spend, priors),
        "gamma_gamma": lambda: models.gamma_gamma(*_repeat_spend(log), priors),
    }
    return [
        ("purchase", purchase_model, purchase[purchase_model]),
        ("spend", spend_model, basket[spend_model]),
    ]


def _require_spread(name: str, model: Any, density: Compiled, mode: Mode) -> None:
    at = density.parameters(mode.point[None])
    ordered = np.array([at[one][0] for one in PURCHASE_PARAMETERS["lognormal"]])
    narrow = model.too_narrow(ordered)
    if narrow:
        raise InputError(
            f"{name}: {narrow} of customers hardly differ, given what else is known of them; "
            "allowed: model=pareto_nbd, or fewer covariates"
        )


def _draws(
    density: Compiled,
    mode: Mode,
    inference: Inference,
    draws: int,
    seed: int,
    rng: np.random.Generator,
    sampled: Callable[[int, int], None] | None,
) -> tuple[Floats, Diagnostics]:
    """Points of the free variables, shape (draws, p)."""
    if inference == "map":
        return around(mode, draws, rng), Diagnostics()
    chains, diagnostics = sample(density, mode, seed=seed, tell=sampled)
    flat = chains.reshape(-1, chains.shape[-1])
    kept = np.linspace(0, len(flat) - 1, min(draws, len(flat))).round().astype(int)
    return flat[kept], diagnostics


def _named(found: dict[str, Floats], purchase_model: str, spend_model: str) -> dict[str, Floats]:
    """The parameters that a posterior of these models has, in its order."""
    found = dict(found)
    if purchase_model == "drift":
        hazard = found["hazard"]
        found["dropout_shape"] = np.full_like(hazard, models.DROPOUT_SHAPE)
        found["dropout_rate"] = models.DROPOUT_SHAPE / hazard
    if purchase_model == "lognormal":
        across, rate = found["rate_dropout_correlation"], found["rate_spend_correlation"]
        partial = found["dropout_spend_partial_correlation"]
        found["dropout_spend_correlation"] = across * rate + partial * np.sqrt(
            (1 - across**2) * (1 - rate**2)
        )
    order = PURCHASE_PARAMETERS[purchase_model] + SPEND_PARAMETERS[spend_model]
    return {name: found[name] for name in order}


def choose(
    log: TransactionLog | LogStatistics, model: str = "auto", spend: str = "auto"
) -> tuple[str, str, str]:
    """Purchase model, spend model and why.

    `auto` takes `drift` and `lognormal_gamma` when at least 26 weeks are observed and customers
    existed before the log or buy at least 0.3 times a week; otherwise `pareto_nbd` and
    `gamma_gamma`. The correlated hierarchy is one model of both: `lognormal` takes `lognormal`.

    Raises
    ------
    InputError
        If a model is unknown.
    """
    for field, name, allowed in (
        ("model", model, PURCHASE_MODELS),
        ("spend", spend, SPEND_MODELS),
    ):
        if name not in ("auto", *allowed):
            raise InputError(f"{field} is {name!r}; allowed: auto, {', '.join(allowed)}")
    weekly = log.n_transactions / max(log.n_customers * log.end_time / SECONDS_PER_WEEK, 1e-9)
    why = f"{weekly:.2f} purchases per customer-week over {log.weeks} weeks"
    if log.origin == "log_start":
        why = f"customers existed before the log, {why}"
    steady = log.weeks >= DRIFT_WEEKS and (log.origin == "log_start" or weekly >= DRIFT_MEAN_WEEKLY)
    if model == "auto" and spend == "lognormal":
        model = "lognormal"
    purchase = model if model != "auto" else ("drift" if steady else "pareto_nbd")
    basket = spend
    if spend == "auto":
        basket = "lognormal_gamma" if steady else "gamma_gamma"
        basket = "lognormal" if purchase == "lognormal" else basket
    if (purchase == "lognormal") != (basket == "lognormal"):
        raise InputError(
            f"model is {purchase} and spend is {basket}; allowed: lognormal for both or for "
            "neither, as it is one model of both"
        )
    chosen = "auto" if "auto" in (model, spend) else "as asked"
    return purchase, basket, f"{purchase} and {basket} ({chosen}: {why})"


def _require(log: LogStatistics, purchase_model: str) -> None:
    fewest = DRIFT_WEEKS if purchase_model == "drift" else FEWEST_WEEKS
    if log.weeks < fewest:
        raise InputError(
            f"{log.name}: {log.weeks} whole weeks observed; "
            f"allowed: at least {fewest} for {purchase_model}"
        )
    repeat = log.repeat_customers if purchase_model == "drift" else log.repeat_day_customers
    if repeat < FEWEST_REPEAT_CUSTOMERS:
        raise InputError(
            f"{log.name}: {repeat} customers bought more than once; "
            f"allowed: at least {FEWEST_REPEAT_CUSTOMERS}"
        )
    if not log.amounts_vary:
        raise InputError(f"{log.name}: amount is the same in every row; allowed: amounts that vary")


def _repeat_spend(log: LogStatistics) -> tuple[npt.NDArray[np.int64], Floats]:
    """Repeat purchases and their mean spend, of customers who have some."""
    mean_spend = log.repeat_spend.mean_spend
    different = len(np.unique(mean_spend))
    if different < FEWEST_REPEAT_CUSTOMERS:
        raise InputError(
            f"{log.name}: mean amount of repeat purchases takes {different} values; "
            f"allowed: at least {FEWEST_REPEAT_CUSTOMERS}"
        )
    return log.repeat_spend.frequency, mean_spend


def marginal(
    found: dict[str, Floats], names: list[str], customers: CustomerHistories
) -> tuple[dict[str, Floats], dict[str, dict[str, list[float]]]]:
    """Parameters of the population with its covariates in them, and the coefficients.

    With standardised covariates of covariance C and coefficients B, logs have covariance
    S + B C B' across the population (exactly normal if the covariates are).

    Returns
    -------
    parameters
        As given, the means' spreads and correlations widened.
    coefficients : dict
        Covariate to trait to [mean, sd], per standard deviation of the covariate.
    """
    traits = ("rate", "dropout", "spend")
    beta = np.array(
        [[found[f"{trait}_covariate_{at}"] for at in range(len(names))] for trait in traits]
    )  # (3, c, draws)
    spread = np.cov(customers.covariates.T, ddof=0).reshape(len(names), len(names))
    sd = np.array([found[f"{trait}_log_sd"] for trait in traits])
    across, rate = found["rate_dropout_correlation"], found["rate_spend_correlation"]
    partial = found["dropout_spend_partial_correlation"]
    second = across * rate + partial * np.sqrt((1 - across**2) * (1 - rate**2))
    one = np.ones_like(across)
    correlation = np.array([[one, across, rate], [across, one, second], [rate, second, one]])
    total = correlation * sd[:, None] * sd[None, :]
    total = total + np.einsum("icd,ck,jkd->ijd", beta, spread, beta)
    wide = np.sqrt(np.einsum("iid->id", total))
    correlation = total / (wide[:, None] * wide[None, :])
    across, rate, second = correlation[0, 1], correlation[0, 2], correlation[1, 2]
    changed = {f"{trait}_log_sd": wide[at] for at, trait in enumerate(traits)} | {
        "rate_dropout_correlation": across,
        "rate_spend_correlation": rate,
        "dropout_spend_partial_correlation": (second - across * rate)
        / np.sqrt((1 - across**2) * (1 - rate**2)),
    }
    coefficients = {
        name: {
            trait: [float(beta[i, at].mean()), float(beta[i, at, 1:].std())]
            for i, trait in enumerate(traits)
        }
        for at, name in enumerate(names)
    }
    return found | changed, coefficients


def _attributes(log: LogStatistics) -> dict[str, str]:
    packages = ("pymc", "pytensor", "numpy", "scipy")
    return {
        "data": log.name,
        "notice": log.notice,
        "customers": str(log.n_customers),
        "transactions": str(log.n_transactions),
        "weeks": str(log.weeks),
        "start": log.start,
        "time_zone": log.time_zone,
        "origin": log.origin,
        "refunds": log.refunds,
        "most_purchases_of_a_customer": str(log.most_purchases_of_a_customer),
        "smallest_amount_minor_units": str(log.smallest_amount),
        "largest_amount_minor_units": str(log.largest_amount),
        "versions": " ".join(f"{name}={version(name)}" for name in packages),
    }
