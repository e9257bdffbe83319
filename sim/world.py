"""What a market is made of: all parameters of a world, and their compiled form."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.behaviour import BEHAVIOUR, behaviour_record
from agents.dynamics import Dynamics, SubscriptionParameters, SurveyParameters
from agents.network import NetworkParameters
from agents.profile import FILTER, FilterParameters, filter_record
from agents.response import MECHANISMS, ResponseParameters
from sim.ledger import BASIS
from sim.offers import ACTION, MAX_ACTIONS, MAX_OFFERS, OFFER, ActionTable, OfferBook, action_table
from sim.programme import PROGRAMME, ProgrammeParameters, programme_record
from sim.scenario import (
    CALENDAR,
    WEEKS_PER_YEAR,
    CompetitorParameters,
    SeasonParameters,
    calendar,
)


def _columns(dtype: np.dtype[np.void], rows: int) -> np.dtype[np.void]:
    """Record that holds a table by columns, each of shape (rows,)."""
    return np.dtype([(name, dtype[name], (rows,)) for name in dtype.names or ()], align=True)


# Every rule of a world in one record. Scalar rules take records only: passing arrays between
# compiled functions costs two atomic reference counts each, more than the rules themselves.
RULES = np.dtype(
    [
        ("behaviour", BEHAVIOUR),
        ("programme", PROGRAMME),
        ("filter", FILTER),
        ("margin_share", "i8"),
        ("offers", _columns(OFFER, MAX_OFFERS)),
        ("actions", _columns(ACTION, MAX_ACTIONS)),
        ("n_actions", "i8"),
        ("calendar", _columns(CALENDAR, WEEKS_PER_YEAR)),
        ("competitor", "f8"),  # rivals' reaction of this week, set by the market
    ],
    align=True,
)
Rules = NDArray[np.void]  # shape (1,), dtype RULES


def starting_in(rules: Rules, week_of_year: int) -> Rules:
    """Copy of the rules whose week 0 is that week of the year."""
    turned = rules.copy()
    for name in CALENDAR.names or ():
        turned["calendar"][name] = np.roll(rules["calendar"][name], -week_of_year, axis=1)
    return turned


def set_offers(rules: Rules, table: ActionTable) -> None:
    """Put offers and actions into rules, in place."""
    for part, rows in (("offers", table.offers), ("actions", table.actions)):
        _set(rules, part, rows)


def _set(rules: Rules, part: str, rows: NDArray[Any]) -> None:
    for name in rows.dtype.names or ():
        rules[part][name][0, : rows.size] = rows[name]


# Mechanisms of the surroundings, switched off like those of behaviour.
SURROUNDINGS = ("season", "drift", "survey", "subscription", "word_of_mouth", "joining")


class World(NamedTuple):
    """What a market is made of, as parameters; ``rules()`` compiles it.

    ``categories`` names the categories that customers' shares are of (``dynamics`` may hold the
    mean shares; equal otherwise). ``off`` names mechanisms
    that are switched off: ``agents.response.MECHANISMS`` or ``SURROUNDINGS``.
    """

    response: ResponseParameters
    dynamics: Dynamics
    filter: FilterParameters
    season: SeasonParameters = SeasonParameters()
    programme: ProgrammeParameters = ProgrammeParameters()
    book: OfferBook = OfferBook()
    contribution_margin: float = 0.25
    competitor: CompetitorParameters = CompetitorParameters()
    network: NetworkParameters = NetworkParameters()
    categories: tuple[str, ...] = ()
    off: tuple[str, ...] = ()

    @property
    def table(self) -> ActionTable:
        """Flat action table under this programme."""
        return action_table(self.book, self.programme, self.categories)

    def effective(self) -> "World":
        """The same world with what ``off`` names made neutral.

        Raises
        ------
        ValueError
            For a name that is no mechanism.
        """
        for name in self.off:
            if name not in (*MECHANISMS, *SURROUNDINGS):
                known = ", ".join((*MECHANISMS, *SURROUNDINGS))
                raise ValueError(f"off={name!r} is no mechanism: choose among {known}")
        own: dict[str, Any] = {}
        if self.categories and not self.dynamics.category_shares:
            own["category_shares"] = (1 / len(self.categories),) * len(self.categories)
        if "drift" in self.off:
            own |= {"drift_sd": 0.0, "drift_weeks": 0.0}
        if "survey" in self.off:
            own["survey"] = SurveyParameters()
        if "subscription" in self.off:
            own["subscription"] = SubscriptionParameters()
        if "joining" in self.off:
            own["join_hazard"] = 0.0
        dynamics = replace(self.dynamics, **own)
        fee = dynamics.subscription
        beliefs = self.filter
        if fee.fee > 0:
            beliefs = replace(beliefs, fee_margin=100 * fee.fee * fee.margin / fee.period_weeks)
        elif "subscription" in self.off:
            beliefs = replace(beliefs, fee_margin=0.0)
        return self._replace(
            response=self.response.without(*(name for name in self.off if name in MECHANISMS)),
            dynamics=dynamics,
            filter=beliefs,
            season=SeasonParameters() if "season" in self.off else self.season,
            network=NetworkParameters() if "word_of_mouth" in self.off else self.network,
            off=(),
        )

    def rules(self) -> Rules:
        """Compiled form for the kernels, shape (1,), dtype RULES."""
        world = self.effective()
        rules = np.zeros(1, RULES)
        table = self.table
        rules["behaviour"] = behaviour_record(world.response, world.dynamics)
        rules["programme"] = programme_record(self.programme)
        rules["filter"] = filter_record(world.filter)
        rules["margin_share"] = round(self.contribution_margin * BASIS)
        rules["n_actions"] = table.n
        set_offers(rules, table)
        _set(rules, "calendar", calendar(world.season, self.competitor))
        return rules
