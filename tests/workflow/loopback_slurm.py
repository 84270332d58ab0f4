"""A SLURM of one node on this machine, for as long as a test runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONF = Path("/etc/slurm/slurm.conf")  # where jobs look, which inherit no SLURM_CONF
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
SETTINGS = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={here}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
SlurmctldLogFile={here}/slurmctld.log
SlurmdLogFile={here}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=60
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes={host} State=UP PriorityTier=10 PreemptMode=OFF
"""


def lacking() -> str | None:
    """Return why there can be no SLURM here, in a line that says what to do; none if there can."""
    if not all(map(shutil.which, PROGRAMS)):
        return "no SLURM: apt-get install slurm-wlm munge, and put /usr/sbin on PATH"
    if os.geteuid() != 0:
        return f"SLURM's daemons and {CONF} need root: run this as root, in a container"
    if CONF.exists():
        return f"{CONF} is there: this machine has a SLURM; run this in a container without one"
    return None


@contextmanager
def running(here: Path) -> Iterator[None]:
    """Run the daemons, which leave nothing behind.

    Args:
        here: An empty folder for their state and logs.
    """
    here.chmod(0o755)
    for name in ("state", "spool"):
        (here / name).mkdir()
    key = here / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    CONF.parent.mkdir(exist_ok=True)
    CONF.write_text(SETTINGS.format(host=socket.gethostname(), here=here))
    munge = ["munged", "--foreground", "--force", "--key-file", key, "--num-threads", "2"]
    munge += ["--socket", here / "munge.socket", "--pid-file", here / "munged.pid"]
    munge += ["--log-file", here / "munged.log", "--seed-file", here / "munge.seed"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            log = (here / f"{command[0]}.said").open("wb")
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
            time.sleep(2)
        until(lambda: "idle" in out("sinfo", "-h", "-o", "%t"), "the node is not up", 60)
        yield
    finally:
        for number in out("squeue", "-h", "-o", "%i").split():
            out("scancel", "-f", number)
        time.sleep(2)
        for process in reversed(started):
            process.terminate()
            process.wait(30)
        CONF.unlink()


def out(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def until(reached: object, lacking: str, patience_s: float) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + patience_s
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < deadline, lacking
        time.sleep(0.02)
