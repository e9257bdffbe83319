"""What bounds the engine: the memory, or the cores.

Williams, Waterman & Patterson (2009), "Roofline: an insightful visual performance model for
multicore architectures", https://doi.org/10.1145/1498765.1498785.
"""

from typing import Literal, NamedTuple

from agents.records import TRAITS, mutable_bytes_per_customer
from experiments.bench.machine import GIGA

_MILLION = 1e6


def bytes_per_customer_week() -> int:
    """Bytes between memory and cores for a customer-week, counted from the record sizes.

    Every record is read once, and what a week may change is written once; the action and what
    all customers share (rules, code) are left out, and so is OUTCOME, which is kept by nobody.
    """
    return TRAITS.itemsize + 2 * mutable_bytes_per_customer()


class Roofline(NamedTuple):
    """A rate under its two roofs; rates in customer-weeks/s, bandwidth in GB/s."""

    rate: float
    bytes_per_customer_week: int
    bandwidth: float
    cached_rate: float

    @property
    def bandwidth_share(self) -> float:
        """Part of the measured bandwidth that the rate uses."""
        return self.rate * self.bytes_per_customer_week / GIGA / self.bandwidth

    @property
    def memory_roof(self) -> float:
        """Rate at which the memory would be busy all the time."""
        return self.bandwidth * GIGA / self.bytes_per_customer_week

    @property
    def cores_roof(self) -> float:
        """Rate of a cohort that stays in the cache, at least that of any other."""
        return max(self.cached_rate, self.rate)

    @property
    def bound(self) -> Literal["memory", "compute"]:
        """The lower roof."""
        return "memory" if self.memory_roof < self.cores_roof else "compute"

    def line(self) -> str:
        """The verdict in a line."""
        moved = self.rate * self.bytes_per_customer_week / GIGA
        return (
            f"{self.bound}-bound: {self.bytes_per_customer_week} bytes per customer-week × "
            f"{self.rate / _MILLION:.1f} M/s = {moved:.1f} GB/s, {self.bandwidth_share:.0%} of the "
            f"measured {self.bandwidth:.1f} GB/s; memory alone would allow "
            f"{self.memory_roof / _MILLION:.1f} M/s, the cores alone (a cohort in the cache) "
            f"{self.cores_roof / _MILLION:.1f} M/s"
        )
