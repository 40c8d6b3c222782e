"""Tests the targets of the Makefile and the commands that documents show.

    commands.py [--all] [--list]

TABLE has a row for each target that `make help` lists and for each command that a document shows:

- here("script"): run by `sh -eu` in the repository.
- apart("script"): run in a copy of the repository, which the script may change. The copy includes
  the build folder.
- minutes("script"): run only with --all (`make check-targets`), because it builds much or fetches
  packages.
- by("name", ...): these tests run it; each must exist.
- tools(row, "program", ...): the row is skipped, with a message, if a program is not installed.

Scripts find lossd and lossctl in PATH, a server at $LOSSD_URL, and the folder $TMP with pred.npy,
y.npy, y.csv and predictions.csv.

Prints each fault and fails if a script fails, if TABLE lacks a target or a command, or if it has a
row for one that no longer exists."""
import argparse
import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/site"))

import snippets  # noqa: E402
from server import lossd  # noqa: E402

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "bench/README.md",
    "clients/js/README.md",
    "clients/python/README.md",
    "tests/clients/README.md",
    "tests/golden/README.md",
    "tests/real/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]
# The first word of a command, after assignments to environment variables.
WORDS = (
    r"(?:[A-Z_]+=\S+ )?"
    r"(?:make|lossd|build/lossd|lossctl|mpirun|srun|npm|pip|curl|cut|cc|kubectl|sbatch|systemctl|"
    r"docker|apt|"
    r"(?:~|/)\S*/(?:python3?|pip))"
)
COMMAND = re.compile(rf"{WORDS}(?= |$)")
TIMEOUT_S = 600


def here(script):
    return "here", script


def apart(script):
    return "apart", script


def minutes(script):
    return "minutes", script


def by(*names):
    return "by", names


def shards(folder, *commands):
    """Runs commands in a folder of their own, with two shards of pred.npy and y.npy."""
    copies = "; ".join(f"cp ../{name}.npy {name}-{k}.npy" for name in ("pred", "y") for k in (0, 1))
    return here("\n".join((f"mkdir $TMP/{folder}; cd $TMP/{folder}; {copies}", *commands)))


def tools(row, *programs):
    missing = [program for program in programs if not shutil.which(program)]
    return ("skipped", f"{', '.join(missing)} not installed") if missing else row


# Serves until SIGTERM, then must exit with 0.
SERVES = (
    "timeout --foreground --preserve-status -s TERM 1 {} >$TMP/{}.out; grep -q 'listening on'"
    " $TMP/{}.out"
)
TOKENS = """
cd $TMP && lossd --new-token alice --token-file tokens 2>shown && TOKEN=$(sed 's/.*: //' shown)
lossd --listen 127.0.0.1:0 --token-file tokens >started & server=$!
until grep -q listening started; do sleep 0.05; done
url=$(sed -n 's/.*listening on \\([^ ,]*\\).*/\\1/p' started)
curl -fsS -H "Authorization: Bearer $TOKEN" $url/v1/losses >/dev/null
test "$(curl -sS -o /dev/null -w '%{http_code}' $url/v1/losses)" = 401
kill $server && wait $server"""
INSTALLED = """
make install DESTDIR=$TMP/root PREFIX=/usr
$TMP/root/usr/bin/lossd --version && $TMP/root/usr/bin/lossctl --version
test -s $TMP/root/usr/share/man/man8/lossd.8 && test -s $TMP/root/usr/share/man/man1/lossctl.1
make uninstall DESTDIR=$TMP/root PREFIX=/usr
test "$(cd $TMP/root && find . -type f)" = ./etc/lossd.conf"""
# A tarball that the unpacked sources pack has the same bytes.
DIST = """
make dist && cd $TMP && tar -xf $REPOSITORY/build/lossd-[0-9]*.tar.gz && cd lossd-*
make dist && cmp build/lossd-*.tar.gz $REPOSITORY/build/lossd-[0-9]*.tar.gz
LOSSD_LISTEN=127.0.0.1:0 make run ONCE=1 | grep -q '^breast_cancer .*bce_with_logits'"""
LIBRARY = """
make lib && make install-lib PREFIX=$TMP/usr
printf '#include <loss.h>\\nint main(void) { return loss_find("mse") ? 0 : 1; }\\n' >$TMP/my.c
export PKG_CONFIG_PATH=$TMP/usr/lib/pkgconfig
cc -o $TMP/my $TMP/my.c $(pkg-config --cflags --libs libloss) && \
LD_LIBRARY_PATH=$TMP/usr/lib $TMP/my"""
EVAL = (
    "cd $TMP && lossctl eval huber --input pred.npy --target y.csv --delta 0.5 --grad grad.npy &&"
    " test -s grad.npy"
)
MERGE = """
cd $TMP
for row in 0 1; do
    curl -fsS $LOSSD_URL/v1/losses/mse -o part-$row.json \\
        --json "{\\"input\\":[$row],\\"target\\":[2],\\"partial\\":true,\\"offset\\":$row}"
done
lossctl merge part-*.json --partial total.json --quiet | grep -qx 2.5 && test -s total.json"""
SHARD_EVAL = "lossctl eval mse --input 'pred-*.npy' --target 'y-*.npy'"
SHARD_PARTS = [f"{SHARD_EVAL} --part {k}/2 --partial part-{k}.json" for k in (1, 2)]
SHARD_MERGE = "lossctl merge part-1.json part-2.json"
# With the variables that Slurm sets. `make check-slurm` runs the scripts in Slurm.
SLURM_ARRAY = """
for task in 1 2 3; do
    SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=3 SLURM_CPUS_PER_TASK=1 \\
        $REPOSITORY/deploy/slurm/eval-array.sh results mse --input 'pred-*.npy' --target 'y-*.npy'
done
whole=$(lossctl eval mse --input 'pred-*.npy' --target 'y-*.npy' --quiet)
$REPOSITORY/deploy/slurm/merge.sh results | grep -q '^{"loss":'$whole,"""
BENCH = (
    "cd $TMP && lossctl bench --losses mse,ctc --formats json,safetensors --sizes 100,1000 --rate"
    " 200 --warm-up 0 --duration 0.1 --html report.html --limit p99=60s && test -s report.html"
)
RESULTS = (
    '{"cpu": "a CPU", "cores": 2, "started": "2000-01-01", "rows": [{"figure": 9, "name":'
    ' "FastAPI", "status": "ok", "value": 1.5, "quartiles": [1.25, 1.75]}]}'
)
CHART = (
    f"mkdir -p build && echo '{RESULTS}' >build/bench.json && make bench-chart && grep -q '>1.50x<'"
    " docs/img/bench.svg"
)
# All packages appear to be installed, so that none is.
DEPS = """
mkdir $TMP/bin && printf '#!/bin/sh\\necho installed\\n' >$TMP/bin/dpkg-query && \
chmod +x $TMP/bin/dpkg-query
PATH=$TMP/bin:$PATH make {}"""

TABLE = {
    # ---- Targets: "make NAME", without the variables that a document sets ----
    # Without libcurl, make prints a message and builds everything else.
    "make": here("make && make HAVE_CURL= all | grep -q 'lossctl is not built'"),
    "make all": here("make all && lossd --version && lossctl --version"),
    "make lib": apart(LIBRARY),
    "make mpi": tools(here("make mpi && test -s build/lossctl-openmpi.so"), "mpicc.openmpi"),
    "make help": here("make help | grep -q '^  test-quick '"),
    "make deps": here(DEPS.format("deps")),
    "make test-deps": here(DEPS.format("test-deps")),
    "make bench-deps": here(DEPS.format("bench-deps")),
    "make run": here(
        "LOSSD_LISTEN=127.0.0.1:0 make run ONCE=1 | grep -q '^breast_cancer .*bce_with_logits'"
    ),
    "make test": here("make test ONLY=json_heads | grep -q '^100%'"),
    "make test-quick": here("make test-quick ONLY=json_heads | grep -q '^100%'"),
    "make MODE=debug": here(
        "make -j2 MODE=debug && build/debug/lossd --version && build/debug/lossctl eval huber"
        " --local --input $TMP/pred.npy --target $TMP/y.npy"
    ),
    "make check-targets": by("targets_and_commands_work"),
    "make check-clients": minutes("make check-clients"),
    "make check-arm64": minutes("make -j2 check-arm64 | grep -q ' losses compared'"),
    "make check-slurm": minutes("make check-slurm"),
    "make check-web": minutes("make check-web"),
    "make check-faults": here("make check-faults FAULTS=sample ONLY=faults_document"),
    "CK_FORK=no make test ONLY=golden_library MODE=asan": minutes(
        "CK_FORK=no make test ONLY=golden_library MODE=asan"
    ),
    "make check-sanitize": minutes("make check-sanitize ONLY=json_errors"),
    "make coverage": minutes(
        "make -j2 coverage ONLY=json_errors && test -s build/coverage/html/index.html"
    ),
    "make mutants": minutes("make mutants ONLY=coding | grep -q ' killed, 0 survived'"),
    "make generate": apart(
        "make generate && diff -r $REPOSITORY/clients/js clients/js -x node_modules && "
        "diff -r $REPOSITORY/clients/python clients/python -x __pycache__"
    ),
    "make docs": minutes("make docs && test -s build/docs/site/index.html"),
    "make dist": minutes(DIST),
    "make deb": minutes("make deb"),
    "make check-deb": minutes("make check-deb"),
    "make python-wheel": by("test_wheel_installs_into_a_new_environment"),
    "make fuzz": minutes("make -j2 fuzz FUZZ_SECONDS=1"),
    "make soak": here("make soak SOAK_SECONDS=1 SOAK_BURSTS=1"),
    "make check-slow": here("make check-slow SLOW_SECONDS=12 SLOW_IDLE=100"),
    "make check-accuracy": minutes("make -j2 check-accuracy | grep -q '^| mse '"),
    "make check-cost": minutes("make check-cost"),
    "make check-drain": here("make check-drain DRAIN_COUNT=2"),
    "make check-memory": here("make check-memory MEMORY_MIB=4"),
    "make check-sizes": here("make check-sizes SIZES_MIB=1"),
    "make check-mathematics": here("make check-mathematics MATHEMATICS_STRIDE=65537"),
    "make check-sums": here("make check-sums SUMS=1"),
    "make check-numbers": here("make check-numbers NUMBERS_STRIDE=65537"),
    "make bench": minutes("make bench"),
    "make bench-quick": minutes("make bench-quick"),
    "make bench-smoke": here("make bench-smoke"),
    "make install": apart(INSTALLED),
    "make install-lossctl": apart(
        "make install-lossctl DESTDIR=$TMP/root && test -x $TMP/root/usr/local/bin/lossctl"
    ),
    "make install-lib": apart(LIBRARY),
    "make uninstall": apart(INSTALLED),
    "make check": tools(
        here(DEPS.format("check TIDY_FILES=core/error.c")),
        "clang-format",
        "clang-tidy",
        "codespell",
        "git",
    ),
    "make format": tools(apart(DEPS.format("format")), "clang-format"),
    "make tidy": tools(here(DEPS.format("tidy TIDY_FILES=core/error.c")), "clang-tidy"),
    "make bench-scale": minutes("make -j2 bench-scale SCALE_GB=0.01"),
    "make bench-chart": apart(CHART),
    "make clean": apart("make clean && test ! -e build"),
    # ---- README.md ----
    "lossd --listen 127.0.0.1:8080 --threads 16": here(
        SERVES.format("lossd --listen 127.0.0.1:0 --threads 16", "a", "a")
    ),
    "lossd --version": here("lossd --version | grep -q '^built with '"),
    "lossctl --version": here("lossctl --version | grep -q '^built with '"),
    "lossd --help": here("lossd --help | grep -q -e '--listen'"),
    "lossd --config lossd.conf": here(
        "LOSSD_LISTEN=127.0.0.1:0 lossd --config deploy/lossd.conf --print-config | grep -q"
        " 127.0.0.1:0"
    ),
    "lossd --print-config": here("lossd --print-config | grep -q '^listen'"),
    "lossd --new-token alice --token-file tokens": here(TOKENS),
    "lossd --new-token NAME --token-file FILE": here(TOKENS),
    "lossd --listen 0.0.0.0:8080 --token-file tokens": here(TOKENS),
    'curl -H "Authorization: Bearer $TOKEN" http://server:8080/v1/losses': here(TOKENS),
    "lossctl list": here("lossctl list | grep -q cross_entropy"),
    "lossctl show cross_entropy": here("lossctl show cross_entropy | grep -q label_smoothing"),
    "lossctl eval huber --input pred.npy --target y.csv --delta 0.5 --grad grad.npy": here(EVAL),
    "lossctl eval cross_entropy --batch tests/real/digits.safetensors --label-smoothing 0.1"
    " --grad grad.npy": here(
        "lossctl eval cross_entropy --batch tests/real/digits.safetensors --label-smoothing 0.1"
        " --grad $TMP/grad.npy"
    ),
    "cut -d, -f2 predictions.csv | lossctl eval mse --local --input - --target y.csv --json": here(
        "cd $TMP && cut -d, -f2 predictions.csv | lossctl eval mse --local --input - --target y.csv"
        " --json"
    ),
    "lossctl compare mse l1 huber:delta=0.5 quantile:q=0.9 --input pred.npy --target y.npy": here(
        "cd $TMP && lossctl compare mse l1 huber:delta=0.5 quantile:q=0.9 --input pred.npy --target"
        " y.npy"
    ),
    SHARD_EVAL
    + " --grad gradients/ --checkpoint run": shards(
        "whole",
        SHARD_EVAL + " --grad gradients/ --checkpoint run",
        "test -s gradients/pred-1.npy && ! test -e run",
    ),
    SHARD_PARTS[0]: shards("first", SHARD_PARTS[0]),
    SHARD_PARTS[1]: shards("second", SHARD_PARTS[1]),
    "mpirun -np 8 --map-by ppr:1:numa:PE=16 "
    + SHARD_EVAL: by("ranks_have_the_loss_and_gradients_of_one_process"),
    "mpirun -np 8 --map-by ppr:1:numa:PE=16 lossctl eval cross_entropy --input 'logits-*.npy'"
    " --target 'labels-*.npy'": by("ranks_have_the_loss_and_gradients_of_one_process"),
    "srun --mpi=pmix --cpus-per-task=16 " + SHARD_EVAL: by("tasks_of_srun_without_mpi_are_refused"),
    SHARD_MERGE: shards("parts", *SHARD_PARTS, SHARD_MERGE),
    "lossctl merge part-*.json --partial total.json": here(MERGE),
    "lossctl bench --losses mse,ctc --formats json,safetensors --sizes 100,100000 --rate 200"
    " --html report.html --limit p99=20ms": here(BENCH),
    "lossctl doctor --url http://gpu7:8080": here("lossctl doctor --url $LOSSD_URL"),
    "lossctl eval LOSS --help": here("lossctl eval huber --help | grep -q -e --delta"),
    "lossctl completions SHELL": here("lossctl completions bash | bash -n"),
    "cc my.c $(pkg-config --cflags --libs libloss)": apart(LIBRARY),
    "lossctl eval": here(EVAL),
    "lossctl compare": here("cd $TMP && lossctl compare mse l1 --input pred.npy --target y.npy"),
    "lossctl merge": here(MERGE),
    "lossctl doctor": here("lossctl doctor"),
    "srun lossctl doctor": here("SLURM_PROCID=1 SLURM_NTASKS=2 lossctl doctor"),
    # ---- Other documents, and the commands of lossctl that they name ----
    "lossctl bench": here(BENCH),
    "lossctl doctor --url": here("lossctl doctor --url $LOSSD_URL"),
    "curl -s localhost:8080/metrics | grep -v '^#' | grep -v ' 0$'": here(
        "curl -s $LOSSD_URL/metrics | grep -v '^#' | grep -v ' 0$'"
    ),
    "kubectl apply -k deploy/kubernetes": by("deploy_manifests_are_valid"),
    "kubectl apply -f deploy/kubernetes/eval/job.yaml": by("deploy_manifests_are_valid"),
    "kubectl wait --for=condition=complete --timeout=1h job/lossctl-eval": by(
        "deploy_manifests_are_valid"
    ),
    "kubectl apply -f deploy/kubernetes/eval/merge.yaml": by("deploy_manifests_are_valid"),
    "kubectl wait --for=condition=complete --timeout=5m job/lossctl-merge": by(
        "deploy_manifests_are_valid"
    ),
    "kubectl logs job/lossctl-merge": by("deploy_manifests_are_valid"),
    "sbatch --dependency=afterok:$array --kill-on-invalid-dep=yes merge.sh results": shards(
        "slurm", SLURM_ARRAY
    ),
    "sbatch --nodes=4 --ntasks-per-node=2 --cpus-per-task=16 eval-mpi.sh checkpoint cross_entropy"
    " --input 'logits-*.npy' --target 'labels-*.npy'": minutes("make check-slurm"),
    "apt install ./build/deb/lossd_*.deb": minutes("make check-deb"),
    "apt install ./build/deb/lossctl_*.deb": minutes("make check-deb"),
    "apt install ./build/deb/libloss*.deb": minutes("make check-deb"),
    "apt purge lossd": minutes("make check-deb"),
    "docker build -t lossd .": by("deploy_image_and_compose_are_valid"),
    "docker buildx build --platform linux/arm64": by("deploy_image_and_compose_are_valid"),
    "docker compose -f deploy/compose.yaml up": by("deploy_image_and_compose_are_valid"),
    "kubectl get pods": by("deploy_manifests_are_valid"),
    "systemctl status lossd": by("unit_passes_systemd_analyze"),
    "npm install ./clients/js": tools(
        here("cd $TMP && npm install --offline --no-audit --no-fund $REPOSITORY/clients/js"), "npm"
    ),
    "npm ci": by("types_are_accepted_by_typescript"),
    "npm run types": by("types_are_accepted_by_typescript"),
    "npm run generate http://127.0.0.1:8080": tools(
        apart("cd clients/js && npm run generate $LOSSD_URL"), "npm"
    ),
    "LOSSD_URL=http://127.0.0.1:8080 npm test": by("client_passes_its_tests"),
    "/usr/bin/python3 -m venv --system-site-packages ~/lossd-venv": by(
        "test_wheel_installs_into_a_new_environment"
    ),
    "~/lossd-venv/bin/pip install build/python/lossd-*manylinux*.whl": by(
        "test_wheel_installs_into_a_new_environment"
    ),
    "pip install build/python/lossd-*manylinux*.whl": by(
        "test_wheel_installs_into_a_new_environment"
    ),
    "build/lossd --access-log failed &": here(
        SERVES.format("build/lossd --listen 127.0.0.1:0 --access-log failed", "b", "b")
    ),
}


# ---- The table against the repository ----


def targets():
    printed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [f"make {line.split()[0]}" for line in printed.splitlines()]


def normal(command):
    """Returns the name of a command in TABLE: without comments and sudo. Of the arguments of make,
    only the target remains, or MODE if there is no target."""
    command = re.sub(r"\s+#.*", "", command).strip().removeprefix("sudo ")
    if not command.startswith("make"):
        return [command]
    words = command.split()[1:]
    names = [word for word in words if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
    return [f"make {name}" for name in names] or ["make " + words[0] if words else "make"]


def shown_in(path):
    """Returns the commands that a document shows, except those that docs/site/snippets.py runs."""
    text = (ROOT / path).read_text(encoding="utf-8")
    ran = (
        {example[2] for example in [*snippets.fenced(ROOT / path), *snippets.indented(ROOT / path)]}
        if (ROOT / path in [*snippets.FENCED, *snippets.INDENTED])
        else set()
    )
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    blocks = [
        block for language, block in fences if language in ("", "sh", "text") and block not in ran
    ]
    blocks += [block for block in snippets.indented_blocks(rest) if block not in ran]
    lines = [part for block in blocks for line in block.split("\n") for part in line.split(" && ")]
    spans = [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", rest)]
    for command in (part.strip().removeprefix("sudo ") for part in [*lines, *spans]):
        if (
            COMMAND.match(command)
            and (" " in command or command == "make")
            and not command.startswith("curl -d")
        ):
            yield from normal(command)


def tests():
    """Returns the names of all tests in C and in Python."""
    for path in [*(ROOT / "tests").rglob("*.c"), *(ROOT / "clients").rglob("test_*.py")]:
        yield from re.findall(
            r"^(?:START_TEST\(|def )(\w+)", path.read_text(encoding="utf-8"), re.M
        )


def check_table():
    """Returns the rows that TABLE lacks and those that nothing needs."""
    wanted = {command: "make help" for command in targets()}
    for path in DOCUMENTS:
        for command in shown_in(path):
            wanted.setdefault(command, path)
    for command, path in wanted.items():
        if command not in TABLE:
            yield f"{path} shows `{command}`, but TABLE in tests/docs/commands.py has no row for it"
    for command in TABLE:
        if command not in wanted:
            yield (
                f"tests/docs/commands.py: TABLE has `{command}`, but neither make help nor a"
                " document shows it"
            )
    known = set(tests())
    for command, (how, what) in TABLE.items():
        for name in what if how == "by" else ():
            if name not in known:
                yield (
                    f"tests/docs/commands.py: TABLE names the test {name} for `{command}`, but"
                    " there is no such test"
                )


# ---- Running ----

FILES = """
import numpy as np
np.save("pred.npy", np.float32([2.5, 0, 2]))
np.save("y.npy", np.float32([3, -0.5, 2]))
open("y.csv", "w").write("y\\n3\\n-0.5\\n2\\n")
open("predictions.csv", "w").write("id,prediction\\n1,2.5\\n2,0\\n3,2\\n")
"""
NEVER_COPIED = {".git", "node_modules", "__pycache__"}
# Other tests write to build/python at the same time.
BUILDS_NOT_COPIED = {"mutants", "asan", "tsan", "debug", "coverage", "fuzz", "docs", "python"}


def not_copied(folder, names):
    return set(names) & (
        NEVER_COPIED | (BUILDS_NOT_COPIED if Path(folder) == ROOT / "build" else set())
    )


def run(command, how, script, url):
    """Runs a script. Returns a description of its failure, or "" if it succeeds."""
    top = Path(tempfile.mkdtemp(prefix="lossd-commands-"))
    try:
        (top / "tmp").mkdir()
        subprocess.run([snippets.PYTHON, "-c", FILES], cwd=top / "tmp", check=True)
        folder = ROOT
        if how == "apart":
            folder = top / "lossd"
            shutil.copytree(ROOT, folder, ignore=not_copied, symlinks=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "CK_", "LOSSD")) and name not in ("ONLY", "MFLAGS")
        }
        environment.update(
            PATH=f"{ROOT}/build:{os.environ['PATH']}",
            TMP=str(top / "tmp"),
            LOSSD_URL=url,
            REPOSITORY=str(ROOT),
        )
        with open(top / "printed", "w+b") as printed:
            process = subprocess.Popen(
                ["sh", "-eu", "-c", script],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                status = f"a timeout after {TIMEOUT_S} s"
            with contextlib.suppress(ProcessLookupError):  # processes that the script left running
                os.killpg(process.pid, signal.SIGKILL)
            text = (top / "printed").read_text(encoding="utf-8", errors="replace")
        return (
            ""
            if status == 0
            else (
                f"--- `{command}`, run as\n{script}\n--- exited with {status} and"
                f" printed:\n{text[-3000:]}"
            )
        )
    finally:
        shutil.rmtree(top)


def run_all(whole):
    kinds = ("here", "apart", "minutes") if whole else ("here", "apart")
    scripts = {}  # each script once, with the first command that uses it
    for command, (how, what) in TABLE.items():
        if how == "skipped":
            print(f"commands: `{command}` is not run: {what}", file=sys.stderr)
        if how in kinds:
            scripts.setdefault((how, what), command)
    # Build what several scripts need first, so that no two scripts build it at once.
    subprocess.run(
        ["make", "-j2", "all", "build/tests/lossd-tests"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    took = {}
    with lossd(str(ROOT / "build/lossd")) as server, concurrent.futures.ThreadPoolExecutor(
        1 if whole else 4
    ) as pool:

        def timed(command, how, script):
            begun = time.monotonic()
            try:
                return run(command, how, script, server.url)
            finally:
                took[command] = time.monotonic() - begun

        faults = [
            fault
            for fault in pool.map(lambda item: timed(item[1], *item[0]), scripts.items())
            if fault
        ]
    for command, seconds in sorted(took.items(), key=lambda item: -item[1])[:8]:
        print(f"{seconds:6.1f} s  {command}")
    return faults


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="also run commands that take minutes")
    parser.add_argument(
        "--list", action="store_true", help="only compare TABLE with the Makefile and the documents"
    )
    arguments = parser.parse_args()
    faults = list(check_table())
    if not faults and not arguments.list:
        faults = run_all(arguments.all)
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
