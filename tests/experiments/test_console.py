"""Progress on a terminal and in a log, and the summary at the end."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.console import Progress, print_summary

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return Terminal()


def sample_summary() -> dict[str, Any]:
    """What the console reads of a summary; all numbers made up."""
    return {
        "data": {"currency": "USD"},
        "evaluation": {"customers": 4000, "weeks": 52, "confidence": 0.95},
        "policies": [
            {
                "policy": policy,
                "response": response,
                "incremental_margin_per_customer": mean,
                "ci_low": mean - 0.25,
                "ci_high": mean + 0.25,
                "cost": 12345.6,
                "budget_use": 0.237,
                "violations": 0,
                "roi": mean,
                "retention_lift": 0.0012,
                "deadweight": 0.83,
            }
            for response in ("null", "literature")
            for policy, mean in (("blanket", -11.5), ("maskable_ppo", 0.9))
        ],
        "observed_vs_simulated": [
            {"statistic": "weekly_purchases", "observed": 1.09, "simulated": 1.12},
            {"statistic": "[bold]odd[/bold]", "observed": None, "simulated": 0.2},
        ],
        "onnx_max_abs_diff": 1.2e-6,
        "onnx_rows": 100_000,
        "actions_identical": True,
        "bundle": "/somewhere/" + "long/" * 25 + "bundle",
        "report": "runs/demo/report.html",
        "offers": "runs/demo/offers.csv",
        "scored": {"customers": 1234, "with_offer": 321},
        "seconds": 233.4,
    }


def test_a_log_gets_one_line_per_stage() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        with progress.stage("Training", total=1000) as tick:
            for _ in range(100):
                tick(10)
        progress.note("a [note]")
        with progress.stage("Scoring") as tick:
            tick()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"Training +\d+\.\d s", lines[0])
    assert lines[1] == "a [note]"
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_bars_and_keeps_one_line_per_stage(terminal: Terminal) -> None:
    with Progress(terminal) as progress:
        with progress.stage("Training [x]", total=1000) as tick:
            tick(500)
            assert progress._bars is not None
            progress._bars.refresh()
        with progress.stage("Scoring") as tick:
            tick()
        progress.note("a [note]")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "50%" in text
    assert "━" in text
    assert re.search(r"Training \[x\] +\d+\.\d s", text)
    assert "a [note]" in text
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is shown again


def test_seconds_hold_finished_stages_and_sum_repeated_ones() -> None:
    with Progress(io.StringIO()) as progress:
        with progress.stage("Fit"):
            assert progress.seconds == {}
        first = progress.seconds["Fit"]
        with progress.stage("Fit"), progress.stage("Inner"):
            pass
    assert list(progress.seconds) == ["Fit", "Inner"]
    assert progress.seconds["Fit"] > first >= 0


@pytest.mark.parametrize("bars", [False, True])
def test_a_stage_that_fails_is_not_finished(bars: bool, terminal: Terminal) -> None:
    stream = terminal if bars else io.StringIO()
    progress = Progress(stream)
    with pytest.raises(KeyboardInterrupt), progress, progress.stage("Training", total=10):
        raise KeyboardInterrupt
    assert progress.seconds == {}
    assert "stopped after" in stream.getvalue()


def test_a_dumb_terminal_gets_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Progress(terminal) as progress, progress.stage("Fit"):
        pass
    assert "\x1b" not in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_progress_leaves_stdout_to_the_result() -> None:
    code = (
        "from experiments.console import Progress\n"
        "with Progress() as progress, progress.stage('Fit', total=2) as tick:\n"
        "    tick(); print('result')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "result\n"
    assert re.fullmatch(r"Fit +\d+\.\d s\n", done.stderr)


def test_the_summary_is_readable_and_at_most_100_columns(capsys: pytest.CaptureFixture) -> None:
    print_summary(sample_summary())
    text = capsys.readouterr().out
    for line in text.splitlines():
        assert len(line) <= 100 or "bundle" in line  # a path is not broken
    assert "…" not in text
    assert len([line for line in text.splitlines() if line.startswith(" MaskablePPO ")]) == 2
    assert "−11.75 to −11.25" in text
    assert "Offers change nothing (USD; margin per customer over 52 weeks" in text
    assert "[bold]odd[/bold]" in text
    assert "report   runs/demo/report.html" in text
    assert "3 min 53 s" in text


def test_the_table_fits_a_terminal_of_80_columns(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_summary(sample_summary(), terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "…" not in text
    assert len([line for line in text.splitlines() if line.startswith(" MaskablePPO ")]) == 2


def test_a_summary_may_lack_any_value(capsys: pytest.CaptureFixture) -> None:
    print_summary({})
    print_summary(dict.fromkeys(sample_summary()))
    summary = sample_summary()
    summary["policies"] = [dict.fromkeys(row) for row in summary["policies"]]
    print_summary(summary)
    text = capsys.readouterr().out
    assert "No policy is shown to beat doing nothing." in text
    assert "None" not in text


def test_a_stream_without_these_letters_gets_replacements() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_summary(sample_summary(), stream)
    with Progress(stream) as progress:
        progress.note("−")
    stream.flush()
    assert b"Blanket" in raw.getvalue()
