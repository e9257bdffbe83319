"""Means of baskets below a cap, in closed form: what sampling baskets tends to.

Gamma: with P the regularised lower incomplete gamma function and X of shape k and mean 1,
E[min(X, c)] = P(k + 1, kc) + c (1 − P(k, kc)). Lognormal: the same with normal distribution
functions, as in the limited expected value of insurance (Klugman, Panjer & Willmot 2012, Loss
Models, appendix A).
"""

import math

from agents.compiled import kernel
from agents.elementary import exp, log

_TERMS = 500
_TINY = 1e-300
_ENOUGH = 1e-12
_FAR = 60.0  # means; no basket comes near a cap so far away


@kernel
def lower_gamma(shape, x):  # type: ignore[no-untyped-def]
    """Regularised lower incomplete gamma function P(shape, x), x above 0.

    Series below shape + 1, Lentz's continued fraction above (Press et al. 2007, Numerical
    Recipes, §6.2); relative error about 1e-12.
    """
    scale = exp(max(shape * log(x) - x - math.lgamma(shape), -700.0))
    if x < shape + 1.0:
        term = 1.0 / shape
        total = term
        for k in range(1, _TERMS):
            term *= x / (shape + k)
            total += term
            if term < total * _ENOUGH:
                break
        return min(total * scale, 1.0)
    b = x + 1.0 - shape
    c = 1.0 / _TINY
    d = 1.0 / b
    fraction = d
    for k in range(1, _TERMS):
        a = -k * (k - shape)
        b += 2.0
        d = a * d + b
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = b + a / c
        c = c if abs(c) > _TINY else _TINY
        step = c * d
        fraction *= step
        if abs(step - 1.0) < _ENOUGH:
            break
    return max(1.0 - scale * fraction, 0.0)


@kernel
def normal_below(z):  # type: ignore[no-untyped-def]
    """Standard normal distribution function."""
    return 0.5 * math.erfc(-z * math.sqrt(0.5))


@kernel
def mean_basket_below(traits, mean, cap, behaviour):  # type: ignore[no-untyped-def]
    """Expected minimum of a basket and a cap, in the units of both.

    Parameters
    ----------
    traits
        TRAITS row; ``spend_shape`` is the gamma shape, or the sd of the log.
    mean, cap
        Mean basket before any cap; the cap.
    behaviour
        BEHAVIOUR record: which family.
    """
    if mean <= 0.0 or cap <= 0.0:
        return 0.0
    limit = cap / mean
    if limit > _FAR:
        return mean
    if behaviour.lognormal_spend:
        sd = max(traits.spend_shape, 1e-6)
        z = log(limit) / sd
        below = normal_below(z - 0.5 * sd)
        return mean * below + cap * (1.0 - normal_below(z + 0.5 * sd))
    shape = max(traits.spend_shape, 1e-6)
    x = shape * limit
    reached = lower_gamma(shape, x)
    # P(k + 1, x) = P(k, x) − x^k e^−x / Γ(k + 1)
    rise = exp(max(shape * log(x) - x - math.lgamma(shape + 1.0), -700.0))
    return mean * max(reached - rise, 0.0) + cap * (1.0 - reached)


@kernel
def mean_of_first(rate, most):  # type: ignore[no-untyped-def]
    """Expected minimum of a Poisson count and ``most``."""
    probability = exp(-rate)
    cumulative = probability
    total = 0.0
    for count in range(1, most + 1):
        total += 1.0 - cumulative
        probability *= rate / count
        cumulative += probability
    return total
