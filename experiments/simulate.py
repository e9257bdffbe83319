"""A world and a programme without fit and training: KPIs over time, perhaps against another side.

In a notebook: ``simulate("world=coffee_shop", "programme=challenge", "against=points")``. The
command writes the same to ``<runs_dir>/<name>/``.
"""

import contextlib
import dataclasses
import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.approvals import approval_facts, approval_of
from experiments.config import SimulateConfig, compose_simulate, other_side
from experiments.config_sources import places
from experiments.console import Progress
from experiments.experiment_results import experiment_facts
from experiments.market_run import PER_CUSTOMER, Comparison, MarketRun, run_markets
from experiments.model_card import assumptions
from experiments.posterior_runs import Checkpoint, check_draws, uncertainty
from experiments.run_directory import RunDirectory, plain_json, write_json
from experiments.version import version
from experiments.worlds import population_of
from sim.counterfactual import EFFECTS
from sim.metrics import period_kpis

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
_YEAR, _QUARTER = 52, 13
_SURVEY = ("answers", "promoters", "detractors")


@dataclass(frozen=True)
class Simulation:
    """What a run brought.

    Attributes
    ----------
    kpis
        One row a week: ``week``, the columns of ``sim.metrics.KPIS``, which has their units and
        meanings, and under a programme with several tiers ``tier_<name>``, the share of members
        in each.
    against
        The same of the side it is compared with; None without one.
    summary
        Configuration, KPIs by period and paired differences: what summary.json holds.
    """

    kpis: "pd.DataFrame"
    against: "pd.DataFrame | None"
    summary: dict[str, Any]

    def figure(self) -> Any:
        """KPIs over time as one plotly figure; the programme compared with in grey."""
        from experiments.report.kpis import small_multiples

        return small_multiples(self.summary, self.kpis, self.against)

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer and the KPIs by period."""
        from experiments.report.simulation import notebook_view

        return notebook_view(self.summary)


def simulate(*overrides: str, progress: Progress | None = None) -> Simulation:
    """Run a market and keep its KPIs; writes nothing.

    Parameters
    ----------
    overrides
        As on the command line, e.g. ``"world=coffee_shop"``, ``"customers=5000"``.
    progress
        Shows how far it is; None shows nothing.

    Raises
    ------
    InputError
        For an unknown key or option, or a value out of range: one line.

    Examples
    --------
    >>> run = simulate("world=coffee_shop", "programme=challenge", "against=points")
    >>> run.kpis["liability"]  # doctest: +SKIP
    """
    return simulate_config(compose_simulate(overrides), progress)


def run_simulate(config: SimulateConfig) -> Simulation:
    """Run a market, write kpis.csv, summary.json and report.html, and print the outcome.

    Nothing appears under the final name unless all of it is there.
    """
    from experiments.report.simulation import render_simulation, summary_text

    with RunDirectory(config.runs_dir, config.name) as run, Progress() as progress:
        kept = Checkpoint.of(config)
        result = simulate_config(config, progress, kept)
        with progress.stage("Write the report"):
            result.kpis.to_csv(run.path / "kpis.csv", index=False)
            if result.against is not None:
                result.against.to_csv(run.path / "kpis_against.csv", index=False)
            write_json(run.path / "summary.json", result.summary)
            page = render_simulation(result.summary, result.kpis, result.against)
            (run.path / "report.html").write_text(page, encoding="utf-8")
    kept.delete()
    print(f"{summary_text(result.summary)}\nreport   {run.final}/report.html")
    return result


def simulate_config(
    config: SimulateConfig, progress: Progress | None = None, kept: Checkpoint | None = None
) -> Simulation:
    """``simulate`` with a configuration that is composed already.

    ``kept`` takes results of posterior draws, so that an interrupted run can go on.
    """
    import numba

    if config.threads:
        numba.set_num_threads(min(config.threads, numba.config.NUMBA_NUM_THREADS))
    posterior = population_of(config)
    check_draws(config, posterior)
    other = other_side(config)
    responses = [config.response.name]
    if other is not None:
        # Where nothing moves anybody, the difference is what programmes and offers cost.
        responses = list(dict.fromkeys([*responses, "null"]))
    runs: dict[str, Comparison] = {}
    for response in responses:
        title = f"Simulate {config.world.name}, response {response}"
        with _stage(progress, title, config.warmup_weeks + config.weeks) as tick:
            closely = response == config.response.name
            runs[response] = run_markets(config, other, posterior, response, tick, closely=closely)
    result = runs[config.response.name]
    own, rival = result.run, result.against
    summary = facts(config, other) | {
        "starting_customers": own.starting,
        "points_per_member_and_week": _points_per_member(own),
        "subscription_fee": config.world.subscription.fee,
        "visits_have_baskets": posterior.spend_model != "none",
        "periods": _periods(own, rival),
        "differences": [
            {"response": response, "rows": _difference(run)}
            for response, run in runs.items()
            if run.against is not None
        ],
        "precision": _precision(result, config.customers),
        "effects": _effects(result),
        "uncertainty": None,
        "audit": _audit(config, own),
        "experiment": experiment_facts(own.governed, rival and rival.governed, CONFIDENCE),
    }
    if config.draws and other is not None:
        summary["uncertainty"] = uncertainty(config, other, posterior, CONFIDENCE, progress, kept)
    return Simulation(own.kpis, rival.kpis if rival else None, plain_json(summary))


def _stage(progress: Progress | None, title: str, total: int) -> Any:
    return progress.stage(title, total) if progress else contextlib.nullcontext(None)


# ---------------------------------------------------------------------------------- summary


def facts(config: SimulateConfig, other: SimulateConfig | None) -> dict[str, Any]:
    """What a summary says of the question itself."""
    return {
        "name": config.name,
        "version": version(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seed": config.seed,
        "world": config.world.name,
        "world_statement": statement("world", config.world.name),
        "response": config.response.name,
        "response_statement": statement("response", config.response.name),
        "programme": dataclasses.asdict(config.programme),
        "programme_statement": statement("programme", config.programme.name),
        "against": None if other is None else dataclasses.asdict(other.programme),
        "policy": config.policy,
        "policy_against": None if other is None else other.policy,
        "posterior": config.posterior,
        "off": list(config.off),
        "customers": config.customers,
        "weeks": config.weeks,
        "warmup_weeks": config.warmup_weeks,
        "confidence": CONFIDENCE,
        "assumptions": assumptions(config),
    }


def statement(group: str, name: str) -> str:
    """What an option says of itself: the comment that opens its file; empty without one."""
    source = places(group).get(name)
    if source is None:
        return ""
    lines = (source.root / group / f"{name}.yaml").read_text("utf-8").splitlines()
    opening = []
    for line in lines:
        if not line.startswith("#"):
            break
        opening.append(line.lstrip("# ").strip())
    return " ".join(opening)


def _points_per_member(run: MarketRun) -> float | None:
    member_weeks = float(run.frame["members"].sum())
    return float(run.frame["points_earned"].sum()) / member_weeks if member_weeks else None


def _periods(run: MarketRun, rival: MarketRun | None) -> list[dict[str, Any]]:
    """KPIs of the first and the last year, or quarter of a shorter run, and of all weeks.

    ``first`` and ``last`` count the weeks of the run from 1; ``survey`` counts the answers that the
    net promoter score is of.
    """
    weeks = len(run.frame)
    length = _YEAR if weeks >= 2 * _YEAR else _QUARTER
    spans = [(0, weeks)]
    if weeks >= 2 * length:
        spans = [(0, length), (weeks - length, weeks), *spans]
    return [
        {
            "first": first + 1,
            "last": last,
            "kpis": period_kpis(run.frame.iloc[first:last]),
            "against": None if rival is None else period_kpis(rival.frame.iloc[first:last]),
            "survey": {name: int(run.frame[name].iloc[first:last].sum()) for name in _SURVEY},
        }
        for first, last in spans
    ]


def _difference(result: Comparison) -> list[dict[str, Any]]:
    """Sums per customer of both sides and their paired difference: same customers, same luck."""
    rows = []
    assert result.against is not None
    for what in PER_CUSTOMER:
        ours, theirs = result.run.per_customer[what], result.against.per_customer[what]
        sides = {"run": float(ours.mean()), "against": float(theirs.mean())}
        rows.append({"what": what, **sides, **result.lift(what, confidence=CONFIDENCE)._asdict()})
    return rows


def _precision(result: Comparison, customers: int) -> list[dict[str, Any]]:
    """What common luck saves; see ``sim.uncertainty.variance_reduction``.

    ``customers`` are those needed for the same precision on independent luck. ``exact``: the
    difference is the same for every customer, so no number of customers would do.
    """
    rows = []
    for what, saved in result.saved.items():
        if saved.independent == 0:
            continue
        exact = saved.common == 0
        rows.append(
            {
                "what": what,
                "exact": exact,
                "standard_error": math.sqrt(saved.common),
                "standard_error_independent": math.sqrt(saved.independent),
                "standard_error_different": math.sqrt(saved.different),
                "factor": saved.factor,
                "low": saved.independent_low,
                "high": saved.independent_high,
                "customers": None if exact else math.ceil(customers * saved.factor),
                "different_factor": saved.different_factor,
                "different_low": saved.different_low,
                "different_high": saved.different_high,
            }
        )
    return rows


def _effects(result: Comparison) -> list[dict[str, Any]]:
    """Total, direct and spill-over by outcome; empty where nobody answers to anybody."""
    if result.pair is None or result.pair.direct is None:
        return []
    return [
        {
            "what": what,
            **{effect: result.lift(what, effect, CONFIDENCE)._asdict() for effect in EFFECTS},
        }
        for what in PER_CUSTOMER
    ]


def _audit(config: SimulateConfig, run: MarketRun) -> Mapping[str, Any] | None:
    """What the constraints did to the policy; None where no offers are made."""
    governed = run.governed
    if governed is None or governed.audit is None:
        return None
    return {
        "violations": governed.audit.total_violations,
        "violations_by_constraint": dict(governed.audit.violations),
        "constraint_ledger": governed.audit.rows(),
        "approval": approval_facts(
            approval_of(config.constraints, config.approvals), config.constraints
        ),
        "override_rate": governed.override_rate,
        "peak_reserved_share": governed.audit.peak_reserved_share,
    }
