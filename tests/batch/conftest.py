"""The command line with stand-in models, as its own tests have it."""

from tests.cli.conftest import make, run, stand_ins

__all__ = ["make", "run", "stand_ins"]
