#!/bin/sh
# dist.sh FILE.tar.gz: packs the sources into FILE.tar.gz, in a folder named FILE. Packs the files
# that git tracks, with the changes of the working tree; in an unpacked tarball, which has no .git,
# all files outside build/, node_modules and __pycache__. Both give the same bytes.
set -eu

file=${1:?usage: dist.sh FILE.tar.gz}
name=$(basename "$file" .tar.gz)
list=$(mktemp)
trap 'rm -f "$list"' EXIT

if [ -e .git ]; then
    git ls-files --cached --deduplicate >"$list"
    time=$(git log -1 --format=%ct)
else
    find . -path ./build -prune -o \( -name node_modules -o -name __pycache__ \) -prune \
        -o ! -type d -printf '%P\n' >"$list"
    time=$(stat -c %Y core/loss.h) # dist.sh sets the same time for all files
fi

mkdir -p "$(dirname "$file")"
LC_ALL=C sort -o "$list" "$list"
tar --create --format=gnu --owner=root:0 --group=root:0 --mode=u+rw,go=rX --mtime="@$time" \
    --transform "flags=r;s|^|$name/|" --no-recursion --verbatim-files-from --files-from "$list" |
    gzip -9n >"$file.new"
mv "$file.new" "$file"
echo "$file"
