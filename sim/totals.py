"""What a week brought over a cohort: exact integer totals, whatever the order or the threads."""

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import literal_unroll, prange, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.records import OUTCOME, Customers
from sim.block import BLOCK
from sim.ledger import CASH, profit

_MOST_ROWS = 4096  # of a chunk
_TASKS = 8  # chunks a thread, so that none waits long for another


@dataclass(frozen=True)
class WeekTotals:
    """Exact totals of one week over a cohort, as Python integers in minor units or points."""

    purchases: int
    gross: int
    discount: int
    margin: int
    item_cost: int
    contact_cost: int
    reward_cost: int
    voucher: int
    fees: int
    points_earned: int
    points_redeemed: int
    points_expired: int
    reserved: int
    settled: int
    released: int
    liability_change: int
    contacts: int
    opened: int
    redeemed: int
    opted_out: int
    closed: int
    rewards: int
    left: int
    enrolled: int
    joined: int
    referred: int
    promoters: int
    detractors: int
    answers: int
    satisfied: int
    rose: int
    fell: int

    @property
    def revenue(self) -> int:
        """What customers paid: baskets after discounts and vouchers, and fees."""
        return self.gross - self.discount - self.voucher + self.fees

    @property
    def nps(self) -> float:
        """Net promoter score of this week's answers, -100 to 100; NaN without any."""
        return 100 * (self.promoters - self.detractors) / self.answers if self.answers else math.nan

    @property
    def csat(self) -> float:
        """Share of this week's answers that are 4 or 5 of 5; NaN without any."""
        return self.satisfied / self.answers if self.answers else math.nan

    @property
    def cash_cost(self) -> int:
        """Discount, items, contacts and rewards handed out."""
        return sum(int(getattr(self, name)) for name in CASH)

    @property
    def profit(self) -> float:
        """Margin less cash cost less change of points liability, minor units."""
        return float(profit(self.margin, self.cash_cost, self.liability_change))


_COUNTED = (
    "contacts", "joined", "referred", "promoters", "detractors", "answers", "satisfied",
    "rose", "fell",
)  # fmt: skip
_FLOWS = tuple(WeekTotals.__dataclass_fields__)
_SUMMED = tuple(name for name in _FLOWS if name not in _COUNTED)
STOCKS = ("customers", "alive", "members", "consenting")
_COLUMNS = (*_SUMMED, *_COUNTED, *STOCKS)
N_SUMS = len(_COLUMNS)
_LIABILITY = _SUMMED.index("liability_change")
_AMOUNTS, _FLAGS = _SUMMED[:_LIABILITY], _SUMMED[_LIABILITY + 1 :]  # 32 bits, one byte


def _offset(name: str) -> int:
    fields = OUTCOME.fields
    assert fields is not None
    return int(fields[name][1])


# Where OUTCOME, as 32-bit words, holds the fields that most weeks leave at 0: one byte each.
_WORDS = OUTCOME.itemsize // 4
_RARE = tuple(range(_offset("action") // 4, _WORDS))
# ``_add_amounts`` and ``add_week`` rely on where the fields are.
_NARROW = [name for name in OUTCOME.names or () if OUTCOME[name].itemsize == 1]
assert {OUTCOME[name] for name in _AMOUNTS} == {np.dtype("i4")}
assert [_offset(name) for name in (*_AMOUNTS, _NARROW[0])] == [
    _offset(_AMOUNTS[0]) + 4 * at for at in range(len(_AMOUNTS) + 1)
]
assert len(_NARROW) == 4 * len(_RARE)


@intrinsic
def _add_amounts(typing: Any, outcome: Any, sums: Any) -> Any:
    """Add the 32-bit amounts of an OUTCOME row to the first of ``sums``, all lanes at once.

    A loop over rows that adds field by field does not vectorise; this is a third of its time.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.bitcast(arguments[0], ir.IntType(8).as_pointer())
        first = builder.gep(start, [ir.IntType(32)(_offset(_AMOUNTS[0]))])
        amounts = builder.bitcast(first, ir.IntType(32).as_pointer())
        totals = context.make_array(signature.args[1])(context, builder, arguments[1]).data
        done = 0
        while done < len(_AMOUNTS):
            lanes = next(k for k in (8, 4, 2, 1) if k <= len(_AMOUNTS) - done)
            narrow = ir.VectorType(ir.IntType(32), lanes)
            wide = ir.VectorType(ir.IntType(64), lanes)
            at = ir.IntType(32)(done)
            here = builder.bitcast(builder.gep(amounts, [at]), narrow.as_pointer())
            place = builder.bitcast(builder.gep(totals, [at]), wide.as_pointer())
            added = builder.sext(builder.load(here, align=4), wide)
            builder.store(builder.add(builder.load(place, align=8), added), place, align=8)
            done += lanes
        return context.get_dummy_value()

    return types.void(outcome, sums), generate


@kernel
def add_week(outcome, sums):  # type: ignore[no-untyped-def]
    """Add what the week of these rows brought to ``sums``, shape (N_SUMS,)."""
    words = outcome.view(np.uint32)
    liability = np.int64(0)
    for i in range(outcome.shape[0]):
        _add_amounts(outcome[i], sums)
        liability += outcome[i].liability_change
        rare = np.uint32(0)
        for at in literal_unroll(_RARE):
            rare |= words[_WORDS * i + at]
        if rare != 0:
            _add_rare(outcome[i], sums)
    sums[_LIABILITY] += liability


@kernel
def _add_rare(week, sums):  # type: ignore[no-untyped-def]
    at = _LIABILITY + 1
    for name in literal_unroll(_FLAGS):
        sums[at] += week[name]
        at += 1
    for count in (
        week.action > 0,
        week.joined > 0,
        week.joined == 2,
        week.nps > 9,
        (week.nps > 0) & (week.nps <= 7),
        week.nps > 0,
        week.csat >= 4,
        week.tier_change > 0,
        week.tier_change < 0,
    ):
        sums[at] += count
        at += 1


@kernel
def add_standing(state, account, top, end, sums):  # type: ignore[no-untyped-def]
    """Add the head counts of rows ``top`` to ``end`` to ``sums``, shape (N_SUMS,)."""
    customers = alive = members = consenting = 0
    for row in range(top, end):
        own = account[row]
        held = (state[row].prospect == 0) & (own.closed == 0)
        customers += held
        alive += held & (state[row].alive > 0)
        members += held & (own.enrolled > 0)
        consenting += held & ((own.consent[0] | own.consent[1] | own.consent[2]) > 0)
    at = N_SUMS - len(STOCKS)
    for count in (customers, alive, members, consenting):
        sums[at] += count
        at += 1


@parallel_kernel
def _add_chunks(state, account, outcome, rows, sums):  # type: ignore[no-untyped-def]
    n = state.shape[0]
    for chunk in prange(sums.shape[0]):
        top = np.int64(chunk) * rows
        end = min(top + rows, n)
        add_week(outcome[top:end], sums[chunk])
        add_standing(state, account, top, end, sums[chunk])


def chunks(n: int) -> tuple[int, int]:
    """Number of chunks that ``n`` rows are shared out in, and rows of each: whole blocks.

    Integer sums do not depend on it.
    """
    share = -(-n // (_TASKS * numba.get_num_threads()))
    rows = min(max(-(-share // BLOCK), 1) * BLOCK, _MOST_ROWS)
    return max(-(-n // rows), 1), rows


def week_sums(customers: Customers) -> NDArray[np.int64]:
    """Sums over the cohort as it stands after a week, shape (N_SUMS,).

    Without OUTCOME rows there are head counts only.
    """
    number, rows = chunks(customers.n)
    sums = np.zeros((number, N_SUMS), np.int64)
    _add_chunks(customers.state, customers.account, customers.outcome, rows, sums)
    return np.asarray(sums.sum(axis=0))


def totals_of(sums: NDArray[np.int64]) -> WeekTotals:
    """What happened in the week."""
    by_name = dict(zip(_COLUMNS, (int(total) for total in sums), strict=True))
    return WeekTotals(**{name: by_name[name] for name in _FLOWS})


def stocks_of(sums: NDArray[np.int64]) -> dict[str, int]:
    """Head counts at its end: customers who joined and hold an open account, those of them who
    are truly still there (simulator only), members, and those whom some channel may reach.
    """
    return {name: int(total) for name, total in zip(_COLUMNS, sums, strict=True) if name in STOCKS}
