"""The one line that says what is wrong with a configuration, and what would be right."""

import difflib
from collections.abc import Iterable, Sequence


def join_key(path: str, key: str) -> str:
    """A key below a path, ``""`` being the top."""
    return f"{path}.{key}" if path else key


def first_line(error: BaseException) -> str:
    """First line of an error's message; its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def suggestion(value: str, known: Iterable[str]) -> str:
    """``, did you mean …?`` or nothing."""
    close = difflib.get_close_matches(value, sorted(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


def unknown_choice(key: str, value: object, choices: Iterable[object]) -> str:
    """Message for a value that is none of the choices."""
    names = [str(choice) for choice in choices]
    return (
        f"{key}={str(value)!r} is not known{suggestion(str(value), names)}; choose {_either(names)}"
    )


def given_twice(key: str, first: str, second: str) -> str:
    """Message for a key or group with two values, of which only one could hold."""
    return f"{key} is given twice: {key}={first} and {key}={second}; give it once"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Message for a key that does not exist, with the keys that stand where it was looked for."""
    known = set(known)
    parent = key
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if parent in known:
            break
    else:
        parent = ""
    prefix = f"{parent}." if parent else ""
    siblings = sorted(
        name.removeprefix(prefix)
        for name in known
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    )
    nothing = "nothing: it is a value"
    if parent == "response.plugged":
        nothing = "nothing: no installed package brings a mechanism"
    where = f"{parent} has" if parent else "the keys are"
    hint = suggestion(key, known - {parent})
    return f"unknown key {key!r}{hint}; {where} {', '.join(siblings) or nothing}"


def _either(names: Sequence[str]) -> str:
    if not names:
        return "nothing: there is none"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
