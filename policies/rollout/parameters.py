"""Settings of rollout."""

from dataclasses import dataclass

from agents.ranges import check_range


@dataclass(frozen=True)
class RolloutParameters:
    """Settings of rollout.

    Parameters
    ----------
    iterations
        Rounds of sampling, branching, learning; the first follows nobody after its offer.
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
    members, hidden, epochs, batch, learning_rate, weight_decay
        The ensemble and its training.
    caution
        Standard deviations of the ensemble by which a gain must be above 0.
    least_gain
        What an offer must promise at least, minor units.
    held_out
        Share of the pool that is not learned from: iterates are compared on it.
    confidence_z
        Standard errors by which an iterate must beat the one before to replace it.
    """

    iterations: int = 2
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
    weight_decay: float = 0.3
    caution: float = 0.5
    least_gain: float = 1.0
    held_out: float = 0.3
    confidence_z: float = 1.645

    def __post_init__(self) -> None:
        for name, low, high in (
            ("iterations", 1, 50),
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
            ("weight_decay", 0, 1),
            ("caution", 0, 10),
            ("least_gain", 0, 1e6),
            ("held_out", 0.05, 0.95),
            ("confidence_z", 0, 10),
        ):
            check_range(name, getattr(self, name), low, high)
