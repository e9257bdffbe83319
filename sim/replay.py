"""From recorded events to profiles: the fold that simulator, scoring and real logs share."""

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import parallel_kernel
from agents.profile import JOIN, PURCHASE, fold, week_close
from agents.records import ACCOUNT, LOG, MAX_WEEKS, OUTCOME, PROFILE, SECONDS_PER_WEEK
from sim.ledger import BASIS
from sim.points import close_programme_week, points_for
from sim.scenario import WEEKS_PER_YEAR
from sim.tiers import qualify
from sim.world import Rules


@parallel_kernel
def _replay(  # type: ignore[no-untyped-def]
    events, start, weeks, first_week, profile, account, outcome, silent, rules, status_match
):
    for row in prange(profile.shape[0]):
        at = start[row]
        end = start[row + 1]
        for week in range(first_week, first_week + weeks):
            close = np.int64(week + 1) * SECONDS_PER_WEEK
            while at < end and events[at].time < close:
                event = events[at]
                fold(profile[row], event.kind, event.time, event.code, event.channel, event.amount)
                if status_match and (event.kind == PURCHASE or event.kind == JOIN):
                    programme = rules[0].programme
                    qualify(
                        profile[row], silent[0], np.uint64(row), event.time, programme,
                        event.amount, points_for(event.amount, programme.multiplier[0], programme),
                    )  # fmt: skip
                at += 1
            if status_match:
                close_programme_week(
                    account[row], profile[row], outcome[row], silent[0],
                    np.uint64(row), close - 1, week, rules[0].programme,
                    rules[0].filter, rules[0].margin_share / BASIS,
                )  # fmt: skip
            exposure = rules[0].calendar.exposure[week % WEEKS_PER_YEAR]
            week_close(profile[row], rules[0].filter, week, exposure)


def replay(
    events: NDArray[np.void],
    n: int,
    weeks: int,
    rules: Rules,
    first_week: int = 0,
    status_match: bool = False,
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Fold events into profiles, week by week.

    Parameters
    ----------
    events
        EVENT rows with ``customer`` in 0..n-1; any order, they are sorted by (time, sequence).
    n, weeks, first_week
        Customers; weeks to close, the first of them.
    rules
        Filter, calendar and programme.
    status_match
        Derive what qualifies and the tier from the baskets themselves, that of joining included,
        for a log from before the programme: members start in the tier they deserve, with no
        points. Tiers by points earned take what was paid at the base tier's rate; tiers by
        predicted value come from the reviews; a points balance starts at nothing.

    Returns
    -------
    profile, account
        Shape (n,) each; accounts hold what qualifies and the tier where matched, else zeros.

    Raises
    ------
    ValueError
        If an event's customer lies outside 0..n-1 or its time outside the weeks given, or for
        weeks beyond ``MAX_WEEKS``, whose times do not fit PROFILE.
    """
    if first_week + weeks > MAX_WEEKS:
        raise ValueError(f"week {first_week + weeks} lies beyond the last, {MAX_WEEKS}")
    if events.size:
        if int(events["customer"].max()) >= n:
            raise ValueError(f"event of customer {events['customer'].max()}, but n={n}")
        low, high = int(events["time"].min()), int(events["time"].max())
        if low < first_week * SECONDS_PER_WEEK or high >= (first_week + weeks) * SECONDS_PER_WEEK:
            raise ValueError(f"event times {low}..{high} lie outside the weeks given")
    order = np.lexsort((events["sequence"], events["time"], events["customer"]))
    ordered = events[order]
    start = np.searchsorted(ordered["customer"], np.arange(n + 1, dtype=np.uint64)).astype(np.int64)
    profile = np.zeros(n, PROFILE)
    profile["joined"] = -1
    account = np.zeros(n, ACCOUNT)
    _replay(
        ordered, start, weeks, first_week, profile, account,
        np.zeros(n, OUTCOME), np.zeros(1, LOG), rules,
        status_match and bool(rules["programme"]["active"][0]),
    )  # fmt: skip
    return profile, account
