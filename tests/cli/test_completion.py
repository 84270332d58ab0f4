"""The completion script, asked by a real shell; and what the parser says of mistyped words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arkd.cli.main import main
from arkd.suite.load import suite_names


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "arkd.bash"
    command = [sys.executable, "-m", "arkd", "completion", "bash"]
    path.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("arkd ru", {"run"}),
        ("arkd list su", {"suites"}),
        ("arkd run smo", {name for name in suite_names() if name.startswith("smo")}),
        ("arkd distill --suite longtail-f", {"longtail-full"}),
        ("arkd check forward", {"forward_kl"}),
        ("arkd plan --form", {"--format"}),
    ],
)
def test_bash_completes(typed: str, offered: set[str], script: Path) -> None:
    words = typed.split()
    asks = (
        f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; COMP_LINE='{typed}'; "
        "$(complete -p arkd | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", asks], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


def test_bare_arkd_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: arkd ")
    assert "examples:" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rn"], "arkd: error: no command 'rn' (did you mean 'run'?); `arkd --help` lists all"),
        (["xyzzy"], "arkd: error: no command 'xyzzy'; `arkd --help` lists all"),
        (
            ["list", "suite"],
            "arkd list: error: argument what: no 'suite' (did you mean 'suites'?); "
            "known: methods, suites",
        ),
    ],
)
def test_a_mistyped_word_is_told_the_nearest(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == message
