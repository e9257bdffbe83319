"""The frozen protocol: which worlds, seeds, budgets, customers and horizons are compared.

docs/benchmark-protocol.md is this in words. A change of any value needs a new version number
there and here; a test compares the digest of each version with the one it was frozen at.
"""

import dataclasses
import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import Literal, NamedTuple

# rule: not trained. informed: trained in the response world that it meets. robust: over all of
# them, never told which one it meets. reference: sees latent states, cannot be deployed.
Regime = Literal["rule", "informed", "robust", "reference"]

BEHAVIOUR = "behaviour"
# The same purchase rates under another model of behaviour: Pareto/NBD, in which rates do not drift,
# with the moments of the world's own rates (gamma by mean and variance).
STRUCTURES: dict[str, dict[str, float]] = {
    "grocery": {"rate_shape": 0.705, "rate_rate": 0.583},
}


class Cell(NamedTuple):
    """One market that policies are compared in."""

    world: str
    response: str
    programme: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.world}-{self.response}-{self.programme}-{self.seed}"


class Entry(NamedTuple):
    """What competes: a policy, told the response world or not, after so much training.

    ``wrong`` says what it was told that is not so: a response world, or ``behaviour`` for another
    model of behaviour; empty where it was told the truth.
    """

    policy: str
    regime: Regime
    minutes: float = 0.0
    wrong: str = ""

    @property
    def name(self) -> str:
        """Key of its row, and its branch's name."""
        trained = f"@{self.minutes:g}" if self.minutes else ""
        wrong = f"<{self.wrong}" if self.wrong else ""
        return f"{self.policy}:{self.regime}{trained}{wrong}"


CLAIRVOYANT = Entry("clairvoyant", "reference")
CLAIRVOYANT_ROLLOUT = Entry("clairvoyant_rollout", "reference", 1.0)  # told the response world


@dataclass(frozen=True)
class Protocol:
    """All that results depend on besides the code.

    Attributes
    ----------
    version
        Of the protocol; 0 is not frozen (quick looks).
    worlds, responses, programmes, seeds
        Crossed: each combination is a cell. A seed decides on customers, luck and training.
    customers, warmup_weeks, weeks
        Test customers of a cell, weeks without offers before anything counts, weeks that count.
    weekly_budget
        Offer budget per customer and week, currency units: the same for every policy.
    rules
        Policies that are not trained.
    robust, informed
        Policies that are trained, by their minutes of training: over all response worlds, or
        on each alone. A training has one core; its minutes are that core's time.
    misspecified
        Policies that are also told wrong, by their minutes of training: another response world,
        or another model of behaviour; in ``detail_programme`` only.
    detail_programme, reference_seeds
        The programme of what is looked at more closely, and the seeds that the references, which
        take long, run with there.
    pool
        Training customers of each world and programme; none is a test customer.
    """

    version: int
    worlds: tuple[str, ...]
    responses: tuple[str, ...]
    programmes: tuple[str, ...]
    seeds: tuple[int, ...]
    customers: int
    warmup_weeks: int
    weeks: int
    weekly_budget: float
    rules: tuple[str, ...]
    robust: dict[str, tuple[float, ...]]
    informed: dict[str, tuple[float, ...]]
    misspecified: dict[str, float]
    detail_programme: str
    reference_seeds: tuple[int, ...]
    pool: int

    @property
    def digest(self) -> str:
        """Of all values but the version."""
        values = dataclasses.asdict(self)
        del values["version"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def cells(self) -> list[Cell]:
        """Every cell; seeds outermost, so that an unfinished run covers all markets evenly."""
        return [
            Cell(world, response, programme, seed)
            for seed, world, response, programme in itertools.product(
                self.seeds, self.worlds, self.responses, self.programmes
            )
        ]

    @property
    def entries(self) -> list[Entry]:
        """Every deployable entry of a cell."""
        found = [Entry(name, "rule") for name in self.rules]
        for name, minutes in self.robust.items():
            found += [Entry(name, "robust", each) for each in minutes]
        for name, minutes in self.informed.items():
            found += [Entry(name, "informed", each) for each in minutes]
        return found

    def references(self, cell: Cell) -> list[Entry]:
        """Entries of a cell that no firm could use."""
        here = cell.programme == self.detail_programme and cell.seed in self.reference_seeds
        return [CLAIRVOYANT, CLAIRVOYANT_ROLLOUT] if here else []

    def told_wrong(self, cell: Cell) -> list[Entry]:
        """Entries of a cell that were trained for something else."""
        if cell.programme != self.detail_programme:
            return []
        others = [name for name in self.responses if name != cell.response]
        if cell.world in STRUCTURES:
            others.append(BEHAVIOUR)
        return [
            Entry(name, "informed", minutes, other)
            for name, minutes in self.misspecified.items()
            for other in others
        ]


PROTOCOL = Protocol(
    version=3,
    worlds=("grocery", "music_store", "coffee_shop"),
    responses=("null", "literature", "optimistic", "backfire", "deal_seekers"),
    programmes=("points", "tiered", "cashback"),
    seeds=(11, 12, 13, 14, 15),
    customers=2000,
    warmup_weeks=52,
    weeks=52,
    weekly_budget=0.25,
    rules=("random", "blanket", "rfm_rules", "triggers", "clv_greedy", "churn_clv"),
    robust={
        "uplift": (1.0,),
        "lin_ucb": (1.0,),
        "lin_ts": (1.0,),
        "maskable_ppo": (1.0, 10.0),
        "price_ppo": (1.0, 10.0),
        "rollout": (1.0, 10.0),
    },
    informed={
        "uplift": (1.0,),
        "lin_ucb": (1.0,),
        "lin_ts": (1.0,),
        "maskable_ppo": (1.0,),
        "price_ppo": (1.0,),
        "rollout": (1.0,),
    },
    misspecified={"rollout": 1.0},
    detail_programme="tiered",
    reference_seeds=(11,),
    pool=20_000,
)
QUICK = dataclasses.replace(
    PROTOCOL,
    version=0,
    worlds=("grocery",),
    responses=("null", "literature", "optimistic"),
    programmes=("tiered",),
    seeds=(1, 2),
    customers=1000,
    weeks=26,
    robust={"maskable_ppo": (0.25,), "rollout": (0.25,)},
    informed={"rollout": (0.25,)},
    misspecified={},
    reference_seeds=(),
    pool=1000,
)
