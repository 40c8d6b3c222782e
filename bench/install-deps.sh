#!/bin/sh
# Installs the Debian packages of the programs that `make bench` compares lossd with, and prints
# their names. Does not start nginx.
set -eu

packages='g++ python3-torch python3-numpy python3-scipy python3-xgboost python3-fastapi
          python3-uvicorn libsimdjson-dev libfast-float-dev libdouble-conversion-dev nginx'

missing=
for package in $packages; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo

# Debian starts servers on installation unless this file exists.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

printf 'bench: installing%s\n' "$missing" >&2
$as_root apt-get -q update
# shellcheck disable=SC2086 # a list
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing
