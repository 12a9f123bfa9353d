"""Find, build and load the native kernels of ``third_party/stylegan2_ops``.

The library is built once per machine by ``torch.utils.cpp_extension`` with ninja, in a child process, under a kernel
file lock (dropped when its holder dies), and put into the cache with its SHA-256; without a right one it is rebuilt.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import files
from ..errors import UnmaskError

NAME = "unmask_ops"
SOURCES = ("schema.cpp", "bias_act_cpu.cpp", "upfirdn2d_cpu.cpp")
CUDA_SOURCES = ("bias_act.cu", "upfirdn2d.cu", "cuda_bindings.cpp")
LIMIT = 1800  # seconds a build may take
JOB_MEMORY = 2 << 30  # bytes one compiler may need

# The child dies with its parent, and with it the compilers it started: the pipe from the parent then ends.
CHILD = """
import json, os, signal, sys, threading
arguments = json.loads(sys.stdin.readline())
def watch():
    sys.stdin.read()
    os.killpg(0, signal.SIGTERM)  # ninja then ends its compilers, which have groups of their own
threading.Thread(target=watch, daemon=True).start()
from torch.utils import cpp_extension
cpp_extension.load(**arguments)
sys.stdout.flush()
os._exit(0)
"""


class BuildError(UnmaskError):
    """The native kernels cannot be built or loaded here; the message says why and what to do."""


def source_folder() -> Path:
    """The folder of the C++ and CUDA sources: in the source tree, or packed with the installed package."""
    here = Path(__file__).resolve()
    for folder in (here.parents[2] / "third_party" / "stylegan2_ops", here.parents[1] / "_stylegan2_ops"):
        if (folder / SOURCES[0]).is_file():
            return folder
    raise BuildError(f"{here.parent}: the sources of the native ops are missing; install unmask again")


def cache_folder() -> Path:
    """Where libraries are kept: ``$UNMASK_CACHE/ops``, else ``~/.cache/unmask/ops``."""
    try:
        return files.cache_folder() / "ops"
    except UnmaskError as error:
        raise BuildError(str(error)) from None


@dataclass(frozen=True)
class Recipe:
    """All that decides what the library contains; ``key`` names its folder in the cache."""

    sources: tuple[Path, ...]
    compiler: str
    cflags: tuple[str, ...]
    cuda_home: Path | None  # the CUDA toolkit; None for the CPU alone
    key: str

    @property
    def folder(self) -> Path:
        """Where in the cache it is built."""
        return cache_folder() / self.key

    @property
    def library(self) -> Path:
        """The file that is loaded."""
        return self.folder / f"{NAME}.so"


def recipe() -> Recipe:
    """Look at this machine and say what would be built.

    Raises:
        BuildError: There is no C++ compiler, or the sources are missing.
    """
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), "")
    try:
        words = shlex.split(compiler)
    except ValueError as error:
        raise BuildError(f"CXX={compiler!r} is no command ({error}); set it to a compiler or leave it unset") from None
    if not words or shutil.which(words[0]) is None:
        raise BuildError("no C++ compiler on PATH; install g++ or clang, or set UNMASK_OPS=reference")
    folder = source_folder()
    cuda_home = cuda_toolkit() if torch.version.cuda else None
    arch = _cuda_arch() if cuda_home else ""
    cuda_home = cuda_home if arch else None  # no GPU here, and none named: torch's build would fail, the CPU's with it
    names = SOURCES + (CUDA_SOURCES if cuda_home else ())
    cflags, cpu = _cpu_flags()
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name in names or (path.suffix == ".h" and (cuda_home or not path.name.startswith("cuda"))):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    facts = (
        torch.__version__,
        sysconfig.get_config_var("SOABI"),
        platform.machine(),
        _version([*words, "--version"]),
        torch.version.cuda,
        _version([str(cuda_home / "bin" / "nvcc"), "--version"]) if cuda_home else "",
        arch,
        cpu,
        *cflags,
    )
    digest.update(json.dumps(facts).encode())
    return Recipe(tuple(folder / name for name in names), compiler, cflags, cuda_home, digest.hexdigest()[:24])


def ensure(retry: bool = False) -> Path:
    """The path of a whole library for this machine, built if need be.

    Args:
        retry: Build also where the last attempt, of whichever process, failed.

    Raises:
        BuildError: There is no compiler or no ninja, or the build failed, now or before.
    """
    plan = recipe()
    if intact(plan.library):
        return plan.library
    try:
        with files.turn(plan.folder / "lock"):
            if not intact(plan.library):  # another process may have built it meanwhile
                _build(plan, retry)
    except (OSError, UnmaskError) as error:
        if isinstance(error, BuildError):
            raise
        raise BuildError(f"{plan.folder}: {files.reason(error)}; set UNMASK_CACHE to a writable folder") from error
    return plan.library


def intact(library: Path) -> bool:
    """Whether the library is there and is the one whose SHA-256 was written beside it."""
    try:
        return library.with_suffix(".sha256").read_bytes().strip() == files.sha256(library).encode()
    except (OSError, UnmaskError):
        return False


def _build(plan: Recipe, retry: bool) -> None:
    failed = plan.folder / "failed.log"
    if failed.exists() and not retry:
        raise BuildError(f"the native ops failed to build before, see {failed}; try `unmask doctor --ops` again")
    for left in plan.folder.glob("build-*"):  # of a build that was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    environment = _environment(plan)
    work = Path(tempfile.mkdtemp(prefix="build-", dir=plan.folder))
    try:
        ldflags = ["-fopenmp"] if "-fopenmp" in plan.cflags else []
        if plan.cuda_home:
            ldflags += _link_runtime(plan.cuda_home, work)
        arguments = {
            "name": NAME,
            "sources": [str(path) for path in plan.sources],
            "extra_cflags": list(plan.cflags),
            "extra_ldflags": ldflags,
            "extra_cuda_cflags": ["-O3"],
            "build_directory": str(work),
            "with_cuda": plan.cuda_home is not None,
            "is_python_module": False,
            "verbose": True,
        }
        # The child also loads the library: whatever that does to a process, it does not do it to this one.
        code = _run_child(json.dumps(arguments), environment, work / "log")
        built = work / f"{NAME}.so"
        if code != 0 or not built.exists():
            files.write(failed, (work / "log").read_bytes())
            raise BuildError(f"building the native ops failed, see {failed}; the reference ops need no build")
        _install(built, plan.library)
        failed.unlink(missing_ok=True)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"building the native ops took longer than {LIMIT} s; set UNMASK_OPS=reference") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run_child(arguments: str, environment: dict[str, str], log: Path) -> int:
    with open(log, "wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        assert child.stdin is not None
        with child.stdin as pipe:  # closing it is what ends a child that is still at work
            pipe.write(arguments.encode() + b"\n")
            pipe.flush()
            return child.wait(LIMIT)


def _install(built: Path, library: Path) -> None:
    """Move the library into place; its sum comes last, so that it never vouches for another file."""
    note = library.with_suffix(".sha256")
    note.unlink(missing_ok=True)
    files.write(library, built.read_bytes())
    files.write(note, files.sha256(built).encode())


def _environment(plan: Recipe) -> dict[str, str]:
    environment = dict(os.environ, CXX=plan.compiler)
    if plan.cuda_home:
        environment["CUDA_HOME"] = str(plan.cuda_home)
    if shutil.which("ninja") is None:
        try:
            import ninja
        except ImportError:
            raise BuildError("ninja is missing; install it (pip install ninja) or set UNMASK_OPS=reference") from None
        environment["PATH"] = f"{ninja.BIN_DIR}{os.pathsep}{environment.get('PATH', '')}"
    environment.setdefault("MAX_JOBS", str(_jobs()))
    return environment


def _jobs() -> int:
    """As many compilers as there are cores, but no more than the memory holds."""
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(ValueError, OSError):
        jobs = min(jobs, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // JOB_MEMORY)
    return max(1, jobs)


def _cpu_flags() -> tuple[tuple[str, ...], str]:
    """Compiler flags for exactly this processor, and a text that changes when the processor does."""
    flags = ["-O3"]
    if sys.platform != "linux":
        return tuple(flags), ""
    flags.append("-fopenmp")
    capability = torch.backends.cpu.get_cpu_capability()
    if platform.machine() != "x86_64" or capability not in ("AVX2", "AVX512"):
        return tuple(flags), ""
    flags += ["-march=native", f"-DCPU_CAPABILITY={capability}", f"-DCPU_CAPABILITY_{capability}"]
    if capability == "AVX512":
        flags.append("-mprefer-vector-width=512")
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        return tuple(flags), next((line for line in lines if line.startswith("flags")), "")
    return tuple(flags), ""


def cuda_toolkit() -> Path | None:
    """The folder of a CUDA toolkit: the compiler in ``bin``, headers in ``include``; None where there is none.

    ``CUDA_HOME`` or ``CUDA_PATH`` names it. Else it is the first one among NVIDIA's Python packages beside torch, the
    one whose ``nvcc`` is on PATH, and ``/usr/local/cuda``.
    """
    if named := os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH"):
        return Path(named) if _has_nvcc(Path(named)) else None
    homes = []
    if torch.version.cuda:
        homes.append(Path(torch.__file__).parents[1] / "nvidia" / f"cu{torch.version.cuda.partition('.')[0]}")
    if found := shutil.which("nvcc"):
        homes.append(Path(found).parents[1])
    homes.append(Path("/usr/local/cuda"))
    # Where a script on PATH calls the compiler, the headers are elsewhere.
    return next((home for home in homes if _has_nvcc(home) and (home / "include" / "cuda_runtime.h").is_file()), None)


def _has_nvcc(home: Path) -> bool:
    return shutil.which(str(home / "bin" / "nvcc")) is not None


def _link_runtime(cuda_home: Path, folder: Path) -> list[str]:
    """Linker flags for the name ``libcudart.so``, which NVIDIA's Python packages leave out, made in ``folder``."""
    if any((cuda_home / lib / "libcudart.so").exists() for lib in ("lib64", "lib")):
        return []
    for library in cuda_home.glob("lib/libcudart.so.*"):
        (folder / "libcudart.so").symlink_to(library)
    return ["-L."]  # the build runs there


def _cuda_arch() -> str:
    """The architectures that the build will be for, as text: those asked for, else those of the devices here."""
    listed = os.environ.get("TORCH_CUDA_ARCH_LIST")
    if listed and listed != "native":
        return listed
    return " ".join(str(torch.cuda.get_device_capability(i)) for i in range(torch.cuda.device_count()))


def _version(command: list[str]) -> str:
    try:
        run = subprocess.run(command, capture_output=True, timeout=60, check=True)
        return run.stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{command[0]} does not run ({error}); set UNMASK_OPS=reference") from error
