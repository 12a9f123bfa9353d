"""One of several processes that train every task together; ``test_two_processes`` starts them and compares.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29501 python -m tests.training.two_processes FOLDER

Each task runs four steps at one go, then three, a stop and the rest from the checkpoint. What this process holds at the
end of each goes into ``TASK-RANK.pt``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from tests.training import drawn
from unmask import training
from unmask.errors import UnmaskError
from unmask.training import checkpoint, distributed, loop
from unmask.training.tasks import detector, generator, segmenter, unmasker

STEPS, STOP = 4, 3
IRESNET = ["widths=[16,16,16,16]", "depths=[1,1,1]", "embedding=8", "size=[64,64]", "head=gdc", "stem_stride=2"]
ENCODER = ["widths=[16,16,16,16]", "depths=[1,1,1]", "pyramid=6", "narrow=2"]
PAINTER = ["img_resolution=64", "w_dim=8", "channels=[6,6,6,4,4]", *(f"encoder.{e}" for e in ENCODER)]
SKIPS = ["skips=[8,16]", "gated=[16]"]
TASKS = {
    "recognizer": [*(f"model.{e}" for e in IRESNET), "teacher=", "hint_channels=[]", "label_weight=1", "val_faces=12"],
    "generator": [
        *(f"model.{e}" for e in PAINTER[:3]), "model.z_dim=8", "model.mapping_layers=2",
        *(f"encoder.{e}" for e in ENCODER), "discriminator=[6,6,6,4,4]", "start=", "recognizer=",
        "autoencoder=true", "adversarial_weight=1", "ada_target=-1",
    ],
    "unmasker": [
        *(f"model.{e}" for e in (*PAINTER, *SKIPS)), "discriminator=[6,6,6,4]", "window=32", "start=", "generator=",
        "recognizer=", "model.identity=0", "adversarial_weight=0.05", "adv_start=0", "pixel_steps=0", "variants=1",
    ],
    "detector": [
        "photos=[wild]", "worn=[]", "teacher=", "size=64", "per_source=4", "empty=[]", "large=[]", "start=",
    ],
    "segmenter": ["size=64", "worn=[]", "pool=12"],
    "from": [
        *(f"model.trunk.{e}" for e in IRESNET), "model.grid=3", "model.pyramid=6", "model.narrow=2", "teacher=",
        "start=", "clean_steps=2", "label_weight=1", "distill_weight=0", "contrast_weight=0", "val_faces=8",
    ],
    "g2d": [
        "model.size=64", "model.embedding=8", "model.encoder.kind=unmasker", "model.encoder.widths=[16,16,16,16]",
        "model.encoder.depths=[1,1,1]", "model.encoder.block=2", "model.reformer.widths=[16,16,16,16]",
        "model.reformer.depths=[1,1,1,1]", *(f"painter.{e}" for e in (*PAINTER, *SKIPS)), "start=",
        "encoder_steps=1", "reformer_steps=1", "val_faces=8",
    ],
}  # fmt: skip
CONSTANTS: list[tuple[ModuleType, dict[str, Any]]] = [
    (generator, {"PATH_EVERY": 2, "R1_EVERY": 2, "ADA_KIMG": 0.02, "LATENT_STEPS": 1}),
    (unmasker, {"R1_EVERY": 2}),
    (detector, {"VAL_SCENES": 2}),
    (segmenter, {"VAL_FACES": 6}),
]  # turned down, so that a few steps go through all of them
COMMON = [
    "sources=[drawn]", "batch_size=4", f"max_steps={STEPS}", "checkpoint_every=1", "val_every=2",
    "log_every=1", "precision=fp32", "warmup_steps=1", "workers=1", "threads=1", "occluders=0",
]  # fmt: skip


def overrides(task: str, folder: Path, out: str) -> list[str]:
    """The tiny form of a task's shipped config."""
    known = {*training.read_config(f"mini-{task}").__dataclass_fields__}
    teacher = [f"teacher={folder / 'teacher.safetensors'}"] if task == "g2d" else []
    return [a for a in [f"data={folder}", f"out={folder / out}", *COMMON, *TASKS[task], *teacher]
            if a.split("=")[0].split(".")[0] in known]  # fmt: skip


def train(task: str, settings: list[str], stop: int | None = None) -> loop.Task:
    """Run a task, to the end or until the step ``stop``, and give back what this process holds then."""
    held: list[loop.Task] = []
    module = training._module(task)
    original = module.build

    def build(config: Any, device: torch.device) -> loop.Task:
        held.append(original(config, device))
        inner = held[0].step
        if stop is not None:

            def step(batch: Any, at: int) -> Any:
                if at == stop:
                    raise UnmaskError("stopped")
                return inner(batch, at)

            held[0].step = step  # type: ignore[assignment]
        return held[0]

    module.build = build
    try:
        training.start(f"mini-{task}", settings, "auto" if stop is None else None, "cpu")
    except UnmaskError as error:
        assert str(error) == "stopped", error
    finally:
        module.build = original
    return held[0]


def state(task: loop.Task) -> dict[str, Any]:
    """All tensors of a task by name, and its other numbers."""
    found = {f"{n}.{k}": v.clone() for n, m in task.modules.items() for k, v in m.state_dict().items()}
    return {"tensors": found, "extra": dict(task.extra)}


def main(folder: Path) -> None:
    """Train every task twice; see the head of the file."""
    torch._C._set_mkldnn_enabled(False)  # see tests/conftest.py
    for module, values in CONSTANTS:
        for name, value in values.items():
            setattr(module, name, value)
    leave, distributed.stop = distributed.stop, lambda: None  # the group stays for the next task
    for task in TASKS:
        whole = state(train(task, overrides(task, folder, f"{task}-whole")))
        settings = overrides(task, folder, f"{task}-halves")
        train(task, settings, STOP)
        torch.distributed.barrier()  # the checkpoint is there
        halves = state(train(task, settings))
        torch.save({"whole": whole, "halves": halves}, folder / f"{task}-{distributed.rank()}.pt")
    limit = overrides("recognizer", folder, "timed")
    train("recognizer", [*limit, "max_steps=100000", f"max_minutes={0.02 if distributed.rank() == 0 else 60}"])
    leave()
    assert checkpoint.latest(folder / "timed")


def prepare(folder: Path) -> None:
    """Drawn faces, photos and a teacher for all tasks."""
    import csv
    import zipfile
    from io import BytesIO

    import numpy as np
    from PIL import Image

    from unmask import weights
    from unmask.data import face_sets
    from unmask.faces import align
    from unmask.models.iresnet import IResNet

    drawn.folder(folder)
    arch = {"widths": (4, 4, 4), "depths": (1, 1), "embedding": 8, "size": (64, 64), "head": "gdc", "stem_stride": 2}
    torch.manual_seed(0)
    weights.save(folder / "teacher.safetensors", "iresnet", arch, IResNet(**arch).state_dict(), half=False)
    (folder / "wild").mkdir()
    rng = np.random.default_rng(1)
    points = 2 * align.template("ffhq", 64)
    with zipfile.ZipFile(folder / "wild" / "images.zip", "w") as archive, \
            (folder / "wild" / "faces.csv").open("w", newline="", encoding="utf-8") as stream:  # fmt: skip
        rows = csv.writer(stream)
        rows.writerow(["file", "x1", "y1", "x2", "y2", "score",
                       *(f"{p}_{axis}" for p in face_sets.POINT_NAMES for axis in "xy")])  # fmt: skip
        for i in range(20):
            coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
            picture = BytesIO()
            Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC).save(picture, "PNG")
            archive.writestr(f"{i}.png", picture.getvalue())
            rows.writerow([f"{i}.png", 24, 16, 104, 120, 0.9, *points.ravel().round(2)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
