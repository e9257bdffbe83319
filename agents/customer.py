"""A customer as a Mesa agent: a readable view on one row of the cohort."""

import itertools
import multiprocessing
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

# Importing mesa sets multiprocessing to spawn for the whole process: put back what was there.
_start_method = multiprocessing.get_start_method(allow_none=True)
import mesa  # noqa: E402

multiprocessing.set_start_method(_start_method, force=True)

__all__ = ["CustomerAgent", "MarketAgent", "mesa"]


class _Numbers(weakref.WeakKeyDictionary[Any, Iterator[int]]):
    """Next agent number of each model, forgotten with the model."""

    def __getitem__(self, model: Any) -> Iterator[int]:
        return self.setdefault(model, itertools.count(1))


class MarketAgent(mesa.Agent):
    """A Mesa agent that does not keep its model alive for ever.

    Mesa 3.3 counts agents in a table that holds every model there ever was, with all its
    customers: a thousand markets would fill the memory.
    """

    _ids: ClassVar[Any] = _Numbers()


class CustomerAgent(MarketAgent):
    """View on row ``row`` of its model's cohort.

    ``step`` asks the model to advance that row; its week is written in ``sim.week.step_block``,
    so a market of agents and the parallel engine give the same bits. Record fields read as
    attributes, for example ``agent.points`` or ``agent.tier``.
    """

    def __init__(self, model: Any, row: int) -> None:
        super().__init__(model)
        self.row = row

    def step(self) -> None:
        """Live one week under the firm's decision for this customer."""
        self.model.advance_row(self.row)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name not in ("model", "row"):
            for part in self.model.customers:
                if name in part.dtype.names:
                    return part[name][self.row]
        raise AttributeError(f"a customer has no field {name!r}")
