"""exp and log for kernels: the same bits in scalar code, in vectorised loops and on every machine.

The C library's differ between machines, and a loop that calls them does not vectorise. These are
branch-free and made of additions, multiplications, fused multiply-adds and one division, so
IEEE 754 fixes each bit.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from agents.compiled import kernel

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 × 2**52: adding and taking it off rounds to a whole number
_SQRT_HALF = np.float64(np.sqrt(0.5)).view(np.int64)
_BIAS = 1023
_MANTISSA = 52
MOST_EXPONENT = 700.0


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """One rounding of a × b + c; one instruction where the processor has it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = [
            context.cast(builder, value, given, types.float64)
            for value, given in zip(arguments, signature.args, strict=True)
        ]
        return builder.fma(*wide)

    return types.float64(a, b, c), generate


@kernel
def exp(x):  # type: ignore[no-untyped-def]
    """e**x, relative error below 1e-14; x is taken into -700 .. 700."""
    x = min(max(x, -MOST_EXPONENT), MOST_EXPONENT)
    n = fma(x, _LOG2_E, _ROUND) - _ROUND
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    p = 1.0 / 39916800.0
    p = fma(p, r, 1.0 / 3628800.0)
    p = fma(p, r, 1.0 / 362880.0)
    p = fma(p, r, 1.0 / 40320.0)
    p = fma(p, r, 1.0 / 5040.0)
    p = fma(p, r, 1.0 / 720.0)
    p = fma(p, r, 1.0 / 120.0)
    p = fma(p, r, 1.0 / 24.0)
    p = fma(p, r, 1.0 / 6.0)
    p = fma(p, r, 0.5)
    p = fma(p, r, 1.0)
    p = fma(p, r, 1.0)
    return p * np.int64((np.int64(n) + _BIAS) << _MANTISSA).view(np.float64)


@kernel
def log(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a normal x > 0, error below 1e-14 relative to 1 + |log x|."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF) >> _MANTISSA
    m = np.int64(bits - (exponent << _MANTISSA)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 1.0 / 15.0
    p = fma(p, z, 1.0 / 13.0)
    p = fma(p, z, 1.0 / 11.0)
    p = fma(p, z, 1.0 / 9.0)
    p = fma(p, z, 1.0 / 7.0)
    p = fma(p, z, 1.0 / 5.0)
    p = fma(p, z, 1.0 / 3.0)
    p = fma(p, z, 1.0)
    e = np.float64(exponent)
    return fma(e, _LN2_HIGH, fma(2.0 * s, p, e * _LN2_LOW))
