#!/bin/sh
# Compares CPU and GPU on this machine, and times both: a packed llfm (scripts/pack) needs no more
# than sh and awk. Prints one table, and writes it to results.md beside this file; what the commands
# said is in logs/. LLFM_DATA=DIR adds the public sets found there; LLFM_ADAPTER names another adapter.
# Exit code: 0 where every comparison passed and every run ended well, else 1.
cd "$(dirname "$0")" || exit 1
mkdir -p logs
rows=logs/rows.txt
: >"$rows"
worst=0

# The value of a key in the last line of a file of JSON lines, after a marker such as "test":{
value() {
    awk -v marker="$2" -v key="\"$3\":" '
        { last = $0 }
        END {
            if (marker != "") {
                at = index(last, marker)
                if (!at) exit
                last = substr(last, at + length(marker))
                sub(/[}].*/, "", last)
            }
            at = index(last, key)
            if (!at) exit
            last = substr(last, at + length(key))
            if (substr(last, 1, 1) == "\"") {
                last = substr(last, 2)
                sub(/".*/, "", last)
            } else {
                sub(/[,}].*/, "", last)
            }
            if (last != "null") print last
        }' "$1"
}

# compare SET METHOD [DATA and flags]: leaves the verdict in $verdict.
compare() {
    log="logs/compare-$1-$2.txt"
    echo "comparing: $1 $2" >&2
    shift 2
    ./llfm compare "$@" --device gpu >"$log" 2>&1
    code=$?
    case $code in
    0) verdict="pass" ;;
    1) verdict="FAIL" ;;
    *) verdict="error $code" ;;
    esac
    [ $code -eq 0 ] || worst=1
}

# run SET METHOD DEVICE DATA [flags]: adds a row to the table.
run() {
    set_name=$1 method=$2 device=$3
    shift 3
    echo "training: $set_name $method $device" >&2
    log="logs/train-$set_name-$method-$device"
    ./llfm train "$@" --method "$method" --device "$device" --json >"$log.json" 2>"$log.txt"
    code=$?
    if [ $code -ne 0 ]; then
        worst=1
        echo "$set_name|$method|$device|error $code|–|–|$verdict" >>"$rows"
        return
    fi
    adapter=$(value "$log.json" "" adapter)
    [ -z "$adapter" ] || gpu=$adapter
    rate=$(value "$log.json" "" rows_per_second)
    seconds=$(value "$log.json" '"seconds":{' train)
    accuracy=$(value "$log.json" '"test":{' accuracy)
    rmse=$(value "$log.json" '"test":{' rmse)
    awk -v head="$set_name|$method|$device" -v rate="$rate" -v seconds="$seconds" \
        -v accuracy="$accuracy" -v rmse="$rmse" -v verdict="$verdict" 'BEGIN {
            test = accuracy != "" ? sprintf("%.2f %%", 100 * accuracy) : sprintf("RMSE %.4f", rmse)
            printf "%s|%.0f|%.2f|%s|%s\n", head, rate, seconds, test, verdict
        }' >>"$rows"
}

# both SET METHOD DATA [flags]: CPU and GPU, one after the other.
both() {
    set_name=$1 method=$2
    shift 2
    run "$set_name" "$method" cpu "$@"
    run "$set_name" "$method" gpu "$@"
}

# public SET FILE [flags]: a set below LLFM_DATA, where it is there.
public() {
    [ -n "${LLFM_DATA:-}" ] && [ -e "$LLFM_DATA/$2" ] || return 0
    name=$1 file=$LLFM_DATA/$2
    shift 2
    for method in fm llfm-jo; do
        # Kernels, 20 steps, and the runs of an epoch.
        compare "$name" "$method" "$file" "$@" --method "$method" --epochs 1
        both "$name" "$method" "$file" "$@"
    done
}

./llfm devices 2>&1 | tee logs/devices.txt
./llfm devices --json >logs/devices.json 2>/dev/null
gpu=""

# Generated rows, dense and sparse, all methods.
compare generated all
echo "generated|all|gpu|–|–|–|$verdict" >>"$rows"

for name in banana letter magic04; do
    for method in fm llfm-jo; do
        compare "$name" "$method" "data/$name.csv.gz" --method "$method"
        both "$name" "$method" "data/$name.csv.gz" --test-fraction 0.333333
    done
done
public ijcnn1 ijcnn1/ijcnn1.gz --test "${LLFM_DATA:-}/ijcnn1/ijcnn1.t.gz"
public letter-scale letter/letter.scale.gz --test "${LLFM_DATA:-}/letter/letter.scale.t.gz"
public mnist mnist/train-images-idx3-ubyte.gz --test "${LLFM_DATA:-}/mnist/t10k-images-idx3-ubyte.gz"
public covtype covtype/covtype.data.gz --positive 2 --test-fraction 0.333333
public movielens movielens-100k/ua.base.gz --test "${LLFM_DATA:-}/movielens-100k/ua.test.gz"
public netflix netflix5k5k/train.tsv.gz --test "${LLFM_DATA:-}/netflix5k5k/test.tsv.gz" --format ratings

driver=$(awk -v name="\"name\":\"$gpu\"" 'index($0, name) {
    at = index($0, "\"driver\":\"")
    text = substr($0, at + 10)
    sub(/".*/, "", text)
    print text
    exit
}' logs/devices.json)
processor=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo 2>/dev/null)
processor=${processor:-$(uname -m)}
{
    echo "GPU: ${gpu:-none}${driver:+, driver $driver}  "
    echo "CPU: $processor, $(getconf _NPROCESSORS_ONLN 2>/dev/null || echo '?') threads  "
    echo "commit $(cat commit.txt), $(date -u +%Y-%m-%d)"
    echo
    awk -F'|' 'BEGIN {
            print "| set | method | device | rows/s | train seconds | test | compare |"
            print "|---|---|---|---|---|---|---|"
        }
        { printf "| %s | %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5, $6, $7 }' "$rows"
} | tee results.md
exit $worst
