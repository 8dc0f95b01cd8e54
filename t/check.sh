#!/bin/bash
# check.sh [STAGE...]: runs the stages of "make check" one after another. A stage that fails does
# not stop the next one; at the end each failure is shown again with the end of its log. In CI (the
# variable CI is set) a skipped test is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

B=$(realpath -m "${B:-build}")
LOGS=$B/check
mkdir -p "$LOGS"
only=" $* "
began=$SECONDS
failed=()

export PASGATE TOOLS=$B # for t/lib/PasGate.pm
export UBSAN_OPTIONS=print_stacktrace=1
MAKE=(make --no-print-directory -j"$(nproc)")
PROVE=(prove --timer --failures --directives)
# The integration tests mostly wait, so they run in parallel. Those with containers or measurements
# run one after another, alone.
SIDE_BY_SIDE=(-j4)

# stage NAME LIMIT COMMAND...: runs the command within a time limit; shows and keeps its output.
stage()
{
    local name=$1 limit=$2 start=$SECONDS code
    shift 2
    [ "$only" = "  " ] || [[ "$only" == *" $name "* ]] || return 0
    printf '\n==== %s\n' "$name"
    timeout --kill-after=20 "$limit" "$@" </dev/null 2>&1 | tee "$LOGS/$name.log"
    code=${PIPESTATUS[0]}
    if [ "$code" = 124 ]; then
        echo "$name: not ended after $limit" | tee -a "$LOGS/$name.log"
    elif [ -n "${CI:-}" ] && grep -qiE '# *skip|\.\. skipped' "$LOGS/$name.log"; then
        echo "$name: nothing may be skipped in CI" | tee -a "$LOGS/$name.log"
        code=1
    fi
    [ "$code" = 0 ] || failed+=("$name")
    printf '==== %s: %s, %d s\n' "$name" "$([ "$code" = 0 ] && echo good || echo FAILED)" \
        $((SECONDS - start))
}

stage gcc 8m "${MAKE[@]}" B="$B" CC=gcc all units tools
stage clang 8m "${MAKE[@]}" B="$B-clang" CC=clang all units tools
stage asan 8m "${MAKE[@]}" B="$B-asan" CC=gcc SAN=1 all units
stage layers 1m make -s layers
stage circles 2m make -s B="$B" circles
stage headers 3m make -s headers
stage format 1m make -s format
stage cppcheck 8m make -s cppcheck

PASGATE=$B/pasgate
stage simulate 10m "${MAKE[@]}" -s B="$B" simulate
stage unit 5m "${PROVE[@]}" -j"$(nproc)" "$B"/unit/*
stage unit-asan 5m "${PROVE[@]}" -j"$(nproc)" "$B"-asan/unit/*
stage unit-valgrind 10m make -s B="$B" valgrind
stage integration 25m "${PROVE[@]}" "${SIDE_BY_SIDE[@]}" t/[0-68]*.t
stage containers 20m "${PROVE[@]}" t/[79]*.t

# The same on the sanitized build, without layer 7 (images are not built from it), layer 9
# (measurements), testssl.sh (the same result after three more minutes), two tests that mostly wait
# for a CA, one whose crypt_r() ASan replaces by nothing, and three of times, which it stretches.
PASGATE=$B-asan/pasgate
GLOBIGNORE=t/33-testssl.t:t/39-acme-options.t:t/39-acme-processing.t
GLOBIGNORE+=:t/88-login.t:t/52-eject.t:t/57-hedge.t:t/58-score.t
stage integration-asan 25m "${PROVE[@]}" "${SIDE_BY_SIDE[@]}" t/[0-68]*.t

FUZZ_SECONDS=${FUZZ_SECONDS_CHECK:-3}
export FUZZ_SECONDS
stage fuzz 10m "${MAKE[@]}" B="$B" fuzz

# Finds processes of our programs that are still running.
leftovers()
{
    local exe pid path left=0
    for exe in /proc/[0-9]*/exe; do
        path=$(readlink "$exe") || continue
        [[ $path == "$B"/* || $path == "$B"-*/* ]] || continue
        pid=${exe#/proc/} pid=${pid%/exe}
        echo "left behind: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
        left=1
    done
    return $left
}
export -f leftovers
export B
stage leftovers 1m bash -c leftovers

for name in ${failed[@]+"${failed[@]}"}; do
    printf '\n==== FAILED: %s (all of it in %s)\n' "$name" "$LOGS/$name.log"
    grep -nE '^not ok|error:|ERROR|FAILED|violation|Failed test' "$LOGS/$name.log" | head -40
    tail -n 40 "$LOGS/$name.log"
done
if [ ${#failed[@]} = 0 ]; then verdict='all good'; else verdict="FAILED: ${failed[*]}"; fi
printf '\n%s, %d s\n' "$verdict" $((SECONDS - began))
[ ${#failed[@]} = 0 ]
