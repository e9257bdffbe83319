"""Which assumptions drive the answer: screening, spread, variance and swings of its KPIs.

In a notebook: ``sensitivity("world=coffee_shop", "programme=challenge", "against=points")``. The
command writes the same to ``<runs_dir>/<name>/``; a run that is interrupted goes on where it was.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import InputError
from experiments.config import SensitivityConfig, compose_sensitivity, other_side
from experiments.config_messages import unknown_choice
from experiments.console import Progress
from experiments.market_run import PER_CUSTOMER
from experiments.run_directory import RunDirectory, plain_json, write_json
from experiments.sensitivity_assumptions import Assumption, choose
from experiments.sensitivity_indices import (
    RESAMPLES,
    STANDARD_ERRORS,
    Screening,
    Shares,
    drivers,
    hypercube,
    ranked,
    saltelli,
    screen,
    seed_of,
    shares,
    trajectories,
)
from experiments.sensitivity_results import KpiResult, indices_of, row_of, table_of
from experiments.sensitivity_runs import INCREMENTAL, Evaluator, outcome
from experiments.sensitivity_store import Store, fingerprint
from experiments.simulate import CONFIDENCE, facts
from sim.metrics import KPIS, paired_mean

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sensitivity:
    """What an analysis brought.

    Attributes
    ----------
    table
        One row per KPI and assumption that was varied: indices, intervals, noise, verdict. The
        file sensitivity.csv.
    summary
        All of it with the question and the design: what summary.json holds.
    markets
        Names of the markets that were asked for, in that order.
    """

    table: "pd.DataFrame"
    summary: dict[str, Any]
    markets: tuple[str, ...]

    def figure(self) -> Any:
        """The tornado as a plotly figure: the answer at either end of each strong assumption."""
        from plotly.graph_objects import Figure

        from experiments.report.sensitivity_figures import tornado

        return Figure(tornado(self.summary))

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer and the assumptions that were varied."""
        from experiments.report.sensitivity import notebook_view

        return notebook_view(self.summary)


def sensitivity(*overrides: str, progress: Progress | None = None) -> Sensitivity:
    """Probe a simulation's answer; writes nothing.

    Parameters
    ----------
    overrides
        As on the command line, e.g. ``"world=coffee_shop"``, ``"only=[membership]"``.
    progress
        Shows how far it is; None shows nothing.

    Raises
    ------
    InputError
        For an unknown key or option, or a value out of range: one line.

    Examples
    --------
    >>> run = sensitivity("programme=tiered", "against=no_programme")  # doctest: +SKIP
    >>> run.table.query("kpi == 'incremental_profit'")  # doctest: +SKIP
    """
    return sensitivity_config(compose_sensitivity(overrides), None, progress)


def run_sensitivity(config: SensitivityConfig) -> Sensitivity:
    """Probe, write sensitivity.csv, summary.json, report.html and markets.csv, print the outcome.

    Nothing appears under the final name unless all of it is there. Finished markets stand in
    ``<runs_dir>/<name>.unfinished/`` until then; the same command goes on with them.
    """
    from experiments.report.sensitivity import render_sensitivity, summary_text

    _check_kpis(config)
    choose(config)
    with RunDirectory(config.runs_dir, config.name) as run, Progress() as progress:
        folder = run.final.with_name(f"{run.final.name}.unfinished")
        with Store(folder, fingerprint(config), run.final / "markets.csv") as store:
            result = _kept(config, store, progress)
            with progress.stage("Write the report"):
                result.table.to_csv(run.path / "sensitivity.csv", index=False)
                write_json(run.path / "summary.json", result.summary)
                text = store.text(result.markets)
                (run.path / "markets.csv").write_text(text, encoding="utf-8")
                page = render_sensitivity(result.summary)
                (run.path / "report.html").write_text(page, encoding="utf-8")
    store.delete()
    print(f"{summary_text(result.summary)}\nreport   {run.final}/report.html")
    return result


def _kept(config: SensitivityConfig, store: Store, progress: Progress) -> Sensitivity:
    if store.anew:
        progress.note(f"{store.folder}: of another configuration, begun anew")
    elif store.kept:
        progress.note(f"{len(store.kept):,} markets are there from before")
    try:
        return sensitivity_config(config, store, progress)
    except KeyboardInterrupt:
        progress.note(
            f"{len(store.kept):,} markets are kept in {store.folder}: the same command goes on"
        )
        raise


def sensitivity_config(
    config: SensitivityConfig, store: Store | None = None, progress: Progress | None = None
) -> Sensitivity:
    """``sensitivity`` with a configuration that is composed already."""
    _check_kpis(config)
    chosen = choose(config)
    varied = chosen.varied
    with Evaluator(config, varied, store, progress) as evaluate:
        base = evaluate("Luck at the defaults", [{}], config.luck_cohorts)[0]
        screenings = _screen(config, varied, evaluate)
        few = _few(config, screenings[config.kpis[0]])
        swung = _swings(config, varied, screenings[config.kpis[0]], evaluate)
        spread = _spread(config, varied, evaluate)
        varying, variances = _variance(config, [varied[at] for at in few], evaluate)
    found = {
        kpi: KpiResult(
            kpi,
            outcome(kpi, base),
            screenings[kpi],
            variances.get(kpi),
            None if spread is None else outcome(kpi, spread).mean(axis=1),
            None if varying is None else outcome(kpi, varying).mean(axis=1),
        )
        for kpi in config.kpis
    }
    answer = found[config.kpis[0]]
    rows = [
        row_of(config, kpi, one, at, few) for kpi in found.values() for at, one in enumerate(varied)
    ]
    summary = _question(config) | {
        "kpis": [kpi.summary() for kpi in found.values()],
        "assumptions": [
            dataclasses.asdict(one)
            | {
                "kpis": {row["kpi"]: indices_of(row) for row in rows if row["key"] == one.key},
                "swing": swung.get(one.key),
            }
            for one in varied
        ],
        "left_out": [one._asdict() for one in chosen.left_out],
        "ranking": [varied[at].key for at in ranked(answer.screening)] if answer.screening else [],
        "sobol": [varied[at].key for at in few],
        "spread": None if answer.spread is None else sorted(answer.spread.tolist()),
        "design": {
            "trajectories": config.trajectories,
            "levels": config.levels,
            "draws": config.hypercube,
            "samples": config.samples,
            "cover": config.cover,
            "most": config.most,
            "resamples": RESAMPLES,
            "standard_errors": STANDARD_ERRORS,
            "points": evaluate.points,
            "markets": len(evaluate.used),
        },
    }  # fmt: skip
    return Sensitivity(table_of(rows), plain_json(summary), tuple(evaluate.used))


# ------------------------------------------------------------------------------------- stages


def _points(varied: Sequence[Assumption], design: NDArray[np.float64]) -> list[dict[str, float]]:
    return [
        {one.key: one.at(float(place)) for one, place in zip(varied, row, strict=True)}
        for row in design
    ]


def _screen(
    config: SensitivityConfig, varied: Sequence[Assumption], evaluate: Evaluator
) -> dict[str, Screening | None]:
    names = [one.key for one in varied]
    seed = seed_of(config.seed, "morris")
    design = trajectories(names, config.trajectories, config.levels, seed)
    title = f"Screen {len(varied)} assumptions (Morris)"
    markets = evaluate(title, _points(varied, design), config.cohorts)
    return {
        kpi: screen(names, design, outcome(kpi, markets), config.levels, CONFIDENCE, seed)
        for kpi in config.kpis
    }


def _few(config: SensitivityConfig, screening: Screening | None) -> list[int]:
    return [] if screening is None else drivers(screening, config.cover, config.most)


def _swings(
    config: SensitivityConfig,
    varied: Sequence[Assumption],
    screening: Screening | None,
    evaluate: Evaluator,
) -> dict[str, Any]:
    """The answer at either end of the strongest assumptions, the others at their defaults."""
    order = [] if screening is None else ranked(screening)[: config.swings]
    moved = [varied[at] for at in order if screening is not None and screening.mu_star[at] > 0]
    ends = [{one.key: end} for one in moved for end in (one.low, one.high)]
    title = f"Swing {len(moved)} of them to either end"
    markets = evaluate(title, [{}, *ends], config.luck_cohorts)
    base, *values = outcome(config.kpis[0], markets)
    pairs = zip(moved, values[::2], values[1::2], strict=True)
    return {
        one.key: {
            name: {
                "value": end,
                **paired_mean(y, CONFIDENCE)._asdict(),
                "difference": paired_mean(y - base, CONFIDENCE)._asdict(),
            }
            for name, end, y in (("low", one.low, low), ("high", one.high, high))
        }
        for one, low, high in pairs
    }


def _spread(
    config: SensitivityConfig, varied: Sequence[Assumption], evaluate: Evaluator
) -> NDArray[np.float64]:
    names = [one.key for one in varied]
    design = hypercube(names, config.hypercube, seed_of(config.seed, "latin"))
    return evaluate("All assumptions at once", _points(varied, design), config.cohorts)


def _variance(
    config: SensitivityConfig, few: Sequence[Assumption], evaluate: Evaluator
) -> tuple[NDArray[np.float64] | None, dict[str, Shares | None]]:
    if not few:
        return None, {}
    names = [one.key for one in few]
    seed = seed_of(config.seed, "sobol")
    design = saltelli(names, config.samples, seed)
    title = f"Variance by the {len(few)} strongest (Sobol)"
    markets = evaluate(title, _points(few, design), config.cohorts)
    found = {
        kpi: shares(names, outcome(kpi, markets).mean(axis=1), CONFIDENCE, seed)
        for kpi in config.kpis
    }
    # The first and the last row of each block are independent draws; those between share values.
    block = len(few) + 2
    return markets[np.arange(len(design)) % block % (block - 1) == 0], found


# ------------------------------------------------------------------------------------ question


def _question(config: SensitivityConfig) -> dict[str, Any]:
    return facts(config, other_side(config)) | {
        "only": list(config.only),
        "status": list(config.status),
        "cohorts": config.cohorts,
        "luck_cohorts": config.luck_cohorts,
    }


def _check_kpis(config: SensitivityConfig) -> None:
    known = [f"{INCREMENTAL}{name}" for name in PER_CUSTOMER] + [kpi.name for kpi in KPIS]
    for name in config.kpis:
        if name not in known:
            raise InputError(unknown_choice("kpis", name, known))
        if name.startswith(INCREMENTAL) and config.against is None:
            raise InputError(
                f"kpis: {name} is a difference; name what to compare with as against=…, or leave "
                "incremental KPIs out"
            )
