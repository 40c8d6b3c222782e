#!/bin/sh
# Loss and gradient with curl: as JSON, as NumPy files, and an error.
#
#     tests/clients/curl.sh http://127.0.0.1:8080
set -eu
url=$1
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

# A field of flat JSON. Use jq if it is installed.
field() { sed -n "s/.*\"$1\":\[\{0,1\}\([^]}\"]*\)[]}\"].*/\1/p"; }

# shellcheck disable=SC2046 # numbers, separated by commas
show() { printf '%s' "$1" && printf ' %.6f' $(echo "$2" | tr ',' ' ') && echo; }

response=$(curl -sS --fail-with-body -H 'Content-Type: application/json' \
    -d '{"input": [2.5, 0, 2], "target": [3, -0.5, 2], "grad": true}' "$url/v1/losses/mse")
show loss "$(echo "$response" | sed 's/.*"loss":\([^,]*\),.*/\1/')"
show gradient "$(echo "$response" | field input)"

# Three float32 each, as numpy.save writes them; with NumPy: numpy.save('input.npy', array).
npy() {
    printf '\223NUMPY\001\000\106\000%-69s\n' \
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
}
{ npy && printf '\000\000\040\100\000\000\000\000\000\000\000\100'; } >"$folder/input.npy"
{ npy && printf '\000\000\100\100\000\000\000\277\000\000\000\100'; } >"$folder/target.npy"
response=$(curl -sS --fail-with-body -F "input=@$folder/input.npy" \
    -F "target=@$folder/target.npy" -F grad=true "$url/v1/losses/mse")
show 'binary loss' "$(echo "$response" | sed 's/.*"loss":\([^,]*\),.*/\1/')"
show 'binary gradient' "$(echo "$response" | field input)"

response=$(curl -sS -H 'Content-Type: application/json' \
    -d '{"input": [[0.2, 0.8]], "target": [2]}' "$url/v1/losses/cross_entropy")
echo "error: $(echo "$response" | sed 's/.*"detail":"\([^"]*\)".*/\1/')"
