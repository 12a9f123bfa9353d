"""The errors a person may meet: one line that names the file and the cure."""

from __future__ import annotations

import unicodedata


class UnmaskError(Exception):
    """Something went wrong that the message explains in one line; the command line exits with 1."""

    exit_code = 1

    def __str__(self) -> str:
        """The message in one line, see :func:`printable`."""
        return printable(super().__str__())


class UsageError(UnmaskError):
    """The request itself is wrong (an unknown key, an impossible option); the command line exits with 2."""

    exit_code = 2


class NoFaceError(UnmaskError):
    """No face was found in the photo."""


class NoMaskError(UnmaskError):
    """A face was found, but it wears no face mask."""


def printable(text: str) -> str:
    r"""``text`` with all that would move a cursor, turn a line round or break it written as an escape.

    Names of files may hold nearly any byte; those that are no text come as ``\xe9``.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8, as Python carries it
        return f"\\x{ord(character) - 0xDC00:02x}"
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return character.encode("unicode_escape").decode("ascii") if hidden else character
