"""What is stored about a customer: one field table per record.

dtypes, documentation and memory figures are made from these tables (docs/contracts.md §2).
"""

from importlib.metadata import entry_points
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.compiled import PLUG_IN_GROUP

CHANNELS = ("email", "sms", "push")
KINDS = ("discount", "points", "free_item", "recognition")
DISCOUNT, POINTS_OFFER, FREE_ITEM, RECOGNITION = range(len(KINDS))
N_CHANNELS = len(CHANNELS)
N_KINDS = len(KINDS)
N_CATEGORIES = 4
# One float a customer for each installed plug-in; none are loaded to know how many there are.
N_MEMORIES = len(entry_points(group=PLUG_IN_GROUP))
SECONDS_PER_WEEK = 604_800
# Weeks of a run, counted from week 0: PROFILE holds times in seconds as 32 bits.
MAX_WEEKS = (2**31 - 1) // SECONDS_PER_WEEK
WEEKS_PER_QUARTER = 13
CONTACT_WEEKS = 16  # that PROFILE remembers of each channel, the running week among them
PENDING_SLOTS = 4
LOT_SLOTS = 6
QUALIFYING_SLOTS = 4
KEPT_SLOTS = 4
MAX_TIERS = 6
MAX_REWARDS = 4
MAX_PURCHASES = 255
MAX_WEEK_PURCHASES = 65_535  # that PROFILE counts; a real log may hold more than a run
MAX_OFFER_COUNT = 65_535  # weeks with an open offer that PROFILE counts, and purchases in them
MAX_CATEGORY_PURCHASES = 255  # that PROFILE counts of each category


class Field(NamedTuple):
    """One field of a record."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    unit: str
    meaning: str


def record_dtype(fields: tuple[Field, ...]) -> np.dtype[np.void]:
    """Aligned structured dtype of a field table."""
    return np.dtype([(f.name, f.dtype, f.shape) for f in fields], align=True)


TRAIT_FIELDS = (
    Field("id", "u8", (), "", "customer id, unique in a world"),
    Field("log_rate", "f4", (), "log 1/week", "purchase rate before drift and stimulus"),
    Field("hazard", "f4", (), "1/week", "dropout hazard before stimulus"),
    Field("spend_mean", "f4", (), "minor units", "mean basket at shelf price"),
    Field("spend_shape", "f4", (), "", "gamma shape, or log sd, of baskets around their mean"),
    Field("response", "f4", (N_KINDS,), "sd", "responsiveness to each reward kind, standardised"),
    Field("openness", "f4", (N_CHANNELS,), "probability", "attention to a message per channel"),
    Field("goal_gradient", "f4", (), "ratio", "strength of the goal gradient, mean 1"),
    Field("fatigue_sensitivity", "f4", (), "ratio", "strength of contact fatigue, mean 1"),
    Field("redemption", "f4", (), "sd", "inclination to redeem, standardised"),
    Field("price_sensitivity", "f4", (), "ratio", "strength of discounts and of waiting, mean 1"),
    Field("deal_learning", "f4", (), "ratio", "weight of a week's evidence about deals, mean 1"),
    Field("influence", "f4", (), "ratio", "weight of what this customer tells others, mean 1"),
    Field("category", "f4", (N_CATEGORIES,), "share", "share of baskets by category, sum 1"),
)

STATE_FIELDS = (
    Field("replica", "u4", (), "", "episode or branch number of the row's luck"),
    Field("drift", "f4", (), "log", "Ornstein-Uhlenbeck deviation of the log purchase rate"),
    Field("fatigue", "f4", (), "contacts", "recent contacts that got attention, decaying"),
    Field("momentum", "f4", (), "rewards", "recent points rewards, decaying"),
    Field("recent_reward", "f4", (), "rewards", "recent rewards of any kind, decaying"),
    Field("pull_forward", "f4", (), "offers", "recently redeemed promotions, decaying"),
    Field("deals", "f4", (), "weeks", "evidence that discounts come, fading"),
    Field("no_deals", "f4", (), "weeks", "evidence that none come, fading"),
    Field("satisfaction", "f4", (), "sd", "satisfaction above the customer's own level, fading"),
    Field("tier_change", "f4", (), "tiers", "recent rise (+) or fall (-) of the tier, fading"),
    Field("buzz", "f4", (), "rewards", "rewards that neighbours told of, fading"),
    Field("defections", "f4", (), "neighbours", "neighbours who left lately, fading"),
    Field("habit", "f4", (), "1/week", "moving average of visits, about 4 weeks"),
    Field("memory", "f4", (N_MEMORIES,), "", "memories of plugged-in mechanisms"),
    Field("week", "u2", (), "week", "clock of the row"),
    Field("alive", "u1", (), "flag", "1 while the customer has not silently left"),
    Field("prospect", "u1", (), "flag", "not a customer yet"),
    Field("referrals", "u1", (), "customers", "newcomers of last week credited to this customer"),
    Field(
        "contact_weeks", "u1", (), "weeks", "weeks that the last contact raises churn, this one too"
    ),
    Field("intends_redemption", "u1", (), "flag", "means to redeem the open offer"),
)

ACCOUNT_FIELDS = (
    Field("pending", "i4", (PENDING_SLOTS,), "points", "earned, not yet spendable, by week"),
    Field("lots", "i4", (LOT_SLOTS,), "points", "spendable lots by quarter of maturity"),
    Field(
        "qualifying", "i4", (QUALIFYING_SLOTS,), "see tier_basis", "by quarter, but for this one's"
    ),
    Field("commitment", "i4", (), "minor units", "open commitment of the present offer"),
    Field("ordered", "i4", (), "points", "price of a reward ordered, not yet handed out"),
    Field("kept", "u4", (), "bits", "old terms kept, a byte for each change: see sim.kept"),
    Field("order_reward", "u1", (), "", "row of the reward ordered"),
    Field("order_weeks", "u1", (), "weeks", "until the reward ordered is handed out"),
    Field("challenge", "u1", (), "purchases", "counted in the running challenge"),
    Field("streak", "u1", (), "weeks", "weeks in a row with a purchase"),
    Field("grace", "u1", (), "reviews", "reviews in a row below the present tier"),
    Field("offer", "u1", (), "", "open offer + 1, 0 = none"),
    Field("offer_uses_left", "u1", (), "uses", "redemptions left of the open offer"),
    Field("offer_opened", "u1", (), "flag", "the open offer's message was opened"),
    Field("tier", "u1", (), "", "present tier, 0 = base"),
    Field("enrolled", "u1", (), "flag", "member of the programme"),
    Field("closed", "u1", (), "flag", "account closed: the only exit a firm observes"),
    Field("consent", "u1", (N_CHANNELS,), "flag", "may be contacted, per channel"),
    Field("vulnerable", "u1", (), "flag", "protected by the vulnerable-customer rule"),
    Field("group", "u1", (), "", "group for fairness audits, never a feature"),
)

PROFILE_FIELDS = (
    Field("revenue", "i8", (), "minor units", "paid for baskets in all, without fees"),
    Field("joined", "i4", (), "seconds", "time of joining, -1 before"),
    Field("last_purchase", "i4", (), "seconds", "time of the last purchase, or of joining"),
    Field("age", "f4", (), "weeks", "time since joining"),
    Field("exposure", "f4", (), "weeks", "effective exposure of the purchase rate"),
    Field("effective_repeats", "f4", (), "purchases", "repeat purchases, discounted under drift"),
    Field("dead_odds", "f4", (), "odds", "posterior odds of having left silently"),
    Field("repeats", "i4", (), "purchases", "repeat purchases"),
    Field("week_revenue", "i4", (), "minor units", "paid since the last week close"),
    Field("qualifying", "i4", (), "see tier_basis", "what qualifies for a tier"),
    Field("points", "i4", (), "points", "spendable balance"),
    Field("purchases_fast", "f4", (), "1/week", "moving average of purchases, about 4 weeks"),
    Field("revenue_fast", "f4", (), "minor units/week", "moving average of revenue, 4 weeks"),
    Field("revenue_slow", "f4", (), "minor units/week", "moving average of revenue, 26 weeks"),
    Field("contacts", "u2", (N_CHANNELS,), "bits", "weeks with a contact, bit 0 = this week"),
    Field("week_purchases", "u2", (), "purchases", "since the last week close, saturating"),
    Field("sent", "u2", (N_KINDS,), "offers", "offers sent by kind"),
    Field("redeemed", "u2", (N_KINDS,), "offers", "offers redeemed by kind"),
    Field("messages", "u2", (N_CHANNELS,), "messages", "messages sent by channel"),
    Field("opened", "u2", (N_CHANNELS,), "messages", "messages opened by channel"),
    Field("offer_purchases", "u2", (), "purchases", "in weeks with an open offer, saturating"),
    Field("offer_weeks", "u2", (), "weeks", "closed weeks with an open offer, saturating"),
    Field("renewals", "u2", (), "periods", "subscription periods paid"),
    Field("categories", "u1", (N_CATEGORIES,), "purchases", "by main category, saturating"),
    Field("nps", "u1", (), "", "last answer to the recommendation question + 1, 0 = none"),
    Field("csat", "u1", (), "", "last answer to the satisfaction question, 0 = none"),
    Field("offer_weeks_left", "u1", (), "weeks", "validity left of the open offer"),
    Field(
        "flags",
        "u1",
        (),
        "bits",
        "1 offer used up, 2 subscription paid, both this week; "
        "4 joined with a basket, which is no repeat purchase; 8 account closed",
    ),
    Field("tier", "u1", (), "", "tier"),
    Field("opted_out", "u1", (), "bits", "channels opted out of, bit = index into CHANNELS"),
)

OUTCOME_FIELDS = (
    Field("liability_change", "i8", (), "micro minor units", "change of the points liability"),
    Field("purchases", "i4", (), "purchases", "purchases this week"),
    Field("gross", "i4", (), "minor units", "baskets at shelf price"),
    Field("discount", "i4", (), "minor units", "discount given"),
    Field("margin", "i4", (), "minor units", "gross × contribution margin"),
    Field("item_cost", "i4", (), "minor units", "items and shipping given by offers"),
    Field("contact_cost", "i4", (), "minor units", "cost of the message"),
    Field("reward_cost", "i4", (), "minor units", "cost of points rewards handed out"),
    Field("voucher", "i4", (), "minor units", "part of it that lowered what baskets cost"),
    Field("fees", "i4", (), "minor units", "subscription fees paid"),
    Field("points_earned", "i4", (), "points", "points earned, offers' bonus included"),
    Field("points_redeemed", "i4", (), "points", "points redeemed"),
    Field("points_expired", "i4", (), "points", "points expired"),
    Field("reserved", "i4", (), "minor units", "commitment reserved"),
    Field("settled", "i4", (), "minor units", "offer cost settled against the budget"),
    Field("released", "i4", (), "minor units", "commitment released unspent"),
    Field("action", "u1", (), "", "action executed"),
    Field("opened", "u1", (), "flag", "message opened"),
    Field("redeemed", "u1", (), "offers", "offers redeemed"),
    Field("opted_out", "u1", (), "flag", "opted out of the channel"),
    Field("closed", "u1", (), "flag", "closed the account"),
    Field("rewards", "u1", (), "rewards", "points rewards handed out"),
    Field("tier_change", "i1", (), "", "1 rose, -1 fell"),
    Field("left", "u1", (), "flag", "left for good, known to neighbours, not to the firm"),
    Field("joined", "u1", (), "flag", "1 joined unasked, 2 joined through a neighbour"),
    Field("enrolled", "u1", (), "flag", "enrolled in the programme"),
    Field("nps", "u1", (), "", "answer to the recommendation question + 1, 0 = none"),
    Field("csat", "u1", (), "", "answer to the satisfaction question, 0 = none"),
)

EVENT_FIELDS = (
    Field("customer", "u8", (), "", "customer id"),
    Field("time", "i8", (), "seconds", "local wall-clock time since the start of week 0"),
    Field("amount", "i8", (), "see docs/contracts.md §6", "money, points or weeks"),
    Field("sequence", "u4", (), "", "order among events of the same time"),
    Field("kind", "u1", (), "", "see agents.profile.EventKind"),
    Field("code", "u1", (), "", "reward kind, tier or points reason"),
    Field("channel", "u1", (), "", "index into CHANNELS"),
    Field("spare", "u1", (), "", "always 0"),
)

EVENT_WORDS = 4
# A purchase brings at most redemption, purchase and qualification; the rest comes once a week.
MOST_EVENTS = 3 * MAX_PURCHASES + 16
LOG_FIELDS = (
    Field("room", "i8", (), "events", "events that may be written, 0 = none are"),
    Field("used", "i8", (), "events", "events written this week"),
    Field("words", "i8", (MOST_EVENTS, EVENT_WORDS), "", "EVENT rows as 64-bit words"),
)

TRAITS = record_dtype(TRAIT_FIELDS)
STATE = record_dtype(STATE_FIELDS)
ACCOUNT = record_dtype(ACCOUNT_FIELDS)
PROFILE = record_dtype(PROFILE_FIELDS)
OUTCOME = record_dtype(OUTCOME_FIELDS)
EVENT = record_dtype(EVENT_FIELDS)
LOG = record_dtype(LOG_FIELDS)


class Customers(NamedTuple):
    """One cohort as five record arrays of shape (n,).

    ``outcome`` may have no rows: then nobody keeps what a week brought by customer.
    """

    traits: NDArray[np.void]
    state: NDArray[np.void]
    account: NDArray[np.void]
    profile: NDArray[np.void]
    outcome: NDArray[np.void]

    @property
    def n(self) -> int:
        """Number of customers (``len`` of a tuple is its number of fields)."""
        return int(self.traits.shape[0])

    @property
    def keeps_outcome(self) -> bool:
        """Is there an OUTCOME row for each customer?"""
        return self.outcome.shape == self.traits.shape

    def without_outcome(self) -> "Customers":
        """The same rows, not copied, but no OUTCOME rows: a week is summed and forgotten."""
        return self._replace(outcome=np.zeros(0, OUTCOME))

    def take(self, rows: NDArray[np.integer] | slice) -> "Customers":
        """Copy of the chosen rows, in that order (padding bytes are not copied)."""
        return Customers(*(np.array(part[rows] if part.size else part, copy=True) for part in self))

    def put(self, rows: NDArray[np.integer], source: "Customers") -> None:
        """Overwrite the chosen rows, shape (len(rows),), with the rows of another cohort.

        Raises
        ------
        ValueError
            If one of the two keeps OUTCOME rows and the other does not.
        """
        if self.keeps_outcome != source.keeps_outcome:
            raise ValueError("only one of the two cohorts keeps OUTCOME rows")
        for mine, theirs in zip(self, source, strict=True):
            if mine.size:
                mine[rows] = theirs


def empty_customers(n: int) -> Customers:
    """Zeroed cohort of n customers who have not joined yet."""
    customers = Customers(
        np.zeros(n, TRAITS),
        np.zeros(n, STATE),
        np.zeros(n, ACCOUNT),
        np.zeros(n, PROFILE),
        np.zeros(n, OUTCOME),
    )
    customers.profile["joined"] = -1
    return customers


def mutable_bytes_per_customer() -> int:
    """Bytes per customer that a week may change and the next one reads.

    OUTCOME is not among them: the engine runs without its rows (``Customers.without_outcome``).
    """
    return STATE.itemsize + ACCOUNT.itemsize + PROFILE.itemsize
