"""Fit the models to a log: posterior mode, then draws from a Laplace approximation."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from agents.calibration import models
from agents.calibration.laplace import Mode, compile_density, find_mode, sample
from agents.calibration.log import SECONDS_PER_WEEK, TransactionLog
from agents.calibration.posterior import PARAMETERS, PURCHASE_MODELS, SPEND_MODELS, Posterior
from agents.calibration.sufficient import count_moments, purchase_histories, spend_totals
from agents.errors import InputError

DRIFT_MEAN_WEEKLY = 0.3
DRIFT_WEEKS = 26
FEWEST_WEEKS = 8
FEWEST_REPEAT_CUSTOMERS = 20
MOST_CUSTOMERS = 20_000


def fit(
    log: TransactionLog,
    model: str = "auto",
    spend: str = "auto",
    *,
    priors: models.Priors = "weak",
    draws: int = 200,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Posterior:
    """Fit purchases and spend of a log.

    Parameters
    ----------
    log : TransactionLog
        At least 8 whole weeks (26 for drift) and 20 customers with repeat purchases. Of more
        than 20,000 customers a random subset of that size is fitted.
    model : {"auto", "pareto_nbd", "drift"}
        Purchase model; see `choose`.
    spend : {"auto", "gamma_gamma", "lognormal_gamma"}
        Spend model; see `choose`.
    priors : {"weak", "flat"}
        Flat priors give maximum likelihood; the drift model's hazard keeps its prior.
    draws : int
        Draws from the normal approximation at the mode, on the scale of logs.
    seed : int
        Seed of the draws and of the subset.
    progress : callable, optional
        Receives one line per stage.

    Raises
    ------
    InputError
        If a model is unknown, the log is too short or has too few repeat customers, all amounts
        are equal, or the log does not identify the model.
    """
    report = progress or (lambda line: None)
    purchase_model, spend_model, reason = choose(log, model, spend)
    _require(log, purchase_model)
    report(f"{log.name}: {reason}")
    rng = np.random.default_rng(seed)
    used = log
    if log.n_customers > MOST_CUSTOMERS:
        used = log.select(rng.choice(log.n_customers, MOST_CUSTOMERS, replace=False))
    report(f"fitting {purchase_model}")
    purchase = _fit_purchase(used, purchase_model, priors)
    report(f"fitting {spend_model}")
    basket = _fit_spend(used, spend_model, priors)
    parameters = sample(purchase, draws, rng) | sample(basket, draws, rng)
    if purchase_model == "drift":
        hazard = parameters.pop("hazard")
        parameters["dropout_shape"] = np.full_like(hazard, models.DROPOUT_SHAPE)
        parameters["dropout_rate"] = models.DROPOUT_SHAPE / hazard
    order = PARAMETERS[purchase_model] + PARAMETERS[spend_model]
    return Posterior(
        purchase_model,
        spend_model,
        {name: parameters[name] for name in order},
        _attributes(log, used.n_customers)
        | {
            "choice": reason,
            "priors": priors,
            "seed": str(seed),
            "method": "mode and Laplace approximation",
            "purchase_log_likelihood": f"{purchase.log_likelihood:.4f}",
            "spend_log_likelihood": f"{basket.log_likelihood:.4f}",
        },
    )


def choose(log: TransactionLog, model: str = "auto", spend: str = "auto") -> tuple[str, str, str]:
    """Purchase model, spend model and why.

    `auto` takes `drift` and `lognormal_gamma` when at least 26 weeks are observed and customers
    existed before the log or buy at least 0.3 times a week; otherwise `pareto_nbd` and
    `gamma_gamma`.

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
    purchase = model if model != "auto" else ("drift" if steady else "pareto_nbd")
    basket = spend if spend != "auto" else ("lognormal_gamma" if steady else "gamma_gamma")
    chosen = "auto" if "auto" in (model, spend) else "as asked"
    return purchase, basket, f"{purchase} and {basket} ({chosen}: {why})"


def _require(log: TransactionLog, purchase_model: str) -> None:
    fewest = DRIFT_WEEKS if purchase_model == "drift" else FEWEST_WEEKS
    if log.weeks < fewest:
        raise InputError(
            f"{log.name}: {log.weeks} whole weeks observed; "
            f"allowed: at least {fewest} for {purchase_model}"
        )
    purchases = np.bincount(log.customer, minlength=log.n_customers)
    repeat = int((purchases >= 2).sum())
    if purchase_model == "pareto_nbd":
        days = log.summary().frequency
        repeat = int((days >= (1 if log.origin == "first_purchase" else 2)).sum())
    if repeat < FEWEST_REPEAT_CUSTOMERS:
        raise InputError(
            f"{log.name}: {repeat} customers bought more than once; "
            f"allowed: at least {FEWEST_REPEAT_CUSTOMERS}"
        )
    paid = log.amount[log.amount > 0]
    if len(paid) == 0 or paid.min() == paid.max():
        raise InputError(f"{log.name}: amount is the same in every row; allowed: amounts that vary")


def _fit_purchase(log: TransactionLog, name: str, priors: models.Priors) -> Mode:
    if name == "pareto_nbd":
        built = models.pareto_nbd(purchase_histories(log), priors)
        return find_mode(compile_density(built), log.name)
    built = models.drift(count_moments(log), priors)
    return find_mode(compile_density(built, small=True), log.name)


def _fit_spend(log: TransactionLog, name: str, priors: models.Priors) -> Mode:
    if name == "lognormal_gamma":
        return find_mode(
            compile_density(models.lognormal_gamma(spend_totals(log), priors)), log.name
        )
    summary = log.summary()
    some = (summary.frequency > 0) & (summary.mean_spend > 0)
    frequency, mean_spend = summary.frequency[some], summary.mean_spend[some]
    different = len(np.unique(mean_spend))
    if different < FEWEST_REPEAT_CUSTOMERS:
        raise InputError(
            f"{log.name}: mean amount of repeat purchases takes {different} values; "
            f"allowed: at least {FEWEST_REPEAT_CUSTOMERS}"
        )
    built = models.gamma_gamma(frequency, mean_spend, priors)
    return find_mode(compile_density(built), log.name)


def _attributes(log: TransactionLog, customers_used: int) -> dict[str, str]:
    purchases = np.bincount(log.customer, minlength=log.n_customers)
    packages = ("pymc", "pytensor", "numpy", "scipy")
    return {
        "data": log.name,
        "notice": log.notice,
        "customers": str(log.n_customers),
        "customers_used": str(customers_used),
        "transactions": str(log.n_transactions),
        "weeks": str(log.weeks),
        "start": log.start.isoformat(),
        "time_zone": log.time_zone,
        "origin": log.origin,
        "most_purchases_of_a_customer": str(int(purchases.max())),
        "smallest_amount_minor_units": str(int(log.amount.min())),
        "largest_amount_minor_units": str(int(log.amount.max())),
        "versions": " ".join(f"{name}={version(name)}" for name in packages),
    }
