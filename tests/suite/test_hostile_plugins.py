"""Plugins that hang, end the process or lie: named by `arkd list`, which goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arkd.suite import trial
from arkd.time_limit import Late, within

METHOD = """
from dataclasses import dataclass
from arkd.method import Reference, WeightedDivergences, Weights

@dataclass(frozen=True)
class M(WeightedDivergences):
    summary = "fine"
    equation = "L"
    reference = Reference("t", "a", 2026, "https://example.org", "@misc{t}")
    deviations = ()
    def weights(self, context, tools):
        return Weights(1.0, 0.0)
"""
LIMIT_S = 3  # that `arkd list` waits in these tests, twice in vain
CASES = {  # the module: what is said of it
    "sleeps": ("import time; time.sleep(600)", f"not done after {LIMIT_S} s"),
    "spins": ("while True: pass", f"not done after {LIMIT_S} s"),
    "leaves": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "ends": ("import os; os._exit(0)", "it ended the process with exit code 0"),
    "crashes": ("import os; os.abort()", "it ended the process by signal 6"),
    "raises": ("raise BaseException('odd')", "BaseException: odd"),
    "needs": ("import not_there", "No module named 'not_there'"),
    "breaks": ("def f(:", "SyntaxError"),
    "says_two": (METHOD + METHOD.replace("class M", "class N"), "found 2"),
    "lacks": (METHOD.replace('    summary = "fine"\n', ""), "does not state its summary"),
    "counts": (METHOD.replace('"fine"', "7"), "its summary must be of the type str"),
    "starts": (METHOD + "    def __post_init__(self):\n        raise SystemExit\n", "M() failed"),
    "writes": (METHOD + "print('x' * 10)\n", None),
    "good": (METHOD, None),
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed distribution of them, and a package that must not be imported to be listed."""
    folder = tmp_path_factory.mktemp("plugins")
    info = folder / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    points = "".join(f"{name} = odd_{name}\n" for name in CASES) + "inside = odd_package.inside\n"
    (info / "entry_points.txt").write_text(f"[arkd.methods]\n{points}")
    for name, (text, _) in CASES.items():
        (folder / f"odd_{name}.py").write_text(text)
    (folder / "odd_package").mkdir()
    (folder / "odd_package" / "__init__.py").write_text("import os; os._exit(3)")
    (folder / "odd_package" / "inside.py").write_text(METHOD)
    return folder


def run(plugins: Path, code: str) -> subprocess.CompletedProcess[str]:
    # For the sound methods too, which take milliseconds, and may wait for a busy machine.
    start = f"import sys; from arkd.suite import method_listing as m; m.LIMIT_S = {LIMIT_S}\n"
    env = os.environ | {"PYTHONPATH": str(plugins)}
    command = [sys.executable, "-c", start + code]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_each_is_named_and_the_rest_is_listed(plugins: Path) -> None:
    done = run(plugins, "from arkd.cli.main import main; sys.exit(main(['list']))")
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    for name, (_, said) in CASES.items():
        lines = [line for line in told if line.startswith(f"arkd: left out: method '{name}': ")]
        assert len(lines) == (said is not None), (name, told)
        if said:
            assert said in lines[0]
    assert any("'inside'" in line and "exit code 3" in line for line in told)
    assert len(told) == sum(said is not None for _, said in CASES.values()) + 1
    for name in ("good", "writes", "arkd", "forward_kl"):
        assert f"\n{name} " in f"\n{done.stdout}"


def test_other_methods_do_not_meet_them(plugins: Path) -> None:
    started = time.monotonic()
    done = run(plugins, "from arkd.suite import trees; trees.trees('smoke', 'r'); print('done')")
    assert done.stdout == "done\n"
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("name", ["sleeps", "spins"])
@pytest.mark.parametrize("command", [["check"], ["cite"], ["plan"]], ids=str)
def test_one_that_hangs_when_it_is_named_is_refused(
    command: list[str], name: str, plugins: Path, tmp_path: Path
) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text(f"{{extends: smoke, name: mine, methods: [arkd, {name}]}}")
    named = [*command, str(suite) if command == ["plan"] else name]
    code = f"""
from arkd.cli.main import main
from arkd.suite import registry
registry.IMPORT_LIMIT_S = 1
sys.exit(main({named}))
"""
    done = run(plugins, code)
    assert done.returncode != 0
    (told,) = [line for line in (done.stdout + done.stderr).splitlines() if "importing" in line]
    assert f"method '{name}': importing {plugins / f'odd_{name}.py'} was not done after 1 s" in told
    assert "Traceback" not in done.stderr


def test_a_limit_leaves_timers_and_handlers_as_they_were() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with within(60.0):
        assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
        with within(0.001):  # one timer is running: this one sets none
            time.sleep(0.05)
    with pytest.raises(Late), within(0.05):
        time.sleep(60)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_the_file_of_a_module_inside_a_package_is_found_without_importing_it(
    plugins: Path,
) -> None:
    code = "from arkd.suite import registry; print(registry.plugin('inside').file)"
    assert run(plugins, code).stdout == f"{plugins / 'odd_package' / 'inside.py'}\n"


def test_a_lost_child_is_replaced_and_nothing_of_it_is_left() -> None:
    def work(name: str) -> str | int:
        if name == "hang":
            time.sleep(600)
        if name == "die":
            os._exit(7)
        return os.getpid() if name == "who" else name * 100_000

    names = ["a", "hang", "b", "die", "who"]
    found = dict(trial.each(work, names, 2.5))
    assert found["a"].value == "a" * 100_000
    assert found["hang"].failure == "not done after 2.5 s"
    assert found["b"].value == "b" * 100_000
    assert found["die"].failure == "it ended the process with exit code 7"
    with pytest.raises(ProcessLookupError):
        os.kill(found["who"].value, 0)
