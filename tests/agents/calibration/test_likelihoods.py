"""Log-likelihoods against closed forms and brute-force integrals, gradients against differences."""

import numpy as np
import pytest
from scipy import integrate, stats

from agents.calibration import likelihood, models
from agents.calibration.customer_histories import CustomerHistories
from agents.calibration.hierarchy_likelihood import CorrelatedLognormal
from agents.calibration.laplace import compile_density
from agents.calibration.purchase_likelihoods import BGNBD, ParetoNBD
from agents.calibration.spend_likelihoods import GammaGamma, LognormalGamma
from agents.calibration.sufficient import PurchaseHistories, SpendTotals


def histories(n=150, seed=0):
    """All kinds of histories: none bought, just bought, long silent, very active."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(0.2, 100, n)
    frequency = np.floor(np.exp(rng.uniform(0, 5, n))).astype(int) - 1
    recency = np.where(frequency > 0, age * rng.choice([0.02, 0.5, 0.99, 1.0], n), 0.0)
    return PurchaseHistories(frequency, recency, age, rng.integers(1, 5, n))


def customers(n=90, coefficients=2, seed=0):
    rng = np.random.default_rng(seed)
    known = histories(n, seed)
    frequency = np.minimum(known.frequency, 60)
    baskets = frequency + rng.integers(0, 2, n)
    return CustomerHistories(
        frequency, known.recency, known.age, baskets, rng.normal(3.3, 0.7, n),
        0.3 * np.maximum(baskets - 1, 0), rng.standard_normal((n, coefficients)),
    )  # fmt: skip


def totals(n=300):
    rng = np.random.default_rng(2)
    baskets = np.floor(np.exp(rng.uniform(0, 6, n)))
    mean = rng.lognormal(3.0, 0.6, n)
    spend = rng.gamma(1.2 * baskets, mean / 1.2)
    return SpendTotals(
        baskets, spend, baskets * (np.log(spend / baskets) - 0.4), rng.normal(size=n)
    )


HIERARCHY = [-3.0, 1.2, -3.5, 1.6, 0.2, 3.3, 0.5, 0.15, -0.3, 0.58]
CASES = {
    "pareto_nbd": (ParetoNBD(histories()), [0.6, 9.0, 0.7, 14.0], 2e-4),
    "bg_nbd": (BGNBD(histories()), [0.3, 4.0, 0.8, 2.5], 1e-6),
    "gamma_gamma": (
        GammaGamma(np.arange(1, 60), np.linspace(5, 90, 59)), [6.0, 3.7, 15.0], 1e-6
    ),
    "lognormal_gamma": (LognormalGamma(totals()), [3.0, -0.05, 0.6, 1.2], 2e-4),
    "lognormal": (
        CorrelatedLognormal(customers()), [*HIERARCHY, 0.2, -0.1, 0.3, 0, 0.1, 0.2], 1e-6
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_the_value(name):
    one, point, tolerance = CASES[name]
    point = np.array(point, float)
    assert len(one.names) == len(point)
    value, gradient = one(point)
    for at in range(len(point)):
        step = np.zeros(len(point))
        step[at] = 1e-5 * max(abs(point[at]), 0.1)
        slope = (one(point + step)[0] - one(point - step)[0]) / (2 * step[at])
        scale = abs(value) / max(abs(point[at]), 0.1)
        assert gradient[at] == pytest.approx(slope, rel=1e-5, abs=tolerance * scale), one.names[at]


@pytest.mark.parametrize("name", CASES)
def test_threads_and_chunks_change_no_bit(name, monkeypatch):
    one, point, _ = CASES[name]
    first = one(np.array(point, float))
    monkeypatch.setattr(likelihood, "available_cores", lambda: 3)
    value, gradient = one(np.array(point, float))
    assert value == first[0]
    assert gradient.tobytes() == first[1].tobytes()


def closed_form_log_likelihood(r, a, s, b, x, t_x, T):
    """Pareto/NBD with the Gaussian hypergeometric function (Fader and Hardie 2005)."""
    from mpmath import gamma, hyp2f1, log, mp, mpf

    mp.dps = 30

    def part(t):
        big, z, second = (a, a - b, s + 1) if a >= b else (b, b - a, r + x)
        value = hyp2f1(r + s + x, second, r + s + x + 1, mpf(z) / mpf(big + t))
        return value / mpf(big + t) ** (r + s + x)

    dead = mpf(s) / (r + s + x) * (part(t_x) - part(T))
    alive = mpf(a + T) ** (-(r + x)) * mpf(b + T) ** (-s)
    return float(log(gamma(r + x) / gamma(r) * mpf(a) ** r * mpf(b) ** s * (alive + dead)))


@pytest.mark.parametrize(
    ("r", "a", "s", "b"),
    [
        (0.553, 10.58, 0.606, 11.67), (1.1, 0.9, 0.6, 870.0), (2.0, 60.0, 3.0, 2.0),
        (0.3, 1, 0.2, 1),
        (0.4, 22.0, 400.0, 4e4), (3.0, 0.5, 0.05, 300.0), (20.0, 300.0, 9.0, 0.8),
    ],
)  # fmt: skip
def test_pareto_nbd_equals_the_closed_form(r, a, s, b):
    pytest.importorskip("mpmath", reason="reference for the hypergeometric function")
    known = histories(40, seed=5)
    value, _ = ParetoNBD(known)(np.array([r, a, s, b]))
    rows = zip(known.frequency, known.recency, known.age, strict=True)
    terms = [closed_form_log_likelihood(r, a, s, b, *map(float, row)) for row in rows]
    assert value == pytest.approx(
        float(known.customers @ np.array(terms)), abs=1e-4 * known.customers.sum()
    )


def test_no_parameters_beat_the_likeliest_rate_of_each_customer():
    """A mixture over rates is below the best single rate, x / t_x, also far from the data.

    A quadrature whose weights underflow once rose without bound there.
    """
    known = histories()
    one = ParetoNBD(known)
    bought = known.frequency > 0
    x, t_x = known.frequency[bought], known.recency[bought]
    bound = known.customers[bought] @ (x * np.log(x / t_x) - x)
    rng = np.random.default_rng(3)
    for point in np.exp(rng.normal(0, 8, (300, 4))):
        value, gradient = one(point)
        assert value < bound
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_the_hierarchy_equals_a_brute_force_integral(rho):
    """Eight customers, integrated over log rate, log hazard and log mean basket by quadrature."""
    rng = np.random.default_rng(4)
    known = CustomerHistories(
        np.array([0, 0, 1, 2, 5, 9, 20, 40]), np.array([0, 0, 3.0, 9.0, 30.0, 10.0, 38.0, 12.0]),
        np.array([3.0, 39.0, 39.0, 12.0, 39.0, 39.0, 39.0, 13.0]),
        np.array([0, 1, 2, 2, 6, 9, 21, 40]),
        rng.normal(3.3, 0.5, 8), np.array([0, 0, 0.4, 0.2, 1.5, 3.0, 6.0, 12.0]), np.zeros((8, 0)),
    )  # fmt: skip
    m1, s1, m2, s2, _, m3, s3, across, partial, within = HIERARCHY
    second = rho * across + partial * np.sqrt((1 - rho**2) * (1 - across**2))
    covariance = np.array([[1, rho, across], [rho, 1, second], [across, second, 1]])
    covariance *= np.outer([s1, s2, s3], [s1, s2, s3])
    u = np.linspace(m1 - 7 * s1, m1 + 7 * s1, 301)
    v = np.linspace(m2 - 7 * s2, m2 + 7 * s2, 201)
    rate, hazard = np.exp(u)[:, None], np.exp(v)[None, :]
    slope = covariance[2, :2] @ np.linalg.inv(covariance[:2, :2])
    rest = covariance[2, 2] - slope @ covariance[:2, 2]
    mean = m3 + slope[0] * (u[:, None] - m1) + slope[1] * (v[None, :] - m2)
    grid = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1)
    prior = stats.multivariate_normal([m1, m2], covariance[:2, :2]).pdf(grid)
    total = 0.0
    for i in range(8):
        x, t_x, T, n = known.frequency[i], known.recency[i], known.age[i], known.baskets[i]
        leave = rate + hazard
        inside = prior * rate**x / leave * (
            hazard * np.exp(-leave * t_x) + rate * np.exp(-leave * T)
        )  # fmt: skip
        if n > 0:
            z = known.mean_log_spend[i] + within**2 / 2
            inside = inside * stats.norm.pdf(z, mean, np.sqrt(rest + within**2 / n))
            # Of n normal logs given their mean: what is left of their density, and dx / dlog x.
            total += -(n - 1) / 2 * np.log(2 * np.pi * within**2) - np.log(n) / 2
            total -= known.log_spend_squares[i] / (2 * within**2) + n * known.mean_log_spend[i]
        total += np.log(integrate.trapezoid(integrate.trapezoid(inside, v, axis=1), u))
    point = np.array(HIERARCHY)
    point[4] = rho
    assert CorrelatedLognormal(known)(point)[0] == pytest.approx(total, abs=2e-4)


def test_pymc_sees_value_and_gradient():
    """The model's density is prior plus likelihood, and its gradient that of both."""
    model = models.bg_nbd(histories())
    density = compile_density(model)
    point = np.log([0.3, 4.0, 0.8, 2.5])
    value, log_likelihood, gradient = density.evaluate(point)
    assert log_likelihood == BGNBD(histories())(np.exp(point))[0]
    centres, sds = np.log([1.0, 10.0, 1.0, 3.0]), np.array([1.5, 2.0, 1.5, 1.5])
    assert value == pytest.approx(log_likelihood + stats.norm.logpdf(point, centres, sds).sum())
    own = BGNBD(histories())(np.exp(point))[1] * np.exp(point) - (point - centres) / sds**2
    assert gradient == pytest.approx(own)
    assert density.parameters(point[None])["rate_rate"] == pytest.approx(4.0)


def test_the_adaptive_integral_equals_a_fine_grid():
    rng = np.random.default_rng(1)
    n = np.array([1.0, 3.0, 60.0, 700.0])
    baskets = [rng.gamma(1.2, 20 / 1.2, int(k)) for k in n]
    totals = SpendTotals(
        n,
        np.array([b.sum() for b in baskets]),
        np.array([np.log(b).sum() for b in baskets]),
        np.array([-2.0, 0.0, 0.3, 2.0]),
    )
    level, slope, sd, k = 3.2, -0.05, 0.6, 1.3
    value, _ = LognormalGamma(totals)(np.array([level, slope, sd, k]))
    from scipy.special import gammaln, logsumexp

    grid = np.linspace(-4, 10, 200_001)
    total = 0.0
    for size, spend, logs, log_rate in zip(
        totals.baskets, totals.spend, totals.log_spend, totals.log_rate, strict=True
    ):
        inside = size * (k * np.log(k) - k * grid - gammaln(k)) + (k - 1) * logs
        inside -= k * spend * np.exp(-grid)
        inside -= ((grid - level - slope * log_rate) / sd) ** 2 / 2 + np.log(
            sd * np.sqrt(2 * np.pi)
        )
        total += logsumexp(inside) + np.log(grid[1] - grid[0])
    assert value == pytest.approx(total, abs=1e-3)
