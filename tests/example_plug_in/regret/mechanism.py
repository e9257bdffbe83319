"""Regret: after a week of much spending, customers hold back for a while."""

from agents.mechanisms import Mechanism


def effect(traits, state, stimulus, memory, parameters, first):
    """Fall of the log purchase rate by ``regret_log_rate`` per unit of regret; churn is as ever."""
    return -parameters[first] * memory, 0.0


def remember(memory, outcome, parameters, first):
    """Regret halves every week; a week above ``regret_spend`` (minor units) adds one."""
    splurged = 1.0 if outcome.gross > parameters[first + 1] else 0.0
    return 0.5 * memory + splurged


REGRET = Mechanism("regret", ("regret_log_rate", "regret_spend"), effect, remember)
