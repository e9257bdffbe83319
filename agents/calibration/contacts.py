"""Contacts of campaigns: who was reached, when, by which kind, and who redeemed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agents.calibration.contact_file import read_contacts
from agents.calibration.log import SECONDS_PER_DAY, TransactionLog
from agents.calibration.sources import complete_journey_folder
from agents.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from agents.calibration.sources import Notify

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

PRE_WEEKS = 8
LEAST_PRE_WEEKS = 1
_ADDED_TRIPS = 1.0


@dataclass(frozen=True)
class ContactLog:
    """One row per customer and campaign that reached it.

    Attributes
    ----------
    name : str
        Where the contacts come from, for reports.
    customer : int64, shape (rows,)
        Customer code of the transaction log. Rows are sorted by (customer, campaign).
    campaign, kind : int64, shape (rows,)
        Codes of `campaigns` and `kinds`.
    start_day, end_day : int64, shape (rows,)
        First day of the campaign and first day after it, in days since the log's week 0.
    coupons : int64, shape (rows,)
        Coupons redeemed; 0 or 1 where the source only knows whether any was.
    campaigns, kinds : tuple of str
        The source's own identifiers.

    Raises
    ------
    ValueError
        If arrays disagree in length, rows are not sorted or repeated, or a value is out of range.
    """

    name: str
    customer: Codes
    campaign: Codes
    kind: Codes
    start_day: Codes
    end_day: Codes
    coupons: Codes
    campaigns: tuple[str, ...]
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        if len({len(getattr(self, name)) for name in _PER_ROW}) != 1:
            raise ValueError(f"{', '.join(_PER_ROW)} must have one value per row")
        for name, labels in (("campaign", self.campaigns), ("kind", self.kinds)):
            codes = getattr(self, name)
            if len(codes) and not 0 <= codes.min() <= codes.max() < len(labels):
                raise ValueError(f"{name} codes must lie in 0..{len(labels) - 1}")
        if (self.end_day <= self.start_day).any():
            raise ValueError("end_day must be after start_day")
        if (self.coupons < 0).any():
            raise ValueError("coupons must not be negative")
        step = np.diff(self.customer)
        if ((step < 0) | ((step == 0) & (np.diff(self.campaign) <= 0))).any():
            raise ValueError("rows must be sorted by (customer, campaign), each pair once")

    @property
    def redeemed(self) -> npt.NDArray[np.bool_]:
        """Whether any coupon of the campaign was redeemed, shape (rows,)."""
        return self.coupons > 0

    @property
    def n_customers(self) -> int:
        """Customers with a contact."""
        return len(np.unique(self.customer))

    def __len__(self) -> int:
        return len(self.customer)

    def select(self, rows: npt.NDArray[np.bool_]) -> ContactLog:
        """The same campaigns and kinds with some rows only."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _PER_ROW})

    def shares(self) -> Floats:
        """Share of contacts that were redeemed, per kind; NaN for a kind without contact."""
        size = np.bincount(self.kind, minlength=len(self.kinds))
        taken = np.bincount(self.kind, self.redeemed, len(self.kinds))
        return np.where(size > 0, taken / np.maximum(size, 1), np.nan)


_PER_ROW = tuple(field.name for field in fields(ContactLog) if "tuple" not in str(field.type))[1:]


def load_contacts(source: str, log: TransactionLog, notify: Notify | None = None) -> ContactLog:
    """Read contacts that belong to a transaction log.

    Parameters
    ----------
    source : str
        ``completejourney``, or a CSV or Parquet file with columns customer, campaign, kind,
        start, end (dates, both inclusive) and redeemed (0 or 1): one row per customer and
        campaign.
    log : TransactionLog
        Purchases of the same customers.
    notify : callable, optional
        Receives a line about contacts that were left out because their customers are not in the
        log.

    Raises
    ------
    InputError
        If the file or a value in it cannot be used, or no contact belongs to the log.
    """
    tell = notify or (lambda line: None)
    frame = _complete_journey(tell) if source == "completejourney" else read_contacts(source)
    return _assemble(frame, source, log, tell)


def _complete_journey(tell: Notify) -> pd.DataFrame:
    """Contacts of the 27 campaigns of 2017, kinds ``Type A``, ``Type B``, ``Type C``."""
    import pandas as pd

    folder = complete_journey_folder(tell)
    keys = ["household_id", "campaign_id"]
    redemptions = pd.read_parquet(folder / "coupon_redemptions.parquet", columns=keys)
    coupons = redemptions.groupby(keys).size().rename("coupons").reset_index()
    frame = (
        pd.read_parquet(folder / "campaigns.parquet")
        .merge(pd.read_parquet(folder / "campaign_descriptions.parquet"), on="campaign_id")
        .merge(coupons, on=keys, how="left")
        .fillna({"coupons": 0})
    )
    return pd.DataFrame(
        {
            "customer": frame["household_id"].astype(str),
            "campaign": frame["campaign_id"].astype(str).str.zfill(2),
            "kind": frame["campaign_type"].astype(str),
            "start": frame["start_date"],
            "end": frame["end_date"],
            "coupons": frame["coupons"].astype(np.int64),
        }
    )


def _assemble(frame: pd.DataFrame, source: str, log: TransactionLog, tell: Notify) -> ContactLog:
    labels = np.asarray(log.customer_label, str)
    order = np.argsort(labels)
    given = frame["customer"].to_numpy().astype(str)
    at = np.minimum(np.searchsorted(labels[order], given), len(labels) - 1)
    known = labels[order][at] == given
    if not known.any():
        raise InputError(
            f"{source}: customer: none of the {len(frame):,} contacts is of a customer of the log "
            f"{log.name} ({given[0]!r} for example); allowed: the log's own identifiers"
        )
    if not known.all():
        tell(
            f"{source}: {(~known).sum():,} of {len(frame):,} contacts left out: their customers "
            f"bought nothing in the log {log.name}"
        )
    frame, code = frame[known], order[at][known]
    campaigns, campaign = np.unique(frame["campaign"].to_numpy().astype(str), return_inverse=True)
    kinds, kind = np.unique(frame["kind"].to_numpy().astype(str), return_inverse=True)
    rows = np.lexsort((campaign, code))

    def day(column: str) -> Codes:
        away = (frame[column] - log.start.normalize()).to_numpy().astype("timedelta64[D]")
        return np.asarray(away.astype(np.int64)[rows])

    return ContactLog(
        name=Path(source).name,
        customer=code.astype(np.int64)[rows],
        campaign=campaign.astype(np.int64)[rows],
        kind=kind.astype(np.int64)[rows],
        start_day=day("start"),
        end_day=day("end") + 1,
        coupons=frame["coupons"].to_numpy(np.int64)[rows],
        campaigns=tuple(str(label) for label in campaigns),
        kinds=tuple(str(label) for label in kinds),
    )


def wholly_observed(contacts: ContactLog, log: TransactionLog) -> ContactLog:
    """Contacts whose campaign the log covers from a week before its start to its end.

    A campaign that outlasts the log has had less time to be redeemed, and one that began before
    it has no pre-campaign rate.

    Raises
    ------
    InputError
        If nothing is left.
    """
    last = log.end_time // SECONDS_PER_DAY
    inside = (contacts.start_day >= 7 * LEAST_PRE_WEEKS) & (contacts.end_day <= last)
    if not inside.any():
        raise InputError(
            f"{contacts.name}: none of {len(contacts):,} contacts lies within the log {log.name} "
            f"({log.start.date()} and {last} days on); allowed: campaigns that start at least "
            f"{LEAST_PRE_WEEKS} week after the log's start and end before its end"
        )
    return contacts.select(inside)


def log_pre_rate(log: TransactionLog, customer: Codes, start_day: Codes) -> Floats:
    """Log purchases per week before a campaign, shape of `customer`.

    log((n + 1) / w) with n purchases in the w = 8 weeks before the campaign's start (fewer if the
    log is younger): the one keeps customers without a purchase.

    Parameters
    ----------
    customer, start_day : int64, shape (rows,)
        Customer codes and days since the log's week 0.
    """
    start = start_day * SECONDS_PER_DAY
    first = np.maximum(start - PRE_WEEKS * 7 * SECONDS_PER_DAY, 0)
    # Rows are sorted by (customer, time), so one number orders them.
    span = np.int64(log.end_time + 1)
    place = log.customer * span + log.time
    count = np.searchsorted(place, customer * span + start) - np.searchsorted(
        place, customer * span + first
    )
    weeks = (start - first) / (7 * SECONDS_PER_DAY)
    return np.asarray(np.log((count + _ADDED_TRIPS) / weeks), np.float64)


def targeting(log: TransactionLog, contacts: ContactLog) -> float:
    """How much heavier contacted customers buy than all: difference of mean log pre-rates.

    All customers of the log are taken at the same campaigns' starts.
    """
    reached = log_pre_rate(log, contacts.customer, contacts.start_day).mean()
    starts, size = np.unique(contacts.start_day, return_counts=True)
    everyone = np.arange(log.n_customers)
    means = [log_pre_rate(log, everyone, np.full_like(everyone, start)).mean() for start in starts]
    return float(reached - np.average(means, weights=size))


def pre_rates(log: TransactionLog, contacts: ContactLog) -> Floats:
    """`log_pre_rate` of every contact, minus its mean over contacts; shape (rows,)."""
    rate = log_pre_rate(log, contacts.customer, contacts.start_day)
    return np.asarray(rate - rate.mean())
