"""What a person sees while a job runs, and at its end.

Progress goes to stderr: bars on a terminal, one plain line per finished stage anywhere else, so
that logs stay short. The summary goes to stdout.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from agents.errors import InputError
from experiments.report.answer import (
    Row,
    broken_rules,
    headline,
    response_worlds,
    standing,
    world_rows,
)
from experiments.report.figures import relative_difference
from experiments.report.wording import (
    NOTHING,
    currency_of,
    decimal,
    duration,
    interval,
    number_or_none,
    part,
    percent,
    points_of_percent,
    policy_name,
    response_name,
    rows,
    significant,
    statistic_name,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.table import Table

WIDTH = 100
_MARKS = {"gain": "●", "loss": "■", "open": "○", "idle": "", "unknown": ""}


class Progress:
    """Context manager that shows the stages of a job.

    Parameters
    ----------
    stream
        Where to; None is stderr. Bars appear if it is a terminal that can move its cursor.

    Examples
    --------
    >>> with Progress() as progress, progress.stage("Training", total=1000) as tick:
    ...     tick(10)
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream
        self._seconds: dict[str, float] = {}
        self._bars: RichProgress | None = None

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each finished stage; a title that came several times is summed."""
        return dict(self._seconds)

    def __enter__(self) -> Self:
        from rich.console import Console

        # A console looks up sys.stderr when it writes, so that redirections work.
        console = Console(stderr=True) if self._stream is None else Console(file=self._stream)
        if console.is_terminal and not console.is_dumb_terminal:
            self._bars = _bars(console)
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    @contextlib.contextmanager
    def stage(self, title: str, total: float | None = None) -> Iterator[Callable[..., None]]:
        """A stage of the job; yields ``tick(advance=1)``.

        Parameters
        ----------
        title
            What is done. Also the key in ``seconds``.
        total
            Ticks until done; None if unknown.
        """
        started = time.perf_counter()
        bars = self._bars
        task = bars.add_task(_literal(title), total=total) if bars is not None else None

        def tick(advance: float = 1) -> None:
            if bars is not None and task is not None:
                bars.advance(task, advance)

        done = False
        try:
            yield tick
            done = True
        finally:
            if bars is not None and task is not None:
                bars.remove_task(task)
            passed = time.perf_counter() - started
            if done:
                self._seconds[title] = self._seconds.get(title, 0.0) + passed
                self.note(f"{title:<60} {duration(passed):>12}")
            elif self._bars is not None or not isinstance(sys.exc_info()[1], InputError):
                self.note(f"{title:<60} stopped after {duration(passed)}")

    def note(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            _write(self._stream or sys.stderr, f"{text}\n")


def print_summary(summary: Mapping[str, Any], stream: IO[str] | None = None) -> None:
    """Print a readable summary, at most 100 columns wide.

    Parameters
    ----------
    summary
        As for ``experiments.report.render_report``; values may be None.
    stream
        Where to; None is stdout.
    """
    from rich.console import Console

    target = stream or sys.stdout
    console = Console(file=target, highlight=False, markup=False, emoji=False)
    console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    with console.capture() as captured:
        console.print(f"\n{headline(summary)}", style="bold")
        for world in response_worlds(summary):
            console.print(_policy_table(summary, world, console.width))
        console.print("● interval above zero   ■ below zero   ○ includes zero: not established")
        console.print(f"\n{' '.join(broken_rules(summary))}")
        if rows(summary, "observed_vs_simulated"):
            console.print(_match_table(summary))
        for line in _closing(summary):
            console.print(line, soft_wrap=True)
    text = "\n".join(line.rstrip() for line in captured.get().splitlines())
    _write(target, f"{text}\n")


# ---------------------------------------------------------------------------------- pieces


def _bars(console: "Console") -> "RichProgress":
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        # What a job prints to a piped stdout is its result and must stay there.
        redirect_stdout=sys.stdout.isatty(),
    )


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _write(stream: IO[str], text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _table(title: str, *columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0, 0, 1),
    )
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at == 0 else "right", no_wrap=at > 0)
    return table


def _policy_table(summary: Row, world: str, width: int) -> "Table":
    evaluation = part(summary, "evaluation")
    columns: dict[str, Callable[[Row], str]] = {
        "\npolicy": _policy,
        "\nmargin": _margin,
        f"{percent(evaluation.get('confidence'))}\ninterval": _interval,
        "": _mark,
        "\nsettled": lambda row: decimal(row.get("cost")),
        "of\nbudget": lambda row: percent(row.get("budget_use")),
        "\nROI": lambda row: decimal(row.get("roi"), 2, sign=True),
        "rules\nbroken": _broken,
    }
    if width >= 96:
        columns |= {
            "reten-\ntion pp": _retention,
            "dead-\nweight": lambda row: percent(row.get("deadweight")),
        }
    title = (
        f"{response_name(world)} ({currency_of(summary) or 'currency units'}; margin per customer "
        f"over {decimal(evaluation.get('weeks'))} weeks, against no offers)"
    )
    table = _table(title, *columns)
    for row in world_rows(summary, world):
        cells = [cell(row) for cell in columns.values()]
        table.add_row(*cells, style="bold" if _mark(row) == _MARKS["gain"] else None)
    return table


def _policy(row: Row) -> str:
    return policy_name(row.get("policy"))


def _margin(row: Row) -> str:
    return decimal(row.get("incremental_margin_per_customer"), 2, sign=True)


def _interval(row: Row) -> str:
    if row.get("policy") == "no_offers":
        return NOTHING
    return interval(*(decimal(row.get(end), 2, sign=True) for end in ("ci_low", "ci_high")))


def _mark(row: Row) -> str:
    return "" if row.get("policy") == "no_offers" else _MARKS[standing(row)]


def _broken(row: Row) -> str:
    count = number_or_none(row.get("violations"))
    return "none" if count == 0 else decimal(count)


def _retention(row: Row) -> str:
    return points_of_percent(row.get("retention_lift")).removesuffix(" pp")


def _match_table(summary: Mapping[str, Any]) -> "Table":
    table = _table(
        "Simulated customers against the log", "statistic", "observed", "simulated", "difference"
    )
    for row in rows(summary, "observed_vs_simulated"):
        table.add_row(
            statistic_name(row.get("statistic")),
            significant(row.get("observed")),
            significant(row.get("simulated")),
            percent(relative_difference(row), 1, sign=True),
        )
    return table


def _closing(summary: Mapping[str, Any]) -> list[str]:
    scored = part(summary, "scored")
    same = summary.get("actions_identical")
    # A run with actions that differ by more than rounding fails before it gets here.
    ties = f" but for {decimal(summary.get('onnx_ties'))} ties (scores equal up to rounding)"
    lines = []
    if scored:
        lines.append(
            f"Real customers scored: {decimal(scored.get('customers'))}, with an offer: "
            f"{decimal(scored.get('with_offer'))}."
        )
    if same is not None:
        lines.append(
            "Exported policy: same actions as the trained one on "
            f"{decimal(summary.get('onnx_rows'))} rows{'' if same else ties}, outputs differ by at "
            f"most {significant(summary.get('onnx_max_abs_diff'), 2)}."
        )
    lines += [
        f"{name:<8} {summary[name]}" for name in ("report", "bundle", "offers") if summary.get(name)
    ]
    lines.append(f"{'time':<8} {duration(summary.get('seconds'))}")
    return ["", *lines]
