"""The commands `loyaltylab bench …`: what was measured, as a table or, with --json, one object.

Progress goes to stderr, so that stdout is the result and nothing else. As in cli.py, each command
imports its job when it runs.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(help="Measure speed, limits, fits and policies, and say on which machine.")


@bench.command("engine")
def bench_engine_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    customers: Annotated[int, typer.Option(min=1, help="Customers in the engine.")] = 1_000_000,
    weeks: Annotated[int, typer.Option(min=1, help="Weeks per repetition.")] = 26,
    repetitions: Annotated[int, typer.Option(min=1, help="Figures are medians of these.")] = 5,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 = every core.")] = 0,
    full: Annotated[
        bool,
        typer.Option("--full", help="Also 10 million customers for 52 weeks, and a cold start."),
    ] = False,
) -> None:
    """Customer-weeks per second of the engine, and what bounds it; about two minutes.

    \b
    Everything on: grocery customers in their second year, every mechanism of
    response=literature, surveys, drift, season, programme=tiered; each week a tenth of them
    gets a random action that the constraints allow (no budget binds).
    Marketing off: the same customers, programme=no_programme, response=null, nobody contacted;
    drift, season, surveys and churn stay on.
    Rates are medians with the least and the largest; decisions, drawing and compiling are not
    in them. docs/performance.md says how each figure is measured.

    \b
    Examples:
      loyaltylab bench engine
      loyaltylab bench engine --json --full
      loyaltylab bench engine --customers 100000 --repetitions 3
    """  # noqa: D301
    with contextlib.redirect_stdout(sys.stderr):
        from experiments.bench.engine import Size, bench_engine
        from experiments.bench.figures import table

        result = bench_engine(Size(customers, weeks, repetitions, threads), full)
    print(json.dumps(result) if as_json else table(result))


@bench.command("calibrate")
def bench_calibrate_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Also the habit model and a log of a million customers."),
    ] = False,
) -> None:
    """Calibration against published estimates, a peer's samplers and held-out weeks.

    \b
    CDNOW by maximum likelihood beside the published estimates; full-Bayes Pareto/NBD beside
    pymc-marketing's samplers (if installed) in the same run; forecasts of 39 weeks of CDNOW and
    13 weeks of groceries, scored by log density and by whether their uncertainty is right.
    Some five minutes, most of them the peer's; --full ten more.
    """  # noqa: D301
    with contextlib.redirect_stdout(sys.stderr):
        from experiments.bench.calibration import bench_calibrate, table
        from experiments.run_directory import plain_json

        result = bench_calibrate(full)
    print(json.dumps(plain_json(result)) if as_json else table(result))


@bench.command("constraints")
def bench_constraints_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="0.7 million decisions.")] = False,
) -> None:
    """Adversarial policies against every limit: 10 million decisions, some minutes.

    \b
    Random scores, always the dearest, greedy on what a limit might forget, and one that learns to
    overspend, in every world, with every offer redeemed at its cap, under constraints=default,
    strict and a set that is short of discounts; in markets, and in the customer environment with
    each of its autoreset modes. A ledger that shares no code with the masks looks for violations;
    there must be none. `mutations`, `environment_mutations`: what it finds when one constraint's
    code is disabled, which must be more than none.
    """  # noqa: D301
    with contextlib.redirect_stdout(sys.stderr):
        from experiments.bench.constraints import QUICK, Size, bench_constraints, table
        from experiments.run_directory import plain_json

        result = bench_constraints(QUICK if quick else Size(), print)
    print(json.dumps(plain_json(result)) if as_json else table(result))


@bench.command("env")
def bench_env_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    repetitions: Annotated[int, typer.Option(min=1, help="Figures are medians of these.")] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds of each repetition.")] = 1.0,
    ppo_steps: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 262_144,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 = every core.")] = 0,
) -> None:
    """Steps per second of the customer environment, and of MaskablePPO on it; a minute.

    \b
    A step is one customer's week, with observation, mask, reward, costs and ends; actions are
    random and not timed. Measured with 64 and with 65,536 customers, with rewards as they are
    and paired (each customer beside a twin without offers, which is twice the simulation).
    MaskablePPO is timed end to end with paired rewards: rollouts, batch 4,096 x 4 epochs,
    a 64x64 network. --threads is that of the environment.
    docs/environments.md says how to use the environments and what was measured.

    \b
    Examples:
      loyaltylab bench env
      loyaltylab bench env --json --repetitions 9
      loyaltylab bench env --threads 1 --ppo-steps 65536
    """  # noqa: D301
    with contextlib.redirect_stdout(sys.stderr):
        from experiments.bench.env import EnvSize, bench_env, table

        result = bench_env(EnvSize(repetitions, seconds, ppo_steps, threads))
    print(json.dumps(result) if as_json else table(result))


@bench.command("allocation")
def bench_allocation_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer cases, a tenth of the customers.")
    ] = False,
) -> None:
    """Who gets what within the budget: against the integer optimum, and the clock.

    \b
    Random and adversarial problems of 5 to 500 customers (equal ratios, zero costs, one huge
    item, budget 0, negative values) beside the integer optimum by HiGHS, with one budget and with
    several; then a million customers with 28 actions. Some five minutes.

    \b
    Examples:
      loyaltylab bench allocation
      loyaltylab bench allocation --json --quick
    """  # noqa: D301
    with contextlib.redirect_stdout(sys.stderr):
        from experiments.bench.allocation import bench_allocation, table

        result = bench_allocation(quick)
    print(json.dumps(result) if as_json else table(result))


@bench.command("policies")
def bench_policies_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer cells, short training: ten minutes, no protocol.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Keeps cells and trainings between calls.")] = Path(
        "runs/benchmark"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side, a core each.")] = 2,
    hours: Annotated[
        float,
        typer.Option(
            min=0, help="No further world and seed begins after them; 0 reads what is there."
        ),
    ] = 24,
    write: Annotated[
        Path | None, typer.Option(help="Where the page goes, its figure in figures/ beside it.")
    ] = None,
) -> None:
    """Every policy in every market of the frozen protocol; hours, resumable.

    \b
    Worlds, response worlds, programmes, seeds, budgets and horizons are those of
    docs/benchmark-protocol.md. Cells and trainings that are on disk are not done again, so a call
    may be interrupted, or bounded by --hours, and goes on where it was. Prints interquartile
    means, tests against no_offers, the small problem with a known optimum, what wrong beliefs
    cost, and claims of the trade press beside what was found.

    \b
    Examples:
      loyaltylab bench policies --quick
      loyaltylab bench policies --hours 2
      loyaltylab bench policies --json --write docs/benchmark.md
      loyaltylab bench policies --folder docs/benchmark --hours 0   # read the published results
    """  # noqa: D301
    with contextlib.redirect_stdout(sys.stderr):
        from experiments.bench.policies import bench_policies, table
        from experiments.run_directory import plain_json

        result = bench_policies(quick, folder, workers, hours, write)
    print(json.dumps(plain_json(result)) if as_json else table(result))
