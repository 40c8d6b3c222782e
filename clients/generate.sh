#!/bin/sh
# generate.sh LOSSD: has the clients write what they know of each loss anew, from what that program says of its losses.
set -eu

started=$(mktemp)
"${1:?usage: generate.sh LOSSD}" --listen 127.0.0.1:0 --log-level warning >"$started" &
server=$!
trap 'kill "$server" 2>/dev/null || :; rm -f "$started"' EXIT
until url=$(sed -n 's/.* listening on \(http:[^ ,]*\).*/\1/p' "$started") && [ -n "$url" ]; do
    kill -0 "$server" 2>/dev/null || exit 1 # it has said why
    sleep 0.05
done

cd "$(dirname "$0")"
/usr/bin/python3 -B python/generate.py "$url"
node js/generate.mjs "$url"
