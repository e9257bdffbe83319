"""One account under the programme's compiled rules, for the tests of points and tiers."""

from collections.abc import Callable

import numpy as np
import pytest

from agents.profile import PURCHASE, FilterParameters, filter_record, post, residual_value
from agents.records import ACCOUNT, EVENT, LOG, LOT_SLOTS, OUTCOME, PROFILE
from sim.points import close_programme_week, earn, redeem_reward
from sim.programme import ProgrammeParameters, programme_record

QUARTER = 13
FILTER = filter_record(FilterParameters(0.5, 10.0, 0.6, 12.0))
MARGIN = 0.25
NOBODY = np.uint64(0)


class Member:
    """An enrolled customer with an empty account; ``outcome`` adds up over the weeks."""

    def __init__(self, **rules: object) -> None:
        self.parameters = ProgrammeParameters(active=True, **rules)
        self.rules = programme_record(self.parameters)[0]
        self.account, self.profile, self.outcome, self.log = (
            np.zeros(1, dtype)[0] for dtype in (ACCOUNT, PROFILE, OUTCOME, LOG)
        )
        self.account["enrolled"] = 1

    def spend(self, week: int, gross: int, discount: int = 0, redeem: bool = False) -> int:
        """One basket in cents, at shelf price; returns the voucher used on it."""
        voucher = self.redeem(week, gross - discount) if redeem else 0
        earn(
            self.account, self.profile, self.outcome, self.log, NOBODY, 0, week, self.rules,
            gross, discount, voucher,
        )  # fmt: skip
        paid = gross - discount - voucher
        post(self.profile, self.log, NOBODY, 0, PURCHASE, 0, 0, paid)
        return voucher

    def redeem(self, week: int, due: int = 10**6) -> int:
        """Redeem or order at a basket that still costs ``due``."""
        return redeem_reward(
            self.account, self.profile, self.outcome, self.log, NOBODY, 0, week, self.rules, due
        )

    def close(self, week: int) -> "Member":
        """Close the week, in the programme and then in the fold."""
        self.outcome["tier_change"] = 0
        close_programme_week(
            self.account, self.profile, self.outcome, self.log, NOBODY, 0, week, self.rules,
            FILTER[0], MARGIN,
        )  # fmt: skip
        self.profile["week_purchases"] = self.profile["week_revenue"] = 0
        return self

    def live(self, weeks: range) -> "Member":
        """Weeks in which nothing happens."""
        for week in weeks:
            self.close(week)
        return self

    def predicted_value(self) -> float:
        """Margin of the next 52 weeks that the filter expects, minor units."""
        return residual_value(self.profile, FILTER[0], MARGIN, 52.0)

    def lots(self, week: int) -> list[int]:
        """Points by quarter of maturity, oldest first."""
        quarter = week // QUARTER
        return [int(self.account["lots"][(quarter - age) % LOT_SLOTS]) for age in range(5, -1, -1)]

    def events(self) -> np.ndarray:
        """EVENT rows since the last call; set ``log["room"]`` first."""
        used = int(self.log["used"])
        self.log["used"] = 0
        return self.log["words"][:used].reshape(-1).view(EVENT).copy()


@pytest.fixture(scope="session")
def enrolled() -> Callable[..., Member]:
    """Factory of a member under the given ``ProgrammeParameters``."""
    return Member
