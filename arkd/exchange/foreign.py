"""Students that were trained elsewhere, measured as the suite's own are; their rows are marked."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.exchange import alike
from arkd.exchange.declared import Declared, noted
from arkd.stages.evaluate import evaluate
from arkd.stages.stage import cache_folders, computes
from arkd.storage import given, manifest, stage_writer
from arkd.storage.files import sha256_file
from arkd.suite import contexts
from arkd.suite.checks import check_written
from arkd.suite.command_line import command
from arkd.suite.folders import FOREIGN, INIT, TEACHER, TEACHER_SEED, Tree
from arkd.suite.jobs import config_slice
from arkd.suite.names import RULE, usable
from arkd.suite.settings import Folder

STAGE = "foreign"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


def label(name: str) -> str:
    """Return how the records call a student that was trained elsewhere.

    Raises:
        ArkdError: the name is none of a folder.
    """
    if not usable(name):
        raise ArkdError(f"--name: '{name:.100}' is no name of a folder; use {RULE}")
    return f"{FOREIGN}:{name}"


def pair_seeds(
    folders: list[Path], seeds: list[int], suite_seeds: tuple[int, ...]
) -> dict[int, Path]:
    """Return the students by training seed; without named seeds, in the order of the suite's.

    Raises:
        ArkdError: there are more students than seeds, or a seed stands twice or is not the suite's.
    """
    chosen = seeds or list(suite_seeds[: len(folders)])
    if len(chosen) != len(folders):
        have = f"{len(chosen)} seeds" if seeds else f"the suite has {len(suite_seeds)} seeds"
        raise ArkdError(f"--seeds: {len(folders)} students, and {have}; give each student one seed")
    for seed in chosen:
        if chosen.count(seed) > 1 or seed not in suite_seeds:
            wrong = "stands twice" if chosen.count(seed) > 1 else "is no training seed of the suite"
            known = ", ".join(map(str, suite_seeds))
            raise ArkdError(
                f"--seeds: {seed} {wrong}; a student belongs to the seed of its start: {known}"
            )
    return dict(zip(chosen, folders, strict=True))


def check_folder(folder: Path) -> None:
    """Refuse what is no whole Hugging Face model of safe tensors, before a library is loaded.

    Raises:
        ArkdError: it is no folder, has no config.json, an adapter, or no safetensors, or leads to
            weights elsewhere.
    """
    if not folder.is_dir():
        raise ArkdError(f"{folder}: no such folder; name that of a Hugging Face model")
    if (folder / "adapter_config.json").is_file() and not any(folder.glob("model*.safetensors")):
        raise ArkdError(f"{folder}: an adapter alone; merge it into its model and save that")
    if not (folder / "config.json").is_file():
        raise ArkdError(f"{folder}: no config.json, so no Hugging Face model; save it whole")
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for kind in PICKLES for path in folder.glob(kind))
        what = f"{pickles[0]} is a pickle, which runs code when it is read" if pickles else "none"
        raise ArkdError(
            f"{folder}: weights are read from safetensors alone ({what}); save it with "
            "`save_pretrained`, which writes them"
        )
    given.check_model(folder)


def check_distinct(students: Mapping[int, Path]) -> None:
    """Refuse one student for two seeds, whose mean would seem to vary less than it does.

    Raises:
        ArkdError: two folders have the same weights.
    """
    found: dict[tuple[str, ...], Path] = {}
    for folder in students.values() if len(students) > 1 else ():  # files may be of many GB
        weights = tuple(map(sha256_file, sorted(folder.glob("*.safetensors"))))
        if weights in found:
            raise ArkdError(
                f"{folder}: the same weights as {found[weights]}; give each seed a student of its "
                "own"
            )
        found[weights] = folder


@computes("arkd.evaluation.measure_model")
def score(
    tree: Tree, pair: str, row: str, students: Mapping[int, Path], declared: Declared
) -> None:
    """Measure students beside a suite's run: its models, prefixes and tests, every metric.

    They are saved anew as the suite saves its own, so that what is measured is kept.

    Args:
        tree: The suite's folders, of which data, tokens, teacher and prefixes must be there.
        pair: Whose vocabulary they have.
        row: How the records call them (`label`).
        students: The folders by training seed, each of which `check_folder` has let pass.
        declared: What their author says of them.

    Raises:
        ArkdError: the run lacks a stage or was made with other settings, or a student does not
            have the suite's vocabulary.
    """
    tree.refuse_worlds()
    settings = config_slice(tree.suite, "evaluate", pair)
    if wrong := alike.difference(
        tree.root, pair, {alike.VERSION: tree.suite.version, alike.CONFIG: settings}
    ):
        raise ArkdError(f"suite {tree.named or tree.suite.name}: {wrong}; name it as it was run")
    prefixes = tree.cache(pair, "prefixes")
    if not (prefixes / manifest.NAME).is_file():
        wanted = command(tree, prefixes / manifest.NAME)
        raise ArkdError(f"{prefixes}: nothing to measure by yet; run `{wanted}`")
    check_written(tree.suite, tree.data)
    cache_folders(tree, pair, {"prefixes": None})  # made by the teacher that stands now
    before = noted(tree.evaluation(pair, row).parent)
    for seed, folder in students.items():
        _take_in(tree, pair, row, seed, folder, declared)
    if lost := before.keys() - declared.keys():
        print(f"arkd: no longer declared of {row}: {', '.join(sorted(lost))}", file=sys.stderr)
    count = f"{len(students)} seed{'s' * (len(students) > 1)}"
    print(f"arkd: measuring {row}, {count}", file=sys.stderr)
    seeded = tree.suite.model_copy(update={"seeds": tuple(students)})
    evaluate(replace(tree, suite=seeded), pair, row)


def _take_in(tree: Tree, pair: str, row: str, seed: int, folder: Path, declared: Declared) -> None:
    """Read one student, refuse what is not of this suite, and save it as a training of its own."""
    import torch

    from arkd.models import model as models
    from arkd.models.external import load_given, shared_tokenizer
    from arkd.models.sign import save_signed

    suite, tokens = tree.suite, tree.tokens(pair)
    spec = Folder(source="folder", path=str(folder.absolute()))
    manifest.digest(tokens)  # as its stage wrote them, before anything is compared with them
    suites_own = Folder(source="folder", path=str((tokens / "tokenizer").absolute()))
    with tempfile.TemporaryDirectory() as scratch:
        shared_tokenizer(suites_own, spec, Path(scratch) / "tokenizer")
    longest = manifest.read(tokens, ["notes"])["notes"].get("longest", {})
    contexts.check(str(folder), {"student": contexts.limit_of(folder / "config.json")}, longest)
    inputs = {"tokens": tokens, TEACHER: tree.training(pair, TEACHER, TEACHER_SEED)}
    axes: dict[str, Any] = {"suite": suite.name, "suite_version": suite.version}
    axes |= {"pair": pair, "method": row, "seed": seed}
    with stage_writer.stage(
        STAGE,
        tree.training(pair, row, seed),
        inputs=inputs,
        config={"precision": suite.training.precision},
        given={f"{given.ROLE}student {seed}": given.digest(folder, tree.root)},
        **axes,
    ) as stage:
        cpu = torch.device("cpu")
        model = load_given(spec, tokens / "tokenizer", cpu, suite.training.precision)
        facts = {"parameters": models.parameters(model), "seed": seed}
        stage.notes |= {**facts, "declared": declared.model_dump(exclude_none=True)}
        stage.notes["as_the_suites_students"] = _same_shape(tree, pair, seed, model)
        card = models.card(f"Student trained elsewhere, measured by {suite.name}/{pair}", facts)
        stage.notes["sign"] = save_signed(model, tokens / "tokenizer", stage.folder / "model", card)
    if stage.notes["as_the_suites_students"] is False:
        print(
            f"arkd: warning: {folder}: not of the size and shape of the suite's own students "
            f"({facts['parameters']:,} parameters); the row says so",
            file=sys.stderr,
        )


def _same_shape(tree: Tree, pair: str, seed: int, model: Any) -> bool | None:
    """Tell whether a model has the tensors of its seed's start; None if the start is not there."""
    start = tree.model(pair, INIT, seed)
    if not (start / "config.json").is_file():
        return None
    from safetensors import safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for path in start.glob("*.safetensors"):
        with safe_open(path, "pt") as tensors:
            names = list(tensors.keys())
            shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
    found = {name: tuple(value.shape) for name, value in model.named_parameters()}
    return all(found.get(name) == shape for name, shape in shapes.items())
