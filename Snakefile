"""The whole benchmark in data-flow order; each rule's shell is one `arkd` command.

snakemake --cores all                                        the default suite, longtail
snakemake --cores all --config suites='[smoke]'              another suite, or several
snakemake --cores all --config suites='[longtail]' results=/elsewhere
"""

from snakemake.utils import min_version

from arkd import workflow as flow

min_version("9.10")


RESULTS = config.get("results", "results")
SUITES = {name: flow.tree(name, RESULTS) for name in config.get("suites", ["longtail"])}
TREES = {tree.suite.name: tree for tree in SUITES.values()}
SUITE_FILE = {tree.suite.name: name for name, tree in SUITES.items()}
ROOT = f"{RESULTS}/{{suite}}"
PAIR = f"{ROOT}/{{pair}}"
TRAINED = f"{PAIR}/{{method}}/seed{{seed}}/training/manifest.json"
EVALUATED = f"{PAIR}/{{method}}/seed{{seed}}/evaluation/manifest.json"
TEACHER = f"{PAIR}/teacher/seed0/training/manifest.json"
COMMON = f"--results {RESULTS} --suite"


wildcard_constraints:
    suite="[^/]+",
    pair="[^/]+",
    method="[^/]+",
    seed=r"\d+",


def suite_of(wildcards):
    return TREES[wildcards.suite].suite


def named(wildcards):
    """The suite as the command line names it: its name, or the path of a user's file."""
    return SUITE_FILE[wildcards.suite]


def slice_of(stage):
    """The part of the suite on which a stage depends; its change, and no other, reruns it."""
    return lambda w: flow.fingerprint(
        suite_of(w), stage, w.get("pair", ""), w.get("method", "")
    )


def gpus(wildcards):
    return int(suite_of(wildcards).device == "cuda")


rule all:
    input:
        expand(f"{ROOT}/report.html", suite=TREES),


rule data:
    output:
        f"{ROOT}/data/manifest.json",
    params:
        of=named,
        config=slice_of("data"),
    log:
        f"{ROOT}/logs/data.log",
    benchmark:
        f"{ROOT}/logs/data.benchmark.jsonl"
    shell:
        "arkd data {COMMON} {params.of:q} 2> {log:q}"


rule tokens:
    input:
        rules.data.output,
    output:
        f"{PAIR}/tokens/manifest.json",
    params:
        of=named,
        config=slice_of("tokens"),
    log:
        f"{ROOT}/logs/{{pair}}.tokens.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.tokens.benchmark.jsonl"
    shell:
        "arkd tokens {COMMON} {params.of:q} --pair {wildcards.pair:q} 2> {log:q}"


rule teacher:
    input:
        rules.tokens.output,
    output:
        TEACHER,
    params:
        of=named,
        config=slice_of("teacher"),
    log:
        f"{ROOT}/logs/{{pair}}.teacher.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.teacher.benchmark.jsonl"
    threads: 1
    priority: 100  # everything but the starts waits for it
    resources:
        gpu=gpus,
    shell:
        "arkd teacher {COMMON} {params.of:q} --pair {wildcards.pair:q} 2> {log:q}"


rule student_init:
    input:
        rules.tokens.output,
        lambda w: flow.start_inputs(TREES[w.suite], w.pair),
    output:
        f"{PAIR}/untrained/seed{{seed}}/training/manifest.json",
        f"{PAIR}/init/seed{{seed}}/training/manifest.json",
    params:
        of=named,
        config=slice_of("init"),
    log:
        f"{ROOT}/logs/{{pair}}.init.{{seed}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.init.{{seed}}.benchmark.jsonl"
    threads: 1
    priority: 50
    resources:
        gpu=gpus,
    shell:
        "arkd init {COMMON} {params.of:q} --pair {wildcards.pair:q} --seed {wildcards.seed}"
        " 2> {log:q}"


rule teacher_cache:
    input:
        rules.tokens.output,
        TEACHER,
    output:
        f"{PAIR}/cache/{{source}}/manifest.json",
    params:
        of=named,
        config=slice_of("cache"),
    log:
        f"{ROOT}/logs/{{pair}}.cache.{{source}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.cache.{{source}}.benchmark.jsonl"
    wildcard_constraints:
        source="gold|teacher",
    threads: 1
    priority: 90
    resources:
        gpu=gpus,
    shell:
        "arkd cache {COMMON} {params.of:q} --pair {wildcards.pair:q}"
        " --source {wildcards.source} 2> {log:q}"


rule student_responses:
    input:
        rules.tokens.output,
        TEACHER,
        f"{PAIR}/init/seed{{seed}}/training/manifest.json",
    output:
        f"{PAIR}/cache/student-seed{{seed}}/manifest.json",
    params:
        of=named,
        config=slice_of("cache"),
    log:
        f"{ROOT}/logs/{{pair}}.cache.student.{{seed}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.cache.student.{{seed}}.benchmark.jsonl"
    threads: 1
    priority: 40
    resources:
        gpu=gpus,
    shell:
        "arkd cache {COMMON} {params.of:q} --pair {wildcards.pair:q}"
        " --source student --seed {wildcards.seed} 2> {log:q}"


rule distill:
    input:
        rules.tokens.output,
        f"{PAIR}/init/seed{{seed}}/training/manifest.json",
        lambda w: flow.distill_inputs(TREES[w.suite], w.pair, w.method, int(w.seed)),
    output:
        TRAINED,
    params:
        of=named,
        config=slice_of("distill"),
    log:
        f"{ROOT}/logs/{{pair}}.{{method}}.{{seed}}.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.{{method}}.{{seed}}.benchmark.jsonl"
    wildcard_constraints:
        method=r"(?!(teacher|init|untrained)/)[^/]+",
    threads: 1
    resources:
        gpu=gpus,
    shell:
        "arkd distill {COMMON} {params.of:q} --pair {wildcards.pair:q}"
        " --method {wildcards.method:q} --seed {wildcards.seed} 2> {log:q}"


rule evaluate:
    input:
        lambda w: flow.evaluate_inputs(TREES[w.suite], w.pair, w.method),
    output:
        f"{PAIR}/{{method}}/evaluation/manifest.json",
    params:
        of=named,
        config=slice_of("evaluate"),
    log:
        f"{ROOT}/logs/{{pair}}.{{method}}.evaluate.log",
    benchmark:
        f"{ROOT}/logs/{{pair}}.{{method}}.evaluate.benchmark.jsonl"
    threads: 1
    priority: 10
    resources:
        gpu=gpus,
    shell:
        "arkd evaluate {COMMON} {params.of:q} --pair {wildcards.pair:q}"
        " --method {wildcards.method:q} 2> {log:q}"


rule collect:
    input:
        lambda w: flow.collect_inputs(TREES[w.suite]),
    output:
        f"{ROOT}/records.csv",
        f"{ROOT}/cost.csv",
        f"{ROOT}/manifest.json",
    params:
        of=named,
        config=slice_of("collect"),
    log:
        f"{ROOT}/logs/collect.log",
    shell:
        "arkd collect {COMMON} {params.of:q} 2> {log:q}"


rule tables:
    input:
        rules.collect.output,
    output:
        f"{ROOT}/tables/manifest.json",
    params:
        of=named,
    log:
        f"{ROOT}/logs/tables.log",
    shell:
        "arkd tables {COMMON} {params.of:q} 2> {log:q}"


rule figures:
    input:
        rules.collect.output,
    output:
        f"{ROOT}/figures/manifest.json",
    params:
        of=named,
    log:
        f"{ROOT}/logs/figures.log",
    shell:
        "arkd figures {COMMON} {params.of:q} 2> {log:q}"


rule report:
    input:
        rules.tables.output,
        rules.figures.output,
    output:
        f"{ROOT}/report.html",
    params:
        of=named,
    log:
        f"{ROOT}/logs/report.log",
    shell:
        "arkd report {COMMON} {params.of:q} 2> {log:q}"
