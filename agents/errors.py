"""Errors a person can act on."""


class InputError(ValueError):
    """Something the user supplied cannot be used.

    The message is one clear line that names the file, the field, the value and what is
    allowed. The command line prints it and exits with code 2.
    """
