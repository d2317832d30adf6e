#!/usr/bin/env bash
# Kills a training run by SIGKILL at random moments, again and again, and each time goes on from its
# checkpoints. Nothing may be lost but the steps since the last one, and whatever the run ends in must have
# the bytes of a run that nobody killed.
#
#   tests/kill.sh PROGRAM [KILLS=100] [SEED=1]
set -euo pipefail

program="$(realpath "$1")"
kills="${2:-100}"
RANDOM="${3:-1}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "kill: $1" >&2
    exit 1
}

# Steps of the last event of a name; 0 where there is none.
steps_of() {
    sed -n "s/^{\"event\":\"$1\".*\"steps\":\([0-9]*\).*/\1/p" log | tail -n 1 | grep . || echo 0
}

awk 'BEGIN {
    srand(1); print "a,b,c,class"
    for (i = 0; i < 2000; i++) {
        x = 4 * rand() - 2; y = 4 * rand() - 2
        print x "," y "," rand() "," (x * x + y * y < 2 ? "in" : "out")
    }
}' > data.csv
run=(train data.csv --device cpu --threads 1 --epochs 600 --batch-size 64 --valid-fraction 0.2 --json --quiet)
keep=(--model killed.llfm --checkpoint kept --checkpoint-every 0.0005min --resume)

"$program" "${run[@]}" --model whole.llfm > /dev/null

done=0 runs=0 resumed=0 kept=0
while [ "$done" -lt "$kills" ]; do
    : > log
    "$program" "${run[@]}" "${keep[@]}" >> log &
    pid=$!
    sleep "0.$(printf '%03d' $((RANDOM % 600)))"
    kill -KILL "$pid" 2> /dev/null || true
    code=0
    wait "$pid" 2> /dev/null || code=$?
    from="$(steps_of resume)"
    # A killed run may have written a checkpoint it had no time to tell of: it may be further, never behind.
    if [ "$from" -lt "$kept" ]; then
        # A run that was killed before it told where it goes on from has nothing to say about that.
        ! grep -q '"event":"resume"' log || fail "went on from step $from, and step $kept was kept: $(cat log)"
    else
        resumed=$((resumed + 1))
    fi
    told="$(steps_of checkpoint)"
    [ "$told" -gt "$kept" ] && kept="$told"
    case "$code" in
        137) done=$((done + 1)) ;;
        0)
            cmp whole.llfm killed.llfm || fail "the model differs after $done kills"
            runs=$((runs + 1)) kept=0
            rm -r kept killed.llfm
            ;;
        *) fail "the run ended with $code" ;;
    esac
    if [ -e killed.llfm ]; then
        cmp whole.llfm killed.llfm || fail "a model that is not whole stands there"
    fi
done

"$program" "${run[@]}" "${keep[@]}" > log
[ "$(steps_of resume)" -ge "$kept" ] || fail "went on from step $(steps_of resume), and step $kept was kept"
cmp whole.llfm killed.llfm || fail "the model differs"
[ "$(find kept -type f | wc -l)" -le 2 ] || fail "more than two checkpoints: $(ls -A kept)"
[ "$(find . -name '.*' -type f | wc -l)" -eq 0 ] || fail "litter: $(find . -name '.*' -type f)"
echo "kill: $kills kills, $runs runs came to their end between them, $resumed went on from a checkpoint," \
    "every model whole"
