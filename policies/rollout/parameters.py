"""Settings of rollout."""

from dataclasses import dataclass

from agents.ranges import check_range


@dataclass(frozen=True)
class Guard:
    """How a network is kept from promising what luck promised.

    Parameters
    ----------
    weight_decay
        Of the training (AdamW).
    caution
        Standard deviations of the ensemble by which a gain must be above 0.
    """

    weight_decay: float = 0.3
    caution: float = 0.5

    def __post_init__(self) -> None:
        check_range("weight_decay", self.weight_decay, 0, 100)
        check_range("caution", self.caution, 0, 10)


REPLICA_STRIDE = 1 << 16  # of the luck of rounds and worlds, apart from each other

# Weak decay sees most, and is best where responses are strong; strong decay where there is little
# to learn from much data; caution costs where an offer is worth what it teaches.
GUARDS = (Guard(0.3, 0.5), Guard(0.3, 0.0), Guard(3.0, 0.5))


@dataclass(frozen=True)
class RolloutParameters:
    """Settings of rollout.

    Parameters
    ----------
    iterations
        Rounds of sampling, branching, learning, at most. In the first nobody follows after an
        offer. Then the policy so far follows, so that an offer is worth what comes of it later;
        where that is not better, a round adds decisions to those without. In limited time there
        are fewer; see ``world_seconds``.
    states
        Decisions sampled a round, over all worlds.
    passes
        How often each decision is branched, on other luck; the time may be up before.
    weeks, replicas
        Length of a branch, and how often each is lived through.
    onward_weeks
        Weeks after a branch whose margin counts in closed form.
    exploring
        Share of customers who get random offers while states are sampled, so that there are
        states in which something was sent.
    members, hidden, epochs, batch, learning_rate
        The ensemble and its training.
    guards
        Candidates: the best on customers held out goes on. Once one was kept, later rounds have
        those of its weight decay.
    least_gain
        What an offer must promise at least, minor units.
    held_out, compared_weeks
        Share of the pool that is not learned from: candidates are compared on it, over so many
        weeks at most.
    loss_aversion
        How many times more a loss in a world counts than as much of a gain in another, where
        candidates are chosen.
    risk
        Probability of keeping a first iterate that is no better than no offers, shared out to all
        candidates and rounds (Bonferroni). A later one replaces the one before where it is better
        on customers held out.
    world_seconds
        In limited time, seconds of a round for each world, at least: they decide on the number
        of rounds.
    """

    iterations: int = 6
    states: int = 12_000
    passes: int = 1
    weeks: int = 13
    replicas: int = 4
    onward_weeks: float = 13.0
    exploring: float = 0.3
    members: int = 5
    hidden: int = 32
    epochs: int = 15
    batch: int = 512
    learning_rate: float = 1e-3
    guards: tuple[Guard, ...] = GUARDS
    least_gain: float = 1.0
    held_out: float = 0.3
    compared_weeks: int = 26
    loss_aversion: float = 2.0
    risk: float = 0.05
    world_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("iterations", 1, 1000),
            ("states", 50, 10_000_000),
            ("passes", 1, 1000),
            ("weeks", 1, 520),
            ("replicas", 1, 4096),
            ("onward_weeks", 0, 5200),
            ("exploring", 0, 1),
            ("members", 2, 100),
            ("hidden", 1, 4096),
            ("epochs", 1, 10_000),
            ("batch", 1, 1_000_000),
            ("learning_rate", 1e-7, 1),
            ("least_gain", 0, 1e6),
            ("held_out", 0.05, 0.95),
            ("compared_weeks", 1, 5200),
            ("loss_aversion", 0, 100),
            ("risk", 1e-6, 0.5),
            ("world_seconds", 0.001, 1e6),
        ):
            check_range(name, getattr(self, name), low, high)
        if self.passes * self.replicas > REPLICA_STRIDE:
            raise ValueError(
                f"passes={self.passes} times replicas={self.replicas}: at most {REPLICA_STRIDE}"
            )
        if not self.guards:
            raise ValueError("guards is empty: give at least one")
