"""Which programme and which policy? Every pair on the same customers, in every response world.

In a notebook: ``recommend("world=coffee_shop", "budget=0.4")``. The command writes the same to
``<runs_dir>/<name>/``.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.records import Customers
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters
from envs.decision import GovernedPolicy, Policy
from envs.task import OfferTask
from experiments.choice import Ranked, rank, turns
from experiments.config import RecommendConfig, compose_recommend, load_option
from experiments.console import Progress
from experiments.kept_run import keep_logs, resumable
from experiments.run_directory import plain_json, write_json
from experiments.training_task import told
from experiments.version import version
from experiments.worlds import build_world, draw_customers, warm_up
from policies.catalogue import build_policy, compile_for, entry, learn_in_time
from policies.training_run import TrainingRun
from sim.counterfactual import Branch, paired, run_branches
from sim.metrics import Estimate, paired_mean
from sim.world import World

_SCALES = (0.5, 2.0)
_FINALISTS = 4
_LEAST_POOL = 20  # training customers of each market
_NOTHING = "no_programme"
_MAY_CHANGE = ("beliefs", "confidence", "customers")  # by a run that goes on
_MINOR = 100.0


class Choice(NamedTuple):
    """A programme and a policy."""

    programme: str
    policy: str

    @property
    def name(self) -> str:
        """As reports write it."""
        return f"{self.programme} with {self.policy}"


class _Study(NamedTuple):
    """What is compared: worlds by programme and, in the order of ``responses``, response world."""

    config: RecommendConfig
    markets: Mapping[str, tuple[World, ...]]
    policies: Mapping[Choice, Policy]
    show: Progress


def recommend(*overrides: str, progress: Progress | None = None) -> dict[str, Any]:
    """Compare and choose; writes nothing. Returns what summary.json holds.

    Parameters
    ----------
    overrides
        As on the command line, e.g. ``"world=coffee_shop"``, ``"budget=0.4"``.
    progress
        Shows how far it is; None shows nothing.

    Raises
    ------
    InputError
        For an unknown key or option, or a value out of range: one line.
    """
    return recommend_config(compose_recommend(overrides), progress)


def run_recommend(config: RecommendConfig) -> dict[str, Any]:
    """Compare, write summary.json and report.html, and print the outcome.

    Trainings are kept until all is done (``experiments.kept_run.resumable``); their logs and
    TensorBoard stay in the run's folder.
    """
    from experiments.report.recommend import render_recommendation, summary_text

    with (
        Progress() as progress,
        resumable(config, _options(config), _MAY_CHANGE, progress.note) as (run, kept),
    ):
        summary = recommend_config(config, progress, kept)
        keep_logs(kept, run.path)
        write_json(run.path / "summary.json", summary)
        page = render_recommendation(summary)
        (run.path / "report.html").write_text(page, encoding="utf-8")
    print(f"{summary_text(summary)}\nreport   {run.final}/report.html")
    return summary


def recommend_config(
    config: RecommendConfig, progress: Progress | None = None, kept: Path | None = None
) -> dict[str, Any]:
    """``recommend`` with a configuration that is composed already.

    Parameters
    ----------
    kept
        Folder in which trainings are kept, so that an interrupted run goes on; None keeps nothing.
    """
    import numba

    if config.threads:
        numba.set_num_threads(min(config.threads, numba.config.NUMBA_NUM_THREADS))
    show = progress or Progress()
    markets = _markets(config)
    study = _Study(config, markets, _policies(config, markets, show, kept), show)
    choices = [Choice(*pair) for pair in product(config.programmes, config.policies)]
    weights = _beliefs(config)
    gains, facts = _gains(study, choices, config.constraints, "Compare")
    ranked = rank(gains, weights, config.confidence)
    answer = ranked.order[0]
    first = [choices[at] for at in ranked.order[:2]]
    title = "Confirm on other customers"
    fresh, again = _gains(study, first, config.constraints, title, cohort=1)
    budgets, others = _other_budgets(study, choices, ranked, weights)
    confirmed = np.einsum("cwn,w->cn", fresh, weights)
    summary = {
        "name": config.name,
        "version": version(),
        "world": config.world.name,
        "weekly_budget": (config.constraints.offer_budget.weekly_per_customer or 0) / _MINOR,
        "constraints": config.constraints.name,
        "customers": config.customers,
        "weeks": config.weeks,
        "seed": config.seed,
        "minutes": config.minutes,
        "confidence": config.confidence,
        "responses": list(config.responses),
        "beliefs": weights.tolist(),
        "choices": _rows(choices, ranked, gains, facts),
        "confirmed": {
            **_interval(paired_mean(confirmed[0], config.confidence)),
            "ahead": _interval(paired_mean(confirmed[0] - confirmed[1], config.confidence)),
        },
        "turns": [
            {
                "response": config.responses[turn.world],
                **choices[turn.choice]._asdict(),
                **_interval(turn.gain),
                "belief": turn.belief,
            }
            for turn in turns(gains, weights, answer, config.confidence)
        ],
        "budgets": budgets,
        "violations": sum(fact["violations"] for fact in (*facts, *again, *others)),
    }
    plain: dict[str, Any] = plain_json(summary)
    return plain


def _options(config: RecommendConfig) -> dict[str, tuple[str, ...]]:
    return {"programme": (_NOTHING, *config.programmes), "response": tuple(config.responses)}


def _beliefs(config: RecommendConfig) -> NDArray[np.float64]:
    if config.beliefs is None:
        return np.full(len(config.responses), 1.0 / len(config.responses))
    return np.array(config.beliefs, dtype=np.float64)


def _markets(config: RecommendConfig) -> dict[str, tuple[World, ...]]:
    """Every market, no programme among them; options are read once each."""
    posterior = config.world.population.posterior
    worlds = [build_world(config, posterior, name) for name in config.responses]
    programmes = {name: load_option("programme", name) for name in (_NOTHING, *config.programmes)}
    return {
        name: tuple(world._replace(programme=programme) for world in worlds)
        for name, programme in programmes.items()
    }


def _policies(
    config: RecommendConfig,
    markets: Mapping[str, tuple[World, ...]],
    show: Progress,
    kept: Path | None,
) -> dict[Choice, Policy]:
    """The policy of every choice.

    Those that learn do so over all response worlds, and over all programmes that have the same
    offers: where there is no programme nobody can be given points.
    """
    by_offers: dict[tuple[str, ...], list[str]] = {}
    for programme in config.programmes:
        by_offers.setdefault(markets[programme][0].table.labels, []).append(programme)
    found: dict[Choice, Policy] = {}
    learned = [name for name in config.policies if entry(name).learned]
    for programmes in by_offers.values():
        task = _training_task(config, markets, programmes) if learned else None
        for name in config.policies:
            if task is None or name not in learned:
                policy = build_policy(name, config.seed)
            else:
                title = f"Train {name} for {', '.join(programmes)}"
                with show.stage(f"Compile {name}"):
                    compile_for(name, task, config.seed)
                folder = None if kept is None else kept / "-".join(("train", name, *programmes))
                with (
                    show.stage(title, 1.0) as tick,
                    TrainingRun(folder, seconds=config.minutes * 60) as run,
                ):
                    run.tell = told(tick, run.progress)
                    policy = learn_in_time(name, task, config.seed, run)
            found |= {Choice(programme, name): policy for programme in programmes}
    return found


def _training_task(
    config: RecommendConfig, markets: Mapping[str, tuple[World, ...]], programmes: Sequence[str]
) -> OfferTask:
    posterior = config.world.population.posterior
    worlds: list[World] = []
    pools: list[Customers] = []
    share = max(config.pool // (len(programmes) * len(config.responses)), _LEAST_POOL)
    for programme in programmes:
        for world, idle in zip(markets[programme], markets[_NOTHING], strict=True):
            pool = draw_customers(config, posterior, "train", share, cohort=len(pools))
            warm_up(idle, pool, derive_seed(config.seed, "train"), config.warmup_weeks)
            worlds.append(world)
            pools.append(pool)
    return OfferTask(
        tuple(worlds), tuple(pools), config.constraints, horizon=config.weeks, paired=True
    )


def _gains(
    study: _Study,
    choices: list[Choice],
    constraints: ConstraintParameters,
    title: str,
    cohort: int = 0,
) -> tuple[NDArray[np.float64], list[dict[str, Any]]]:
    """Gains above no programme and no offers, shape (choices, worlds, customers), and facts."""
    config = study.config
    posterior = config.world.population.posterior
    key = derive_seed(config.seed, "evaluate")
    n = config.customers
    gains = np.zeros((len(choices), len(config.responses), n))
    facts: list[dict[str, Any]] = [
        {"settled": 0.0, "violations": 0, "contacts": 0.0, "alive": 0.0} for _ in choices
    ]
    with study.show.stage(title, len(config.responses) * config.weeks) as tick:
        for at, idle in enumerate(study.markets[_NOTHING]):
            customers = draw_customers(config, posterior, "evaluate", n, cohort=cohort)
            friends = warm_up(idle, customers, key, config.warmup_weeks).network
            governed = [
                GovernedPolicy(deepcopy(study.policies[one]), constraints, n) for one in choices
            ]
            control, *treated = run_branches(
                [
                    Branch("reference", idle),
                    *(
                        Branch(one.name, study.markets[one.programme][at], decider)
                        for one, decider in zip(choices, governed, strict=True)
                    ),
                ],
                customers,
                key,
                config.weeks,
                network=friends,
                tell=tick,
            )
            for choice, run in enumerate(treated):
                gains[choice, at] = paired(run, control).lift("profit") / _MINOR
                audit = governed[choice].audit
                fact = facts[choice]
                fact["violations"] += 0 if audit is None else audit.total_violations
                share = 1.0 / len(config.responses)
                fact["settled"] += share * float(run.totals.settled.mean()) / _MINOR
                fact["contacts"] += share * float(run.totals.contacts.mean())
                fact["alive"] += share * float(run.totals.outcome("alive").mean())
    return gains, facts


def _rows(
    choices: list[Choice], ranked: Ranked, gains: NDArray[np.float64], facts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """One row a choice, best first."""
    means = gains.mean(axis=2)
    return [
        {
            **choices[at]._asdict(),
            **_interval(expected),
            "behind": behind.mean,
            "behind_low": behind.low,
            "behind_high": behind.high,
            "regret": regret,
            "by_response": means[at].tolist(),
            **facts[at],
        }
        for at, expected, behind, regret in zip(*ranked, strict=True)
    ]


def _other_budgets(
    study: _Study, choices: list[Choice], ranked: Ranked, weights: NDArray[np.float64]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The best choice with half and twice the budget, and the facts of all that were compared."""
    config = study.config
    weekly = config.constraints.offer_budget.weekly_per_customer
    if weekly is None:
        return [], []
    finalists = [choices[at] for at in ranked.order[:_FINALISTS]]
    rows, facts = [], []
    for scale in _SCALES:
        budget = replace(config.constraints.offer_budget, weekly_per_customer=weekly * scale)
        limits = replace(config.constraints, offer_budget=budget)
        title = f"Budget x {scale:g}"
        gains, found = _gains(study, finalists, limits, title)
        facts += found
        best = rank(gains, weights, config.confidence)
        rows.append(
            {
                "weekly_budget": weekly * scale / _MINOR,
                **finalists[best.order[0]]._asdict(),
                **_interval(best.expected[0]),
            }
        )
    return rows, facts


def _interval(estimate: Estimate) -> dict[str, float]:
    return {"gain": estimate.mean, "low": estimate.low, "high": estimate.high}
