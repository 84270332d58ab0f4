"""From text to evaluated students; a rule that uses another inherits all that it does not state."""

TEACHER = f"{PAIR}/teacher/seed0/training/manifest.json"
START = f"{PAIR}/init/seed{{seed}}/training/manifest.json"


rule data:
    input:
        SUITES.inputs(jobs.data_inputs),
    output:
        f"{ROOT}/data/manifest.json",
    log:
        f"{LOGS}/<job>.log",
    benchmark:
        f"{LOGS}/<job>.benchmark.jsonl"
    pathvars:
        job="data",
    conda:
        "environment.yaml"
    params:
        **SUITES.stage("data"),
        options=SUITES.options,
    shell:
        "arkd {params.command} {params.options:q} 2> {log:q}"


use rule data as tokens with:
    input:
        rules.data.output,
    output:
        f"{PAIR}/tokens/manifest.json",
    pathvars:
        job="{pair}.tokens",
    params:
        **SUITES.stage("tokens"),


use rule data as teacher with:
    input:
        rules.tokens.output,
    output:
        TEACHER,
    pathvars:
        job="{pair}.teacher",
    priority: 100  # everything but the starts waits for it
    resources:
        **takes("teacher"),
    params:
        **SUITES.stage("teacher"),


use rule teacher as student_init with:
    input:
        rules.tokens.output,
        lambda w: jobs.start_inputs(TREES[w.suite], w.pair),
    output:
        f"{PAIR}/untrained/seed{{seed}}/training/manifest.json",
        START,
    pathvars:
        job="{pair}.init.{seed}",
    priority: 50
    resources:
        **takes("student_init"),
    params:
        **SUITES.stage("init"),


use rule teacher as teacher_cache with:
    input:
        lambda w: jobs.cache_inputs(TREES[w.suite], w.pair),
    output:
        f"{PAIR}/cache/{{source}}/manifest.json",
    pathvars:
        job="{pair}.cache.{source}",
    wildcard_constraints:
        source="gold|teacher|prefixes",
    priority: 90
    resources:
        **takes("teacher_cache"),
    params:
        **SUITES.stage("cache"),


use rule teacher_cache as student_responses with:
    input:
        lambda w: jobs.cache_inputs(TREES[w.suite], w.pair, int(w.seed)),
    output:
        f"{PAIR}/cache/{{source}}-seed{{seed}}/manifest.json",
    pathvars:
        job="{pair}.cache.{source}.{seed}",
    wildcard_constraints:
        source="student",
    priority: 40
    resources:
        **takes("student_responses"),


use rule teacher as distill with:
    input:
        lambda w: jobs.distill_inputs(TREES[w.suite], w.pair, w.method, int(w.seed)),
    output:
        f"{PAIR}/{{method}}/seed{{seed}}/training/manifest.json",
    pathvars:
        job="{pair}.{method}.{seed}",
    wildcard_constraints:
        method=r"(?!(teacher|init|untrained)/)[^/]+",
    priority: 20  # before evaluations: what is left at the end is then short and many
    threads: SUITES.processes
    resources:
        **takes("distill", SUITES.training_gpus),
    params:
        **SUITES.stage("distill"),


use rule teacher as evaluate with:
    input:
        lambda w: jobs.evaluate_inputs(TREES[w.suite], w.pair, w.method),
    output:
        f"{PAIR}/{{method}}/evaluation/manifest.json",
    pathvars:
        job="{pair}.{method}.evaluate",
    priority: 10
    resources:
        **takes("evaluate"),
    params:
        **SUITES.stage("evaluate"),
