"""The published numbers stand as they are printed; every value here was typed by hand.

`data/published` has the tables a second time, in the layout and with the names of their sources:
typed from the sources and not from the files that are tested.
"""

from __future__ import annotations

import csv
import io
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.cli import main as cli
from arkd.cli import published as published_text
from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.results import published

SMALL, MEDIUM, LLAMA = "gpt2-1.5B-120M", "gpt2-1.5B-340M", "llama-13B-7B"
STUDENTS = ["sft", "seqkd", "forward_kl", "reverse_kl", "fixed_mix", "arkd"]
STRATEGIES = [
    *("forward_kl", "fixed_mix@alpha=0.75", "fixed_mix", "fixed_mix@alpha=0.25", "reverse_kl"),
    *("linear_dec", "linear_inc", "greedy_min", "arkd"),
]


def read(name: str) -> list[dict[str, str]]:
    with (benchmarks_dir() / "published" / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


ROWS = read("arkd.csv")


def column(table: str, pair: str, dataset: str, metric: str, methods: list[str]) -> list[str]:
    found = {
        row["method"]: row["value"]
        for row in ROWS
        if (row["table"], row["pair"], row["dataset"], row["metric"])
        == (table, pair, dataset, metric)
    }
    return [found[method] for method in methods]


def test_each_table_has_as_many_numbers_as_the_paper_prints() -> None:
    # Table 1: 8 methods, 3 pairs, 2 metrics, less 3 BERTScores that MiniLLM's row lacks.
    # Tables 2 and 4: 7 methods, 4 sets, 2 metrics, 3 pairs (one GPT-2 teacher row serves two).
    # Tables 5 and 6: 9 strategies, 2 pairs, 3 ROUGE-L columns; Dolly BERTScores: 9 and 7.
    # Figure 7: 9 strategies, 2 sets.
    assert Counter(row["table"] for row in ROWS) == {
        "1": 8 * 3 * 2 - 3,
        "2 and 4": 7 * 4 * 2 * 3,
        "5 and 6": 9 * 2 * 3 + 9 + 7,
        "figure 7": 9 * 2,
    }


def test_no_number_stands_twice() -> None:
    keys = [(r["table"], r["pair"], r["method"], r["dataset"], r["metric"]) for r in ROWS]
    assert len(set(keys)) == len(keys)


TYPED = {
    ("1", SMALL, "dolly", "rouge_l"): "22.3 21.9 22.9 23.3 23.2 24.5",
    ("1", SMALL, "dolly", "bert_score"): "0.772 0.765 0.781 0.797 0.794 0.815",
    ("1", MEDIUM, "dolly", "rouge_l"): "24.0 24.2 24.9 25.5 25.7 26.1",
    ("1", MEDIUM, "dolly", "bert_score"): "0.793 0.798 0.803 0.813 0.817 0.827",
    ("1", LLAMA, "dolly", "rouge_l"): "26.0 26.6 27.1 28.2 28.3 29.1",
    ("1", LLAMA, "dolly", "bert_score"): "0.810 0.818 0.825 0.844 0.848 0.868",
    ("2 and 4", SMALL, "selfinst", "rouge_l"): "11.9 11.6 12.1 12.5 13.2 13.6",
    ("2 and 4", SMALL, "sni", "rouge_l"): "16.4 16.3 16.6 17.2 17.8 19.1",
    ("2 and 4", SMALL, "unni", "bert_score"): "0.778 0.776 0.783 0.788 0.796 0.808",
    ("2 and 4", MEDIUM, "vicuna", "rouge_l"): "14.4 14.8 15.2 15.4 15.9 16.1",
    ("2 and 4", MEDIUM, "unni", "rouge_l"): "25.7 26.0 26.6 27.1 27.8 28.4",
    ("2 and 4", MEDIUM, "selfinst", "bert_score"): "0.785 0.787 0.793 0.798 0.802 0.808",
    ("2 and 4", LLAMA, "vicuna", "rouge_l"): "17.5 18.1 18.3 18.6 18.9 19.2",
    ("2 and 4", LLAMA, "sni", "rouge_l"): "32.4 33.3 33.8 34.1 34.7 35.5",
    ("2 and 4", LLAMA, "unni", "bert_score"): "0.836 0.839 0.840 0.843 0.846 0.852",
}
TYPED_STRATEGIES = {
    ("5 and 6", SMALL, "dolly", "rouge_l"): "22.9 23.0 23.2 23.5 23.3 23.0 23.0 24.1 24.5",
    ("5 and 6", SMALL, "dolly", "bert_score"): (
        "0.781 0.789 0.794 0.799 0.797 0.785 0.788 0.808 0.815"
    ),
    ("5 and 6", SMALL, "sni", "rouge_l"): "16.6 16.9 17.8 18.0 17.2 17.6 17.5 18.7 19.1",
    ("5 and 6", SMALL, "unni", "rouge_l"): "19.2 19.5 20.3 20.9 19.8 19.6 19.7 21.3 21.9",
    ("5 and 6", MEDIUM, "dolly", "rouge_l"): "24.9 25.1 25.7 25.4 25.5 25.2 25.1 25.9 26.1",
    ("5 and 6", MEDIUM, "sni", "rouge_l"): "25.7 25.9 26.3 26.4 26.1 25.9 26.1 26.6 26.8",
    ("5 and 6", MEDIUM, "unni", "rouge_l"): "26.6 26.9 27.8 28.0 27.1 27.6 27.5 28.1 28.4",
    ("figure 7", SMALL, "sni", "bert_score"): (
        "0.780 0.782 0.793 0.793 0.785 0.791 0.790 0.800 0.805"
    ),
    ("figure 7", SMALL, "unni", "bert_score"): (
        "0.783 0.785 0.796 0.796 0.788 0.794 0.793 0.803 0.808"
    ),
}


@pytest.mark.parametrize("key", TYPED, ids=" ".join)
def test_students_of_the_main_tables(key: tuple[str, str, str, str]) -> None:
    assert column(*key, STUDENTS) == TYPED[key].split()


@pytest.mark.parametrize("key", TYPED_STRATEGIES, ids=" ".join)
def test_strategies_of_alpha(key: tuple[str, str, str, str]) -> None:
    assert column(*key, STRATEGIES) == TYPED_STRATEGIES[key].split()


def test_teachers() -> None:
    assert [column("1", p, "dolly", "rouge_l", ["teacher"])[0] for p in (SMALL, MEDIUM, LLAMA)] == [
        *("27.1", "27.1", "31.3")
    ]
    sets = ("selfinst", "vicuna", "sni", "unni")
    for pair, rouge_l, bert_score in (
        (SMALL, "15.1 16.6 27.2 31.6", "0.810 0.815 0.830 0.835"),
        (MEDIUM, "15.1 16.6 27.2 31.6", "0.810 0.815 0.830 0.835"),
        (LLAMA, "23.2 19.7 36.1 39.0", "0.852 0.848 0.865 0.870"),
    ):
        for metric, typed in (("rouge_l", rouge_l), ("bert_score", bert_score)):
            found = [column("2 and 4", pair, name, metric, ["teacher"])[0] for name in sets]
            assert found == typed.split()


def test_minillm_is_quoted_without_bert_score() -> None:
    rows = [row for row in ROWS if row["method"] == "minillm"]
    assert [(r["pair"], r["metric"], r["value"], r["provenance"]) for r in rows] == [
        (SMALL, "rouge_l", "24.6", "quoted from minillm"),
        (MEDIUM, "rouge_l", "25.4", "quoted from minillm"),
        (LLAMA, "rouge_l", "29.0", "quoted from minillm"),
    ]


def test_the_paper_s_own_inconsistencies_are_kept() -> None:
    assert column("1", SMALL, "dolly", "bert_score", ["teacher"]) == ["0.842"]
    assert column("1", MEDIUM, "dolly", "bert_score", ["teacher"]) == ["0.858"]
    shared = [float(v) for v in column("figure 7", SMALL, "sni", "bert_score", STRATEGIES[2:4])]
    assert shared == [0.793, 0.793]


def test_numbers_that_two_tables_print_agree() -> None:
    seen: dict[tuple[str, str, str, str], set[str]] = {}
    repeated = 0
    for row in ROWS:
        key = (row["pair"], row["method"], row["dataset"], row["metric"])
        repeated += key in seen
        seen.setdefault(key, set()).add(row["value"])
    assert {key: values for key, values in seen.items() if len(values) > 1} == {}
    # ROUGE-L of FKL, RKL, mix, ARKD on three sets and two sizes (24), their Dolly BERTScore (8),
    # and at 120M their BERTScore on S-NI and UnNI (8).
    assert repeated == 40


def test_columns_hold_what_the_readme_says() -> None:
    for row in ROWS:
        assert row["paper"] == "arkd"
        assert row["arxiv"] == "2606.29869"
        assert row["std"] == ""  # the paper reports no spread
        assert row["provenance"] in ("read", "quoted from minillm")
        low, high = (10, 40) if row["metric"] == "rouge_l" else (0.7, 0.9)
        assert low <= float(row["value"]) <= high


def test_figure5_moves_forward_and_ends_low() -> None:
    points = [(int(row["step"]), float(row["alpha"])) for row in read("figure5.csv")]
    steps = [step for step, _ in points]
    assert len(points) == 17
    assert steps == sorted(set(steps))
    assert points[0] == (0, 0.50)
    assert points[1] == (200, 0.565)
    assert points[9] == (1950, 0.245)
    assert points[-1] == (4800, 0.175)
    assert all(0.46 <= alpha <= 0.57 for step, alpha in points if step <= 700)
    assert all(0.13 <= alpha <= 0.23 for step, alpha in points if step >= 2800)


TRANSCRIPTS = Path(__file__).parent / "published"
PAIRS = {"120M": SMALL, "340M": MEDIUM, "7B": LLAMA, "OpenLLaMA2-3B": "openllama2-7B-3B"}
SETS = {"Dolly": "dolly", "SelfInst": "selfinst", "Vicuna": "vicuna", "S-NI": "sni", "UnNI": "unni"}
SETS |= {"Avg": "average", "Training Time": "training"}
METRICS = {"ROUGE-L": "rouge_l", "BERTScore": "bert_score", "seconds": "seconds_per_sample"}
# What the sources call the methods; the others have their own name, lower-cased.
LABELS = {
    **{"SFT w/o KD": "sft", "FKL": "forward_kl", "KL": "forward_kl", "FKLD": "forward_kl"},
    **{"FKL (1.0)": "forward_kl", "RKL": "reverse_kl", "RKLD": "reverse_kl"},
    **{"RKL (0.0)": "reverse_kl", "FKL+RKL": "fixed_mix", "0.5": "fixed_mix"},
    **{"Sym-KL": "fixed_mix", "WSD": "fixed_mix", "0.25": "fixed_mix@alpha=0.25"},
    **{"0.75": "fixed_mix@alpha=0.75", "JS": "jsd", "Jensen's KL": "jsd", "TV": "tvd"},
    **{"SFKL": "skew_kl", "SKL": "skew_kl", "SRKL": "skew_rkl", "AB": "alpha_beta"},
    **{"α-β": "alpha_beta", "Ours": "alpha_beta", "DistiLLM-SKL": "distillm"},
    **{"DistiLLM-SRKL": "distillm@divergence=skew_rkl", "DistiLLM-2": "contrastive"},
    **{"Prior SOTA result": "prior_sota", "On-policy + Ours": "abkd@sgo=on_policy"},
    **{"Mixed + Ours": "abkd@sgo=mixed", "Adaptive Off-policy + Ours": "abkd@sgo=adaptive"},
    **{str(row): f"row_{row}" for row in range(1, 5)},
}
Number = tuple[str, ...]  # paper, table, pair, method, data set, metric, value, spread


def transcribed(path: Path) -> Iterator[Number]:
    """Read tables in the layout of their sources."""
    paper = table = of = ""
    head: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            paper = line[2:]
        elif line.startswith("## "):
            table, of = line[3:].split(":")
            head = []
        elif line.startswith("|") and not line.startswith("|-"):
            first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            if not head:
                head = cells
            for name, cell in zip(head, cells, strict=True):
                if cells is not head:
                    for rest in numbers_of(of, name, cell):
                        yield (paper, table.strip(), rest[0], label(first), *rest[1:])


def numbers_of(of: str, column: str, cell: str) -> Iterator[Number]:
    """Read a cell, `24.5 / .815`, `24.5±.2` or `24.5 (0.2)`: a number for each pair and metric."""
    what, _, pairs = of.partition(" at ")
    metrics, _, dataset = what.partition(" on ")
    found = zip(metrics.split("/"), cell.split("/"), strict=False)  # a BERTScore may be lacking
    for metric, text in found:
        value, *std = re.findall(r"\d*\.\d+", text) or [""]
        for pair in pairs.split(",") if pairs else [column]:
            key = (PAIRS[pair.strip()], dataset or SETS[column], METRICS[metric.strip()])
            if value:
                yield (*key, whole(value), *map(whole, std or [""]))


def whole(text: str) -> str:
    return f"0{text}" if text.startswith(".") else text


def label(name: str) -> str:
    return LABELS.get(name, name.lower())


@pytest.mark.parametrize("name", sorted(path.stem for path in TRANSCRIPTS.glob("*.md")))
def test_every_cell_is_that_of_the_printed_table_and_none_is_added(name: str) -> None:
    typed = list(transcribed(TRANSCRIPTS / f"{name}.md"))
    kept = [
        (one.paper, one.table, *one.cell, one.text, one.std)
        for one in published.read(benchmarks_dir() / "published" / f"{name}.csv")
    ]
    assert sorted(kept) == sorted(typed)
    assert len(kept) == len(set(kept))


def test_every_file_has_a_transcript() -> None:
    files = {path.stem for path in (benchmarks_dir() / "published").glob("*.csv")}
    assert files - {"figure5"} == {path.stem for path in TRANSCRIPTS.glob("*.md")}


def test_printed_averages_are_those_of_the_printed_cells() -> None:
    drkl = [one for one in published.numbers() if (one.paper, one.pair) == ("drkl", SMALL)]
    averages = {one.method: one.value for one in drkl if one.dataset == "average"}
    assert len(averages) == 11
    for method, average in averages.items():
        cells = [one.value for one in drkl if one.method == method and one.dataset != "average"]
        assert len(cells) == 5
        assert average == pytest.approx(statistics.fmean(cells), abs=0.0051)


def test_a_mean_of_posted_scores_is_their_mean() -> None:
    place = ("distillm#5", "minillm")
    (one,) = [one for one in published.numbers() if (one.paper, one.method) == place]
    posted = [float(text) for text in re.findall(r"\d\d\.\d{4}", one.setting)]
    assert len(posted) == 5
    assert f"{statistics.fmean(posted):.2f}" == one.text


def test_provenance_tells_how_a_number_was_read() -> None:
    kinds: dict[str, set[str]] = {}
    for one in published.numbers():
        kinds.setdefault(one.paper, set()).add(one.kind)
    assert kinds["arkd"] == {"read", "quoted from"}
    assert kinds["minillm"] == kinds["akl"] == kinds["mta"] == kinds["sra"] == {"quoted by"}
    assert kinds["drkl"] == kinds["wasd"] == kinds["care_kd"] == {"read"}
    assert kinds["abkd"] == {"authors:"}
    assert kinds["LMOps#314"] == kinds["LMOps#163"] == {"users:"}
    assert kinds["distillm#5"] == {"authors:", "users:"}
    assert kinds["dpkd"] == {"read", "doubtful:"}


def test_the_readme_tells_of_every_file_and_column() -> None:
    text = (benchmarks_dir() / "published" / "README.md").read_text(encoding="utf-8")
    for path in (benchmarks_dir() / "published").glob("*.csv"):
        assert f"`{path.name}`" in text, path.name
    for word in (*published.COLUMNS, *published.METRICS, *published.DATASETS, *published.KINDS):
        assert f"`{word}" in text, word


LINE = "mine,,1,gpt2-1.5B-120M,akl,sni,rouge_l,19.2,0.1,top-p=1.0,read"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (LINE.replace("sni", "snii"), r"2: dataset: unknown 'snii' \(did you mean 'sni'\?\)"),
        (LINE.replace("rouge_l", "rouge"), r"2: metric: unknown 'rouge' \(did you mean 'rouge_l'"),
        (LINE.replace("19.2", "192"), r"2: value: '192' is no number that rouge_l can have"),
        (LINE.replace("19.2", "nan"), r"2: value: 'nan' is no number"),
        (LINE.replace("19.2", ""), r"2: value: '' is no number"),
        (LINE.replace("0.1,", "±0.1,"), r"2: std: '±0.1' is no number"),
        (LINE.replace(",,1", ",2606,1"), r"2: arxiv: '2606' is no number of arXiv; leave it empty"),
        (LINE.replace("read", "quoted"), r"2: provenance: 'quoted' must begin with one of: read"),
        (LINE.replace("read", "users:"), r"2: provenance: 'users:' must begin with one of"),
        (LINE.replace("mine", ""), r"2: paper: '' is no name"),
        (LINE.replace("top-p", "a, b"), r"2: provenance: a line has 11 values"),
        (f"{LINE}\n{LINE}", r"3: method: gpt2-1.5B-120M, akl, sni, rouge_l stands twice"),
    ],
)
def test_a_bad_line_is_named_by_file_line_and_column(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"{','.join(published.COLUMNS)}\n{line}\n", encoding="utf-8")
    with pytest.raises(ArkdError, match=rf"mine\.csv:{message}") as caught:
        published.read(path)
    assert "\n" not in str(caught.value)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("paper,value\n", encoding="utf-8")
    with pytest.raises(ArkdError, match=r"mine\.csv:1: the columns must be paper,arxiv,"):
        published.read(path)


def test_a_repeated_or_doubtful_number_does_not_count() -> None:
    rows = [one for one in published.numbers() if one.pair == SMALL and one.dataset == "dolly"]
    own = [one for one in rows if one.method == "minillm" and one.metric == "rouge_l"]
    assert [one.paper for one in own if one.repeated] == ["arkd"]
    assert "arkd" not in {one.paper for one in published.counted(own)}
    # Without the source's own number the repeated one stands for it.
    only = [one for one in own if one.paper == "arkd"]
    assert [one.origin for one in published.counted(only * 2)] == ["minillm"]
    (doubtful,) = [one for one in published.numbers() if one.kind == "doubtful:"]
    assert published.counted([doubtful]) == []


def test_the_spread_between_papers() -> None:
    (reverse,) = published_text.methods(["reverse_kl"], SMALL)
    spread = reverse.spread("sni")
    assert spread is not None
    # 17.2 ARKD, 17.7 CaRE-KD, 21.03 DRKL, 21.42 WASD, 23.27 ABKD
    assert (spread.ends, spread.range, spread.sources) == ("17.2–23.27", "6.07", 5)
    assert reverse.spread("average") is None
    (minillm,) = published_text.methods(["minillm"], SMALL)
    spread = minillm.spread("dolly")
    assert spread is not None
    assert (spread.ends, spread.range, spread.sources) == ("23.84–24.6", "0.76", 4)


def test_all_methods_are_those_of_several_sources() -> None:
    labels = [method.label for method in published_text.methods([], SMALL)]
    assert {"forward_kl", "reverse_kl", "fixed_mix", "akl", "minillm", "teacher"} <= set(labels)
    assert not {"arkd", "drkl", "wasd", "greedy_min"} & set(labels)


def test_the_variants_of_a_method_are_apart() -> None:
    labels = [method.label for method in published_text.methods(["fixed_mix"], SMALL)]
    assert labels == ["fixed_mix", "fixed_mix@alpha=0.75", "fixed_mix@alpha=0.25"]


def test_the_command_prints_each_source_and_the_spread(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["published", "minillm", "kd"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"arkd +1 .* 24\.6‡ ", text)
    assert re.search(r"minillm +1 .* 24\.6\* +13\.2\* +16\.9\* +25\.3\* +26\.6\*", text)
    assert re.search(r"lowest–highest +23\.84–24\.6 ", text)
    assert "? doubtful, not counted: it repeats MiniLLM's row;" in text
    assert cli.main(["published", "akl", "--pair", MEDIUM, "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    assert "| drkl | 1 |" in text
    assert "| 24.93 | 11.07 | 15.20 | 19.77 | 21.61 |" in text
    assert "lowest" not in text  # a single source


def test_the_command_as_csv_has_every_number_with_its_spread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["published", "--format", "csv", "minillm"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    dolly = [row for row in rows if row["dataset"] == "dolly"]
    assert {row["paper"]: row["counted"] for row in dolly} == {
        **{"arkd": "no", "care_kd": "yes", "minillm": "yes"},
        **{"LMOps#314": "yes", "distillm#5": "yes"},
    }
    assert {(row["low"], row["high"], row["sources"]) for row in dolly} == {("23.84", "24.6", "4")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["revers_kl"],
            "no ROUGE-L of 'revers_kl' for gpt2-1.5B-120M (did you mean 'reverse_kl'?)",
        ),
        (["wasd", "--pair", LLAMA], "no ROUGE-L of 'wasd' for llama-13B-7B; there is for gpt2"),
        (["--pair", "gpt2-120M"], "--pair: no published pair 'gpt2-120M' (did you mean 'gpt2-1.5B"),
    ],
)
def test_an_unknown_name_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["published", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_only_one_module_reads_the_printed_numbers() -> None:
    readers = {
        path.relative_to(ROOT / "arkd").as_posix()
        for path in (ROOT / "arkd").rglob("*.py")
        if re.search(r"published.*\.csv|arkd\.csv", path.read_text(encoding="utf-8"))
    }
    assert readers <= {
        "results/published.py",
        "figures/alpha.py",
        "conformance/oracles.py",
        "methods/replay_figure5.py",
    }
