"""The whole benchmark; each rule's shell is one `arkd` command.

snakemake --cores all                                        the default suite, longtail
snakemake --cores all --config suites='[smoke]'              another suite, or several
snakemake --cores all --config suites='[longtail]' results=/elsewhere

The rules stand in the order of the data: from text to evaluated students in workflow/runs.smk, from
those to the report in workflow/results.smk.
"""

from snakemake.utils import min_version

min_version("9.14")


report: "benchmarks/report/workflow.rst"


include: "workflow/common.smk"


# Light, or in need of a network: beside a batch system they run where Snakemake does.
localrules:
    all,
    data,
    tokens,
    collect,
    tables,
    claims,
    figures,
    report,


rule all:
    input:
        expand(f"{ROOT}/report.html", suite=TREES),


include: "workflow/runs.smk"
include: "workflow/results.smk"
