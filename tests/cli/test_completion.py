"""Shell completion: what the scripts of click ask the command for."""

from __future__ import annotations

import pytest

from tests.cli.test_doctor import Run

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("typed, wanted", [
    ("unmask re", {"plain,restore"}),
    ("unmask serve --max-", {"plain,--max-mb", "plain,--max-megapixels", "plain,--max-waiting"}),
    ("unmask models v", {"plain,verify"}),
    ("unmask train --config smoke", {"plain,smoke-unmasker"}),
    ("unmask train --config ffhq1", {"plain,ffhq1024-unmasker"}),
    ("unmask train --config ./ow", {"file,./ow"}),
])  # fmt: skip
def test_words_are_completed(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Captured, typed: str, wanted: set[str]
) -> None:
    monkeypatch.setenv("_UNMASK_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    with pytest.raises(SystemExit):  # click ends the process itself
        run()
    assert set(capsys.readouterr().out.split()) == wanted


@pytest.mark.parametrize("shell, part", [
    ("bash", "complete -o nosort -F"),
    ("zsh", "#compdef unmask"),
    ("fish", "complete --no-files --command unmask"),
])  # fmt: skip
def test_scripts(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Captured, shell: str, part: str) -> None:
    monkeypatch.setenv("_UNMASK_COMPLETE", f"{shell}_source")
    with pytest.raises(SystemExit):
        run()
    assert part in capsys.readouterr().out
