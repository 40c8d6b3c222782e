#!/bin/sh
# Installs the Debian packages needed to build and run lossd, and prints the reason for each. Prints
# nothing if all are installed. An argument adds packages:
#   tests     to run the tests
#   clients   to run the tests, all examples in tests/clients and the tests of clients/
#   web       to run the tests of the web pages
#   slurm     to run `make check-slurm`
#   arm64     to run `make check-arm64`
#   accuracy  to run `make check-accuracy`
#   deb       to run `make deb` and `make check-deb`
#   check     to run `make check`
#   docs      to build the documentation
#   coverage  to run the tests and write the coverage report
set -eu

# Package and purpose. gcc depends on OpenMP and the runtimes of the sanitizers (libgomp, libasan,
# libubsan, libtsan) through libgcc-*-dev, but only recommends libc6-dev. libsubunit-dev is listed
# because the tests link with it.
needs="gcc               the C compiler, with OpenMP and the sanitizers
libc6-dev         headers of the C library
make              runs the build
libmicrohttpd-dev the HTTP server library
libgnutls28-dev   TLS, and hashes of tokens
libseccomp-dev    the system call filter
libjansson-dev    the JSON library
zlib1g-dev        gzip and deflate
libzstd-dev       zstd
check             the unit test library
libsubunit-dev    a library that check needs
curl              sends the requests of \`make run\`"

# Without these, lossctl or its modules for MPI are not built, and the tests that need the tools
# (examples, promtool, proxies, MPI, emulation of other processors, the systemd unit) are skipped
# with a message.
for_tests="
prometheus        promtool, which checks metrics and alerts
haproxy           a proxy in front of two servers in a test
nginx             another such proxy
libcurl4-openssl-dev for lossctl, and the example in C
libopenmpi-dev    for the module of lossctl for Open MPI
openmpi-bin       starts ranks of lossctl
libmpich-dev      for the module of lossctl for MPICH
mpich             starts ranks of lossctl
nodejs            for the example in JavaScript and the tests of clients/js
qemu-user         emulates processors without certain instructions
perl              for the example in Perl
python3-numpy     for the example in Python, and the Python client
python3-pytest    for the Python client's tests
python3-pip       builds the Python client's wheel
python3-setuptools builds the Python client's wheel
python3-wheel     builds the Python client's wheel
python3-venv      tests the installation of that wheel
pkgconf           finds the installed library, as in the README
openssl           makes certificates for the Python client's tests
mypy              checks the Python client's types
python3-yaml      reads deploy/compose.yaml
python3-distributed runs the Python client's example for Dask
systemd           systemd-analyze, which checks the units"

for_clients="
golang-go         for the example in Go
default-jdk-headless for the example in Java
libjackson2-databind-java for the example in Java
python3-torch     for the Python client's PyTorch modules
python3-sklearn   for the Python client's scorers
python3-pandas    for arrays in the Python client's tests
python3-xgboost   for the Python client's objectives
r-base-core       for the example in R
r-cran-curl       for the example in R
r-cran-jsonlite   for the example in R"

# A Node that is not from Debian may include npm.
command -v npm >/dev/null || for_clients="$for_clients
npm               fetches TypeScript, an OpenAPI validator, and the schemas of Kubernetes"

for_docs="
mkdocs            builds the pages
python3-matplotlib draws the curves"

for_slurm="
slurm-client      submits the jobs of deploy/slurm
slurmctld         the controller of Slurm
slurmd            the daemon of Slurm that runs jobs
munge             authenticates Slurm's messages"

for_arm64="
gcc-aarch64-linux-gnu the cross compiler
libc6-dev-arm64-cross headers of the C library for arm64
qemu-user         emulates arm64"

for_accuracy="
python3-torch     computes the same losses"

for_deb="
build-essential   tools that build packages
debhelper         builds the packages
debootstrap       makes a Debian to install them in
dh-python         builds the package of the Python client
pybuild-plugin-pyproject builds the package of the Python client
python3-all       builds the package of the Python client
python3-setuptools builds the package of the Python client
libcurl4-openssl-dev for lossctl
libmpich-dev      for lossctl's module for MPICH
libopenmpi-dev    for lossctl's module for Open MPI
lintian           checks the packages
systemd           systemd-analyze, which checks the units"

for_coverage="
gcovr             writes the coverage report"

for_checks="
clang-format      checks the format of the sources
clang-tidy        checks the sources for common errors
codespell         checks the spelling
git               lists the files of the repository
python3           runs the checks of documents"

for_web="
chromium-headless-shell runs the page in tests/web"
command -v npm >/dev/null || for_web="$for_web
npm               fetches the driver for Chromium"

case ${1:-} in
docs) needs="$needs$for_docs" ;;
check) needs="$needs$for_checks" ;;
tests) needs="$needs$for_tests" ;;
clients) needs="$needs$for_tests$for_clients" ;;
web) needs="$needs$for_tests$for_web" ;;
slurm) needs="$needs$for_tests$for_slurm" ;;
arm64) needs="$needs$for_arm64" ;;
accuracy) needs="$needs$for_accuracy" ;;
coverage) needs="$needs$for_tests$for_coverage" ;;
deb) needs="$needs$for_deb" ;;
esac

say() { printf 'install-deps: %s\n' "$*" >&2; }

# check_tools REASON: used if packages cannot be installed. Exits successfully if all tools are
# available anyway; otherwise prints REASON and the missing ones, and exits with status 1.
check_tools() {
    missing=
    cc=${CC:-gcc}
    for tool in "$cc" make curl; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    if command -v "$cc" >/dev/null; then
        for header in stdio.h omp.h microhttpd.h gnutls/gnutls.h seccomp.h jansson.h zlib.h zstd.h \
            check.h subunit/child.h; do
            # shellcheck disable=SC2086 # flags are several words
            printf '#include <%s>\n' "$header" |
                $cc ${CPPFLAGS:-} -fopenmp -E -x c - >/dev/null 2>&1 || missing="$missing $header"
        done
    fi
    [ -n "$missing" ] || exit 0
    say "$1; missing:$missing"
    say 'please install a C17 compiler with OpenMP, GNU make, curl, and the development files of'
    say 'libmicrohttpd (0.9.75 or newer), GnuTLS (3.7 or newer), libseccomp, jansson (2.14 or'
    say 'newer), zlib, libzstd (1.4 or newer), check (0.15 or newer) and subunit, then try again'
    exit 1
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    check_tools 'this is not a Debian-like system'
fi

packages=
reasons=
while read -r package reason; do
    # dpkg-query prints one line per architecture; -x excludes "not-installed".
    if ! dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
        packages="$packages $package"
        reasons="$reasons
  $(printf '%-17s %s' "$package" "$reason")"
    fi
done <<END
$needs
END
[ -n "$packages" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
        check_tools "apt-get install$packages is needed, but this user is not root and has no sudo"
    as_root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Debian starts servers when they are installed and when the machine boots. The tests need only the
# programs.
policy=/usr/sbin/policy-rc.d
hold_services() {
    [ ! -e "$policy" ] || return 0
    trap 'rm -f "$log"; $as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
}
disable_services() {
    for service in prometheus haproxy nginx munge slurmctld slurmd; do
        case " $packages " in *" $service "*) $as_root systemctl disable "$service" ;; esac
    done >/dev/null 2>&1 || true
}

# Runs apt-get without output. Waits while another process, such as unattended-upgrades on a new
# machine, has the lock.
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >"$log" 2>&1
}
# shellcheck disable=SC2086 # a list
add() { apt install --no-install-recommends $packages; }
update() {
    updated=1
    say 'fetching the package lists'
    apt update
}

say "installing$reasons"
hold_services
# The package lists may be missing or outdated. Update them only if the install fails, and only
# once.
updated=
# shellcheck disable=SC2086 # a list
if { apt-get -s install --no-install-recommends $packages >/dev/null 2>&1 || update; } &&
    { add || { [ -z "$updated" ] && update && add; }; }; then
    disable_services
    say 'done'
else
    cat "$log" >&2
    say "apt-get could not install$packages (its output is above)"
    exit 1
fi
