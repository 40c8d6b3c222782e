#!/usr/bin/python3
"""Runs the job scripts of deploy/slurm on a Slurm of one node: check.py LOSSCTL

Starts munged, slurmctld and slurmd as the user that runs this, in a temporary folder, and ends them
afterwards. Needs neither systemd nor cgroups. Each job must print the loss of one process, digit by
digit."""
import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).resolve().parents[2] / "deploy/slurm"
CONFIGURATION = """
ClusterName=check
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4
PartitionName=check Nodes=ALL Default=YES
"""
TIMEOUT_S = 60  # for Slurm to start, and for each job
TENSORS = ["cross_entropy", "--input", "logits-*.npy", "--target", "labels-*.npy"]


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def until(condition, what):
    """Returns the first result of condition() that is true."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise SystemExit(f"check-slurm: {what} took more than {TIMEOUT_S} s")


class Slurm:
    """Runs commands of Slurm, in the folder of the shards."""

    def __init__(self, work, environment):
        self.work, self.environment = work, environment

    def run(self, *command):
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        if done.returncode != 0:
            raise SystemExit(f"check-slurm: {' '.join(command)}: {done.stderr}")
        return done.stdout

    def is_idle(self):
        done = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=self.environment, capture_output=True, text=True
        )
        return done.stdout.strip() == "idle"

    def end_jobs(self):
        self.run("scancel", "--user", getpass.getuser())
        until(self.is_idle, "the end of the jobs")

    def submit(self, name, *command):
        """Submits a job, or an array of jobs, of one CPU each, which prints to name.out and
        name.err. Returns its id."""
        options = ["--parsable", "--cpus-per-task=1", "--mem=0"]
        files = [f"--output={name}.out", f"--error={name}.err"]
        return self.run("sbatch", *options, *files, *command).strip()

    def states_at_the_end(self, job):
        """Waits until a job has ended. Returns the states of its tasks, sorted."""

        def ended():
            shown = self.run("scontrol", "--oneliner", "show", "job", job)
            states = re.findall(r"JobState=(\w+)", shown)
            active = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"} & {*states}
            return None if active else sorted(states)

        return until(ended, f"job {job}")


def start_daemons(stack, folder, environment):
    """Starts the daemons of Slurm. Closing the stack ends them."""
    commands = {
        "munged": ["--foreground"]
        + [
            f"--{option}={folder}/munge.{suffix}"
            for option, suffix in {
                "key-file": "key",
                "socket": "socket",
                "pid-file": "pid",
                "seed-file": "seed",
                "log-file": "log",
            }.items()
        ],
        "slurmctld": ["-D"],
        "slurmd": ["-D"],
    }
    paths = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    for name, options in commands.items():
        program = shutil.which(name, path=paths)
        if not program:
            raise SystemExit(f"check-slurm: {name} is not installed")
        log = stack.enter_context((folder / f"{name}.out").open("w"))
        process = subprocess.Popen(
            [program, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        if name == "munged":
            until((folder / "munge.socket").exists, "munged")


@contextlib.contextmanager
def slurm(folder, work, build):
    """Starts a Slurm of one node, with lossctl in PATH."""
    controller_port, node_port = free_ports(2)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname().split(".")[0],
            user=getpass.getuser(),
            controller_port=controller_port,
            node_port=node_port,
        )
    )
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SLURM")},
        "PATH": f"{build}:{os.environ['PATH']}",
        "SLURM_CONF": str(configuration),
    }
    here = Slurm(work, environment)
    with contextlib.ExitStack() as stack:
        try:
            start_daemons(stack, folder, environment)
            until(here.is_idle, "the start of Slurm")
            stack.callback(here.end_jobs)
            yield here
        except BaseException:
            for log in sorted(folder.glob("*.out")):
                print(f"--- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)
            raise


def write_shards(work):
    random = np.random.default_rng(7)
    for shard, rows in enumerate([1000, 0, 1, 1999]):
        logits = 9 * random.standard_normal((rows, 10), dtype=np.float32)
        np.save(work / f"logits-{shard}.npy", logits)
        np.save(work / f"labels-{shard}.npy", random.integers(0, 10, rows))


def loss_in(text):
    """Returns the digits of the loss in JSON, of which there must be one line."""
    found = re.fullmatch(r'\{"loss":([^,]+),.*\n', text)
    return found[1] if found else text


def expect(printed, wanted, what):
    if printed != wanted:
        raise SystemExit(f"check-slurm: {what}: {printed} instead of {wanted}")
    print(f"check-slurm: {what}: {printed}")


def submit_array(here, results, parts):
    """Submits eval-array.sh and merge.sh. Returns the ids of both."""
    array = here.submit(
        f"{results}-%a", f"--array=1-{parts}", SCRIPTS / "eval-array.sh", results, *TENSORS
    )
    after = [f"--dependency=afterok:{array}", "--kill-on-invalid-dep=yes"]
    return array, here.submit(results, *after, SCRIPTS / "merge.sh", results)


def check_arrays(here, whole):
    for parts in (1, 2, 5):
        results = f"array-{parts}"
        _, merge = submit_array(here, results, parts)
        expect(here.states_at_the_end(merge), ["COMPLETED"], f"merge of {parts} parts")
        printed = (here.work / f"{results}.out").read_text()
        expect(loss_in(printed), whole, f"loss of {parts} parts")


def run_mpi(here, name, interface, ranks):
    """Runs eval-mpi.sh with an interface between Slurm and MPI. Returns the states of the job, and
    what it prints to stdout and stderr."""
    here.environment["SLURM_MPI_TYPE"] = interface
    output = f"{name}-{ranks}"
    options = ["--nodes=1", f"--ntasks-per-node={ranks}"]
    job = here.submit(output, *options, SCRIPTS / "eval-mpi.sh", "run", *TENSORS)
    states = here.states_at_the_end(job)
    return states, *((here.work / f"{output}.{suffix}").read_text() for suffix in ("out", "err"))


def check_mpi(here, whole, build):
    """Checks each module of lossctl that is built. Without an interface, no rank evaluates."""
    for name, interface in {"openmpi": "pmix", "mpich": "pmi2"}.items():
        if not (build / f"lossctl-{name}.so").exists():
            print(f"check-slurm: {name} is not checked: lossctl-{name}.so is not built")
            continue
        for ranks in (1, 2, 3):
            states, printed, errors = run_mpi(here, name, interface, ranks)
            if states != ["COMPLETED"]:
                raise SystemExit(f"check-slurm: {ranks} ranks of {name}: {states}: {errors}")
            expect(loss_in(printed), whole, f"loss of {ranks} ranks of {name}")
    states, printed, errors = run_mpi(here, "none", "none", 2)
    expect((states, printed), (["FAILED"], ""), "two ranks without MPI")
    if errors.count("lossctl: srun has started 2 ranks") != 1:
        raise SystemExit(f"check-slurm: two ranks without MPI printed {errors}")


def check_failure(here):
    """If a task fails, its output names the file and the row, and no merge runs."""
    labels = here.work / "labels-3.npy"
    wrong = np.load(labels)
    wrong[1900] = 10
    np.save(labels, wrong)
    array, merge = submit_array(here, "failed", 2)
    expect(here.states_at_the_end(array), ["COMPLETED", "FAILED"], "tasks with an invalid label")
    expect(here.states_at_the_end(merge), ["CANCELLED"], "their merge")
    printed = (here.work / "failed-2.err").read_text()
    if "labels-3.npy: target[1900] is 10" not in printed:
        raise SystemExit(f"check-slurm: the failed task printed {printed}")


def main():
    lossctl = Path(sys.argv[1]).resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    top = Path(tempfile.mkdtemp(prefix="lossd-slurm-"))
    try:
        top.chmod(0o755)  # munged requires it
        folder, work = top / "slurm", top / "work"
        folder.mkdir(mode=0o755)
        work.mkdir()
        write_shards(work)
        evaluate = [lossctl, "eval", *TENSORS, "--threads", "1", "--json"]
        whole = loss_in(subprocess.check_output(evaluate, cwd=work, text=True))
        with slurm(folder, work, lossctl.parent) as here:
            check_arrays(here, whole)
            check_mpi(here, whole, lossctl.parent)
            check_failure(here)
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
