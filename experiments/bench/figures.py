"""Every figure of ``loyaltylab bench engine``: key, unit, meaning; and the table for people."""

from collections.abc import Mapping
from typing import Any, NamedTuple

RATE = "M customer-weeks/s"
_MILLION = 1e6


class Figure(NamedTuple):
    """A key of the result."""

    key: str
    unit: str
    meaning: str


FIGURES = (
    Figure("customer_weeks_per_s", RATE, "engine, everything on, decisions every week"),
    Figure("customer_weeks_per_s_one_thread", RATE, "the same on one thread"),
    Figure("thread_scaling", "×", "all threads over one"),
    Figure("customer_weeks_per_s_unbroken", RATE, "engine, weeks at once, nobody contacted"),
    Figure("customer_weeks_per_s_marketing_off", RATE, "engine, no programme, offers, responses"),
    Figure("customer_weeks_per_s_music_store", RATE, "engine, everything on, infrequent buyers"),
    Figure("customer_weeks_per_s_example_world", RATE, "engine, the example world of old"),
    Figure("customer_weeks_per_s_in_cache", RATE, "engine, everything on, a cohort in the cache"),
    Figure("market_customer_weeks_per_s", RATE, "whole market, everything on"),
    Figure(
        "market_customer_weeks_per_s_no_decisions",
        RATE,
        "whole market at once, nobody contacted",
    ),
    Figure("market_customer_weeks_per_s_society", RATE, "whole market, neighbours and rivals"),
    Figure("mesa_customer_weeks_per_s", RATE, "Mesa agents one at a time, everything on"),
    Figure("ratio", "×", "engine, all threads, over Mesa agents on one"),
    Figure("bytes_per_customer", "bytes", "what a week may change and the next one reads"),
    Figure("bytes_per_customer_week", "bytes", "moved: all records read, that state written"),
    Figure("bandwidth_gb_per_s", "GB/s", "memory bandwidth, STREAM copy"),
    Figure("bandwidth_triad_gb_per_s", "GB/s", "memory bandwidth, STREAM triad"),
    Figure("bandwidth_one_thread_gb_per_s", "GB/s", "STREAM copy on one thread"),
    Figure("bandwidth_share", "", "of the copy bandwidth that the engine uses"),
    Figure("second_start_s", "s", "start to the end of a first week, kernels cached"),
    Figure("cold_start_s", "s", "the same with every kernel to compile"),
    Figure("ten_million_52_weeks_s", "s", "10 million customers, 52 weeks of the market"),
    Figure("ten_million_draw_s", "s", "drawing them"),
    Figure("ten_million_decisions_s", "s", "choosing whom to contact, not in the 52 weeks"),
    Figure("ten_million_peak_gb", "GB", "peak resident memory of that process"),
)
FULL_ONLY = tuple(
    figure.key for figure in FIGURES if figure.key.startswith(("cold_", "ten_million_"))
)


def table(result: Mapping[str, Any]) -> str:
    """Figures with unit and spread, the roofline, and what they were measured on."""
    spread, by_processor = result["spread"], result["by_processor_time"]
    rows = [("", "median", "min – max", "per processor s", "unit", "")]
    for figure in FIGURES:
        key = figure.key
        if key in result:
            scale = _MILLION if figure.unit == RATE else 1.0
            ends = " – ".join(_number(end / scale) for end in spread.get(key, ()))
            processor = _number(by_processor[key] / scale) if key in by_processor else ""
            value = _number(result[key] / scale)
            rows.append((key, value, ends, processor, figure.unit, figure.meaning))
    a, b, c, d, e = (max(len(row[column]) for row in rows) for column in range(5))
    lines = [
        f"{key:<{a}}  {value:>{b}}  {ends:>{c}}  {processor:>{d}}  {unit:<{e}}  {what}"
        for key, value, ends, processor, unit, what in rows
    ]
    shown = {"spread", "by_processor_time", "roofline", "bound", *(row[0] for row in rows)}
    facts = [f"{key}={_fact(value)}" for key, value in result.items() if key not in shown]
    return "\n".join(line.rstrip() for line in (*lines, "", result["roofline"], ", ".join(facts)))


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 100 or abs(value) < 0.1 else f"{value:.2f}"


def _fact(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
