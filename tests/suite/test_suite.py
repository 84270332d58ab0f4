"""Suites: what is shipped loads, what is wrong is one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.suite import folders
from arkd.suite.jobs import config_slice
from arkd.suite.load import base_name, load_suite, suite_names
from arkd.suite.suite import Suite
from arkd.suite.trees import trees
from arkd.suite.tuned import tuned_rates


def write(folder: Path, **changes: object) -> str:
    """Write a suite that extends smoke and return its path."""
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "smoke", "name": "own", **changes}))
    return str(path)


@pytest.mark.parametrize("name", suite_names())
def test_shipped_suites_load_and_are_named_as_their_files(name: str) -> None:
    assert load_suite(name).name == name


def test_students_that_are_given_are_evaluated_once_before_training() -> None:
    given, drawn, cut = (load_suite(name) for name in ("gpt2-dolly", "longtail", "smollm2"))
    assert folders.seeds(given, "untrained") == (101,)
    assert len(folders.seeds(given, "init")) == 5
    assert folders.seeds(drawn, "untrained") == drawn.seeds
    assert folders.seeds(cut, "untrained") == cut.seeds


def test_the_default_suite_is_the_papers_protocol() -> None:
    suite = load_suite("longtail")
    labels = [
        "sft",
        "seqkd",
        "forward_kl",
        "reverse_kl",
        "fixed_mix",
        "contrastive",
        "akl",
        "greedy_min",
        "arkd",
    ]
    assert [entry.label for entry in suite.entries] == labels
    assert len(suite.seeds) == 3
    assert len(suite.test_sets) == 5
    assert len(suite.decoding.seeds) >= 3
    assert (suite.distillation.temperature, suite.distillation.lm_weight) == (2.0, 0.1)
    assert suite.distillation.clip_norm == 1.0
    assert suite.decoding.top_p == 0.9
    assert not suite.distillation.square_temperature


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distillation": {"step": 3}}, r"distillation\.step: unknown key \(did you mean 'steps'"),
        ({"sedes": [1]}, r"sedes: unknown key \(did you mean 'seeds'"),
        ({"distillation": {"steps": "many"}}, r"distillation\.steps: .*integer.*'many'"),
        ({"distillation": {"temperature": 0}}, r"distillation\.temperature: .*equal to 0\.01"),
        ({"data": {"entitys": 4}}, r"data\..*entitys: unknown key \(did you mean 'entities'"),
        ({"version": "one"}, r"version: .*pattern"),
        ({"methods": ["arkd", "arkd"]}, "methods: arkd stands twice"),
        ({"seeds": [1, 1]}, "seeds: 1 stands twice"),
        ({"seeds": []}, r"seeds: .*at least 1"),
        ({"methods": []}, r"methods: .*at least 1"),
        ({"name": "../up"}, r"name: .*pattern"),
    ],
)
def test_a_wrong_key_is_named_with_its_file_and_the_nearest_known(
    tmp_path: Path, changes: dict, message: str
) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ArkdError, match=message) as caught:
        load_suite(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_extending_suite_needs_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extends: longtail\nseeds: [7]\n")
    with pytest.raises(ArkdError, match="needs a name of its own"):
        load_suite(str(path))
    path.write_text(f"extends: {path}\nname: own\n")
    with pytest.raises(ArkdError, match="extends itself"):
        load_suite(str(path))


def test_a_suite_that_extends_one_of_further_rows_stands_beside_the_same_run(
    tmp_path: Path,
) -> None:
    (tmp_path / "further.yaml").write_text("beside: smoke\nname: further\nmethods: [jsd]\n")
    (tmp_path / "again.yaml").write_text("extends: further.yaml\nname: again\n")
    suite = load_suite(str(tmp_path / "again.yaml"))
    assert (suite.beside, suite.methods[-1].label) == ("smoke", "jsd")
    assert base_name(str(tmp_path / "again.yaml")) == "smoke"


def test_malformed_yaml_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: x\nseeds: [1, 2\nversion: '1.0'\n")
    with pytest.raises(ArkdError, match=r"broken\.yaml: not valid YAML at line 3"):
        load_suite(str(path))


def test_an_unknown_suite_offers_the_nearest() -> None:
    with pytest.raises(ArkdError, match=r"no suite 'longtial' \(did you mean 'longtail'\?\)"):
        load_suite("longtial")


def test_parameters_of_a_method_are_in_its_label(tmp_path: Path) -> None:
    methods = ["fixed_mix", {"name": "fixed_mix", "alpha": 0.25}, {"name": "arkd", "lr": 0.001}]
    suite = load_suite(write(tmp_path, methods=methods))
    labels = ["fixed_mix", "fixed_mix@alpha=0.25", "arkd@lr=0.001"]
    assert [entry.label for entry in suite.entries] == labels
    assert suite.settings(suite.entry("arkd@lr=0.001")).lr == 0.001
    with pytest.raises(ArkdError, match=r"no method 'fixed_mx' \(did you mean 'fixed_mix'"):
        suite.entry("fixed_mx")


def test_a_row_may_change_the_protocol_for_itself(tmp_path: Path) -> None:
    row = {"name": "fixed_mix", "temperature": 4.0, "lm_weight": 0.0, "alpha": 0.25, "seeds": 1}
    suite = load_suite(write(tmp_path, methods=["fixed_mix", row], seeds=[5, 6]))
    plain, changed = suite.entries
    assert changed.label == "fixed_mix@temperature=4.0,lm_weight=0.0,alpha=0.25"
    assert changed.params == {"alpha": 0.25}
    assert suite.settings(changed).temperature == 4.0
    assert suite.settings(changed).lm_weight == 0.0
    assert suite.settings(plain).temperature == 2.0
    assert suite.seeds_of(changed.label) == (5,)
    assert suite.seeds_of(plain.label) == suite.seeds_of("init") == (5, 6)


def test_a_row_takes_its_own_tuned_rate_else_its_methods(tmp_path: Path) -> None:
    rows = ["reverse_kl", {"name": "reverse_kl", "temperature": 9.0}, {"name": "sft", "lr": 0.5}]
    suite = load_suite(write(tmp_path, methods=rows, distillation={"tuning": "longtail"}))
    tuned = tuned_rates("longtail")["reverse_kl"]
    assert [suite.settings(entry).lr for entry in suite.entries] == [tuned, tuned, 0.5]


def test_a_grid_of_rates_multiplies_the_methods(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, methods=["sft", "arkd"], lr_grid=[0.1, 0.2]))
    labels = ["sft@lr=0.1", "sft@lr=0.2", "arkd@lr=0.1", "arkd@lr=0.2"]
    assert [entry.label for entry in suite.entries] == labels


def test_extending_with_another_source_replaces_the_model(tmp_path: Path) -> None:
    pair = {
        "name": "p",
        "teacher": {"source": "smollm2"},
        "student": {"source": "cut", "layers": 4},
    }
    suite = load_suite(write(tmp_path, pairs=[pair]))
    assert suite.pairs[0].student.source == "cut"


def test_the_default_suites_rates_are_the_committed_tuning_runs() -> None:
    suite = load_suite("longtail")
    rates = tuned_rates(suite.distillation.tuning)
    assert set(rates) >= {entry.label for entry in suite.entries}
    assert all(suite.settings(entry).lr == rates[entry.label] for entry in suite.entries)


def test_a_missing_tuning_run_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, distillation={"tuning": "lontgail"})
    with pytest.raises(ArkdError, match=r"no such tuning run: 'lontgail' \(did you"):
        load_suite(path)


def test_a_task_that_is_not_shipped_is_named_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ArkdError, match=r"no task 'longtail_mc_haed' \(did you mean"):
        trees(write(tmp_path, choice_tasks=["longtail_mc_haed"]), str(tmp_path))


def test_every_task_of_every_suite_is_shipped() -> None:
    shipped = {path.stem for path in (benchmarks_dir() / "tasks").rglob("[!_]*.yaml")}
    for name in suite_names():
        suite = load_suite(name)
        for task in (*suite.test_sets, *suite.choice_tasks, suite.perplexity_task):
            assert task is None or task in shipped


@pytest.mark.parametrize("stage", ["teacher", "init", "distill"])
def test_a_state_selected_by_its_answers_depends_on_how_they_are_decoded(stage: str) -> None:
    suite = load_suite("gpt2-dolly-field")
    pair = suite.pairs[0].name

    def selecting(metric: str) -> dict[str, Any]:
        chosen = {"metric": metric, "points": 2}
        value = suite.model_dump(mode="json")
        value["distillation"]["selection"] = value["student_start"]["selection"] = chosen
        value["pairs"][0]["teacher_training"]["selection"] = chosen
        return config_slice(Suite.model_validate(value), stage, pair, "arkd")

    assert selecting("rouge_l")["decoding"]["top_p"] == 1.0
    assert "decoding" not in selecting("nll")


def test_how_much_is_measured_is_no_setting_of_a_training() -> None:
    suite = load_suite("longtail")
    tail = suite.tail.model_copy(update={"items_per_set": 7, "prefixes": ("gold",)})
    other = suite.model_copy(update={"tail": tail})
    pair = suite.pairs[0].name
    for stage in ("data", "tokens", "teacher", "init", "cache", "distill"):
        assert config_slice(suite, stage, pair, "arkd") == config_slice(other, stage, pair, "arkd")
    for stage in ("prefixes", "evaluate"):
        assert config_slice(suite, stage, pair, "arkd") != config_slice(other, stage, pair, "arkd")


def test_controls_are_measured_anew_when_another_teacher_is_stored() -> None:
    def evaluation(**settings: Any) -> dict[str, Any]:
        suite = load_suite("longtail")
        changed = suite.distillation.model_copy(update=settings)
        suite = suite.model_copy(update={"distillation": changed})
        return config_slice(suite, "evaluate", suite.pairs[0].name, "init")

    stored = {"teacher_support": "top_k", "teacher_support_size": 32}
    assert evaluation(**stored) != evaluation(**stored | {"teacher_support_size": 64})
    assert evaluation() == evaluation(temperature=1.0)  # no teacher is stored
