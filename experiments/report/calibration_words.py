"""What a calibration found, in words and rows of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.report.console_text import aligned, wrapped
from experiments.report.wording import (
    NOTHING,
    decimal,
    interval,
    join,
    number_or_none,
    part,
    percent,
    plain,
    rows,
    significant,
    statistic_name,
    texts,
    yes_no,
)

Summary = Mapping[str, Any]

MODEL_NAMES = {
    "pareto_nbd": "Pareto/NBD",
    "bg_nbd": "BG/NBD",
    "lognormal": "correlated lognormal",
    "drift": "drifting rate",
    "habit": "habit",
    "gamma_gamma": "Gamma-Gamma",
    "lognormal_gamma": "lognormal-gamma",
}

MEANINGS = {
    "rate_shape": ("", "alikeness of purchase rates: shape of their gamma distribution"),
    "rate_rate": ("weeks", "rate of that gamma distribution; shape / rate is the mean rate"),
    "rate_log_mean": ("log 1/week", "mean of customers' log purchase rates"),
    "rate_log_sd": ("log", "spread of customers' log purchase rates"),
    "rate_mean": ("1/week", "mean purchase rate"),
    "drift_time_constant": ("weeks", "how long a customer's rate stays what it is"),
    "dropout_shape": ("", "alikeness of dropout hazards: shape of their gamma distribution"),
    "dropout_rate": ("weeks", "rate of that gamma distribution; shape / rate is the mean hazard"),
    "dropout_log_mean": ("log 1/week", "mean of customers' log dropout hazards"),
    "dropout_log_sd": ("log", "spread of customers' log dropout hazards"),
    "rate_dropout_correlation": ("", "do those who buy often leave sooner (+) or later (-)"),
    "spend_within_shape": ("", "alikeness of one customer's baskets: their gamma shape"),
    "spend_shape": ("", "alikeness of customers' mean baskets: gamma shape"),
    "spend_scale": ("currency", "scale of customers' mean baskets"),
    "spend_log_mean": ("log currency", "mean of customers' log mean baskets"),
    "spend_log_sd": ("log", "spread of customers' log mean baskets"),
    "spend_within_log_sd": ("log", "spread of one customer's log baskets"),
    "spend_rate_slope": ("", "change of the log mean basket per unit of the log rate"),
    "rate_spend_correlation": ("", "do those who buy often buy more (+) or less (-) at a time"),
    "dropout_spend_correlation": ("", "do those who leave soon buy more (+) or less (-) at a time"),
}


def model_name(name: object) -> str:
    """How a model is called in texts."""
    return MODEL_NAMES.get(str(name), plain(name))


def headline(summary: Summary) -> str:
    """What was fitted, to what, and whether it can be trusted."""
    data, model = part(summary, "data"), part(summary, "model")
    fitted = join([model_name(model.get("purchase")), model_name(model.get("spend"))])
    text = (
        f"{fitted} fitted to {decimal(data.get('customers'))} customers and "
        f"{decimal(data.get('purchases'))} purchases of {plain(data.get('name'))}."
    )
    failures = [text for row in rows(summary, "diagnostics") for text in texts(row.get("failures"))]
    if failures:
        return f"{text} Be careful: {'; '.join(failures)}."
    return f"{text} {_trust(summary)}"


def _trust(summary: Summary) -> str:
    if part(summary, "model").get("inference") == "nuts":
        sizes = [number_or_none(row.get("effective_bulk")) for row in rows(summary, "diagnostics")]
        least = min((size for size in sizes if size is not None), default=None)
        return (
            "The draws can be trusted: all chains agree, and every parameter has an effective "
            f"sample size of at least {decimal(least)}."
        )
    checked = [number_or_none(row.get("pareto_k")) for row in rows(summary, "diagnostics")]
    if not checked or None in checked:
        return (
            "Draws are those of a normal approximation at the mode; how close it is was not "
            "checked, as so many customers leave little else."
        )
    return "Draws are those of a normal approximation at the mode, which fits the posterior well."


def console_text(summary: Summary) -> str:
    """What the command prints."""
    lines = ["", *wrapped(headline(summary)), *wrapped(forecast_verdict(summary)), ""]
    level = percent(summary.get("confidence"))
    head = ["parameter", "mode", "mean", f"{level} of the posterior"]
    lines += aligned(
        [
            head,
            *(
                [str(row.get("name")), *(significant(row.get(key)) for key in ("mode", "mean")),
                 _range(row)]
                for row in rows(summary, "parameters")
            ),
        ]
    )  # fmt: skip
    scores = score_rows(summary)
    if scores:
        lines += ["", *aligned([
            ["held out", "log density", "from the best", "expected", "made", "deviation", "band",
             "inside", "uniform band"],
            *([str(cell) for cell in row] for row in scores),
        ])]  # fmt: skip
    lines += ["", f"posterior {summary.get('posterior')}", f"report    {summary.get('report')}"]
    return "\n".join(lines)


def forecast_verdict(summary: Summary) -> str:
    """Which model forecast best, and whether its uncertainty is right."""
    found = part(summary, "holdout")
    scores = rows(found, "scores")
    if not scores:
        return (
            "No weeks were held out, so nothing shows how well the models forecast: give "
            "holdout_weeks=13."
        )
    best = scores[0]
    tied = [model_name(row.get("model")) for row in scores if row.get("tied")]
    text = (
        f"Of {decimal(found.get('weeks'))} held-out weeks {model_name(best.get('model'))} foretold "
        "each customer's purchases best"
        + (f", hardly better than {join(tied)}" if tied else "")
        + f": {decimal(best.get('predicted'))} purchases expected, {decimal(best.get('actual'))} "
        "made. "
    )
    if best.get("inside_sharp"):
        return text + "What happened is spread as it said: no deviation beyond luck was seen."
    return text + (
        f"Its uncertainty is off by up to {percent(best.get('max_deviation'), 1)} of customers, "
        f"more than luck would do ({percent(best.get('sharp_band'), 1)})."
    )


def parameter_rows(summary: Summary) -> list[list[object]]:
    """Name, meaning, prior and posterior of each parameter."""
    found: list[list[object]] = []
    for row in rows(summary, "parameters"):
        unit, meaning = MEANINGS.get(str(row.get("name")), ("", ""))
        prior = part(row, "prior")
        found.append(
            [
                f"{plain(row.get('name'))}{f' ({unit})' if unit else ''}: {meaning}",
                _range(prior) if prior else _no_prior(row, part(summary, "model")),
                significant(row.get("mode")),
                significant(row.get("mean")),
                _range(row),
            ]
        )
    return found


def _no_prior(row: Summary, model: Summary) -> str:
    """Why a parameter has no range of a prior: it is assumed, derived from others, or flat."""
    if row.get("low") == row.get("high"):
        return "assumed"
    if row.get("name") in ("dropout_rate", "dropout_spend_correlation"):
        return "derived" if model.get("purchase") != "pareto_nbd" else "flat"
    return "flat"


def _range(row: Summary) -> str:
    return interval(significant(row.get("low")), significant(row.get("high")))


def check_rows(summary: Summary) -> list[list[object]]:
    """Observed against replicated statistics."""
    return [
        [
            statistic_name(row.get("statistic")),
            significant(row.get("observed")),
            significant(row.get("median")),
            _range(row),
            percent(row.get("difference"), 1, sign=True),
            yes_no(row.get("inside")),
        ]
        for row in rows(summary, "predictive_checks")
    ]


def score_rows(summary: Summary) -> list[list[object]]:
    """Hold-out scores, best first."""
    return [
        [
            model_name(row.get("model")) + (" (best)" if row.get("best") else ""),
            decimal(row.get("log_density_per_customer"), 4),
            NOTHING
            if row.get("best")
            else f"{decimal(row.get('difference'), 4, sign=True)} "
            f"± {decimal(row.get('difference_standard_error'), 4)}",
            decimal(row.get("predicted")),
            decimal(row.get("actual")),
            decimal(row.get("max_deviation"), 3),
            decimal(row.get("sharp_band"), 3),
            yes_no(row.get("inside_sharp")),
            decimal(row.get("band"), 3),
        ]
        for row in rows(part(summary, "holdout"), "scores")
    ]


def diagnostic_rows(summary: Summary) -> list[list[object]]:
    """Diagnostics of each fit."""
    return [
        [
            model_name(row.get("model")),
            decimal(row.get("draws")),
            decimal(row.get("r_hat"), 4),
            decimal(row.get("effective_bulk")),
            decimal(row.get("effective_tail")),
            decimal(row.get("divergences")),
            decimal(row.get("pareto_k"), 2),
            "; ".join(texts(row.get("failures"))) or "none",
        ]
        for row in rows(summary, "diagnostics")
    ]
