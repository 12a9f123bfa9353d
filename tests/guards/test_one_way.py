"""One way to do each thing with files: what `unmask/files.py` does is done nowhere else."""

from __future__ import annotations

import ast

# name that is called -> what to call instead
ELSEWHERE = {
    "os.replace": "files.replacing or files.write",
    "os.rename": "files.replacing or files.write",
    "tempfile.mkstemp": "files.replacing",
    "tempfile.NamedTemporaryFile": "files.replacing",
    "tempfile.mkdtemp": "files.workshop",
    "os.fsync": "files.write",
    "Path.home": "files.cache_folder or files.home",
}
# A build lays its own folder under a lock of its own, by which a later one sweeps.
ALLOWED = {("unmask.ops.build", "tempfile.mkdtemp")}


def test_files_are_replaced_hashed_and_cached_in_one_way(modules):
    wrong = []
    for module in modules:
        if module.name == "unmask.files":
            continue
        for node in ast.walk(module.tree):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ELSEWHERE and (module.name, name) not in ALLOWED:
                wrong.append(f"{module.path}:{node.lineno} {name}: use {ELSEWHERE[name]}")
            if name.endswith("hashlib.sha256") and "read_bytes" in ast.unparse(node):
                wrong.append(f"{module.path}:{node.lineno} hashes a file: use files.sha256")
            if isinstance(node, ast.Constant) and node.value == "UNMASK_CACHE":
                wrong.append(f"{module.path}:{node.lineno} UNMASK_CACHE: use files.cache_folder")
    assert not wrong, "\n".join(wrong)
