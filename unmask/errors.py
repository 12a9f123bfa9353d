"""The errors a person may meet: one line that names the file and the cure."""

from __future__ import annotations


class UnmaskError(Exception):
    """Something went wrong that the message explains in one line; the command line exits with 1."""

    exit_code = 1


class UsageError(UnmaskError):
    """The request itself is wrong (an unknown key, an impossible option); the command line exits with 2."""

    exit_code = 2


class NoFaceError(UnmaskError):
    """No face was found in the photo."""


class NoMaskError(UnmaskError):
    """A face was found, but it wears no face mask."""
