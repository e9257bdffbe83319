"""Negative amounts of a log: refused, subtracted from earlier purchases, or left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from agents.calibration.log import MINOR_UNITS
from agents.compiled import block_kernel

Refunds = Literal["refuse", "net", "drop"]
REFUNDS: tuple[Refunds, ...] = ("refuse", "net", "drop")

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RefundCount:
    """What was done with the negative amounts of a log.

    Attributes
    ----------
    option : {"refuse", "net", "drop"}
        The option that was asked for.
    rows : int
        Rows with a negative amount.
    subtracted : int
        Rows of these that lowered an earlier purchase, in full or in part.
    subtracted_amount, left_over : int
        Minor units that were subtracted, and that found no purchase to be subtracted from.
    """

    option: Refunds
    rows: int
    subtracted: int = 0
    subtracted_amount: int = 0
    left_over: int = 0

    def sentence(self) -> str:
        """One line for a person; empty where there was no refund."""
        if not self.rows:
            return ""
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'} with a negative amount"
        if self.option == "drop":
            return f"refunds=drop: {rows} removed"
        taken, left = self.subtracted_amount / MINOR_UNITS, self.left_over / MINOR_UNITS
        return (
            f"refunds=net: {rows}; {self.subtracted:,} subtracted from earlier purchases "
            f"({taken:,.2f}), {self.rows - self.subtracted:,} without an earlier purchase dropped, "
            f"{left:,.2f} found nothing to be subtracted from"
        )


def net(customer: Integers, amount: Integers) -> tuple[npt.NDArray[Any], Integers, int, int]:
    """Subtract every refund from the same customer's most recent earlier purchases.

    No purchase falls below 0; one that is refunded in full stays, as a purchase of amount 0. What
    exceeds all earlier purchases is dropped.

    Parameters
    ----------
    customer, amount : int64, shape (rows,)
        Sorted by customer and time, of equal times the purchases first; refunds are negative.

    Returns
    -------
    purchase : bool, shape (rows,)
        Which rows are purchases.
    amount : int64, shape (rows,)
        Amounts after refunds; meaningful for purchases.
    subtracted, subtracted_amount : int
        Refunds that lowered a purchase, and by how much together (minor units).
    """
    left = np.array(amount, np.int64)
    subtracted, total = _net(np.asarray(customer, np.int64), left)
    return np.asarray(amount) >= 0, left, int(subtracted), int(total)


@block_kernel
def _net(customer, amount):  # type: ignore[no-untyped-def]
    subtracted = 0
    total = 0
    start = 0
    for row in range(len(amount)):
        if customer[row] != customer[start]:
            start = row
        open_amount = -amount[row]
        if open_amount <= 0:
            continue
        amount[row] = 0
        given = 0
        earlier = row - 1
        while earlier >= start and open_amount > 0:
            taken = min(open_amount, amount[earlier])
            amount[earlier] -= taken
            open_amount -= taken
            given += taken
            earlier -= 1
        total += given
        if given > 0:
            subtracted += 1
    return subtracted, total
