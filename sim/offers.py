"""What a firm may offer: offers, channels and the flat action table made from them."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agents.ranges import check_range
from agents.records import CHANNELS, KINDS, Field, record_dtype
from sim.ledger import to_minor
from sim.programme import ProgrammeParameters


@dataclass(frozen=True)
class Offer:
    """One offer. Every offer has a cap, a number of uses and an expiry.

    Parameters
    ----------
    kind
        One of ``KINDS``.
    depth
        Discount as a share of the basket (kind discount).
    points
        Bonus points (kind points).
    item_cost
        Cost of the item or shipping in currency units (kind free_item).
    cap
        The most one use may cost, in currency units; for points and items derived where 0.
    strength
        Multiple of the kind's effect in the response world.
    pressure
        Uses urgency or scarcity; never sent to vulnerable customers.
    category
        Category of the world it is for: a discount is then on that part of the basket. Empty: all.
    """

    name: str
    kind: str
    depth: float = 0.0
    points: int = 0
    item_cost: float = 0.0
    cap: float = 0.0
    uses: int = 1
    weeks: int = 1
    strength: float = 1.0
    pressure: bool = False
    category: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"offer {self.name}: kind={self.kind!r}: choose one of {KINDS}")
        check_range(f"offer {self.name}: depth", self.depth, 0.0, 1.0)
        check_range(f"offer {self.name}: points", self.points, 0, 1_000_000)
        check_range(f"offer {self.name}: item_cost", self.item_cost, 0.0, 1e5)
        check_range(f"offer {self.name}: cap", self.cap, 0.0, 1e5)
        check_range(f"offer {self.name}: uses", self.uses, 1, 50)
        check_range(f"offer {self.name}: weeks", self.weeks, 1, 52)
        check_range(f"offer {self.name}: strength", self.strength, 0.0, 10.0)
        if self.kind == "discount" and (self.depth == 0 or self.cap == 0):
            raise ValueError(f"offer {self.name}: a discount needs depth and cap above 0")

    def cap_minor(self, programme: ProgrammeParameters) -> int:
        """The most one use can cost, minor units; points at their full redemption cost."""
        if self.kind == "points":
            return int(np.ceil(self.points * programme.point_cost)) if programme.active else 0
        if self.kind == "free_item":
            return to_minor(self.item_cost)
        return to_minor(self.cap)


@dataclass(frozen=True)
class OfferBook:
    """Offers, the channels in use and what a contact costs (currency units)."""

    name: str = "none"
    offers: tuple[Offer, ...] = ()
    channels: tuple[str, ...] = ("email", "push")
    contact_cost: dict[str, float] = field(default_factory=lambda: {"email": 0.01})

    def __post_init__(self) -> None:
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels={self.channels}: name at least one, each once")
        for channel in (*self.channels, *self.contact_cost):
            if channel not in CHANNELS:
                raise ValueError(f"channel {channel!r}: choose among {CHANNELS}")
        for channel, cost in self.contact_cost.items():
            check_range(f"contact_cost.{channel}", cost, 0.0, 100.0)
        names = [offer.name for offer in self.offers]
        if len(set(names)) != len(names):
            raise ValueError(f"offers {names}: names must differ")
        check_range("number of offers", len(names), 0, MAX_OFFERS)
        check_range("number of actions", 1 + len(names) * len(self.channels), 1, MAX_ACTIONS)


MAX_OFFERS = 64
MAX_ACTIONS = 256

OFFER = record_dtype(
    (
        Field("kind", "i4", (), "", "index into KINDS"),
        Field("depth", "i4", (), "basis points", "discount"),
        Field("points", "i4", (), "points", "bonus points"),
        Field("item_cost", "i4", (), "minor units", "cost of the item"),
        Field("cap", "i4", (), "minor units", "the most one use can cost"),
        Field("uses", "i4", (), "", "number of uses"),
        Field("weeks", "i4", (), "weeks", "validity"),
        Field("pressure", "i4", (), "flag", "urgency or scarcity"),
        Field("category", "i4", (), "", "category it is for, -1 = all"),
        Field("strength", "f8", (), "", "multiple of the kind's effect"),
    )
)

ACTION = record_dtype(
    (
        Field("offer", "i4", (), "", "row of the offer table, -1 = nothing"),
        Field("channel", "i4", (), "", "index into CHANNELS, -1 = nothing"),
        Field("contact_cost", "i4", (), "minor units", "cost of the message"),
        Field("commitment", "i4", (), "minor units", "cap × uses + contact"),
    )
)


@dataclass(frozen=True)
class ActionTable:
    """Compiled offers and actions. Action 0 is nothing.

    Attributes
    ----------
    labels
        "nothing" or "offer/channel", one per action.
    offers, actions
        Record arrays OFFER (at least one row) and ACTION.
    categories
        Names of the world's categories, in the order that ``offers["category"]`` counts.
    """

    labels: tuple[str, ...]
    offer_names: tuple[str, ...]
    offers: NDArray[np.void]
    actions: NDArray[np.void]
    categories: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of actions."""
        return len(self.labels)

    @property
    def commitment(self) -> NDArray[np.int64]:
        """Commitment per action in minor units, shape (n,)."""
        return self.actions["commitment"].astype(np.int64)


def action_table(
    book: OfferBook, programme: ProgrammeParameters, categories: tuple[str, ...] = ()
) -> ActionTable:
    """Flat table of (offer, channel); bonus points need an active programme to be listed.

    Raises
    ------
    ValueError
        For an offer whose category is not among those of the world.
    """
    for offer in book.offers:
        if offer.category and offer.category not in categories:
            known = ", ".join(categories) or "none (category_shares of its membership)"
            raise ValueError(
                f"offer {offer.name}: category={offer.category!r}: this world has {known}"
            )
    usable = [o for o in book.offers if o.kind != "points" or programme.active]
    offers = np.zeros(max(1, len(usable)), OFFER)
    labels = ["nothing"]
    rows = [(-1, -1, 0, 0)]
    for at, offer in enumerate(usable):
        cap = offer.cap_minor(programme)
        offers[at] = (
            KINDS.index(offer.kind),
            round(offer.depth * 10_000),
            offer.points,
            to_minor(offer.item_cost),
            cap,
            offer.uses,
            offer.weeks,
            offer.pressure,
            categories.index(offer.category) if offer.category else -1,
            offer.strength,
        )
        for channel in book.channels:
            cost = to_minor(book.contact_cost.get(channel, 0.0))
            labels.append(f"{offer.name}/{channel}")
            rows.append((at, CHANNELS.index(channel), cost, cap * offer.uses + cost))
    return ActionTable(
        tuple(labels), tuple(o.name for o in usable), offers, np.array(rows, dtype=ACTION),
        categories,
    )  # fmt: skip


def with_point_cost(table: ActionTable, cost: NDArray[np.float64]) -> ActionTable:
    """The same actions where points of each offer commit another cost.

    Parameters
    ----------
    cost
        Of one point by offer, minor units, shape (offers,); read for offers of points only.
    """
    offers, actions = table.offers.copy(), table.actions.copy()
    points = offers["kind"] == KINDS.index("points")
    offers["cap"][points] = np.ceil(offers["points"] * cost)[points]
    of = actions["offer"][1:]
    actions["commitment"][1:] = offers["cap"][of] * offers["uses"][of] + actions["contact_cost"][1:]
    return replace(table, offers=offers, actions=actions)
