#!/usr/bin/python3
"""Checks the Debian packages of `make deb` in a fresh Debian 12: check.py FOLDER

Runs lintian. Then makes a root with debootstrap in a temporary folder (from $MIRROR if set), and in
it installs the server alone, runs it, upgrades it, and purges it, which must leave nothing; and
installs and uses all packages. Needs root. Starts no service, because systemd does not run in the
root."""
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

PACKAGES = ["lossd", "lossctl", "libloss0", "libloss-dev", "python3-lossd"]
MIRROR = os.environ.get("MIRROR", "http://deb.debian.org/debian")
TIMEOUT_S = 900  # per command
# Changed by every installation: the databases, logs and caches of apt, dpkg, adduser and ldconfig.
BOOKKEEPING = re.compile(
    r"/(proc|packages|tmp|run/adduser|var/cache|var/log|var/lib/apt|var/lib/dpkg)(/|$)"
    r"|/etc/(ld\.so\.cache|\.pwd\.lock|(passwd|group|shadow|gshadow|subuid|subgid)-)$"
)
BODY = b'{"input": [2.5, 0, 2], "target": [3, -0.5, 2]}'
LOSS = 0.16666666666666666
PROGRAM = """
#include <loss.h>
#include <stdio.h>
int main(void)
{
    const struct loss_descriptor *loss = loss_find("mse");
    printf("%s on %s\\n", loss ? loss->name : "none", loss_isa());
}
"""
CLIENT = "import sys, lossd; print(lossd.Client(sys.argv[1]).mse([2.5, 0, 2], [3, -0.5, 2]).loss)"


def say(text):
    print(f"check-deb: {text}", flush=True)


def expect(condition, what):
    if not condition:
        raise SystemExit(f"check-deb: {what}")


class Root:
    """A Debian in a folder. Its /proc is mounted only for the command that runs."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name.endswith("_proxy")},
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }

    def path(self, name):
        return self.folder / name.lstrip("/")

    def command(self, *command, user="root"):
        script = 'root=$1 user=$2; shift 2; mount -t proc proc "$root/proc" && exec chroot'
        script += ' --userspec="$user" "$root" "$@"'
        return ["unshare", "--mount", "sh", "-euc", script, "sh", self.folder, user, *command]

    def run(self, *command, user="root"):
        """Returns what a command prints. It must succeed."""
        done = subprocess.run(
            self.command(*command, user=user),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
        text = f"`{' '.join(command)}` exited with {done.returncode} and printed:\n{done.stdout}"
        expect(done.returncode == 0, text)
        return done.stdout

    def apt(self, *arguments):
        return self.run("apt-get", "-q", "-y", "--no-install-recommends", *arguments)

    def files(self):
        """Describes each file and folder: its type, mode, owner, and contents."""
        found = {}
        for top, folders, names in os.walk(self.folder):
            for name in folders + names:
                path = Path(top, name)
                inside = "/" + path.relative_to(self.folder).as_posix()
                if not BOOKKEEPING.match(inside):
                    found[inside] = describe(path)
        return found


def describe(path):
    status = path.lstat()
    contents = ""
    if stat.S_ISLNK(status.st_mode):
        contents = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        contents = hashlib.sha256(path.read_bytes()).hexdigest()
    return status.st_mode, status.st_uid, status.st_gid, contents


@contextlib.contextmanager
def lossd(root):
    """Runs the server as its user, on a free port. Yields its URL. SIGTERM must end it with 0."""
    command = root.command(
        *("lossd", "--config", "/etc/lossd.conf", "--listen", "127.0.0.1:0"),
        *("--log-level", "error"),
        user="lossd:lossd",
    )
    server = subprocess.Popen(command, env=root.environment, stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        found = re.search(r" listening on (\S+)", line)
        expect(found, f"lossd printed {line!r}")
        yield found[1]
        server.send_signal(signal.SIGTERM)
        expect(server.wait(30) == 0, f"lossd exited with {server.returncode} after SIGTERM")
    finally:
        server.kill()
        server.wait()


def evaluate(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/losses/mse", BODY, headers)
    with opener.open(request, timeout=30) as response:
        return json.load(response)["loss"]


def package_file(folder, package):
    found = sorted(folder.glob(f"{package}_*.deb"))
    expect(len(found) == 1, f"{folder} has {len(found)} packages {package}")
    return found[0]


def newer_version(root, version, change):
    """Makes a package of the server with another version and configuration file."""
    top = root.path("/packages/edit")
    subprocess.run(["dpkg-deb", "-R", package_file(top.parent, "lossd"), top], check=True)
    control = top / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
    conffile = top / "etc/lossd.conf"
    conffile.write_text(change(conffile.read_text()))
    sums = top / "DEBIAN/md5sums"
    sums.unlink()  # optional
    name = f"/packages/newer-{version}.deb"
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", top, root.path(name)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(top)
    return name


def check_installed(root):
    for name in (
        "/usr/bin/lossd",
        "/usr/share/man/man8/lossd.8.gz",
        "/lib/systemd/system/lossd.service",
        "/lib/systemd/system/lossd.socket",
        "/etc/systemd/system/multi-user.target.wants/lossd.service",
    ):
        expect(os.path.lexists(root.path(name)), f"{name} is not installed")
    expect(
        re.search(
            r"^ /etc/lossd.conf ", root.run("dpkg-query", "-W", "-f${Conffiles}", "lossd"), re.M
        ),
        "/etc/lossd.conf is not a conffile",
    )
    account = root.run("getent", "passwd", "lossd").strip().split(":")
    expect(account[5:] == ["/nonexistent", "/usr/sbin/nologin"], f"the user is {account}")
    expect(100 <= int(account[2]) < 1000, f"{account[2]} is not the number of a system user")


def check_upgrades(root):
    """A changed configuration survives upgrades, also if the new version has another one."""
    conffile = root.path("/etc/lossd.conf")
    changed = conffile.read_text() + "threads = 1\n"
    conffile.write_text(changed)
    same = newer_version(root, "9.1", lambda text: text)
    root.apt("install", same)
    expect(conffile.read_text() == changed, "the upgrade changed /etc/lossd.conf")
    other = newer_version(root, "9.2", lambda text: text + "# new\n")
    root.apt("-oDpkg::Options::=--force-confold", "install", other)
    expect(conffile.read_text() == changed, "the second upgrade changed /etc/lossd.conf")
    printed = root.run("lossd", "--config", "/etc/lossd.conf", "--print-config", user="lossd:lossd")
    expect("\nthreads = 1 " in printed, f"lossd does not use its configuration: {printed}")


def check_server(root):
    before = root.files()
    root.apt("install", f"/packages/{package_file(root.path('/packages'), 'lossd').name}")
    check_installed(root)
    say("the server is installed")
    with lossd(root) as url:
        expect(evaluate(url) == LOSS, "the server computes another loss")
    say("it runs as its user and answers")
    check_upgrades(root)
    say("upgrades keep its configuration")
    root.apt("remove", "lossd")
    expect(root.path("/etc/lossd.conf").exists(), "removing the package removes its configuration")
    root.apt("purge", "lossd")
    root.apt("autoremove", "--purge")
    after = root.files()
    left = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    expect(not left, f"purging leaves changes: {left}")
    say("purging it leaves nothing")


def check_lossctl(root):
    root.path("/tmp/input.csv").write_text("2.5\n0\n2\n")
    root.path("/tmp/target.csv").write_text("3\n-0.5\n2\n")
    files = ["--input", "/tmp/input.csv", "--target", "/tmp/target.csv"]
    printed = root.run("lossctl", "eval", "mse", "--local", *files, "--json")
    expect(json.loads(printed)["loss"] == LOSS, f"lossctl printed {printed}")
    for name in (
        "bash-completion/completions/lossctl",
        "fish/vendor_completions.d/lossctl.fish",
        "man/man1/lossctl.1.gz",
        "zsh/vendor-completions/_lossctl",
    ):
        expect(root.path(f"/usr/share/{name}").exists(), f"/usr/share/{name} is not installed")


def check_library(root):
    root.path("/tmp/program.c").write_text(PROGRAM)
    build = "cc -Wall -Werror -o /tmp/program /tmp/program.c $(pkg-config --cflags --libs libloss)"
    root.run("sh", "-euc", build)
    printed = root.run("/tmp/program")
    expect(printed.startswith("mse on "), f"the program printed {printed}")


def check_all(root):
    files = [f"/packages/{package_file(root.path('/packages'), name).name}" for name in PACKAGES]
    root.apt("install", *files, "gcc", "libc6-dev", "pkgconf", "systemd")
    check_lossctl(root)
    check_library(root)
    with lossd(root) as url:
        printed = root.run("python3", "-c", CLIENT, url)
        expect(float(printed) == LOSS, f"the Python client printed {printed}")
    printed = root.run("python3", "-c", CLIENT, "local:")
    expect(float(printed) == LOSS, f"Python printed {printed} without a server")
    root.run("systemd-analyze", "verify", "--man=no", "lossd.service", "lossd.socket")
    say("all packages work")
    root.apt("purge", *PACKAGES)
    left = [name for name in root.files() if re.search(r"lossd|lossctl|libloss", name)]
    expect(not left, f"purging all packages leaves {left}")
    say("purging all packages leaves nothing")


def main():
    folder = Path(sys.argv[1]).resolve()
    expect(os.geteuid() == 0, "debootstrap and chroot need root")
    say("lintian")
    changes = [*folder.glob("*.changes")]
    expect(len(changes) == 1, f"{folder} has {len(changes)} files *.changes")
    lintian = ["lintian", "--allow-root", "--fail-on", "error,warning", changes[0]]
    expect(subprocess.run(lintian).returncode == 0, "lintian fails")
    top = Path(tempfile.mkdtemp(prefix="lossd-deb-"))
    try:
        top.chmod(0o755)
        root = Root(top / "root")
        say("debootstrap")
        making = ["debootstrap", "--variant=minbase", "bookworm", root.folder, MIRROR]
        done = subprocess.run(making, capture_output=True, text=True, timeout=TIMEOUT_S)
        expect(done.returncode == 0, f"debootstrap fails: {done.stdout[-2000:]}{done.stderr}")
        packages = root.path("/packages")
        packages.mkdir()
        for name in PACKAGES:
            shutil.copy(package_file(folder, name), packages)
        root.apt("update")
        check_server(root)
        for newer in packages.glob("newer-*"):
            newer.unlink()
        check_all(root)
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
