"""What is fetched from the Hugging Face hub and from GitHub: pinned commits alone, kept once here.

Everything else runs offline (`arkd.storage.offline`): `fetch`, `fetch_named` and `fetch_raw` alone
go out, once, for what the machine does not have yet, unless the user keeps them in, too. A suite's
models come as safetensors, never as pickles, which run code when read. A file whose SHA-256 is
known must have it; of the others, pinned by their commit alone, the manifest tells the SHA-256 that
was found. An encoder that a metric's library reads by its name is the one that is pinned by none.
"""

from __future__ import annotations

import http.client
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from arkd.errors import ArkdError, no_room
from arkd.storage import seen
from arkd.storage.files import read_json, sha256_file, staged_file, write_json
from arkd.storage.offline import forbidden
from arkd.storage.wheels import default_cache

Kind = Literal["dataset", "model"]
COMMIT = re.compile(r"[0-9a-f]{40}")
NEWEST = "main"
PICKLE = "pytorch_model.bin"  # of models that another library reads by their name
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")  # weights, settings, tokenizer
SAFE = {
    "model": (".safetensors", ".json", ".txt", ".model"),
    "dataset": (".jsonl", ".json", ".parquet", ".csv", ".tsv", ".txt", ".zip"),
}
_unpinned: dict[str, str] = {}  # SHA-256 by repository, commit and file, until they are taken
_RAW = "https://raw.githubusercontent.com"


def check_commit(repo: str, revision: str | None, address: str) -> None:
    """Refuse a revision that is not a whole commit: a branch moves, a short hash is ambiguous.

    Args:
        repo: Whose revision it is.
        revision: What was asked for.
        address: Where git lists the repository's commits.

    Raises:
        ArkdError: it is not 40 hexadecimal digits.
    """
    if not COMMIT.fullmatch(revision or ""):
        raise ArkdError(
            f"{repo}: revision: {revision!r} is not a commit of 40 hexadecimal digits; "
            f"`git ls-remote {address} HEAD` prints the newest"
        )


def fetch(
    repo: str,
    revision: str,
    files: Sequence[str] | None = None,
    kind: Kind = "dataset",
    sha256: Mapping[str, str] | None = None,
) -> Path:
    """Return the folder of a hub repository at a commit, with at least the files asked for.

    What is in the hub's cache (`HF_HOME`) is taken from there, and no network is asked.

    Args:
        repo: Its name, `owner/name`.
        revision: The commit, all 40 digits.
        files: Paths in the repository; none, of a model: all that it takes to load it.
        kind: What the repository is.
        sha256: Of some of the files, in hexadecimal.

    Raises:
        ArkdError: no commit, a file that may hold code, no network, another hash, a full disk.
    """
    place = f"{'datasets/' if kind == 'dataset' else ''}{repo}"
    check_commit(repo, revision, f"https://huggingface.co/{place}")
    wanted = tuple(files or MODEL_FILES)
    _refuse_code(repo, wanted, kind)
    folder = _snapshot(repo, revision, kind)
    if missing := _missing(folder, files, kind):
        _refuse_when_forbidden(f"{repo}@{revision[:8]} ({missing})")
        _say(f"fetching {', '.join(wanted)} of {place} at {revision[:8]}")
        _download(repo, revision, wanted, kind, whole=files is None)
        if missing := _missing(folder, files, kind):
            raise ArkdError(f"{repo}@{revision}: {missing} is not in it; {_otherwise()}")
    pinned = sha256 or {}
    for name, digest in pinned.items():
        _check(folder / name, digest)
    read = files or sorted(path.name for pattern in MODEL_FILES for path in folder.glob(pattern))
    _note(repo, revision, folder, [name for name in read if name not in pinned], folder.parents[1])
    return folder


def listing(repo: str, revision: str) -> list[str]:
    """Return the paths of all files of a data set at a commit, asked for once and kept.

    Raises:
        ArkdError: no commit, no network or no such data set.
    """
    check_commit(repo, revision, f"https://huggingface.co/datasets/{repo}")
    kept = default_cache() / "hub" / repo.replace("/", "+") / f"{revision}.json"
    if not kept.is_file():
        _refuse_when_forbidden(f"{repo}@{revision[:8]} (the list of its files)")
        from huggingface_hub import HfApi

        with _asking(repo, revision), _online():
            names = HfApi().list_repo_files(repo, revision=revision, repo_type="dataset")
        write_json(kept, {"files": sorted(names)})
    found: list[str] = read_json(kept)["files"]
    return found


def fetch_card(repo: str, revision: str) -> Path:
    """Return a data set's card at a commit: read for which files make its splits, and never run."""
    path = _snapshot(repo, revision, "dataset") / "README.md"
    if not path.is_file():
        _refuse_when_forbidden(f"{repo}@{revision[:8]} (README.md)")
        _download(repo, revision, ["README.md"], "dataset", whole=False)
    return path


def fetch_raw(repo: str, revision: str, file: str, sha256: str | None = None) -> Path:
    """Return one file of a GitHub repository at a commit, kept beside the wheels.

    Args:
        repo: `owner/name`.
        revision: The commit, all 40 digits.
        file: Path in the repository.
        sha256: Of the file, in hexadecimal, where it is known.

    Raises:
        ArkdError: no commit, a file that may hold code, no network, another hash, a full disk.
    """
    check_commit(repo, revision, f"https://github.com/{repo}")
    _refuse_code(repo, (file,), "dataset")
    path = default_cache() / "github" / repo.replace("/", "+") / revision / file
    if not path.is_file():
        _refuse_when_forbidden(f"{repo}@{revision[:8]} ({file})")
        _say(f"fetching {file} of github.com/{repo} at {revision[:8]}")
        address = f"{_RAW}/{repo}/{revision}/{urllib.parse.quote(file)}"
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ArkdError(
                f"cannot fetch {file} of github.com/{repo}: {reason}; {_otherwise()}"
            ) from error
        with staged_file(path) as staged:
            staged.write_bytes(content)
    if sha256:
        _check(path, sha256)
    else:
        root = path.parents[len(Path(file).parts) - 1]
        _note(f"github.com/{repo}", revision, root, [file], root.parent)
    return path


def fetch_named(repo: str) -> Path:
    """Return where the hub's cache has a model that another library reads by its name alone.

    No commit is named, so it is the newest when it was fetched. Where the repository has no
    safetensors it is the pickle that the library then reads, of tensors alone.

    Args:
        repo: Its name, `owner/name`.

    Raises:
        ArkdError: the hub has no such repository, no network, a full disk.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    def here() -> Path | None:
        config = try_to_load_from_cache(repo, "config.json")
        folder = Path(config).parent if isinstance(config, str) else None
        whole = folder and (
            (folder / PICKLE).is_file() or not _missing(folder, files=None, kind="model")
        )
        return folder if whole else None

    if here() is None:
        _refuse_when_forbidden(repo)
        with _asking(repo, NEWEST), _online():
            names = HfApi().list_repo_files(repo)
        safe = any(name.endswith(".safetensors") for name in names)
        _say(f"fetching {repo} at {NEWEST}: nothing pins its commit")
        _download(
            repo, NEWEST, MODEL_FILES if safe else (*MODEL_FILES, PICKLE), "model", whole=True
        )
    folder = here()
    if folder is None:
        raise ArkdError(f"{repo}: its weights are not in it; {_otherwise()}")
    return folder


def note_cached(repo: str) -> None:
    """Remember a model that another library has read from the hub's cache by its name."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "config.json")
    if isinstance(found, str):
        folder = Path(found).parent
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        _note(repo, folder.name, folder, names, folder.parents[1])


def take_unpinned() -> dict[str, str]:
    """Return the SHA-256 of each file that was read since the last call with none to compare."""
    taken = dict(sorted(_unpinned.items()))
    _unpinned.clear()
    return taken


def _snapshot(repo: str, revision: str, kind: Kind) -> Path:
    """Return where the hub's cache keeps a commit, whether it is there or not."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repo, repo_type=kind)
    return Path(constants.HF_HUB_CACHE) / folder / "snapshots" / revision


def _missing(folder: Path, files: Sequence[str] | None, kind: Kind) -> str | None:
    """Name a file that is not there; of a model, also a shard that its index lists."""
    if files is None and kind == "model":
        index = folder / "model.safetensors.index.json"
        shards = ["model.safetensors"]
        if index.is_file():
            shards = sorted(set(read_json(index)["weight_map"].values()))
        files = ["config.json", *shards]
        tokenizers = ("tokenizer.json", "tokenizer.model", "vocab.json")
        if not any((folder / name).is_file() for name in tokenizers):
            files.append(tokenizers[0])
    return next((name for name in files or () if not (folder / name).is_file()), None)


def _download(repo: str, revision: str, wanted: Sequence[str], kind: Kind, *, whole: bool) -> None:
    """Let the hub's own client bring the files into its cache."""
    from huggingface_hub import snapshot_download

    with _asking(repo, revision), _online():
        snapshot_download(
            repo,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(wanted),
            ignore_patterns=["*/*"] if whole else None,  # folders hold exports to other formats
        )


@contextmanager
def _asking(repo: str, revision: str) -> Iterator[None]:
    """Say in one line why the hub's client could not do what it was asked for."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ArkdError(
            f"{repo}: its owner asks for consent; give it on https://huggingface.co/{repo}, "
            "log in with `hf auth login` and run the same command again"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise ArkdError(
            f"{repo}@{revision}: the hub has no such repository or commit; correct repo or revision"
        ) from error
    except Exception as error:  # of the client, of its HTTP library, of the system
        if full := no_room(error):
            where = getattr(error, "filename", None) or "the hub's cache (HF_HOME)"
            raise ArkdError(f"{where}: {full}; make room and fetch {repo} again") from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise ArkdError(f"cannot fetch {repo} from the hub: {reason}; {_otherwise()}") from error


@contextmanager
def _online() -> Iterator[None]:
    """Let the hub's client ask the network, which read the switches when it was imported."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _refuse_code(repo: str, names: Sequence[str], kind: Kind) -> None:
    for name in names:
        climbs = ".." in name.split("/") or name.startswith("/")
        if climbs or not name.endswith(SAFE[kind]):
            raise ArkdError(
                f"{repo}: '{name}' is refused: a {kind} is read from {', '.join(SAFE[kind])} alone"
            )


def _refuse_when_forbidden(what: str) -> None:
    if forbidden():
        raise ArkdError(f"{what} is not here and HF_HUB_OFFLINE=1 forbids to ask; {_otherwise()}")


def _check(path: Path, digest: str) -> None:
    found = sha256_file(path)
    if found != digest:
        raise ArkdError(
            f"{path}: refused, its SHA-256 is {found} and not {digest}; "
            "delete it and run the same command again, or correct sha256"
        )


def _note(repo: str, revision: str, folder: Path, names: Sequence[str], memory: Path) -> None:
    """Remember what a commit alone pins, and say so, once a repository.

    Args:
        repo: As manifests name it.
        revision: The commit.
        folder: Of the commit's files.
        names: Of those that were read.
        memory: Where the hashes of large ones are remembered, for each stage that reads them.
    """
    if names and not any(name.startswith(f"{repo}@{revision}/") for name in _unpinned):
        _say(
            f"warning: {repo} at {revision[:8]}: no SHA-256 is given for {names[0]}"
            f"{f' and {len(names) - 1} more' if len(names) > 1 else ''}; the manifest tells what "
            "was found"
        )
    for name in names:
        found = seen.sha256(folder / name, memory, f"{revision}/{name}")
        _unpinned[f"{repo}@{revision}/{name}"] = found


def _otherwise() -> str:
    return (
        "run the same command once where there is a network and bring its HF_HOME and ARKD_CACHE "
        "here, or name a local copy: data_dir for data, a folder for a model"
    )


def _say(line: str) -> None:
    print(f"arkd: {line}", file=sys.stderr, flush=True)
