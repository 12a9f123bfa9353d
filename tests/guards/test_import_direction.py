"""Which room may import which: the arrows of docs/architecture.md, read from the source."""

from __future__ import annotations

import ast

# room -> rooms it may import. A room is the first name below `unmask`; `unmask` itself is its __init__.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "config": {"errors", "files"},
    "pickles": {"errors"},
    "devices": {"errors"},
    "formats": {"errors"},
    "progress": set(),
    "images": {"errors", "files", "formats"},
    "ops": {"errors", "files"},
    "models": {"errors", "ops"},
    "weights": {"errors", "files", "models", "ops", "pickles"},
    "engines": {"devices", "errors", "files", "models", "weights"},
    "faces": {"engines", "errors", "images", "weights"},
    "simulation": {"errors", "faces", "images"},
    "recognition": {"engines", "errors", "files", "models", "weights"},
    "losses": {"errors", "faces", "models", "recognition", "weights"},
    "data": {"config", "errors", "faces", "files", "images", "progress", "simulation"},
    "training": {
        *(
            "config",
            "data",
            "devices",
            "errors",
            "evaluation",
            "faces",
            "files",
            "images",
            "losses",
            "models",
            "progress",
            "recognition",
            "simulation",
        ),
        "weights",
    },
    "from_net": {
        *("config", "data", "errors", "faces", "images", "losses", "models", "recognition", "simulation", "training"),
        "weights",
    },
    "g2d": {
        *("config", "data", "errors", "evaluation", "faces", "images", "losses", "models", "recognition", "training"),
        "weights",
    },
    "export": {"errors", "files", "from_net", "g2d", "models", "training", "weights"},
    "restore": {"engines", "errors", "faces", "files", "formats", "images", "recognition", "weights"},
    "batch": {
        *("data", "engines", "errors", "faces", "files", "formats", "images", "progress", "restore", "simulation"),
        "weights",
    },
    "video": {"batch", "engines", "errors", "faces", "files", "images", "progress", "restore"},
    "evaluation": {
        *(
            "data",
            "devices",
            "engines",
            "errors",
            "faces",
            "files",
            "formats",
            "images",
            "models",
            "pickles",
            "progress",
        ),
        *("recognition", "restore", "simulation", "weights"),
    },
    "installation": {"engines", "errors", "ops", "restore", "weights"},
    "web": {"errors", "faces", "formats", "images", "restore", "video"},
    "unmask": {"errors", "restore"},
    "__main__": {"cli"},
}
# Within `faces` only these may lean on more than `images` and `errors`.
FACES_WITH_WEIGHTS = {"unmask.faces.segment", "unmask.faces.detect", "unmask.faces.landmarks", "unmask.faces.scrfd"}

# Of `evaluation` training takes the formulas alone, which import nothing of ours.
FORMULAS = {"unmask.evaluation.restoration.quality", "unmask.evaluation.verification.metrics"}


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def imported(module) -> set[str]:
    """Dotted names of our own modules that ``module`` imports anywhere in its text."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "unmask"}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*anchor, *filter(None, [node.module])])
            if base.split(".")[0] == "unmask":
                # `from .. import images` names a room; `from ..images import read` names it in `base`.
                found |= {f"{base}.{alias.name}" for alias in node.names} if base == "unmask" else {base}
    return found


def test_rooms_import_only_what_the_architecture_allows(modules):
    wrong = []
    for module in modules:
        here = room(module.name)
        if here == "cli":
            continue
        assert here in ALLOWED, f"unmask/{here} is a new room: add its row here and in docs/architecture.md"
        for name in sorted(imported(module)):
            there = room(name)
            package_facts = name in ("unmask", "unmask.__version__")
            if there != here and not package_facts and there not in ALLOWED[here]:
                wrong.append(f"{module.name} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_faces_lean_on_images_only(modules):
    wrong = [
        f"{module.name} imports {name}"
        for module in modules
        if room(module.name) == "faces" and module.name not in FACES_WITH_WEIGHTS
        for name in imported(module)
        if room(name) not in {"errors", "faces", "images"}
    ]
    assert not wrong, "\n".join(wrong)


def test_training_takes_formulas_alone_from_evaluation(modules):
    users = [module for module in modules if room(module.name) in ("training", "from_net", "g2d")]
    taken = {
        f"{base}.{name.name}"
        for module in users
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and (base := f"unmask.{node.module or ''}").startswith("unmask.evaluation")
        for name in node.names
    }
    assert taken == FORMULAS
    assert not [name for module in modules if module.name in FORMULAS for name in imported(module)]


def test_nothing_imports_the_command_line(modules):
    wrong = [
        module.name
        for module in modules
        if room(module.name) not in ("cli", "__main__") and any(room(n) == "cli" for n in imported(module))
    ]
    assert not wrong


def test_rooms_have_no_cycle():
    """The table itself is a partial order, so that no edit of it lets two rooms lean on each other."""
    done: set[str] = {"cli"}
    left = dict(ALLOWED)
    while left:
        ready = [name for name, needs in left.items() if needs <= done]
        assert ready, f"these rooms import each other in a circle: {sorted(left)}"
        done |= set(ready)
        for name in ready:
            del left[name]
