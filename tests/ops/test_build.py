"""Building and keeping the library: killed builds, damaged files, two builders, no compiler. One empty source."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from unmask.ops import bias_act, build, native

QUICK = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one source that compiles at once, in the place of the kernels; an empty cache."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "quick.cpp").write_text(QUICK)
    monkeypatch.setattr(build, "SOURCES", ("quick.cpp",))
    monkeypatch.setattr(build, "CUDA_SOURCES", ())
    monkeypatch.setattr(build, "source_folder", lambda: folder)
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not loaded the kernels."""
    monkeypatch.setattr(native, "_loaded", False)
    monkeypatch.setattr(native, "_failure", None)
    native._load_if_built.cache_clear()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Builds are pretended, where it does not matter how they are done; the list grows with each."""
    built: list[Path] = []

    def pretend(arguments: str, environment: dict, log: Path) -> int:
        built.append(log.parent)
        log.with_name(f"{build.NAME}.so").write_bytes(b"library" * 1000)
        log.write_text("done")
        return 0

    monkeypatch.setattr(build, "_run_child", pretend)
    return built


def ensure(folder: str, cache: str) -> str:
    """What another process does (spawned, hence patched anew)."""
    os.environ["UNMASK_CACHE"] = cache
    build.SOURCES, build.CUDA_SOURCES, build.source_folder = ("quick.cpp",), (), lambda: Path(folder)
    return str(build.ensure())


@pytest.mark.slow
def test_two_processes_build_once_and_the_library_works(sources, tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        paths = pool.starmap(ensure, [(str(sources), str(tmp_path / "cache"))] * 2)
    assert paths[0] == paths[1]
    library = Path(paths[0])
    assert build.intact(library) and not list(library.parent.glob("build-*"))
    code = f"import ctypes; print(ctypes.CDLL({str(library)!r}).answer())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "42\n"


def test_a_library_that_is_there_is_not_built_again(sources, compiled):
    first = build.ensure()
    assert build.ensure() == first and len(compiled) == 1
    (sources / "quick.cpp").write_text(QUICK + "\n")
    assert build.ensure() != first and len(compiled) == 2


@pytest.mark.parametrize("damage", ["truncate", "flip", "no sum", "empty sum"])
def test_a_damaged_library_is_built_again(sources, compiled, damage):
    library = build.ensure()
    whole = library.read_bytes()
    if damage == "truncate":
        library.write_bytes(whole[:100])
    elif damage == "flip":
        library.write_bytes(b"L" + whole[1:])
    elif damage == "no sum":
        library.with_suffix(".sha256").unlink()
    else:
        library.with_suffix(".sha256").write_text("")
    assert not build.intact(library)
    assert build.ensure() == library and len(compiled) == 2
    assert build.intact(library) and library.read_bytes() == whole


def test_a_killed_build_leaves_nothing_that_blocks(sources, compiled):
    """The holder of the lock is killed in the middle of its work; the next builder goes on at once."""
    plan = build.recipe()
    plan.folder.mkdir(parents=True)
    (plan.folder / "build-left").mkdir()
    (plan.folder / "build-left" / "lock").touch()  # what torch would wait on for ever
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, plan.folder / "lock"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with open(plan.folder / "lock", "a") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.send_signal(signal.SIGKILL)
    assert build.intact(build.ensure())
    assert not list(plan.folder.glob("build-*"))


def test_the_child_ends_when_its_parent_goes(sources, tmp_path, monkeypatch):
    """Closing the pipe is all that a parent can still do when it is killed."""
    monkeypatch.setattr(build, "CHILD", build.CHILD.replace("from torch", "import time; time.sleep(600)\nfrom torch"))
    child = subprocess.Popen([sys.executable, "-c", build.CHILD], stdin=subprocess.PIPE, start_new_session=True)
    assert child.stdin is not None
    child.stdin.write(b"{}\n")
    child.stdin.flush()
    time.sleep(0.2)
    assert child.poll() is None
    child.stdin.close()
    assert child.wait(60) == -signal.SIGTERM


def test_a_failed_build_is_told_once_and_remembered(sources, fresh, monkeypatch):
    attempts = []

    def fail(arguments: str, environment: dict, log: Path) -> int:
        attempts.append(log)
        log.write_text("error: no such thing")
        return 1

    monkeypatch.setattr(build, "_run_child", fail)
    monkeypatch.setenv("UNMASK_OPS", "native")
    x = torch.randn(1, 2)
    with pytest.warns(RuntimeWarning, match=r"reference ops: building the native ops failed, see .*failed\.log"):
        y = bias_act(x, act="relu")
    torch.testing.assert_close(y, bias_act(x, act="relu", impl="reference"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bias_act(x)
    assert len(attempts) == 1
    with pytest.raises(build.BuildError, match="failed to build before"):  # also told to the next process
        build.ensure()
    with pytest.raises(build.BuildError, match="building the native ops failed"):
        build.ensure(retry=True)
    assert len(attempts) == 2
    assert (build.recipe().folder / "failed.log").read_text() == "error: no such thing"


def test_no_compiler_means_the_reference_and_one_warning(sources, fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("UNMASK_OPS", "native")
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler on PATH"):
        bias_act(torch.zeros(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bias_act(torch.zeros(2, 2))
        monkeypatch.setenv("UNMASK_OPS", "auto")
        bias_act(torch.zeros(2, 2))
    with pytest.raises(build.BuildError, match="no C"):
        bias_act(torch.zeros(2, 2), impl="native")


def test_auto_never_builds(sources, fresh, compiled, monkeypatch):
    monkeypatch.setenv("UNMASK_OPS", "auto")
    bias_act(torch.zeros(2, 2))
    assert not compiled


def test_ninja_comes_from_its_package(sources, tmp_path, monkeypatch):
    ninja = pytest.importorskip("ninja")
    plan = build.recipe()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build._environment(plan)["PATH"].split(os.pathsep)[0] == ninja.BIN_DIR
    monkeypatch.setitem(sys.modules, "ninja", None)
    with pytest.raises(build.BuildError, match="ninja is missing"):
        build._environment(plan)


def test_jobs_are_bounded(monkeypatch):
    assert 1 <= build._jobs() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    assert build._jobs() == 1


def test_a_cache_that_cannot_be_written_is_named(sources, compiled, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "file"))
    with pytest.raises(build.BuildError, match="set UNMASK_CACHE"):
        build.ensure()


def test_importing_compiles_nothing(tmp_path):
    code = "import unmask.ops, sys; assert 'torch.utils.cpp_extension' not in sys.modules"
    environment = dict(os.environ, UNMASK_CACHE=str(tmp_path), UNMASK_OPS="native")
    root = Path(build.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], env=environment, cwd=root).returncode == 0
    assert not list(tmp_path.iterdir())


def toolkit(home: Path, *files: str) -> Path:
    """Something that looks like a CUDA toolkit, with ``files`` besides."""
    for name in ("bin/nvcc", "include/cuda_runtime.h", *files):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("#!/bin/sh\necho release 13.0\n")
        (home / name).chmod(0o755)
    return home


def test_the_cuda_toolkit_is_found_where_torch_or_path_have_it(tmp_path, monkeypatch):
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "__file__", str(tmp_path / "site" / "torch" / "__init__.py"))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    on_path, packages = toolkit(tmp_path / "path"), tmp_path / "site" / "nvidia" / "cu13"
    monkeypatch.setenv("PATH", str(on_path / "bin"))
    assert build.cuda_toolkit() == on_path
    toolkit(packages)
    assert build.cuda_toolkit() == packages
    monkeypatch.setenv("CUDA_PATH", str(toolkit(tmp_path / "named")))
    assert build.cuda_toolkit() == tmp_path / "named"
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "nothing"))
    assert build.cuda_toolkit() is None


def test_a_script_on_path_is_no_toolkit(tmp_path, monkeypatch):
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.version, "cuda", None)
    home = toolkit(tmp_path)
    (home / "include" / "cuda_runtime.h").unlink()
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert build.cuda_toolkit() != home


def test_cuda_is_built_where_there_is_something_to_build_for(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "CUDA_SOURCES", ("quick.cu",))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("CUDA_HOME", str(toolkit(tmp_path / "home")))
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST", raising=False)
    plain = build.recipe()
    assert plain.cuda_home is None and [path.name for path in plain.sources] == ["quick.cpp"]
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0")
    plan = build.recipe()
    assert [path.name for path in plan.sources] == ["quick.cpp", "quick.cu"] and plan.key != plain.key
    assert build._environment(plan)["CUDA_HOME"] == str(tmp_path / "home")


def test_a_runtime_without_its_plain_name_is_linked(tmp_path):
    home, work = toolkit(tmp_path / "home", "lib/libcudart.so.13"), tmp_path / "work"
    work.mkdir()
    assert build._link_runtime(home, work) == ["-L."]
    assert (work / "libcudart.so").resolve() == home / "lib" / "libcudart.so.13"
    assert build._link_runtime(toolkit(home, "lib/libcudart.so"), work) == []


def test_the_sources_are_found():
    folder = build.source_folder()
    for name in build.SOURCES + build.CUDA_SOURCES:
        assert (folder / name).is_file()


def test_what_is_broken_around_the_ops_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", 'g++ "')
    with pytest.raises(build.BuildError, match="is no command"):
        build.recipe()
    monkeypatch.delenv("CXX")
    library = tmp_path / "x.so"
    library.write_bytes(b"library")
    assert not build.intact(library)
    for note in (b"\xff\xfe\0broken", b"", b"0" * 64):
        library.with_suffix(".sha256").write_bytes(note)
        assert not build.intact(library)
    library.with_suffix(".sha256").unlink()
    library.with_suffix(".sha256").mkdir()
    assert not build.intact(library)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("UNMASK_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(build.BuildError, match="set UNMASK_CACHE"):
        build.cache_folder()
