#!/bin/sh
# run-demo.sh LOSSD [--once]: starts the server, evaluates the real batches in tests/real, prints a
# table, and serves until Ctrl-C. With --once, exits after the table. LOSSD_LISTEN sets the address.
set -eu

lossd=${1:?usage: run-demo.sh LOSSD [--once]}
once=${2:-}
batches=$(dirname "$0")/../tests/real

export LOSSD_LISTEN="${LOSSD_LISTEN:-127.0.0.1:8080}"
# Only the table and problems are printed, not a line for each request.
export LOSSD_LOG_LEVEL="${LOSSD_LOG_LEVEL:-warning}"

fail() {
    printf 'run-demo: %s\n' "$*" >&2
    exit 1
}

tmp=$(mktemp -d)
server=
# Stops the server however the script exits. The server finishes its requests first; a second Ctrl-C
# stops it immediately.
finish() {
    status=$?
    trap - EXIT
    if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
        trap 'kill -TERM "$server" 2>/dev/null || :' INT TERM HUP
        ended=0
        # A signal interrupts `wait`, so repeat it until the server has exited.
        while wait "$server" || ended=$? && kill -0 "$server" 2>/dev/null; do :; done
        [ "$ended" = 0 ] || status=$ended
    fi
    rm -rf "$tmp"
    exit "$status"
}
trap finish EXIT
trap 'exit 0' INT TERM HUP # the usual end of the demo
trap 'exit 141' PIPE      # the reader of the table exits early, as in `make run | head`

# curl without the user's settings and proxies.
ask() { curl -q -g --noproxy '*' -sS --max-time 60 "$@"; }

# The server runs in its own session, so that Ctrl-C sends it only one signal, from finish() and not
# also from the terminal: a second signal stops it immediately. Its start-up line contains its
# address, so the requests cannot reach another server.
: >"$tmp/started" # the loop can read it before the server's shell has created it
setsid "$lossd" >>"$tmp/started" &
server=$!
tries=0
while
    url=$(sed -n 's/.* listening on \(https\{0,1\}:[^ ,]*\).*/\1/p' "$tmp/started") &&
        [ -z "$url" ]
do
    if ! kill -0 "$server" 2>/dev/null; then
        server=
        fail "the server did not start (see above);" \
            "to use another address: LOSSD_LISTEN=127.0.0.1:8081 make run"
    fi
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail 'the server is not ready after 30 seconds'
    sleep 0.05
done
# A server that listens on all addresses is reachable on loopback.
url=$(printf '%s\n' "$url" | sed 's|//0\.0\.0\.0:|//127.0.0.1:|; s|//\[::\]:|//[::1]:|')
ask -f -o /dev/null "$url/readyz" || fail 'the server is not ready'

# Prints the shape of the gradient, the loss and the gradient's norm of a response as one line.
# Splits JSON at its commas.
digest() {
    LC_ALL=C awk -v RS=, '
        /"loss"/ { text = $0; sub(/.*"loss" *: */, "", text); loss = text + 0 }
        /"grad"/ { sub(/.*"grad"[^[]*/, ""); inside = 1; depth = 0 }
        inside {
            while (sub(/^[ \n]*\[/, "")) opened[++depth]++
            if (depth > rank) rank = depth
            count++
            sum += $0 * $0
            depth -= gsub(/\]/, "")
            if (depth == 0) inside = 0
        }
        END {
            for (i = 1; i < rank; i++) shape = shape opened[i + 1] / opened[i] ", "
            printf "[%s%d]|%.10g|%.10g\n", shape, rank ? count / opened[rank] : 0, loss, sqrt(sum)
        }' "$1"
}

row() { printf '%-14s %-16s %-10s %14s %14s %10s %10s\n' "$@"; }

# evaluate BATCH LOSS: sends a request and prints a row of the table.
evaluate() {
    code=$(ask -o "$tmp/answer" -D "$tmp/headers" -w '%{http_code} %{time_total}' \
        -H 'Content-Type: application/json' \
        --data-binary "@$batches/$1.json" "$url/v1/losses/$2") || fail "no response for $1, $2"
    if [ "${code% *}" != 200 ]; then
        cat "$tmp/answer" >&2
        fail "$1, $2: status ${code% *} (the response is above)"
    fi
    # The time on the server: the sum of its Server-Timing phases.
    inside=$(LC_ALL=C awk -F 'dur=' \
        '{ for (i = 2; i <= NF; i++) sum += $i } END { printf "%.2f", sum }' "$tmp/headers")
    total=$(LC_ALL=C awk -v seconds="${code#* }" 'BEGIN { printf "%.2f", seconds * 1000 }')
    digest "$tmp/answer" >"$tmp/digest"
    IFS='|' read -r shape value norm <"$tmp/digest"
    row "$1" "$2" "$shape" "$value" "$norm" "$total" "$inside"
}

printf '\nReal batches (tests/real), each sent to POST %s/v1/losses/{loss}:\n\n' "$url"
row batch loss shape value '|gradient|' 'total ms' 'server ms'
evaluate digits cross_entropy
evaluate breast_cancer bce_with_logits
evaluate diabetes mse
evaluate diabetes l1
evaluate diabetes huber

body='{"input": [0.5, 2], "target": [1, 1], "grad": true}'
answer=$(ask -f --json "$body" "$url/v1/losses/mse") || fail 'the example failed'
printf "\nTry it:\n\n  curl --json '%s' %s/v1/losses/mse\n\nResponse:\n\n  %s\n\n" \
    "$body" "$url" "$answer"

[ "$once" != --once ] || exit 0
printf 'Serving on %s until Ctrl-C.\n' "$url"
wait "$server" && status=0 || status=$?
server=
[ "$status" = 0 ] || fail "the server exited by itself with status $status"
