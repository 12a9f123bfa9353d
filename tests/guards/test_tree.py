"""The shape of the tree: small files, documented names, honest packaging, nothing that does not belong."""

from __future__ import annotations

import ast
import configparser
import re

MAX_LINES = 320
MAX_TEST_LINES = 450
MAX_FUNCTION_LINES = 75
MAX_COMMAND_LINES = 100  # of a file of the command line, whose work lies below it
MAX_PACK_BYTES = 45 * 1024**2
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp"}
PICTURE_FOLDERS = ("docs", "samples", "tests")
BINARY = {".onnx", ".safetensors", ".npz", ".npy"} | PICTURES

# What belongs to the machine or the making, never to the project. Each is (pattern, why).
FORBIDDEN = [
    (r"(?<![\w.])/(?:work|root|tmp/u|home/\w+)/", "a path of one machine"),
    (r"\b(?:pypi\.org|files\.pythonhosted\.org|download\.pytorch\.org|registry\.npmjs)\b", "a registry host"),
    (r"(?i)\b(?:this|next|last|previous|another|my) session\b", "speaks of the making"),
    (r"(?i)\b(?:language model|coding agent|ai assistant|workplace)\b", "speaks of the making"),
    (r"<<<<<<< |>>>>>>> ", "a merge mark"),
]


def test_files_stay_small(tracked, root):
    long = {}
    for path in tracked:
        most = MAX_TEST_LINES if path.relative_to(root).parts[0] == "tests" else MAX_LINES
        if path.suffix == ".py" and (lines := len(path.read_text(encoding="utf-8").splitlines())) > most:
            long[str(path.relative_to(root))] = lines
    assert not long


def test_commands_stay_short(root):
    files = sorted((root / "unmask" / "cli").glob("*.py"))
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {name: count for name, count in lines.items() if count > MAX_COMMAND_LINES}


def test_functions_stay_small(modules):
    long = [
        f"{module.path}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_public_names_are_documented(modules):
    bare = []
    for module in modules:
        if not ast.get_docstring(module.tree) and module.path.stat().st_size:
            bare.append(f"{module.path}: the module")
        for node in module.tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                bare.append(f"{module.path}:{node.lineno} {node.name}")
    assert not bare, "\n".join(bare)


def test_tracked_text_speaks_of_the_project_alone(tracked, root):
    wrong = []
    for path in tracked:
        if path.suffix in BINARY or path.samefile(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        for pattern, why in FORBIDDEN:
            for hit in re.finditer(pattern, text):
                line = text.count("\n", 0, hit.start()) + 1
                wrong.append(f"{path.relative_to(root)}:{line} {hit.group()!r}: {why}")
    assert not wrong, "\n".join(wrong)


def test_pictures_lie_only_where_they_belong(tracked, root):
    """Photos of people are data and are never committed; the few pictures we may show have their folders."""
    wrong = [
        str(path.relative_to(root))
        for path in tracked
        if path.suffix.lower() in PICTURES and path.relative_to(root).parts[0] not in PICTURE_FOLDERS
    ]
    assert not wrong


def test_pack_is_small(tracked, root):
    size = sum(path.stat().st_size for path in tracked if path.relative_to(root).parts[0] == "weights")
    assert size <= MAX_PACK_BYTES


def test_setup_cfg_names_every_package(modules, root):
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    named = set(config["options"]["packages"].split())
    mapped = dict(line.split(" = ") for line in config["options"]["package_dir"].strip().splitlines())
    have = {module.name for module in modules if module.is_package}
    have |= {"unmask." + p.parent.name for p in (root / "unmask").glob("*/*.yaml")}
    assert named - set(mapped) == have
    assert all((root / folder).is_dir() for folder in mapped.values())


def test_every_module_has_a_test_file_of_its_name_or_is_listed_with_the_one_that_runs_it(root):
    listed = dict(
        line.split()
        for line in (root / "tests/guards/tested_elsewhere.txt").read_text(encoding="utf-8").splitlines()[1:]
    )
    paths = [path.relative_to(root / "unmask").with_suffix("") for path in (root / "unmask").rglob("*.py")]
    without = {
        path.as_posix()
        for path in paths
        if path.name != "__init__" and not (root / "tests" / path.parent / f"test_{path.name}.py").is_file()
    }
    assert without == set(listed)
    assert all((root / f"tests/{file}.py").is_file() for file in listed.values())
