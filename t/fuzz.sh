#!/bin/bash
# fuzz.sh BUILD: runs each fuzzer in BUILD/fuzz for FUZZ_SECONDS, with the seeds in
# t/fuzz/seeds/NAME, in parallel on all CPUs. A finding is printed and kept in
# BUILD/fuzz/NAME.crash-*.
set -u
cd "$(dirname "$0")/.." || exit 1

one()
{
    local fuzzer=$1 name=${1##*/} corpus=$1.corpus
    local seeds=t/fuzz/seeds/$name dict=t/fuzz/$name.dict
    [ -x "$fuzzer" ] && [ -f "$fuzzer" ] || return 0
    mkdir -p "$corpus"
    options=(-max_total_time="${FUZZ_SECONDS:-20}" -timeout=5 -rss_limit_mb=1024 -max_len=65536
             -artifact_prefix="$fuzzer.crash-" -print_final_stats=0 -verbosity=0)
    [ -f "$dict" ] && options+=(-dict="$dict")
    [ -d "$seeds" ] && corpora=("$corpus" "$seeds") || corpora=("$corpus")
    if "$fuzzer" "${options[@]}" "${corpora[@]}" >"$fuzzer.log" 2>&1; then
        printf 'ok   %-16s %s s, corpus of %s\n' "$name" "${FUZZ_SECONDS:-20}" \
            "$(find "$corpus" -type f | wc -l)"
        return 0
    fi
    printf 'FAIL %-16s\n%s\n' "$name" "$(tail -n 60 "$fuzzer.log")"
    return 1
}
export -f one

bad=0
perl t/fuzz/seed.pl "$1/fuzz" || bad=1 # adds the hostile cases to the corpora
find "$1/fuzz" -maxdepth 1 -type f -perm -u+x -print0 | sort -z |
    xargs -0 -n 1 -P "$(nproc)" bash -c 'one "$0"' || bad=1
exit $bad
