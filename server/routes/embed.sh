#!/bin/sh
# Writes C that holds the files of a folder, for server/routes/static_files.h: `embed.sh web > build/web/assets.c`. The bytes themselves are brought in by the
# assembler, so that it takes no time. A file's type follows from its name's ending; an ending that is not known here is an error.
set -eu
export LC_ALL=C

type_of() {
    case $1 in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.js | *.mjs) echo 'text/javascript; charset=utf-8' ;;
    *.json) echo 'application/json' ;;
    *.svg) echo 'image/svg+xml' ;;
    *.png) echo 'image/png' ;;
    *.woff2) echo 'font/woff2' ;;
    *.txt) echo 'text/plain; charset=utf-8' ;;
    *.csv) echo 'text/csv; charset=utf-8' ;;
    *.npy) echo 'application/octet-stream' ;;
    *.safetensors) echo 'application/vnd.safetensors' ;;
    *) return 1 ;;
    esac
}

fail() {
    echo "embed.sh: $1" >&2
    exit 1
}

printf '/* Made by server/routes/embed.sh. */\n#include "routes/static_files.h"\n\n'
number=0
table=
for file in "$1"/*; do
    name=${file##*/}
    [ -f "$file" ] || fail "$file is not a file"
    case $name in
    *[!A-Za-z0-9._-]*) fail "$file: names are made of letters, digits, dots, hyphens and underscores" ;;
    esac
    type=$(type_of "$name") || fail "$file: there is no media type for such a name; add it to embed.sh"
    hash=$(sha256sum <"$file" | cut -c 1-32)
    symbol=asset_bytes_$number
    printf '__asm__(".pushsection .rodata\\n.hidden %s\\n.hidden %s_end\\n.globl %s\\n.globl %s_end\\n"\n' \
        $symbol $symbol $symbol $symbol
    printf '        "%s:\\n.incbin \\"%s\\"\\n%s_end:\\n.byte 0\\n.popsection");\n' $symbol "$file" $symbol
    printf 'extern const char %s[], %s_end[];\n\n' $symbol $symbol
    table="$table    {\"$name\", \"$type\", \"W/\\\"$hash\\\"\", $symbol, ${symbol}_end},
"
    number=$((number + 1))
done
printf 'const struct asset assets[] = {\n%s};\nconst size_t asset_count = %d;\n' "$table" $number
