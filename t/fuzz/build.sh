#!/bin/bash
# build.sh: what OSS-Fuzz runs in its builder, from any directory: puts into $OUT each fuzzer, its
# dictionary NAME.dict and its corpus NAME_seed_corpus.zip. Its compiler and sanitizers come in CC,
# CXX, CFLAGS and LIB_FUZZING_ENGINE; without them, clang's are used, so that this works anywhere:
#
#     OUT=/tmp/fuzzers t/fuzz/build.sh
set -eu
cd "$(dirname "$0")/../.."

: "${OUT:?the directory for the fuzzers}"
export CC=${CC:-clang} CXX=${CXX:-clang++}
export CFLAGS=${CFLAGS:--O1 -g -fsanitize=address,undefined,fuzzer-no-link}
engine=${LIB_FUZZING_ENGINE:--fsanitize=fuzzer}
build=${WORK:-$OUT}/build

mkdir -p "$OUT"
# HARDEN is empty: the sanitizers are in CFLAGS.
make -s -j"$(nproc)" B="$build" FUZZ=1 HARDEN= CC="$CC" CFLAGS="$CFLAGS" \
    FUZZ_LINK="$CXX $CFLAGS $engine" fuzzers
perl t/fuzz/seed.pl "$build/fuzz"

for source in t/fuzz/*.c; do
    name=$(basename "$source" .c)
    cp "$build/fuzz/$name" "$OUT/"
    [ ! -f "t/fuzz/$name.dict" ] || cp "t/fuzz/$name.dict" "$OUT/"
    rm -f "$OUT/${name}_seed_corpus.zip"
    folders=()
    for folder in "t/fuzz/seeds/$name" "$build/fuzz/$name.corpus"; do
        [ ! -d "$folder" ] || folders+=("$folder")
    done
    [ ${#folders[@]} = 0 ] || zip -q -j "$OUT/${name}_seed_corpus.zip" "${folders[@]/%//.}" -r
done
