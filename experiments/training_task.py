"""What a training is about, and what it brought: the task, and lift on other customers."""

from collections.abc import Callable
from typing import Any

from agents.records import Customers
from agents.rng import SeedRole, derive_seed
from envs.decision import GovernedPolicy, Policy
from envs.task import OfferTask
from experiments.config_schema import TrainingConfig
from experiments.worlds import build_world, draw_customers, population_of, warm_up
from sim.counterfactual import Branch, BranchRun, paired, run_branches
from sim.metrics import Estimate, incremental_margin
from sim.world import World

_VALIDATION_COHORT = 1_000  # of training's ids, far from the pool


def training_task(config: TrainingConfig) -> OfferTask:
    """Worlds of the responses, and a pool that has lived under the programme without offers."""
    posterior = population_of(config)
    names = config.responses or (config.response.name,)
    worlds = tuple(build_world(config, posterior, name) for name in names)
    pool = draw_customers(config, posterior, "train", config.pool)
    warm_up(worlds[0], pool, derive_seed(config.seed, "train"), config.warmup_weeks)
    return OfferTask(worlds, pool, config.constraints, horizon=config.weeks, paired=True)


class Judge:
    """Paired lift over no offers, of any number of policies on the same customers and luck.

    Parameters
    ----------
    config
        Who trains; ``customers`` are drawn, ``weeks`` are run after ``warmup_weeks``.
    role
        ``evaluate``: test customers. ``plan``: validation customers, to choose settings on.
    """

    def __init__(self, config: TrainingConfig, role: SeedRole) -> None:
        self.config = config
        posterior = population_of(config)
        self.world: World = build_world(config, posterior, config.response.name)
        who: SeedRole = "evaluate" if role == "evaluate" else "train"
        cohort = 0 if role == "evaluate" else _VALIDATION_COHORT
        self.key = derive_seed(config.seed, role)
        self.customers: Customers = draw_customers(
            config, posterior, who, config.customers, cohort=cohort
        )
        self.friends = warm_up(self.world, self.customers, self.key, config.warmup_weeks).network
        (self.control,) = self._run(Branch("control", self.world))

    def lift(self, policy: Policy) -> tuple[Estimate, dict[str, Any]]:
        """Incremental margin per customer, currency units, and facts of the run."""
        governed = GovernedPolicy(policy, self.config.constraints, self.customers.n)
        (treated,) = self._run(Branch(policy.name, self.world, governed))
        run = paired(treated, self.control)
        audit = governed.audit
        assert audit is not None
        return incremental_margin(run, self.config.confidence)["all"], {
            "violations": audit.total_violations,
            "override_rate": governed.override_rate,
            "contacts_per_customer": float(run.treated.contacts.mean()),
            "cost_per_customer": float(run.treated.settled.mean()) / 100.0,
            "constraint_ledger": audit.rows(),
        }

    def _run(self, branch: Branch) -> list[BranchRun]:
        return run_branches(
            (branch,), self.customers, self.key, self.config.weeks, network=self.friends
        )


def told(tick: Callable[[float], None], share: Callable[[], float]) -> Callable[[Any], None]:
    """A ``tell`` for ``TrainingRun`` that moves a bar of length 1 to the share that is done."""
    reached = 0.0

    def tell(row: Any) -> None:
        nonlocal reached
        now = max(share(), reached)
        tick(now - reached)
        reached = now

    return tell
