"""The exact teacher cache equals the live teacher, in any order, and knows when it was changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from arkd.data.tokens import TokenSet
from arkd.divergence.head import Head
from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.storage import manifest
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite
from arkd.teacher import cache
from arkd.teacher.build_cache import build
from arkd.teacher.shards import HiddenStates, Index, check, write_shard

MADE_OF = {"teacher": "of the test", "tokenizer": "none"}
Pairs = list[tuple[list[int], list[int]]]


@pytest.fixture(scope="module")
def tree(smoke: Path) -> Tree:
    return Tree(smoke, load_suite("smoke"))


@pytest.fixture(scope="module")
def teacher() -> LlamaForCausalLM:
    """A model with wide enough states that batches differ in their rounding, if they ever do."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 96, "intermediate_size": 200, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=50, num_hidden_layers=3, initializer_range=0.2, pad_token_id=0, **sizes
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Samples of few lengths, some of them twice, some with the same tokens parted elsewhere."""
    g = torch.Generator().manual_seed(1)
    drawn = [torch.randint(1, 50, (4 + n % 5,), generator=g).tolist() for n in range(40)]
    parted = [(ids[: 1 + n % 3], ids[1 + n % 3 :]) for n, ids in enumerate(drawn)]
    moved = [(p[:-1], [p[-1], *r]) for p, r in parted[:6] if len(p) > 1]
    return [*parted, *parted[:10], *moved, parted[3]]


def built(folder: Path, teacher: object, pairs: Pairs, **options: object) -> cache.Evidence:
    folder.mkdir()
    build(folder, "set", teacher, TokenSet.of(pairs), MADE_OF, label="", **options)
    return cache.load(folder, "set")


def whole(evidence: cache.Evidence) -> Tensor:
    assert isinstance(evidence.hidden, HiddenStates)
    return evidence.hidden.whole()


def by_sample(evidence: cache.Evidence) -> dict[tuple[tuple[int, ...], ...], Tensor]:
    tokens, states = evidence.tokens, whole(evidence)
    starts = tokens.response_starts.tolist()
    return {
        (tuple(tokens.prompt(i)), tuple(tokens.response(i))): states[starts[i] : starts[i + 1]]
        for i in range(len(tokens))
    }


def test_cached_logits_equal_the_live_teachers(tree: Tree) -> None:
    folder = tree.cache("fixture", "gold")
    evidence = cache.load(folder, "train")
    head = cache.load_head(tree.training("fixture", "teacher", 0))
    live_teacher = models.load(tree.model("fixture", "teacher", 0), torch.device("cpu"))
    tokens = evidence.tokens
    assert evidence.hidden is not None
    for sample in (0, 7, 123):
        ids = tokens.ids[tokens.starts[sample] : tokens.starts[sample + 1]].long()
        prompt = int(tokens.prompt_lengths[sample])
        with torch.no_grad():
            live = live_teacher(ids[None]).logits[0, prompt - 1 : -1]
        rows = slice(int(tokens.response_starts[sample]), int(tokens.response_starts[sample + 1]))
        cached = head.logits(evidence.hidden[rows])
        difference = cached.log_softmax(-1) - live.log_softmax(-1)
        assert difference.abs().max() < 1e-4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_the_samples_gives_the_same_bytes(
    seed: int, teacher: object, pairs: Pairs, tmp_path: Path
) -> None:
    turn = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed)).tolist()
    one = built(tmp_path / "one", teacher, pairs, shard_bytes=20_000)
    other = built(tmp_path / "other", teacher, [pairs[i] for i in turn], shard_bytes=20_000)
    files = sorted(path.name for path in (tmp_path / "one").glob("set_hidden-*"))
    assert len(files) > 2
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    ours, theirs = by_sample(one), by_sample(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(states, theirs[sample]) for sample, states in ours.items())
    direct = cache.hidden_responses(teacher, other.tokens, "")
    assert torch.equal(direct, whole(other))


def test_samples_of_one_kind_are_stored_once(teacher: object, pairs: Pairs, tmp_path: Path) -> None:
    evidence = built(tmp_path / "set", teacher, pairs)
    distinct = {(tuple(p), tuple(r)) for p, r in pairs}
    assert len(distinct) < len(pairs)
    stored = load_file(tmp_path / "set" / "set_hidden-00000.safetensors")["hidden"]
    assert len(stored) == sum(len(response) for _, response in distinct)
    assert evidence.hidden is not None
    assert evidence.hidden.shape == (sum(len(response) for _, response in pairs), 96)


@pytest.mark.parametrize("batch_tokens", [1, 20, 10**6])
def test_another_batch_size_stays_within_the_stated_tolerance(
    batch_tokens: int, teacher: object, pairs: Pairs
) -> None:
    tokens, head = TokenSet.of(pairs), models.head(teacher)
    usual, other = (
        head.logits(cache.hidden_responses(teacher, tokens, "", size)).log_softmax(-1)
        for size in (cache.BATCH_TOKENS, batch_tokens)
    )
    assert (usual - other).abs().max() <= cache.BATCH_TOLERANCE


def test_the_tolerance_covers_what_float32_is_off_by(teacher: LlamaForCausalLM) -> None:
    ids = torch.arange(1, 41)[None]
    exact = LlamaForCausalLM(teacher.config).double()
    exact.load_state_dict({k: v.double() for k, v in teacher.state_dict().items()})
    with torch.no_grad():
        off = teacher(ids).logits.log_softmax(-1) - exact.eval()(ids).logits.log_softmax(-1)
    assert 0 < off.abs().max() < cache.BATCH_TOLERANCE


def test_a_gather_over_shards_equals_the_rows(
    teacher: object, pairs: Pairs, tmp_path: Path
) -> None:
    evidence = built(tmp_path / "set", teacher, pairs, shard_bytes=5_000)
    expected = cache.hidden_responses(teacher, evidence.tokens, "")
    assert isinstance(evidence.hidden, HiddenStates)
    sizes = [path.stat().st_size for path in (tmp_path / "set").glob("set_hidden-*")]
    assert len(sizes) > 3
    g = torch.Generator().manual_seed(0)
    for rows in (torch.randint(0, len(expected), (37,), generator=g), torch.tensor([5]), []):
        asked = torch.as_tensor(rows, dtype=torch.int64)
        assert torch.equal(evidence.hidden[asked], expected[asked])
    batch = evidence.tokens.batch([3, 50, 0], 0)
    assert torch.equal(evidence.hidden[batch.hidden_rows_N], expected[batch.hidden_rows_N])
    assert torch.equal(evidence.hidden[7:20], expected[7:20])
    assert len(evidence.hidden) == len(expected)


def test_shards_keep_to_their_size(teacher: object, pairs: Pairs, tmp_path: Path) -> None:
    built(tmp_path / "set", teacher, pairs, shard_bytes=20_000, batch_tokens=8)
    index = Index.load(tmp_path / "set", "set")
    states = [shard.rows * 96 * 4 for shard in index.shards]
    assert max(states) <= 20_000
    assert min(states[:-1]) > 20_000 - 8 * 96 * 4  # as full as whole passes allow


def test_bfloat16_takes_half_and_rounds_to_8_bits(
    teacher: object, pairs: Pairs, tmp_path: Path
) -> None:
    full = whole(built(tmp_path / "full", teacher, pairs))
    half = whole(built(tmp_path / "half", teacher, pairs, dtype=torch.bfloat16))
    assert half.dtype == torch.float32
    assert 0 < ((half - full).abs() / full.abs()).max() <= 2**-8
    sizes = []
    for kind in ("full", "half"):
        stored = Index.load(tmp_path / kind, "set").shards[0]
        sizes.append(len(load_file(tmp_path / kind / stored.file)["hidden"].view(torch.uint8)[0]))
    assert sizes == [4 * 96, 2 * 96]


def test_the_cache_takes_four_bytes_a_hidden_unit(tree: Tree) -> None:
    folder = tree.cache("fixture", "gold")
    tokens = cache.load(folder, "train").tokens
    distinct = {(tuple(tokens.prompt(i)), tuple(tokens.response(i))) for i in range(len(tokens))}
    states = sum(len(response) for _, response in distinct) * 64 * 4
    notes = json.loads((folder / "manifest.json").read_text())["notes"]
    assert states <= notes["train_bytes"] < states + 1024
    size = sum(path.stat().st_size for path in folder.glob("train_hidden-*.safetensors"))
    assert size == notes["train_bytes"]
    assert notes["train_response_tokens"] == int(tokens.response_starts[-1])


def changed_json(path: Path, change: Callable[[dict], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def other_tokens(folder: Path) -> None:
    tokens = TokenSet.load(folder / "train.safetensors")
    tokens.ids[0] += 1
    tokens.save(folder / "train.safetensors")


def other_shape(folder: Path) -> None:
    """As many bytes and the right hash, but not the shape of the set."""
    path = folder / SHARD
    hidden = load_file(path)["hidden"]
    length = path.stat().st_size
    save_file({"hidden": hidden.view(-1, 32)}, path)
    with path.open("ab") as stream:
        stream.write(b"\0" * (length - path.stat().st_size))


SHARD, INDEX = "train_hidden-00000.safetensors", "train_index.json"
DAMAGES: list[tuple[str, str, Callable[[Path], object]]] = [
    ("no such file", SHARD, lambda f: (f / SHARD).unlink()),
    (r"[\d,]+ bytes, where its index says", SHARD, lambda f: os.truncate(f / SHARD, 5_000)),
    ("its SHA-256 is not that of its index", SHARD, lambda f: flipped(f / SHARD)),
    (r"states of \(\[\d+, 32\], 'F32'\), where its index says", SHARD, other_shape),
    (
        "not readable as safetensors",
        SHARD,
        lambda f: (f / SHARD).write_bytes(b"\xff" * (f / SHARD).stat().st_size),
    ),
    ("not the tokens that the states beside it are of", "train.safetensors", other_tokens),
    (
        "not readable as tokens",
        "train.safetensors",
        lambda f: os.truncate(f / "train.safetensors", 100),
    ),
    (
        "its key is not that of what it says",
        INDEX,
        lambda f: changed_json(f / INDEX, lambda v: v["made_of"].update(tokenizer="other")),
    ),
    ("of format 0", INDEX, lambda f: changed_json(f / INDEX, lambda v: v.update(format=0))),
    (
        "shards of 0 rows, where its tokens have",
        INDEX,
        lambda f: changed_json(f / INDEX, lambda v: v.update(shards=[])),
    ),
    ("no such file", INDEX, lambda f: (f / INDEX).unlink()),
]


@pytest.mark.parametrize(("what", "file", "damage"), DAMAGES)
def test_a_changed_cache_is_refused_in_one_line(
    what: str, file: str, damage: Callable[[Path], object], tree: Tree, tmp_path: Path
) -> None:
    folder = tmp_path / "gold"
    shutil.copytree(tree.cache("fixture", "gold"), folder)
    cache.load(folder, "train")
    damage(folder)
    line = rf"^{folder / file}: {what}.*; delete the folder {folder} and run again$"
    with pytest.raises(ArkdError, match=line):
        cache.load(folder, "train")


def test_states_of_another_teacher_are_refused(tree: Tree) -> None:
    folder, mine = tree.cache("fixture", "gold"), tree.training("fixture", "teacher", 0)
    cache.load(folder, "train", manifest.weights(mine))
    other = manifest.weights(tree.training("fixture", "init", 1))
    with pytest.raises(ArkdError, match=r"train_index.json: made by another teacher; delete"):
        cache.load(folder, "train", other)


def test_a_large_cache_is_opened_without_hashing_it(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gold"
    shutil.copytree(tree.cache("fixture", "gold"), folder)
    flipped(folder / SHARD)
    with pytest.raises(ArkdError, match="its SHA-256 is not that of its index"):
        cache.load(folder, "train")
    monkeypatch.setattr(cache, "HASHED_BYTES", 1000)
    cache.load(folder, "train")


@pytest.mark.skipif(not Path("/proc/self/io").is_file(), reason="needs Linux's count of bytes read")
def test_opening_reads_nothing_and_a_gather_its_rows_alone(tmp_path: Path) -> None:
    rows, hidden, per_sample = 50_000, 256, 10
    states = torch.randn(rows, hidden)
    shards = (write_shard(tmp_path, "set", 0, states),)
    index = Index({"dtype": "float32", "hidden": hidden}, shards)
    path = tmp_path / shards[0].file

    def put_out() -> None:
        """Leave nothing of the file in memory, where the file system is on a disk."""
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)

    def read_bytes() -> int:
        return int(Path("/proc/self/io").read_text().split("\nread_bytes: ")[1].split()[0])

    put_out()
    before = read_bytes()
    size = len(path.read_bytes())
    if read_bytes() - before < 0.9 * size:  # bounds from above would hold whatever is read
        pytest.skip(f"{tmp_path} is held in memory; run with --basetemp in a folder on a disk")
    put_out()
    before = read_bytes()
    check(tmp_path, "set", index, rows, hashes=False)
    starts = torch.arange(0, rows, per_sample)
    opened = HiddenStates(tmp_path, index, starts, starts, rows)
    assert read_bytes() - before <= 64 * 2**10
    samples = torch.tensor([4_000, 17, 900])
    asked = (samples[:, None] * per_sample + torch.arange(per_sample)).flatten()
    found = opened[asked]
    assert torch.equal(found, states[asked])
    pages = 3 * (per_sample * hidden * 4 // 4096 + 2)
    assert 3 * per_sample * hidden * 4 <= read_bytes() - before <= 64 * 2**10 + pages * 4096


@pytest.mark.parametrize("bias", [False, True])
def test_a_head_comes_back_as_it_was(bias: bool, tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=11, num_hidden_layers=1, pad_token_id=0, **sizes)
    model = LlamaForCausalLM(config)
    if bias:
        model.lm_head.bias = torch.nn.Parameter(torch.randn(11))
        config.logit_scale, config.final_logit_softcapping = 0.5, 30.0
    cache.save_head(tmp_path, model)
    head = cache.load_head(tmp_path)
    assert torch.equal(head.weight_VH, model.lm_head.weight)
    assert (head.scale, head.soft_cap) == ((0.5, 30.0) if bias else (1.0, None))
    if bias:
        assert head.bias_V is not None
        assert torch.equal(head.bias_V, model.lm_head.bias)
    else:
        assert head == Head(head.weight_VH)


def test_a_head_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_file({"head": torch.zeros(3, 2)}, tmp_path / cache.HEAD)
    with pytest.raises(ArkdError, match=r"head.safetensors: not readable as a head .*; delete"):
        cache.load_head(tmp_path)
