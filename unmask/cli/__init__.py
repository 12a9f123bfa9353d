"""The ``unmask`` command: one file per subcommand, imported only when it is asked for."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings

import click

from .. import __version__, progress
from ..errors import UnmaskError, printable
from .group import COMMANDS, LazyGroup
from .levels import talkative

__all__ = ["COMMANDS", "cli", "main", "run"]

INTERRUPTED = 130
PACKAGES = {"yaml": "pyyaml", "cv2": "opencv-python-headless", "PIL": "pillow", "google": "protobuf"}  # by module


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unmask")
def cli() -> None:
    """Restore the face under a face mask, and measure what that is worth.

    Start with: unmask restore photo.jpg
    """


talkative(cli)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failure, 2 usage, 3 partly done, 130 interrupted."""
    _take_any_text()
    before = {name: os.environ.get(name) for name in (progress.QUIET, progress.VERBOSE)}
    try:
        return _main(argv)
    finally:  # where this is called by a program
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _main(argv: list[str] | None) -> int:
    try:
        result = cli.main(args=argv, prog_name="unmask", standalone_mode=False)
    except UnmaskError as error:
        if progress.verbose():
            traceback.print_exception(error)
        click.echo(f"unmask: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("unmask: interrupted", err=True)
        return INTERRUPTED
    except ModuleNotFoundError as error:  # of a package that only some commands need
        name = PACKAGES.get(module := (error.name or "").partition(".")[0], module)
        click.echo(f"unmask: this needs {name}, which is not installed; pip install {name}", err=True)
        return UnmaskError.exit_code
    except OSError as error:  # of a place that nobody foresaw: still a line, with its name
        where = error.filename if isinstance(error.filename, str) else "input or output"
        click.echo(f"unmask: {printable(f'{where}: {error.strerror or error}')}", err=True)
        return UnmaskError.exit_code
    return result if isinstance(result, int) else 0


def _take_any_text() -> None:
    """Let names that an encoding does not hold come out as escapes, and let what nobody can read go nowhere."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run() -> None:
    """Entry point of the installed ``unmask`` script."""
    for number in range(3):  # a file opened under the number of a closed stream would get what libraries print there
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if not {"-v", "--verbose"} & {*sys.argv}:
        warnings.simplefilter("ignore")  # of libraries: nothing that whoever runs a command could mend
    code = main()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        click.echo(f"unmask: stdout: cannot be written ({error.strerror})", err=True)
        os._exit(UnmaskError.exit_code)  # the interpreter would try again, and say so at length
    sys.exit(code)
