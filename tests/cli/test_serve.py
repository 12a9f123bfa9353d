"""``unmask serve``: it listens where it is told, says so, and fails early and in one line."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'web' is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let nothing run; the list collects the applications that would."""
    apps: list[Any] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: apps.append(self.config.app))
    return apps


def test_it_takes_its_options(run: Run, served: list[Any], stand_ins: list[dict[str, Any]]) -> None:
    code, out, err = run("serve", "--port", 0, "--max-mb", 3, "--weights", "w", "--device", "cpu")
    assert code == 0 and err == ""
    assert re.fullmatch(r"unmask: open http://127\.0\.0\.1:[1-9]\d* \(Ctrl-C ends it\)\n", out)
    assert stand_ins == [{"weights": "w", "device": "cpu", "detector": None}]
    assert {one.kwargs.get("max_bytes") for one in served[0].user_middleware} == {3 * 1024**2}


@pytest.mark.parametrize("host, hosts", [("127.0.0.1", {"127.0.0.1", "localhost", "::1"}), ("0.0.0.0", set())])
def test_only_a_service_for_others_answers_to_any_name(
    run: Run, served: list[Any], stand_ins: list[dict[str, Any]], host: str, hosts: set[str]
) -> None:
    code, _, err = run("serve", "--host", host, "--port", 0)
    assert code == 0 and ("no password" in err) == (not hosts)
    assert set(served[0].user_middleware[0].kwargs["hosts"]) == hosts


def test_a_taken_port_is_said_before_the_models_are_loaded(run: Run, stand_ins: list[dict[str, Any]]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run("serve", "--port", port)
    assert code == 1 and err.startswith(f"unmask: 127.0.0.1:{port}: cannot listen there") and err.count("\n") == 1
    assert not stand_ins


def test_a_missing_extra_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, err = run("serve")
    assert code == 1 and err == "unmask: unmask serve: uvicorn is not installed; pip install 'unmask[web]'\n"


@pytest.mark.slow
def test_the_real_thing_starts_answers_and_ends() -> None:
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "unmask", "serve", "--port", "0"]

    def heed() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background would pass on its ignoring of it

    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env, preexec_fn=heed) as server:
        try:
            assert server.stdout is not None and server.stderr is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address, server.stderr.read()
            with urllib.request.urlopen(f"{address.group()}/api/health", timeout=60) as answer:
                assert b'"ok"' in answer.read()
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 130
            assert server.stderr.read().strip() == "unmask: interrupted"
        finally:
            server.kill()
