"""``python -m unmask`` is the ``unmask`` command."""

from .cli import run

if __name__ == "__main__":
    run()
