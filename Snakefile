"""The whole benchmark in data-flow order; each rule's shell is one `arkd` command.

snakemake --cores all                                        the default suite, longtail
snakemake --cores all --config suites='[smoke]'              another suite, or several
snakemake --cores all --config suites='[longtail]' results=/elsewhere
"""

import sys

from snakemake.utils import min_version

from arkd.suite import jobs as flow
from arkd.errors import ArkdError

min_version("9.10")


report: "benchmarks/report/workflow.rst"


RESULTS = config.get("results", "results")
try:
    TREES = flow.trees(config.get("suites", "longtail"), RESULTS)
except ArkdError as error:  # one line, not a trace
    sys.exit(f"arkd: error: {error}")
ROOT = f"{RESULTS}/{{suite}}"
PAIR = f"{ROOT}/{{pair}}"
TRAINED = f"{PAIR}/{{method}}/seed{{seed}}/training/manifest.json"
TEACHER = f"{PAIR}/teacher/seed0/training/manifest.json"


wildcard_constraints:
    suite="[^/]+",
    pair="[^/]+",
    method="[^/]+",
    seed=r"\d+",


def suite_of(wildcards):
    return TREES[wildcards.suite].suite


def of_suite(wildcards):
    """The options that name the suite and the results: a user's own suite is named by its path."""
    return ["--suite", TREES[wildcards.suite].named, "--results", RESULTS]


def slice_of(stage):
    """The part of the suite on which a stage depends; its change, and no other, reruns it."""
    return lambda w: flow.fingerprint(
        suite_of(w), stage, w.get("pair", ""), w.get("method", "")
    )


def gpus(wildcards):
    return int(suite_of(wildcards).device != "cpu")


rule all:
    input:
        expand(f"{ROOT}/report.html", suite=TREES),


rule data:
    input:
        lambda w: flow.data_inputs(TREES[w.suite]),
    output:
        f"{ROOT}/data/manifest.json",
    log:
        f"{ROOT}/logs/data.log",
    benchmark:
        f"{ROOT}/logs/data.benchmark.jsonl"
    conda:
        "environment.yaml"
    params:
        of=of_suite,
        config=slice_of("data"),
    shell:
        "arkd data {params.of:q} 2> {log:q}"


rule tokens:
    input:
        rules.data.output,
    output:
        f"{PAIR}/tokens/manifest.json",
    log:
        f"{ROOT}/logs/{{pair}}.tokens.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.tokens.benchmark.jsonl"
    conda:
        "environment.yaml"
    params:
        of=of_suite,
        config=slice_of("tokens"),
    shell:
        "arkd tokens {params.of:q} --pair {wildcards.pair:q} 2> {log:q}"


rule teacher:
    input:
        rules.tokens.output,
    output:
        TEACHER,
    log:
        f"{ROOT}/logs/{{pair}}.teacher.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.teacher.benchmark.jsonl"
    priority: 100  # everything but the starts waits for it
    conda:
        "environment.yaml"
    threads: 1
    resources:
        gpu=gpus,
    params:
        of=of_suite,
        config=slice_of("teacher"),
    shell:
        "arkd teacher {params.of:q} --pair {wildcards.pair:q} 2> {log:q}"


rule student_init:
    input:
        rules.tokens.output,
        lambda w: flow.start_inputs(TREES[w.suite], w.pair),
    output:
        f"{PAIR}/untrained/seed{{seed}}/training/manifest.json",
        f"{PAIR}/init/seed{{seed}}/training/manifest.json",
    log:
        f"{ROOT}/logs/{{pair}}.init.{{seed}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.init.{{seed}}.benchmark.jsonl"
    priority: 50
    conda:
        "environment.yaml"
    threads: 1
    resources:
        gpu=gpus,
    params:
        of=of_suite,
        config=slice_of("init"),
    shell:
        "arkd init {params.of:q} --pair {wildcards.pair:q} --seed {wildcards.seed}"
        " 2> {log:q}"


rule teacher_cache:
    input:
        rules.tokens.output,
        TEACHER,
    output:
        f"{PAIR}/cache/{{source}}/manifest.json",
    log:
        f"{ROOT}/logs/{{pair}}.cache.{{source}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.cache.{{source}}.benchmark.jsonl"
    wildcard_constraints:
        source="gold|teacher|prefixes",
    priority: 90
    conda:
        "environment.yaml"
    threads: 1
    resources:
        gpu=gpus,
    params:
        of=of_suite,
        config=slice_of("cache"),
    shell:
        "arkd cache {params.of:q} --pair {wildcards.pair:q}"
        " --source {wildcards.source} 2> {log:q}"


rule student_responses:
    input:
        rules.tokens.output,
        TEACHER,
        f"{PAIR}/init/seed{{seed}}/training/manifest.json",
    output:
        f"{PAIR}/cache/student-seed{{seed}}/manifest.json",
    log:
        f"{ROOT}/logs/{{pair}}.cache.student.{{seed}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.cache.student.{{seed}}.benchmark.jsonl"
    priority: 40
    conda:
        "environment.yaml"
    threads: 1
    resources:
        gpu=gpus,
    params:
        of=of_suite,
        config=slice_of("cache"),
    shell:
        "arkd cache {params.of:q} --pair {wildcards.pair:q}"
        " --source student --seed {wildcards.seed} 2> {log:q}"


rule distill:
    input:
        rules.tokens.output,
        f"{PAIR}/init/seed{{seed}}/training/manifest.json",
        lambda w: flow.distill_inputs(TREES[w.suite], w.pair, w.method, int(w.seed)),
    output:
        TRAINED,
    log:
        f"{ROOT}/logs/{{pair}}.{{method}}.{{seed}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.{{method}}.{{seed}}.benchmark.jsonl"
    wildcard_constraints:
        method=r"(?!(teacher|init|untrained)/)[^/]+",
    conda:
        "environment.yaml"
    threads: 1
    resources:
        gpu=gpus,
    params:
        of=of_suite,
        config=slice_of("distill"),
    shell:
        "arkd distill {params.of:q} --pair {wildcards.pair:q}"
        " --method {wildcards.method:q} --seed {wildcards.seed} 2> {log:q}"


rule evaluate:
    input:
        lambda w: flow.evaluate_inputs(TREES[w.suite], w.pair, w.method),
    output:
        f"{PAIR}/{{method}}/evaluation/manifest.json",
    log:
        f"{ROOT}/logs/{{pair}}.{{method}}.evaluate.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.{{method}}.evaluate.benchmark.jsonl"
    priority: 10
    conda:
        "environment.yaml"
    threads: 1
    resources:
        gpu=gpus,
    params:
        of=of_suite,
        config=slice_of("evaluate"),
    shell:
        "arkd evaluate {params.of:q} --pair {wildcards.pair:q}"
        " --method {wildcards.method:q} 2> {log:q}"


rule collect:
    input:
        lambda w: flow.collect_inputs(TREES[w.suite]),
    output:
        f"{ROOT}/records.csv",
        f"{ROOT}/items.csv",
        f"{ROOT}/trajectories.csv",
        f"{ROOT}/cost.csv",
        f"{ROOT}/manifest.json",
    log:
        f"{ROOT}/logs/collect.log",
    conda:
        "environment.yaml"
    params:
        of=of_suite,
        config=slice_of("collect"),
    shell:
        "arkd collect {params.of:q} 2> {log:q}"


rule tables:
    input:
        rules.collect.output,
    output:
        f"{ROOT}/tables/manifest.json",
    log:
        f"{ROOT}/logs/tables.log",
    conda:
        "environment.yaml"
    params:
        of=of_suite,
    shell:
        "arkd tables {params.of:q} 2> {log:q}"


rule claims:
    input:
        rules.collect.output,
        str(flow.benchmarks_dir() / "claims.yaml"),
    output:
        f"{ROOT}/claims/manifest.json",
    log:
        f"{ROOT}/logs/claims.log",
    conda:
        "environment.yaml"
    params:
        of=of_suite,
    shell:
        "arkd claims {params.of:q} 2> {log:q}"


rule figures:
    input:
        rules.collect.output,
    output:
        f"{ROOT}/figures/manifest.json",
    log:
        f"{ROOT}/logs/figures.log",
    conda:
        "environment.yaml"
    params:
        of=of_suite,
    shell:
        "arkd figures {params.of:q} 2> {log:q}"


rule report:
    input:
        rules.tables.output,
        rules.claims.output,
        rules.figures.output,
    output:
        report(
            f"{ROOT}/report.html",
            category="Report",
            labels={"suite": "{suite}", "page": "everything on one page"},
            caption="benchmarks/report/report.rst",
        ),
        # The same by parts, for `snakemake --report`; which there are depends on the suite.
        report(
            directory(f"{ROOT}/report"),
            patterns=["{kind}/{section}/{name}.html", "{kind}/{section}/{name}.svg"],
            category="{kind}",
            subcategory="{section}",
            labels={"suite": "{suite}", "name": "{name}"},
            caption="benchmarks/report/part.rst",
        ),
    log:
        f"{ROOT}/logs/report.log",
    conda:
        "environment.yaml"
    params:
        of=of_suite,
    shell:
        "arkd report {params.of:q} 2> {log:q}"
