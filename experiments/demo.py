"""The main job: log, posterior, population, market, policy, evaluation, bundle, scores, report."""

import datetime
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, fields
from typing import Any

import numba
import numpy as np

from agents.calibration.log import TransactionLog
from agents.calibration.posterior import Posterior
from agents.rng import derive_seed
from envs.constraints.masks import blocking, limits_record
from envs.decision import GovernedPolicy
from envs.features import feature_facts, observe
from envs.task import OfferTask
from experiments.approvals import approval_facts, approval_of
from experiments.budget_modes import budget_modes, budget_modes_steps
from experiments.config import DemoConfig
from experiments.console import Progress, print_summary
from experiments.evaluation import evaluate, evaluation_steps
from experiments.fidelity import observed_and_simulated
from experiments.logs import data_facts, load_data
from experiments.model_card import assumptions, model_card
from experiments.report import render_report
from experiments.run_directory import RunDirectory, write_json
from experiments.scoring import score_transactions
from experiments.version import version
from experiments.worlds import build_world, draw_customers, warm_up
from policies.heuristics import Triggers
from sim.market import LoyaltyMarket

_PARITY_CUSTOMERS = 500
_PARITY_WEEKS = 26
_PARITY_ROWS = 100_000
_GOLDEN_ROWS = 256
_VALUE_CUSTOMERS = 4000


def run_demo(config: DemoConfig) -> dict[str, Any]:
    """Run everything and write it to ``<runs_dir>/<name>/``; returns the summary.

    Nothing appears under the final name unless all of it is there.
    """
    begun = time.perf_counter()
    if config.threads:
        numba.set_num_threads(min(config.threads, numba.config.NUMBA_NUM_THREADS))
    with RunDirectory(config.runs_dir, config.name) as run, Progress() as progress:
        summary = _Job(config, run.path, str(run.final), progress).run()
        summary["seconds"] = round(time.perf_counter() - begun, 1)
        summary["stages"] = {name: round(took, 1) for name, took in progress.seconds.items()}
        (run.path / "report.html").write_text(render_report(summary), encoding="utf-8")
        write_json(run.path / "summary.json", summary)
    print_summary(summary)
    return summary


class _Job:
    """The stages, in order; each leaves what later ones need."""

    def __init__(self, config: DemoConfig, path: Any, final: str, progress: Progress) -> None:
        self.config = config
        self.path = path
        self.final = final
        self.progress = progress
        self.approval = approval_of(config.constraints, config.approvals)

    def _stage(
        self, title: str, total: int | None = None
    ) -> AbstractContextManager[Callable[..., None]]:
        return self.progress.stage(title, total=total)

    def run(self) -> dict[str, Any]:
        """All stages; returns the summary without run times."""
        with self._stage("Load the log"):
            log = load_data(self.config.data, self.progress.note)
        posterior, fitted = self._fit(log)
        fidelity = self._compare(log, posterior)
        market = self._market(posterior)
        training = self._train(posterior)
        scorer, parity = self._export(posterior, training)
        rows = self._evaluate(posterior, scorer)
        modes = self._modes(posterior, scorer)
        self._write_card(rows, log)
        scored = self._score(scorer, log)
        config = self.config
        budget = config.constraints.offer_budget.weekly_per_customer
        cap = config.constraints.contact_cap
        table = scorer.table
        return {
            "name": config.name,
            "version": version(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seed": config.seed,
            "data": data_facts(self.config.data, log),
            "posterior": fitted,
            "observed_vs_simulated": fidelity,
            "market": market,
            "programme": asdict(config.programme),
            "offer_table": [
                {
                    "action": at,
                    "offer": label.partition("/")[0],
                    "channel": label.partition("/")[2],
                    "kind": self._kind(label),
                    "commitment": int(table.commitment[at]) / 100,
                }
                for at, label in enumerate(table.labels)
            ],
            "constraints": {
                "offer_budget_weekly": None
                if budget is None
                else budget * config.evaluate.customers / 100,
                "contact_cap": "none"
                if cap is None
                else f"{cap.contacts} contacts in {cap.weeks} weeks",
                "consent": config.constraints.consent,
                "vulnerable": config.constraints.vulnerable,
                "approval": approval_facts(self.approval, config.constraints),
            },
            "budget_modes": modes,
            "features": feature_facts(self.config.constraints.features),
            "training": training["facts"],
            "evaluation": {
                "customers": config.evaluate.customers,
                "weeks": config.evaluate.weeks,
                "warmup_weeks": config.evaluate.warmup_weeks,
                "confidence": config.evaluate.confidence,
            },
            "policies": rows,
            "onnx_max_abs_diff": parity.max_abs_diff,
            "onnx_rows": parity.rows,
            "actions_identical": parity.actions_identical,
            "onnx_ties": parity.differing,
            "scored": scored,
            "assumptions": assumptions(config),
            "bundle": f"{self.final}/bundle",
            "report": f"{self.final}/report.html",
            "offers": f"{self.final}/offers.csv",
        }

    # ------------------------------------------------------------------- data and posterior

    def _fit(self, log: TransactionLog) -> tuple[Posterior, dict[str, Any]]:
        from agents.calibration.fit import fit

        calibration = self.config.calibration
        with self._stage("Fit purchases, dropout and spend"):
            posterior = fit(
                log,
                calibration.model,
                calibration.spend,
                draws=calibration.draws,
                seed=self.config.seed % 2**32,
            )
            posterior.save(self.path / "posterior.nc")
        low, high = 0.025, 0.975
        return posterior, {
            "purchase_model": posterior.purchase_model,
            "spend_model": posterior.spend_model,
            "reason": posterior.attributes.get("choice", ""),
            "file": f"{self.final}/posterior.nc",
            "parameters": {
                name: {
                    "mode": float(values[0]),
                    "low": float(np.quantile(values[1:], low)) if values.size > 1 else None,
                    "high": float(np.quantile(values[1:], high)) if values.size > 1 else None,
                }
                for name, values in posterior.parameters.items()
            },
        }

    def _compare(self, log: TransactionLog, posterior: Posterior) -> list[dict[str, Any]]:
        with self._stage("Compare the population with the log", log.weeks) as tick:
            return observed_and_simulated(self.config, log, posterior, tick)

    # --------------------------------------------------------------------------- the market

    def _market(self, posterior: Posterior) -> dict[str, Any]:
        config = self.config
        world = build_world(config, posterior, config.response.name)
        key = derive_seed(config.seed, "world")
        weeks = config.evaluate.warmup_weeks + config.evaluate.weeks
        n = config.evaluate.customers
        with self._stage("Run the market", weeks + 2 * _PARITY_WEEKS) as tick:
            customers = draw_customers(config, posterior, "population", n)
            decider = GovernedPolicy(Triggers(), config.constraints, n)
            market = LoyaltyMarket(world, customers, key, decider=decider)
            for _ in range(weeks):
                market.step()
                tick()
            market.finish()
            few = min(n, _PARITY_CUSTOMERS)
            ends = []
            for mode in ("engine", "agents"):
                cohort = draw_customers(config, posterior, "population", few)
                firm = GovernedPolicy(Triggers(), config.constraints, few)
                twin = LoyaltyMarket(
                    world, cohort, key, "agents" if mode == "agents" else "engine", firm
                )
                for _ in range(_PARITY_WEEKS):
                    twin.step()
                    tick()
                ends.append([part.tobytes() for part in twin.customers])
        if ends[0] != ends[1]:
            raise AssertionError("Mesa agents and engine disagree: please report this")
        frame = market.datacollector.get_model_vars_dataframe()
        members = customers.account["enrolled"] > 0
        tiers = np.bincount(
            customers.account["tier"][members], minlength=len(config.programme.tiers)
        )
        expired = int(frame["points_expired"].sum())
        redeemed = int(frame["points_redeemed"].sum())
        return {
            "weeks": frame["week"].tolist(),
            "purchases_per_customer": (frame["purchases"] / n).round(5).tolist(),
            "liability": (frame["liability"] / 1e8).round(2).tolist(),
            "points_earned": frame["points_earned"].tolist(),
            "points_redeemed": frame["points_redeemed"].tolist(),
            "points_expired": frame["points_expired"].tolist(),
            "tier_share": {
                tier.name: float(count / max(members.sum(), 1))
                for tier, count in zip(config.programme.tiers, tiers, strict=True)
            },
            "breakage_share": expired / (expired + redeemed) if expired + redeemed else None,
            "policy": "triggers",
            "mesa_equals_engine": True,
            "mesa_customers": few,
            "mesa_weeks": _PARITY_WEEKS,
        }

    # ------------------------------------------------------------------- policy and bundle

    def _train(self, posterior: Posterior) -> dict[str, Any]:
        from policies.ppo.training import PpoParameters, learn_ppo
        from policies.training_run import TrainingRun
        from policies.values import learn_values

        config, plan = self.config, self.config.train
        worlds = tuple(build_world(config, posterior, name) for name in plan.responses)
        key = derive_seed(config.seed, "train")
        begun = time.perf_counter()
        shared = {field.name for field in fields(plan)} & {f.name for f in fields(PpoParameters)}
        settings = PpoParameters(**{name: getattr(plan, name) for name in shared})
        with self._stage("Train MaskablePPO", plan.total_steps) as tick:
            pool = draw_customers(config, posterior, "train", plan.pool)
            warm_up(worlds[0], pool, key, config.evaluate.warmup_weeks)
            task = OfferTask(
                worlds, pool, config.constraints, horizon=config.evaluate.weeks, paired=True
            )
            run = TrainingRun(tell=lambda row: tick(plan.rollout_size))
            policy = learn_ppo(task, settings, int(key) % 2**31, run)
        with self._stage("Learn the value of offers"):
            chosen = pool.take(slice(0, _VALUE_CUSTOMERS))
            values = learn_values(
                worlds,
                chosen,
                derive_seed(config.seed, "plan"),
                allowed=config.constraints.features,
            )
        return {
            "scores": policy.module,
            "values": values,
            "pool": pool,
            "world": worlds[0],
            "facts": {
                "algorithm": plan.algorithm,
                "steps": int(run.history[-1]["step"]),
                "seconds": round(time.perf_counter() - begun, 1),
                "responses": list(plan.responses),
                "history": run.history,
            },
        }

    def _export(self, posterior: Posterior, training: dict[str, Any]) -> tuple[Any, Any]:
        from policies.export.bundle import TOLERANCE, ScoringModel, compare, write_bundle
        from policies.scoring.scorer import Scorer

        config = self.config
        world, pool = training["world"], training["pool"]
        model = ScoringModel(training["scores"], training["values"]).eval()
        folder = self.path / "bundle"
        folder.mkdir()
        with self._stage("Export and verify the bundle"):
            mask = blocking(
                pool.account,
                pool.profile,
                world.table,
                limits_record(config.constraints, world.table.categories),
            )
            week = int(pool.state["week"][0])
            write_bundle(
                folder,
                model,
                world,
                config.constraints,
                pool.profile[:_GOLDEN_ROWS],
                week,
                mask[:_GOLDEN_ROWS] == 0,
                {
                    "name": config.name,
                    "seed": config.seed,
                    "trained_in": list(config.train.responses),
                    "steps": training["facts"]["steps"],
                    "data": config.data.source,
                },
                "The model card is written after the evaluation.\n",
                self.approval,
            )
            # An experiment's limits may be looked at here; `loyaltylab score` refuses them.
            scorer = Scorer(folder, experiment=self.approval is None)
            rows, masks = self._parity_rows(posterior, world)
            parity = compare(model, scorer.bundle.session, rows, masks)
        if parity.largest_gap > TOLERANCE:  # closer scores than that are ties
            raise AssertionError("ONNX and torch choose different actions: the export is wrong")
        return scorer, parity

    def _parity_rows(self, posterior: Posterior, world: Any) -> tuple[Any, Any]:
        """Real observations and masks, at least 100,000 rows, of a market with offers."""
        config = self.config
        n = 10_000
        customers = draw_customers(config, posterior, "population", n)
        decider = GovernedPolicy(Triggers(), config.constraints, n)
        market = LoyaltyMarket(world, customers, derive_seed(config.seed, "plan"), decider=decider)
        limits = limits_record(config.constraints, world.table.categories)
        rows, masks = [], []
        for _ in range(_PARITY_ROWS // n):
            market.advance(4)
            rows.append(
                observe(
                    customers.profile,
                    market.week,
                    market.engine.rules,
                    allowed=config.constraints.features,
                )
            )
            masks.append(blocking(customers.account, customers.profile, world.table, limits) == 0)
        return np.concatenate(rows), np.concatenate(masks)

    def _evaluate(self, posterior: Posterior, scorer: Any) -> list[dict[str, Any]]:
        from policies.scoring.scorer import OnnxPolicy

        learned = OnnxPolicy("maskable_ppo", scorer.bundle)
        with self._stage("Evaluate the policies", evaluation_steps(self.config)) as tick:
            return evaluate(self.config, posterior, learned, tick)

    def _modes(self, posterior: Posterior, scorer: Any) -> list[dict[str, Any]]:
        from policies.scoring.scorer import OnnxPolicy

        learned = OnnxPolicy("maskable_ppo", scorer.bundle)
        steps = budget_modes_steps(self.config)
        with self._stage("Compare the modes of the budget", max(steps, 1)) as tick:
            return budget_modes(self.config, posterior, learned, tick)

    def _write_card(self, rows: list[dict[str, Any]], log: TransactionLog) -> None:
        from policies.export.bundle import replace_model_card

        replace_model_card(self.path / "bundle", model_card(self.config, log.name, rows))

    def _score(self, scorer: Any, log: TransactionLog) -> dict[str, Any]:
        with self._stage("Score the real customers"):
            text, counts = score_transactions(scorer, log)
            (self.path / "offers.csv").write_text(text, encoding="utf-8")
        return counts

    def _kind(self, label: str) -> str:
        offer = label.partition("/")[0]
        return next((o.kind for o in self.config.offers.offers if o.name == offer), "")
