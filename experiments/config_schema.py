"""What a configuration holds: one frozen dataclass a group, ranges checked at construction.

Those of behaviour, programme, offers and constraints belong to the packages that hold the rules;
here are the others, and the applications that join them (``DemoConfig``, ``SimulateConfig``).
"""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from agents.calibration.posterior import (
    CORRELATIONS,
    PURCHASE_PARAMETERS,
    SIGNED,
    SPEND_PARAMETERS,
)
from agents.calibration.refunds import Refunds
from agents.dynamics import SubscriptionParameters, SurveyParameters
from agents.errors import InputError
from agents.network import NetworkParameters
from agents.population import MembershipParameters, PopulationParameters
from agents.records import WEEKS_PER_QUARTER
from agents.response import ResponseParameters
from envs.constraints.parameters import ConstraintParameters
from experiments.config_messages import suggestion, unknown_choice
from policies.catalogue import ARMS
from sim.offers import OfferBook
from sim.programme import ProgrammeParameters
from sim.scenario import CompetitorParameters, SeasonParameters

Rule = Literal[
    "no_offers",
    "random",
    "blanket",
    "rfm_rules",
    "triggers",
    "clv_greedy",
    "churn_clv",
    "experiment",
]
Policy = Literal[
    "no_offers",
    "random",
    "blanket",
    "rfm_rules",
    "triggers",
    "clv_greedy",
    "churn_clv",
    "experiment",
    "maskable_ppo",
]

REPLICAS = 4

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _check(ok: bool, name: str, value: object, allowed: str) -> None:
    if not ok:
        raise InputError(f"{name}={value!r} must be {allowed}")


@dataclass(frozen=True)
class Columns:
    """Names of a log's columns."""

    customer: str = "customer"
    time: str = "time"
    amount: str = "amount"

    def __post_init__(self) -> None:
        names = dataclasses.astuple(self)
        _check(all(names), "columns", names, "non-empty names")
        _check(len(set(names)) == len(names), "columns", names, "three different names")


@dataclass(frozen=True)
class DataConfig:
    """A transaction log, and how to read it.

    ``sample`` 'published' is CDNOW's tenth that papers use; ``max_customers`` keeps the first so
    many customers by id (None: all). ``refunds`` says what becomes of negative amounts:
    'refuse' the file, 'net' subtracts each from the customer's latest earlier purchases, 'drop'
    leaves the rows out. ``world`` is the world taken when none is chosen.
    """

    source: Literal["completejourney", "cdnow", "csv"]
    path: str | None
    columns: Columns
    time_zone: str
    currency: str
    sample: Literal["all", "published"]
    max_customers: int | None
    contactable: Literal["campaigns", "all"]
    origin: Literal["first_purchase", "log_start"]
    refunds: Refunds
    world: str

    def __post_init__(self) -> None:
        if self.max_customers is not None:
            _check(self.max_customers >= 2, "max_customers", self.max_customers, "at least 2")
        _check(
            re.fullmatch(r"[A-Z]{3}", self.currency) is not None,
            "currency",
            self.currency,
            "three capital letters",
        )
        try:
            ZoneInfo(self.time_zone)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            hint = suggestion(self.time_zone, available_timezones())
            raise InputError(f"time_zone={self.time_zone!r} is not a time zone{hint}") from None


@dataclass(frozen=True)
class CalibrationConfig:
    """How the demo's posterior is fitted; 'auto' chooses by what the log shows."""

    method: Literal["map"]
    model: Literal["auto", "pareto_nbd", "drift"]
    spend: Literal["auto", "gamma_gamma", "lognormal_gamma", "lognormal"]
    draws: int

    def __post_init__(self) -> None:
        _check(1 <= self.draws <= 100_000, "draws", self.draws, "1 to 100,000")


@dataclass(frozen=True)
class PopulationConfig:
    """Purchases, dropout and baskets of a world's customers, where no log is fitted.

    ``parameters`` are those of both models by name, as a posterior has them
    (``agents.calibration.posterior``); spend model 'none' has none: visits without a
    basket.
    """

    purchase_model: Literal["pareto_nbd", "lognormal", "drift"]
    spend_model: Literal["gamma_gamma", "lognormal_gamma", "lognormal", "none"]
    parameters: dict[str, float]

    def __post_init__(self) -> None:
        _check(
            (self.purchase_model == "lognormal") == (self.spend_model == "lognormal"),
            "spend_model",
            self.spend_model,
            "lognormal with purchase model lognormal, and only with it",
        )
        needed = (
            *PURCHASE_PARAMETERS[self.purchase_model],
            *SPEND_PARAMETERS.get(self.spend_model, ()),
        )
        for name in self.parameters:
            if name not in needed:
                raise InputError(unknown_choice("parameters", name, needed))
        for name in needed:
            if name not in self.parameters:
                raise InputError(f"parameters.{name} is missing")
            value = self.parameters[name]
            if name in SIGNED:
                _check(-20 <= value <= 20, f"parameters.{name}", value, "-20 to 20")
            elif name in CORRELATIONS:
                _check(-1 < value < 1, f"parameters.{name}", value, "above -1 and below 1")
            else:
                allowed = "1e-6 to 1,000,000"
                _check(1e-6 <= value <= 1e6, f"parameters.{name}", value, allowed)
        if self.purchase_model == "lognormal":
            one, two, three = (self.parameters[name] for name in CORRELATIONS)
            possible = 1 + 2 * one * two * three - one**2 - two**2 - three**2 > 0
            allowed = "correlations that do not exclude each other"
            _check(possible, "parameters", [one, two, three], allowed)
        for name in ("rate_log_sd", "dropout_log_sd", "spend_log_sd"):
            value = self.parameters.get(name, 1.0)
            _check(value <= 5, f"parameters.{name}", value, "at most 5")

    @property
    def posterior(self) -> PopulationParameters:
        """One draw, as populations and markets read it."""
        values = {name: np.array([value]) for name, value in self.parameters.items()}
        return PopulationParameters(self.purchase_model, self.spend_model, values)


@dataclass(frozen=True)
class WorldConfig:
    """A trade: its customers where no log is fitted, what a sale earns, and the surroundings.

    ``close_account_probability`` is the share of leavers who close their account, which is all
    that a firm observes of leaving; ``join_hazard`` the weekly hazard at which a prospect becomes
    a customer unasked.
    """

    name: str
    population: PopulationConfig
    contribution_margin: float
    close_account_probability: float
    join_hazard: float
    season: SeasonParameters
    competitor: CompetitorParameters
    network: NetworkParameters
    subscription: SubscriptionParameters
    survey: SurveyParameters
    membership: MembershipParameters

    def __post_init__(self) -> None:
        margin, closing = self.contribution_margin, self.close_account_probability
        _check(0 < margin <= 1, "contribution_margin", margin, "above 0, at most 1")
        _check(0 <= closing <= 1, "close_account_probability", closing, "0 to 1")
        _check(0 <= self.join_hazard <= 10, "join_hazard", self.join_hazard, "0 to 10")

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that are told apart."""
        return tuple(self.membership.category_shares)


@dataclass(frozen=True)
class TrainConfig:
    """MaskablePPO on ``environments`` customers side by side."""

    algorithm: Literal["maskable_ppo"]
    total_steps: int
    environments: int
    rollout_length: int
    batch_size: int
    epochs: int
    learning_rate: float
    ent_coef: float
    gamma: float
    gae_lambda: float
    clip_range: float
    anneal: bool
    network: tuple[int, ...]
    activation: Literal["relu", "tanh"]
    pool: int
    responses: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in (
            "total_steps",
            "environments",
            "rollout_length",
            "batch_size",
            "epochs",
            "pool",
        ):
            value = getattr(self, name)
            _check(value >= 1, name, value, "at least 1")
        _check(0 < self.learning_rate <= 1, "learning_rate", self.learning_rate, "above 0, to 1")
        _check(self.ent_coef >= 0, "ent_coef", self.ent_coef, "at least 0")
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            _check(0 <= value <= 1, name, value, "0 to 1")
        _check(0 < self.clip_range < 1, "clip_range", self.clip_range, "between 0 and 1")
        ok = len(self.network) > 0 and all(1 <= width <= 4096 for width in self.network)
        _check(ok, "network", self.network, "one or more widths of 1 to 4096")

    @property
    def rollout_size(self) -> int:
        """Customer-weeks between two updates."""
        return self.environments * self.rollout_length


@dataclass(frozen=True)
class EvaluateConfig:
    """Who is compared, on how many test customers, for how long."""

    customers: int
    warmup_weeks: int
    weeks: int
    confidence: float
    responses: tuple[str, ...]
    policies: tuple[Policy, ...]

    def __post_init__(self) -> None:
        _check_size(self.customers, self.warmup_weeks, self.weeks)
        _check(0.5 <= self.confidence < 1, "confidence", self.confidence, "at least .5, below 1")


def _check_run(name: str, seed: int, runs_dir: str) -> None:
    ok = _RUN_NAME.fullmatch(name) is not None
    _check(ok, "name", name, "letters, digits, '.', '_' or '-' (64 at most)")
    _check(0 <= seed < 2**64, "seed", seed, "0 to 2**64 - 1")
    _check(runs_dir != "", "runs_dir", runs_dir, "a folder")


@dataclass(frozen=True)
class _Application:
    """What every application has: whose run it is, and the market's groups.

    ``off`` names mechanisms that are switched off whatever the response world says; ``approvals``
    is a file of approved limits, None the one that comes with the project.
    """

    name: str
    seed: int
    runs_dir: str
    threads: int
    off: tuple[str, ...]
    approvals: str | None
    world: WorldConfig
    response: ResponseParameters
    programme: ProgrammeParameters
    offers: OfferBook
    constraints: ConstraintParameters

    def __post_init__(self) -> None:
        _check_run(self.name, self.seed, self.runs_dir)
        _check(0 <= self.threads <= 1024, "threads", self.threads, "0 (every core) to 1024")


@dataclass(frozen=True)
class DemoConfig(_Application):
    """The main job: one field a group of conf/demo.yaml, and where the outputs go."""

    data: DataConfig
    calibration: CalibrationConfig
    train: TrainConfig
    evaluate: EvaluateConfig


ForecastModel = Literal["pareto_nbd", "bg_nbd", "lognormal", "drift", "habit"]


@dataclass(frozen=True)
class CalibrateConfig:
    """A fit by itself: which log, which models, how the posterior is found and looked at.

    ``holdout_weeks`` None holds out a quarter of the log; ``covariates`` names a file of numbers
    per customer; ``cohorts`` are simulated to compare with the log.
    """

    name: str
    seed: int
    runs_dir: str
    data: DataConfig
    world: WorldConfig
    model: Literal["auto", "pareto_nbd", "lognormal", "drift"]
    spend: Literal["auto", "gamma_gamma", "lognormal_gamma", "lognormal"]
    inference: Literal["map", "nuts"]
    priors: Literal["weak", "flat"]
    draws: int
    untrusted: bool
    covariates: str | None
    holdout_weeks: int | None
    compare: tuple[ForecastModel, ...]
    cohorts: int
    confidence: float

    def __post_init__(self) -> None:
        _check_run(self.name, self.seed, self.runs_dir)
        _check(1 <= self.draws <= 100_000, "draws", self.draws, "1 to 100,000")
        if self.holdout_weeks is not None:
            weeks = self.holdout_weeks
            _check(0 <= weeks <= 520, "holdout_weeks", weeks, "0 (none) to 520")
        compared = list(self.compare)
        ok = 0 < len(set(compared)) == len(compared)
        _check(ok, "compare", compared, "one model or more, none twice")
        _check(0 <= self.cohorts <= 1000, "cohorts", self.cohorts, "0 (none) to 1,000")
        _check(0.5 <= self.confidence < 1, "confidence", self.confidence, "at least .5, below 1")


@dataclass(frozen=True)
class SimulateConfig(_Application):
    """A market without fit and training: one population, one policy, one programme.

    ``posterior`` is a fitted population's file, None the world's own; ``against`` names a
    programme or a policy that the same customers also meet, with the same luck, for comparison.
    ``arms`` are the policies that policy ``experiment`` tries side by side. ``draws`` is the number
    of the posterior's draws over which the difference is run again, 0 none; ``replicas`` the runs
    of luck per draw (None: ``REPLICAS``).
    """

    customers: int
    weeks: int
    warmup_weeks: int
    policy: Rule
    arms: tuple[str, ...]
    posterior: str | None
    against: str | None
    draws: int
    replicas: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_size(self.customers, self.warmup_weeks, self.weeks)
        _check(0 <= self.draws <= 10_000, "draws", self.draws, "0 to 10,000")
        if self.replicas is not None:
            _check(2 <= self.replicas <= 100, "replicas", self.replicas, "2 to 100")
            most = 10**9 // self.customers  # ids of a role (experiments.worlds.FIRST_ID)
            allowed = f"at most {most} with so many customers"
            _check(self.replicas <= most, "replicas", self.replicas, allowed)


Status = Literal["A", "V", "M"]


@dataclass(frozen=True)
class AssumptionConfig:
    """An assumption beyond the table of behaviour, or what some worlds say of a row of it.

    ``worlds`` names those it holds in (none: all); what is None or empty is as the table has it.
    ``along`` are keys that move with it, each by a power of its ratio to the default.
    """

    key: str
    worlds: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    status: Status = "A"
    mechanism: str = ""
    unit: str = ""
    source: str = ""
    meaning: str = ""
    along: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SensitivityConfig(SimulateConfig):
    """A simulation's question, and how its answer is probed.

    The first of ``kpis`` is the answer. ``trajectories`` and ``levels`` are Morris's, ``samples``
    is Sobol's N, ``hypercube`` the size of the Latin hypercube over all assumptions. Every set of
    values meets the same ``cohorts`` of ``customers`` each, the defaults ``luck_cohorts``. Sobol
    takes the strongest assumptions that have the share ``cover`` of all squared effects, ``most``
    at most; ``swings`` assumptions are moved to either end by themselves. Of a posterior the mode
    is taken, hence no ``draws`` and ``replicas``.
    """

    arms: tuple[str, ...] = field(default=ARMS, init=False)
    draws: int = field(default=0, init=False)
    replicas: int | None = field(default=None, init=False)

    kpis: tuple[str, ...]
    status: tuple[Status, ...]
    only: tuple[str, ...]
    ranges: dict[str, tuple[float, float]] | None
    cohorts: int
    luck_cohorts: int
    trajectories: int
    levels: int
    hypercube: int
    cover: float
    most: int
    samples: int
    swings: int
    assumptions: tuple[AssumptionConfig, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kpis", "status"):
            values = getattr(self, name)
            _check(len(values) > 0, name, list(values), "one name or more")
            _check(len(set(values)) == len(values), name, list(values), "names without repetition")
        for name, least, greatest in (
            ("cohorts", 2, 100),
            ("luck_cohorts", 3, 1000),
            ("trajectories", 2, 10_000),
            ("hypercube", 2, 1_000_000),
            ("most", 1, 50),
            ("swings", 0, 200),
        ):
            value = getattr(self, name)
            _check(least <= value <= greatest, name, value, f"{least:,} to {greatest:,}")
        _check(
            2 <= self.levels <= 64 and self.levels % 2 == 0, "levels", self.levels, "even, 2 to 64"
        )
        _check(0 < self.cover <= 1, "cover", self.cover, "above 0, at most 1")
        n = self.samples
        _check(2 <= n <= 2**20 and n & (n - 1) == 0, "samples", n, "a power of 2, 2 to 1,048,576")
        for key, (low, high) in (self.ranges or {}).items():
            _check(low < high, f"ranges.{key}", [low, high], "a low and a higher end")


@dataclass(frozen=True)
class TrainingConfig(_Application):
    """A training by itself: one learner, the worlds it learns in, and a test on other customers.

    ``parameters`` are settings of the learner that differ from its defaults; ``minutes`` is
    wall-clock time, None: as many steps as the settings say; ``responses`` are the worlds it
    trains in, none: that of ``response``.
    """

    policy: str
    posterior: str | None
    parameters: dict[str, Any] | None
    minutes: float | None
    responses: tuple[str, ...]
    pool: int
    warmup_weeks: int
    weeks: int
    customers: int
    confidence: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minutes is not None:
            _check(0 < self.minutes <= 10_000, "minutes", self.minutes, "above 0, to 10,000")
        _check(2 <= self.pool <= 10**8, "pool", self.pool, "2 to 100,000,000")
        _check_size(max(self.customers, 2), self.warmup_weeks, self.weeks)
        _check(self.customers != 1, "customers", self.customers, "0 (no test), or 2 and more")
        _check(0.5 <= self.confidence < 1, "confidence", self.confidence, "at least .5, below 1")


@dataclass(frozen=True)
class TuneConfig(TrainingConfig):
    """A search for a learner's settings: ``trials`` trainings in all, judged on validation."""

    trials: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(1 <= self.trials <= 100_000, "trials", self.trials, "1 to 100,000")
        _check(self.customers >= 2, "customers", self.customers, "at least 2")


@dataclass(frozen=True)
class DesignConfig(_Application):
    """A search for a programme: presets to start from, how long it looks, on whom it is tested.

    ``responses`` are response worlds over which gains are averaged; ``redesign`` also trains a
    designer who changes ``programme`` every quarter after the first year, for ``minutes``, tested
    on ``episodes``.
    """

    presets: tuple[str, ...]
    responses: tuple[str, ...]
    trials: int
    weeks: int
    search_customers: int
    customers: int
    dead_band: float
    redesign: Literal["none", "ppo", "sac"]
    minutes: float
    episodes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_size(self.customers, 0, self.weeks)
        _check(2 <= self.search_customers <= 10**8, "search_customers", self.search_customers,
               "2 to 100,000,000")  # fmt: skip
        for name in ("presets", "responses"):
            values = list(getattr(self, name))
            ok = 0 < len(set(values)) == len(values)
            _check(ok, name, values, "one name or more, none twice")
        _check(1 <= self.trials <= 100_000, "trials", self.trials, "1 to 100,000")
        _check(0 <= self.dead_band <= 0.9, "dead_band", self.dead_band, "0 to .9")
        _check(0 < self.minutes <= 10_000, "minutes", self.minutes, "above 0, to 10,000")
        _check(2 <= self.episodes <= 1000, "episodes", self.episodes, "2 to 1,000")
        if self.redesign != "none":
            self._check_redesign()

    def _check_redesign(self) -> None:
        from envs.design.task import WARMUP_QUARTERS

        asked, least = f"with redesign={self.redesign}", (WARMUP_QUARTERS + 1) * WEEKS_PER_QUARTER
        _check(self.programme.active, "programme", self.programme.name,
               f"one that has rules to change {asked}")  # fmt: skip
        _check(self.weeks >= least and self.weeks % WEEKS_PER_QUARTER == 0, "weeks", self.weeks,
               f"whole quarters of {WEEKS_PER_QUARTER} weeks {asked}, {least} at least: the first "
               f"{WARMUP_QUARTERS} change nothing")  # fmt: skip
        _check(self.episodes >= len(self.responses), "episodes", self.episodes,
               f"{len(self.responses)} at least {asked}: one in each of responses")  # fmt: skip


@dataclass(frozen=True)
class RecommendConfig(_Application):
    """A choice among programmes and policies: candidates, worlds that may be true, and how long.

    ``beliefs`` are the probabilities of ``responses``, None all alike; ``minutes`` and ``pool``
    are of the training of each policy that learns.
    """

    programmes: tuple[str, ...]
    policies: tuple[str, ...]
    responses: tuple[str, ...]
    beliefs: tuple[float, ...] | None
    minutes: float
    pool: int
    customers: int
    warmup_weeks: int
    weeks: int
    confidence: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_size(self.customers, self.warmup_weeks, self.weeks)
        for name in ("programmes", "policies", "responses"):
            values = list(getattr(self, name))
            ok = 0 < len(set(values)) == len(values)
            _check(ok, name, values, "one name or more, none twice")
        pairs = len(self.programmes) * len(self.policies)
        _check(pairs > 1, "policies", list(self.policies), "at least two choices in all")
        if self.beliefs is not None:
            values = list(self.beliefs)
            ok = len(values) == len(self.responses) and min(values) >= 0
            ok = ok and abs(sum(values) - 1) < 1e-6
            _check(ok, "beliefs", values, f"{len(self.responses)} probabilities, sum 1")
        _check(0 < self.minutes <= 10_000, "minutes", self.minutes, "above 0, to 10,000")
        _check(2 <= self.pool <= 10**7, "pool", self.pool, "2 to 10,000,000")
        _check(0.5 <= self.confidence < 1, "confidence", self.confidence, "at least .5, below 1")


Config = DemoConfig | SimulateConfig | TrainingConfig | DesignConfig | RecommendConfig


def _check_size(customers: int, warmup_weeks: int, weeks: int) -> None:
    _check(2 <= customers <= 10**8, "customers", customers, "2 to 100,000,000")
    _check(0 <= warmup_weeks <= 520, "warmup_weeks", warmup_weeks, "0 to 520")
    _check(1 <= weeks <= 520, "weeks", weeks, "1 to 520")
