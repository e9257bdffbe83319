"""How far a firm may move the goalposts of a running programme."""

from dataclasses import dataclass

from agents.ranges import check_range
from agents.records import KEPT_SLOTS, WEEKS_PER_QUARTER


@dataclass(frozen=True)
class Goalposts:
    """Protection of members against worse terms; no policy can switch it off.

    Parameters
    ----------
    notice_weeks
        Weeks from the announcement of worse terms to their effect, 0 to 52.
    close_share
        Who lacks at most this share of the next tier's threshold, or of a reward's price, when it
        is raised keeps the old one until it is reached (the reward: redeemed once), 0 to 1.
    grandfathering_weeks
        Weeks from the effect of worse terms during which they take no tier and no multiplier from
        anybody who has it, and after which nothing old is kept, 0 to 52.
    """

    notice_weeks: int = 13
    close_share: float = 0.2
    grandfathering_weeks: int = 52

    def __post_init__(self) -> None:
        check_range("goalposts.notice_weeks", self.notice_weeks, 0, 52)
        check_range("goalposts.close_share", self.close_share, 0.0, 1.0)
        most = KEPT_SLOTS * WEEKS_PER_QUARTER
        check_range("goalposts.grandfathering_weeks", self.grandfathering_weeks, 0, most)
