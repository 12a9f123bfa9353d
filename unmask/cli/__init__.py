"""The ``unmask`` command: one file per subcommand, imported only when it is asked for."""

from __future__ import annotations

import importlib
import sys

import click

from .. import __version__
from ..errors import UnmaskError

COMMANDS: dict[str, str] = {
    "train": "train:train",
    "restore": "restore:restore",
    "simulate": "simulate:simulate",
    "prepare": "prepare:prepare",
    "models": "models:models",
    "doctor": "doctor:doctor",
    "export": "export:export",
    "convert": "convert:convert",
    "explain": "explain:explain",
    "convert-faces": "convert_faces:convert_faces",
    "serve": "serve:serve",
    "eval-restoration": "eval_restoration:eval_restoration",
    "eval-verification": "eval_verification:eval_verification",
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports the module of a subcommand when that subcommand is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unmask")
def cli() -> None:
    """Restore the face under a face mask, and measure what that is worth."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failure, 2 usage, 3 partly done, 130 interrupted."""
    try:
        result = cli.main(args=argv, prog_name="unmask", standalone_mode=False)
    except UnmaskError as error:
        click.echo(f"unmask: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("unmask: interrupted", err=True)
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def run() -> None:
    """Entry point of the installed ``unmask`` script."""
    sys.exit(main())
