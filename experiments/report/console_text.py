"""Lines of text for a console: wrapped sentences and aligned columns."""

import textwrap

WIDTH = 100


def wrapped(text: str, indent: str = "") -> list[str]:
    """Lines of the console's width; those after the first are indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent)


def aligned(rows: list[list[str]]) -> list[str]:
    """Columns under each other: the first to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    roomy = sum(widths) + 2 * (len(widths) - 1) <= WIDTH
    return [
        ("  " if roomy else " ").join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
