#!/bin/sh
# generate.sh LOSSD: generates the loss tables of the clients from the descriptions of that server.
set -eu

started=$(mktemp)
"${1:?usage: generate.sh LOSSD}" --listen 127.0.0.1:0 --log-level warning >"$started" &
server=$!
trap 'kill "$server" 2>/dev/null || :; rm -f "$started"' EXIT
until url=$(sed -n 's/.* listening on \(http:[^ ,]*\).*/\1/p' "$started") && [ -n "$url" ]; do
    kill -0 "$server" 2>/dev/null || exit 1 # it has printed the reason
    sleep 0.05
done

cd "$(dirname "$0")"
/usr/bin/python3 -B python/generate.py "$url"
node js/generate.mjs "$url"
