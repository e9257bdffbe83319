"""How customers move on their own: drift, baskets, joining, subscription, survey."""

import math
from dataclasses import dataclass

from agents.ranges import check_range
from agents.records import N_CATEGORIES

SPEND_FAMILIES = ("gamma", "lognormal")
MAX_BASKET = 8e6  # minor units; 255 a week fit 32 bits


@dataclass(frozen=True)
class SubscriptionParameters:
    """A fee every ``period_weeks`` while subscribed; ``fee`` 0 is no subscription.

    Customers are billed in the week of the period that their id gives. Whoever has silently left
    does not pay, which closes the account; the others cancel with probability
    ``cancel_probability`` × exp(−``habit_effect`` × visits per week of late).

    Parameters
    ----------
    fee
        Currency units a period.
    margin
        Share of the fee that is margin.
    """

    fee: float = 0.0
    period_weeks: int = 4
    margin: float = 0.8
    cancel_probability: float = 0.0
    habit_effect: float = 0.0

    def __post_init__(self) -> None:
        check_range("fee", self.fee, 0.0, 20_000.0)
        check_range("period_weeks", self.period_weeks, 1, 104)
        check_range("margin", self.margin, 0.0, 1.0)
        check_range("cancel_probability", self.cancel_probability, 0.0, 1.0)
        check_range("habit_effect", self.habit_effect, 0.0, 10.0)


@dataclass(frozen=True)
class SurveyParameters:
    """A survey every ``every_weeks``; 0 is none. Only part of those asked answer.

    Two questions, both noisy looks at satisfaction: recommendation 0 to 10 (for the net promoter
    score) and satisfaction 1 to 5. ``*_mean`` is the answer at one's own usual level, ``*_slope``
    its change per sd of satisfaction, ``*_noise`` the sd of the noise.
    """

    every_weeks: int = 0
    answer_probability: float = 0.2
    nps_mean: float = 7.5
    nps_slope: float = 1.5
    nps_noise: float = 2.0
    csat_mean: float = 3.9
    csat_slope: float = 0.6
    csat_noise: float = 0.8

    def __post_init__(self) -> None:
        check_range("every_weeks", self.every_weeks, 0, 104)
        check_range("answer_probability", self.answer_probability, 0.0, 1.0)
        check_range("nps_mean", self.nps_mean, 0.0, 10.0)
        check_range("csat_mean", self.csat_mean, 1.0, 5.0)
        for name in ("nps_slope", "csat_slope", "nps_noise", "csat_noise"):
            check_range(name, getattr(self, name), 0.0, 10.0)


@dataclass(frozen=True)
class Dynamics:
    """How customers move on their own, from the posterior and the world.

    ``drift_sd`` is the stationary sd of the log rate, ``drift_weeks`` its time constant;
    0 weeks switches drift off. ``max_basket`` caps a basket, in minor units. ``join_hazard`` is
    the weekly hazard at which a prospect becomes a customer unasked. ``category_shares`` are the
    mean shares of the categories, empty where none are told apart.
    """

    drift_sd: float = 0.0
    drift_weeks: float = 0.0
    spend_family: str = "gamma"
    log_rate_centre: float = 0.0
    close_account_probability: float = 0.1
    max_basket: float = MAX_BASKET
    category_shares: tuple[float, ...] = ()
    join_hazard: float = 0.0
    subscription: SubscriptionParameters = SubscriptionParameters()
    survey: SurveyParameters = SurveyParameters()

    def __post_init__(self) -> None:
        check_range("drift_sd", self.drift_sd, 0.0, 5.0)
        check_range("drift_weeks", self.drift_weeks, 0.0, 1e6)
        # 255 baskets a week must fit 32-bit minor units.
        check_range("max_basket", self.max_basket, 1.0, MAX_BASKET)
        check_range("close_account_probability", self.close_account_probability, 0.0, 1.0)
        check_range("number of categories", len(self.category_shares), 0, N_CATEGORIES)
        for share in self.category_shares:
            check_range("category_shares", share, 1e-6, 1.0)
        check_range("join_hazard", self.join_hazard, 0.0, 10.0)
        if self.spend_family not in SPEND_FAMILIES:
            raise ValueError(f"spend_family={self.spend_family!r}: choose one of {SPEND_FAMILIES}")

    @property
    def drift_keep(self) -> float:
        """Share of the drift that survives a week."""
        return math.exp(-1.0 / self.drift_weeks) if self.drift_weeks > 0 else 1.0

    @property
    def drift_step(self) -> float:
        """Weekly innovation sd."""
        return self.drift_sd * math.sqrt(1.0 - self.drift_keep**2)
