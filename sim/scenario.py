"""What comes from outside the market: the calendar of the year."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.ranges import check_range
from agents.records import Field, record_dtype

WEEKS_PER_YEAR = 52


@dataclass(frozen=True)
class SeasonParameters:
    """Yearly season: a cosine peaking at ``peak_week``, and a Christmas effect.

    Amplitudes are changes of the log purchase rate and of the log basket; Christmas effects are
    ratios minus 1 over the last ``christmas_weeks`` weeks of the year. The calendar is centred:
    over a year the season changes neither the mean rate nor the mean basket.
    """

    rate_amplitude: float = 0.0
    spend_amplitude: float = 0.0
    peak_week: float = 26.0
    christmas_rate: float = 0.0
    christmas_spend: float = 0.0
    christmas_weeks: int = 2

    def __post_init__(self) -> None:
        for name in ("rate_amplitude", "spend_amplitude"):
            check_range(name, getattr(self, name), -2.0, 2.0)
        for name in ("christmas_rate", "christmas_spend"):
            check_range(name, getattr(self, name), -0.9, 10.0)
        check_range("christmas_weeks", self.christmas_weeks, 0, WEEKS_PER_YEAR)
        check_range("peak_week", self.peak_week, 0.0, WEEKS_PER_YEAR)


@dataclass(frozen=True)
class CompetitorParameters:
    """Rivals: campaigns at fixed weeks of the year, and an answer to the firm's own offers.

    Parameters
    ----------
    every_weeks
        Weeks from one campaign to the next, counted from ``first_week`` of each year; 0 = none.
    weeks, intensity
        Length of a campaign, and its strength (1 = as the behaviour table's effects are stated).
    reaction
        Strength added per share of customers who held an open offer of the firm last week. Only a
        market has it: where one customer is branched, rivals do not move.
    """

    every_weeks: int = 0
    first_week: int = 8
    weeks: int = 2
    intensity: float = 1.0
    reaction: float = 0.0

    def __post_init__(self) -> None:
        check_range("every_weeks", self.every_weeks, 0, WEEKS_PER_YEAR)
        check_range("first_week", self.first_week, 0, WEEKS_PER_YEAR - 1)
        check_range("weeks", self.weeks, 1, WEEKS_PER_YEAR)
        check_range("intensity", self.intensity, 0.0, 10.0)
        check_range("reaction", self.reaction, 0.0, 10.0)


CALENDAR = record_dtype(
    (
        Field("log_rate", "f8", (), "log", "season of the purchase rate"),
        Field("spend", "f8", (), "ratio", "season of baskets"),
        Field("exposure", "f8", (), "ratio", "factor on the purchase rate, known to the firm"),
        Field("competitor", "f8", (), "", "strength of rivals' planned campaigns"),
    )
)


def calendar(
    season: SeasonParameters, competitor: CompetitorParameters | None = None
) -> NDArray[np.void]:
    """Calendar of one year, shape (52,); week w of a run uses row w modulo 52."""
    table = np.zeros(WEEKS_PER_YEAR, CALENDAR)
    week = np.arange(WEEKS_PER_YEAR)
    wave = np.cos(2 * math.pi * (week - season.peak_week) / WEEKS_PER_YEAR)
    christmas = week >= WEEKS_PER_YEAR - season.christmas_weeks
    rate = np.exp(season.rate_amplitude * wave) * (1 + christmas * season.christmas_rate)
    spend = np.exp(season.spend_amplitude * wave) * (1 + christmas * season.christmas_spend)
    table["exposure"] = rate / rate.mean()
    table["log_rate"] = np.log(table["exposure"])
    table["spend"] = spend / spend.mean()
    if competitor is not None and competitor.every_weeks > 0:
        since = week - competitor.first_week
        campaign = (since >= 0) & (since % competitor.every_weeks < competitor.weeks)
        table["competitor"] = campaign * competitor.intensity
    return table
