"""Sessions of ONNX Runtime: the provider of a device, and how many threads they take."""

from __future__ import annotations

import pytest

from unmask import engines
from unmask.engines import sessions


def test_devices_become_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(sessions.PROVIDERS.values()))
    assert sessions.provider("cuda:1") == ("CUDAExecutionProvider", {"device_id": "1"})
    assert sessions.provider("dml") == ("DmlExecutionProvider", {})
    assert engines.choose(device="coreml").engine == "onnx"
    assert not sessions.options("dml").enable_mem_pattern


def test_threads_follow_the_environment_and_one_each_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert engines.threads() == 3
    with engines.one_thread_each():
        assert engines.threads() == sessions.options().intra_op_num_threads == 1
    assert engines.threads() == sessions.options().intra_op_num_threads == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert engines.threads() >= 1
