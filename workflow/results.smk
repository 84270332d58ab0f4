"""From evaluated students to the report."""


use rule data as collect with:
    input:
        SUITES.inputs(jobs.collect_inputs),
    output:
        f"{ROOT}/records.csv",
        f"{ROOT}/items.csv",
        f"{ROOT}/trajectories.csv",
        f"{ROOT}/cost.csv",
        f"{ROOT}/manifest.json",
    pathvars:
        job="collect",
    params:
        **SUITES.stage("collect"),


use rule data as tables with:
    input:
        rules.collect.output,
    output:
        f"{ROOT}/tables/manifest.json",
    pathvars:
        job="tables",
    params:
        **SUITES.stage("tables"),


use rule tables as claims with:
    input:
        rules.collect.output,
        lambda w: str(claims_path(TREES[w.suite].suite.claims)),
    output:
        f"{ROOT}/claims/manifest.json",
    pathvars:
        job="claims",
    params:
        **SUITES.stage("claims"),


use rule claims as figures with:
    output:
        f"{ROOT}/figures/manifest.json",
    pathvars:
        job="figures",
    params:
        **SUITES.stage("figures"),


use rule tables as report with:
    input:
        rules.tables.output,
        rules.claims.output,
        rules.figures.output,
    output:
        report(
            f"{ROOT}/report.html",
            category="Report",
            labels={"suite": "{suite}", "page": "everything on one page"},
            caption=str(CAPTIONS / "report.rst"),
        ),
        # Tables, figures and verdicts one by one; which there are depends on the suite.
        report(
            directory(f"{ROOT}/report"),
            patterns=["{kind}/{section}/{name}.csv", "{kind}/{section}/{name}.svg"],
            category="{kind}",
            subcategory="{section}",
            labels={"suite": "{suite}", "name": "{name}"},
            caption=str(CAPTIONS / "part.rst"),
        ),
    pathvars:
        job="report",
    params:
        **SUITES.stage("report"),
