"""Masks: which constraint blocks each action of each customer, as one compiled rule."""

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.profile import contact_history, weeks_contacted
from agents.records import CHANNELS, KINDS, N_CATEGORIES, N_CHANNELS, Field, record_dtype
from envs.constraints.names import EVERY_CONSTRAINT, Constraint
from envs.constraints.parameters import ConstraintParameters, ContactCap
from sim.ledger import BASIS
from sim.offers import ActionTable

_RISING = 1.25
_DISCOUNT, _POINTS = KINDS.index("discount"), KINDS.index("points")
(
    _CLOSED, _NOT_ENROLLED, _CONSENT, _OPT_OUT, _VULNERABLE, _OFFER_OPEN, _CONTACT_CAP, _QUIET,
    _SPREAD, _ALARM,
) = (int(code) for code in Constraint if 0 < code <= Constraint.LIABILITY_ALARM)  # fmt: skip

LIMITS = record_dtype(
    (
        Field("enforced", "u4", (), "bits", "constraints that bind, bit = Constraint"),
        Field("consent", "u1", (), "flag", "contact only with consent for the channel"),
        Field("vulnerable", "u1", (), "flag", "protect vulnerable customers"),
        Field("points_stopped", "u1", (), "flag", "no offers of points this week"),
        Field("cap_contacts", "i4", (), "contacts", "contact cap, -1 = none"),
        Field("cap_weeks", "i4", (), "weeks", "window of the contact cap"),
        Field("quiet_weeks", "i4", (), "weeks", "of silence after a contact"),
        Field("channel_contacts", "i4", (N_CHANNELS,), "contacts", "cap per channel, -1 = none"),
        Field("channel_weeks", "i4", (N_CHANNELS,), "weeks", "window of the cap per channel"),
        Field("channel_quiet", "i4", (N_CHANNELS,), "weeks", "of silence per channel"),
        Field("spread", "i4", (), "basis points", "deepest discount on everything"),
        Field("spread_category", "i4", (N_CATEGORIES,), "basis points", "and on one category"),
    )
)


def limits_record(
    parameters: ConstraintParameters,
    categories: tuple[str, ...] = (),
    enforced: int = EVERY_CONSTRAINT,
) -> NDArray[np.void]:
    """Compiled form of the masks' limits, shape (1,).

    Parameters
    ----------
    parameters
        Limits.
    categories
        Of the world (``ActionTable.categories``), which ``price_spread.by_category`` names.
    enforced
        Bit set of the constraints that bind; less than all of them only where a check must see
        that the ledger finds what a missing constraint lets through.

    Raises
    ------
    ValueError
        For a category that the world does not have.
    """
    record = np.zeros(1, LIMITS)
    record["enforced"] = enforced
    record["consent"] = parameters.consent
    record["vulnerable"] = parameters.vulnerable
    record["cap_contacts"], record["cap_weeks"] = _cap(parameters.contact_cap)
    record["quiet_weeks"] = parameters.quiet_weeks
    record["channel_contacts"], record["channel_weeks"] = _cap(None)
    for channel, limits in parameters.by_channel.items():
        at = CHANNELS.index(channel)
        record["channel_contacts"][0, at], record["channel_weeks"][0, at] = _cap(limits.contact_cap)
        record["channel_quiet"][0, at] = limits.quiet_weeks
    spread = parameters.price_spread
    overall = 1.0 if spread is None else spread.overall
    by_category = {} if spread is None else spread.by_category
    record["spread"] = _basis_points(min(overall, *by_category.values(), 1.0))
    record["spread_category"] = _basis_points(overall)
    for name, share in by_category.items():
        if name not in categories:
            known = ", ".join(categories) or "none"
            raise ValueError(f"price_spread.by_category.{name}: this world has {known}")
        record["spread_category"][0, categories.index(name)] = _basis_points(share)
    return record


def _cap(cap: ContactCap | None) -> tuple[int, int]:
    return (-1, 1) if cap is None else (cap.contacts, cap.weeks)


def _basis_points(share: float) -> int:
    return math.floor(share * BASIS + 1e-6)


@kernel
def _binds(limits, code):  # type: ignore[no-untyped-def]
    return (np.int64(limits.enforced) >> code) & 1 > 0


@kernel
def _permission(account, profile, limits, channel):  # type: ignore[no-untyped-def]
    """Whether the customer lets the firm use the channel."""
    opted_out = (profile.opted_out >> channel) & 1
    if opted_out:
        return _OPT_OUT if _binds(limits, _OPT_OUT) else 0
    if limits.consent and not account.consent[channel] and _binds(limits, _CONSENT):
        return _CONSENT
    return 0


@kernel
def _pacing(history, contacts, weeks, quiet, limits):  # type: ignore[no-untyped-def]
    """Whether a contact now would come too soon, by cap or by quiet weeks."""
    capped = contacts >= 0 and weeks_contacted(history, weeks - 1) >= contacts
    if capped and _binds(limits, _CONTACT_CAP):
        return _CONTACT_CAP
    if quiet > 0 and weeks_contacted(history, quiet) > 0 and _binds(limits, _QUIET):
        return _QUIET
    return 0


@kernel
def _too_deep(offer, limits):  # type: ignore[no-untyped-def]
    if offer.kind != _DISCOUNT:
        return False
    if offer.category >= 0:
        return offer.depth > limits.spread_category[offer.category]
    return offer.depth > limits.spread


@kernel
def blocking_row(account, profile, actions, offers, limits, out):  # type: ignore[no-untyped-def]
    """Constraint that blocks each action of one customer, 0 = allowed; ``out`` shape (A,)."""
    out[0] = 0
    whole = 0
    if account.closed and _binds(limits, _CLOSED):
        whole = _CLOSED
    elif not account.enrolled and _binds(limits, _NOT_ENROLLED):
        whole = _NOT_ENROLLED
    rising = profile.revenue_fast > _RISING * profile.revenue_slow
    protected = limits.vulnerable and account.vulnerable and _binds(limits, _VULNERABLE)
    waiting = account.offer > 0 and _binds(limits, _OFFER_OPEN)
    paced = _pacing(
        contact_history(profile), limits.cap_contacts, limits.cap_weeks, limits.quiet_weeks, limits
    )
    # A byte a channel: codes of permission, and of pacing.
    permissions = np.int64(0)
    pacings = np.int64(0)
    for channel in range(N_CHANNELS):
        permissions |= np.int64(_permission(account, profile, limits, channel)) << (8 * channel)
        own = _pacing(
            profile.contacts[channel], limits.channel_contacts[channel],
            limits.channel_weeks[channel], limits.channel_quiet[channel], limits,
        )  # fmt: skip
        pacings |= np.int64(paced if paced > 0 else own) << (8 * channel)
    spread = _binds(limits, _SPREAD)
    stopped = limits.points_stopped and _binds(limits, _ALARM)
    for action in range(1, actions.shape[0]):
        offer = offers[actions[action].offer]
        shift = 8 * actions[action].channel
        code = whole
        if code == 0:
            code = (permissions >> shift) & 255
        if code == 0:
            if protected and (offer.pressure or (rising and offer.kind == _DISCOUNT)):
                code = _VULNERABLE
            elif waiting:
                code = _OFFER_OPEN
            else:
                code = (pacings >> shift) & 255
        if code == 0:
            if spread and _too_deep(offer, limits):
                code = _SPREAD
            elif stopped and offer.kind == _POINTS:
                code = _ALARM
        out[action] = code


@parallel_kernel
def _blocking(account, profile, actions, offers, limits, out):  # type: ignore[no-untyped-def]
    for row in prange(account.shape[0]):
        blocking_row(account[row], profile[row], actions, offers, limits[0], out[row])


def blocking(
    account: NDArray[np.void],
    profile: NDArray[np.void],
    table: ActionTable,
    limits: NDArray[np.void],
) -> NDArray[np.uint8]:
    """Constraint blocking each action, shape (n, A); an action is allowed where it is 0."""
    out = np.empty((account.shape[0], table.n), np.uint8)
    _blocking(account, profile, table.actions, table.offers, limits, out)
    return out
