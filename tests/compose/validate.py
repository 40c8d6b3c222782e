"""Checks deploy/compose.yaml, the files that it mounts, and the Dockerfile.

    validate.py LOSSD

LOSSD is the server; lossctl is in the same folder. Docker is not needed: the health check of the
image runs here, against a server on a free port. Prints a line for each fault; fails if there is
one."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/site"))

from server import lossd as serve  # noqa: E402

DEPLOY = ROOT / "deploy"
PROMETHEUS_PORT = 9090  # its default
faults = []


def expect(right, *what):
    if not right:
        faults.append(" ".join(str(each) for each in what))
    return right


class UniqueKeys(yaml.SafeLoader):
    """Rejects mappings that have a key twice."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        expect(len(keys) == len({*keys}), f"{node.start_mark}: a key occurs twice: {keys}")
        return super().construct_mapping(node, deep)


def load(path):
    return yaml.load(path.read_text("utf-8"), UniqueKeys)


# ---- compose.yaml ----


def mounts(compose, name):
    """Returns the files of the repository that a service mounts, by their path in the container."""
    found = {}
    for volume in compose["services"][name].get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            path = (DEPLOY / source).resolve()
            expect(path.exists(), name, "mounts", source, "which does not exist")
            expect(mode == ["ro"], name, "can write to", source)
            found[target] = path
        else:
            expect(source in compose["volumes"], name, "mounts an unknown volume:", source)
    return found


def check_service(name, service):
    for port in service["ports"]:
        expect(port.startswith("127.0.0.1:"), name, "has a port that others can reach:", port)
    expect(service["cap_drop"] == ["ALL"], name, "keeps capabilities")
    expect("no-new-privileges:true" in service["security_opt"], name, "may gain privileges")
    pinned = "build" in service or re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
    expect(pinned, name, "has an image without a version:", service["image"])


def check_lossd(service, program):
    """lossd accepts the options of the image and of the service. Returns the admin port."""
    options = {**image_environment(), **service["environment"]}
    environment = {**os.environ, **options}
    done = subprocess.run(
        [program, "--print-config"], env=environment, capture_output=True, text=True
    )
    expect(done.returncode == 0, "lossd rejects its options:", done.stderr)
    expect((DEPLOY / service["build"] / "Dockerfile").exists(), "there is no Dockerfile to build")
    listening = int(options["LOSSD_LISTEN"].rpartition(":")[2])
    published = service["ports"][0].rpartition(":")[2]
    expect(int(published) == listening, "port", published, "is not that of the image")
    return int(options["LOSSD_ADMIN_LISTEN"].rpartition(":")[2])


def check_prometheus(compose, admin_port):
    files = mounts(compose, "prometheus")
    configuration = load(files["/etc/prometheus/prometheus.yml"])
    for name in configuration["rule_files"]:
        expect(f"/etc/prometheus/{name}" in files, "prometheus does not mount", name)
    targets = configuration["scrape_configs"][0]["static_configs"][0]["targets"]
    expect(targets == [f"lossd:{admin_port}"], "prometheus scrapes", targets)
    jobs = [
        each["job_name"] for each in load(DEPLOY / "prometheus/prometheus.yml")["scrape_configs"]
    ]
    found = [each["job_name"] for each in configuration["scrape_configs"]]
    expect(found == jobs, "the alerts and the dashboard expect the jobs", jobs, "instead of", found)


def check_grafana(compose):
    files = mounts(compose, "grafana")
    folder = files["/etc/grafana/provisioning"]
    [provider] = load(folder / "dashboards/lossd.yaml")["providers"]
    dashboards = [
        json.loads(path.read_text("utf-8"))["uid"]
        for target, path in files.items()
        if str(PurePosixPath(target).parent) == provider["options"]["path"]
    ]
    expect(dashboards == ["lossd"], "grafana provisions the dashboards", dashboards)
    home = compose["services"]["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]
    expect(home in files, "grafana does not mount", home)
    [source] = load(folder / "datasources/prometheus.yaml")["datasources"]
    url = urlsplit(source["url"])
    expect(url.hostname in compose["services"], "grafana reads from", source["url"])
    expect(url.port == PROMETHEUS_PORT and source["isDefault"], "the source of data is", source)


def check_compose(program):
    compose = load(DEPLOY / "compose.yaml")
    services = compose["services"]
    expect({*services} == {"lossd", "prometheus", "grafana"}, "the services are", [*services])
    for name, service in services.items():
        check_service(name, service)
    check_prometheus(compose, check_lossd(services["lossd"], program))
    check_grafana(compose)


# ---- Dockerfile ----


def instructions():
    """Returns the instructions of the Dockerfile, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.M)
    return [line.split(None, 1) for line in text.replace("\\\n", "").splitlines() if line.strip()]


def image_environment():
    found = [text for word, text in instructions() if word == "ENV"]
    return dict(pair.split("=", 1) for text in found for pair in text.split())


def check_health_check():
    """The health check succeeds for a server that is ready, on either address, and only for it."""
    [text] = [text for word, text in instructions() if word == "HEALTHCHECK"]
    command = json.loads(text.partition("CMD ")[2])
    with serve(sys.argv[1]) as server:
        address = f"0.0.0.0:{urlsplit(server.url).port}"
        for environment, ready in (
            ({"LOSSD_LISTEN": address}, True),
            ({"LOSSD_LISTEN": "0.0.0.0:1", "LOSSD_ADMIN_LISTEN": address}, True),
            ({"LOSSD_LISTEN": "0.0.0.0:1"}, False),
        ):
            done = subprocess.run(
                command, env={"PATH": os.environ["PATH"], **environment}, stderr=subprocess.DEVNULL
            )
            expect((done.returncode == 0) == ready, "the health check with", environment, "fails")


def check_libraries(program):
    """The image installs the package of each library that the programs are linked with."""
    stages = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")
    installed = {*re.findall(r"[\w.+-]+", stages[-1])}
    for name in (program, Path(program).with_name("lossctl")):
        if not Path(name).exists():
            continue  # built without libcurl
        listed = subprocess.run(["objdump", "-p", name], capture_output=True, text=True, check=True)
        for library in re.findall(r"NEEDED +(\S+)", listed.stdout):
            owner = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True)
            packages = {line.partition(":")[0] for line in owner.stdout.splitlines()}
            expect(packages & (installed | {"libc6"}), f"the image lacks {library} of {packages}")


def check_copies():
    """The files that the build copies exist, and .dockerignore does not exclude them all."""
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for pattern in kept:
        expect([*ROOT.glob(pattern)], ".dockerignore keeps", pattern, "which does not exist")
    user = [text for word, text in instructions() if word == "USER"]
    expect(user and re.fullmatch(r"[1-9]\d*:[1-9]\d*", user[-1]), "the image runs as", user)


def main():
    program = sys.argv[1]
    check_compose(program)
    check_health_check()
    check_libraries(program)
    check_copies()
    print("\n".join(faults) or "valid")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
