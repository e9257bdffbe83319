"""One way to refuse a number: its name, its value and its range in one line."""


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError naming the parameter, its value and its range."""
    if not low <= value <= high:
        raise ValueError(f"{name}={value!r} is outside [{low}, {high}]")
