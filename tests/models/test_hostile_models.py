"""Model folders that lie: each is refused in one line, or read for what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stand_ins
import torch
from safetensors.torch import load_file, save_file

from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.models.generate import sample
from arkd.models.sign import check_sign, sign

CPU = torch.device("cpu")
ROWS = 300
Weights = dict[str, torch.Tensor]
FAMILIES = {"gpt2": stand_ins.gpt2, "llama": stand_ins.llama}


@pytest.fixture(params=FAMILIES, scope="module")
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound model of a family."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    FAMILIES[request.param](ROWS, 16).save_pretrained(folder)
    return folder


def changed(
    original: Path,
    folder: Path,
    weights: Callable[[Weights], Weights] = lambda found: found,
    **config: Any,
) -> Path:
    """Copy a model with other weights and other settings."""
    folder.mkdir()
    found = weights(load_file(original / "model.safetensors"))
    save_file(
        {k: v.contiguous() for k, v in found.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    described = json.loads((original / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(described))
    return folder


def first(weights: Weights, part: str) -> str:
    return next(name for name in weights if part in name)


def without_a_layer(weights: Weights) -> Weights:
    lost = first(weights, "mlp").split(".mlp")[0]
    return {name: w for name, w in weights.items() if not name.startswith(lost)}


def cut_short(weights: Weights) -> Weights:
    name = first(weights, "mlp")
    return weights | {name: weights[name][:3]}


def with_nan(weights: Weights) -> Weights:
    name = first(weights, "mlp")
    return weights | {name: weights[name].index_fill(0, torch.tensor([1]), torch.nan)}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (lambda w: {f"module.{k}": v for k, v in w.items()}, "missing keys, the first .*random"),
        (lambda w: {f"base_model.model.{k}": v for k, v in w.items()}, "missing keys"),
        (without_a_layer, "missing keys, the first .*the checkpoint is not whole"),
        (lambda w: w | {"model.more.weight": torch.ones(2)}, "1 unexpected keys.*left out"),
        (cut_short, r"1 mismatched keys, the first .*mlp.*not those of config\.json"),
        (with_nan, "holds NaN or infinite values"),
        (lambda w: {}, "missing keys"),
    ],
    ids=["module.", "base_model.", "layer lost", "left over", "shape", "NaN", "empty"],
)
def test_weights_that_are_not_the_models_are_refused(
    original: Path, tmp_path: Path, weights: Callable[[Weights], Weights], said: str
) -> None:
    folder = changed(original, tmp_path / "model", weights)
    with pytest.raises(ArkdError, match=said) as caught:
        models.load(folder, CPU)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_with_fewer_layers_is_refused(original: Path, tmp_path: Path) -> None:
    described = json.loads((original / "config.json").read_text())
    key = "n_layer" if "n_layer" in described else "num_hidden_layers"
    folder = changed(original, tmp_path / "model", **{key: described[key] - 1})
    with pytest.raises(ArkdError, match=r"unexpected keys.*config\.json describes another model"):
        models.load(folder, CPU)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"model_type": "llama", "hidden_size": "x"}', "\xff"]
)
def test_a_config_that_is_none_is_one_line(original: Path, tmp_path: Path, text: str) -> None:
    folder = changed(original, tmp_path / "model")
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ArkdError, match="not a readable Hugging Face model") as caught:
        models.load(folder, CPU)
    assert "\n" not in str(caught.value)


def test_two_matrices_stay_two_when_the_config_says_one(original: Path, tmp_path: Path) -> None:
    head = torch.randn(ROWS, 16, generator=torch.Generator().manual_seed(1))
    folder = changed(
        original,
        tmp_path / "model",
        lambda w: w | {"lm_head.weight": head},
        tie_word_embeddings=True,
    )
    model = models.load(folder, CPU)
    ids = torch.tensor([[1, 2, 3]])
    expected = model(input_ids=ids).logits
    torch.testing.assert_close(model.get_output_embeddings().weight.detach(), head)
    model.save_pretrained(tmp_path / "again")
    again = models.load(tmp_path / "again", CPU)
    assert torch.equal(again(input_ids=ids).logits, expected)


def test_a_model_that_is_read_otherwise_than_it_was_saved_is_refused(
    original: Path, tmp_path: Path
) -> None:
    model = models.load(original, CPU)
    signed = sign(model)
    check_sign(models.load(original, CPU), signed, original)
    with torch.no_grad():
        models.head(model).weight_VH[3] *= 9
    with pytest.raises(ArkdError, match="other logits than the one that was saved") as caught:
        check_sign(model, signed, original)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "brought",
    [
        {"do_sample": True, "temperature": 0.7},
        {"min_new_tokens": 8},
        {"min_p": 0.05},
        {"typical_p": 0.2},
        {"repetition_penalty": 1.1},
        {"num_beams": 3, "top_k": 2},
    ],
    ids=str,
)
def test_a_folders_own_generation_settings_change_nothing(
    original: Path, tmp_path: Path, brought: dict[str, Any]
) -> None:
    (plain, folder) = (changed(original, tmp_path / name) for name in ("plain", "model"))
    (folder / "generation_config.json").write_text(json.dumps(brought))
    texts = []
    for place in (plain, folder):
        model = models.load(place, CPU)
        model.config.eos_token_id, model.config.pad_token_id = 7, 0
        texts.append(sample(model, [[1, 2], [3]], seed=3, max_new_tokens=6))
        model.save_pretrained(tmp_path / f"saved-{place.name}")
    assert texts[0] == texts[1]
    saved = json.loads((tmp_path / "saved-model" / "generation_config.json").read_text())
    assert not saved.keys() & (brought.keys() - {"top_k"})


def test_samples_follow_the_exact_softmax(original: Path) -> None:
    """χ² of the first sampled token against the model's own probabilities, at another T."""
    model = models.load(original, CPU)
    model.config.eos_token_id, model.config.pad_token_id = 7, 0
    draws, temperature = 20_000, 0.8
    found = sample(
        model,
        [[1, 2, 3]] * draws,
        seed=11,
        max_new_tokens=1,
        temperature=temperature,
        batch_size=5000,
    )
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[1, 2, 3]])).logits[0, -1].double()
    expected = (logits / temperature).softmax(-1) * draws
    counts = torch.bincount(torch.tensor([tokens[0] for tokens in found]), minlength=ROWS)
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < ROWS - 1 + 4 * (2 * (ROWS - 1)) ** 0.5  # four standard deviations


def test_code_that_a_folder_brings_is_not_run(original: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = changed(
        original,
        tmp_path / "model",
        model_type="foreign",
        auto_map={"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"},
    )
    (folder / "code.py").write_text(f"open({str(canary)!r}, 'w').write('run')\nC = M = None\n")
    code = (
        "import torch; from pathlib import Path; from arkd.errors import ArkdError\n"
        "from arkd.models.model import load; from arkd.data.tokenizer import load_tokenizer\n"
        "for read in (lambda p: load(p, torch.device('cpu')), load_tokenizer):\n"
        f"    try: read(Path({str(folder)!r}))\n"
        "    except (ArkdError, ValueError, OSError) as error: print(type(error).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input="y\n" * 9, capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[0] == "ArkdError", done.stderr
    assert not canary.exists()


def test_every_entrance_says_that_no_code_is_trusted() -> None:
    """Each call in the package that could run a folder's code names the switch."""
    package = Path(models.__file__).parents[1]
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for call in text.split(".from_pretrained(")[1:]:
            depth, end = 1, 0
            while depth:
                depth += {"(": 1, ")": -1}.get(call[end], 0)
                end += 1
            assert "trust_remote_code=False" in call[:end], f"{path}: {call[:60]}"
