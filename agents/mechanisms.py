"""Mechanisms from outside: packages add effects on purchase rate and churn without a fork.

A package declares entry points in the group ``loyaltylab.mechanisms``, each a ``Mechanism``. Its
functions are compiled into the one kernel that every run uses, so a plugged-in mechanism works
in the Mesa path, the engine, environments and counterfactual branches alike.
docs/plug-ins.md shows one from its first line to a run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from agents.compiled import PLUG_IN_GROUP, kernel

MAX_PLUGGED = 8


@dataclass(frozen=True)
class Mechanism:
    """A mechanism of a plug-in; its functions live in the module that the entry point names.

    Parameters
    ----------
    name
        Its name in ``off`` and in documentation.
    parameters
        Names of its parameters, set through ``response.plugged``; 0 where not set.
    effect
        ``effect(traits, state, stimulus, memory, parameters, first)`` returns the changes of the
        log purchase rate and of the log hazard: plain scalar Python that numba compiles. Its own
        parameters start at ``parameters[first]``.
    remember
        ``remember(memory, outcome, parameters, first)`` returns what the one float per customer
        that the mechanism may keep becomes after a week; None keeps none (``memory`` is 0).
    """

    name: str
    parameters: tuple[str, ...]
    effect: Callable[..., Any]
    remember: Callable[..., Any] | None = None


def _installed() -> tuple[Mechanism, ...]:
    found = []
    for point in sorted(entry_points(group=PLUG_IN_GROUP), key=lambda point: point.name):
        one = point.load()
        if not isinstance(one, Mechanism):
            raise TypeError(f"{PLUG_IN_GROUP}: {point.value} is no agents.mechanisms.Mechanism")
        found.append(one)
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise ValueError(f"plugged-in mechanisms {names}: names must differ")
    if sum(len(one.parameters) for one in found) > MAX_PLUGGED:
        raise ValueError(f"plugged-in mechanisms have more than {MAX_PLUGGED} parameters together")
    return tuple(found)


@kernel
def _no_effect(traits, state, stimulus, parameters):  # type: ignore[no-untyped-def]
    return 0.0, 0.0


@kernel
def _no_memory(state, outcome, parameters):  # type: ignore[no-untyped-def]
    pass


def _effects(rest: Any, one: Mechanism, first: int, slot: int) -> Any:
    effect = kernel(one.effect)
    remembers = one.remember is not None

    @kernel
    def combined(traits, state, stimulus, parameters):  # type: ignore[no-untyped-def]
        rate, hazard = rest(traits, state, stimulus, parameters)
        memory = state.memory[slot] if remembers else 0.0
        more_rate, more_hazard = effect(traits, state, stimulus, memory, parameters, first)
        return rate + more_rate, hazard + more_hazard

    return combined


def _memories(rest: Any, function: Callable[..., Any], first: int, slot: int) -> Any:
    remember = kernel(function)

    @kernel
    def combined(state, outcome, parameters):  # type: ignore[no-untyped-def]
        rest(state, outcome, parameters)
        state.memory[slot] = remember(state.memory[slot], outcome, parameters, first)

    return combined


def _compose(mechanisms: tuple[Mechanism, ...]) -> tuple[Any, Any]:
    effect, memory = _no_effect, _no_memory
    first = slot = 0
    for one in mechanisms:
        effect = _effects(effect, one, first, slot)
        if one.remember is not None:
            memory = _memories(memory, one.remember, first, slot)
            slot += 1
        first += len(one.parameters)
    return effect, memory


PLUGGED = _installed()
plugged_effect, plugged_memory = _compose(PLUGGED)
