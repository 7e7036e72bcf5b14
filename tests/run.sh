#!/bin/bash
# make test (short) and make test-long (long): builds what is tested, runs it, and closes with one line of counts.
# The steps run beside each other where they can; each has its own log in build/test-logs, shown when it fails.
set -u
mode=${1:?short or long}
cd "$(dirname "$0")/.." || exit 2
logs=build/test-logs
rm -rf $logs
mkdir -p $logs
passed=0
failed=0
skipped=0
jobs=$(nproc)
# Compiled once, for all workers, and away from the sources.
export PYTHONPYCACHEPREFIX=$PWD/build/pycache PYTHONDONTWRITEBYTECODE=

note() { printf '%s\n' "$*"; }

# step NAME COMMAND...: one thing that passes or fails.
step() {
    local name=$1 began=$SECONDS
    shift
    if "$@" >"$logs/$name.log" 2>&1; then
        passed=$((passed + 1))
        note "ok    $name ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        note "FAIL  $name; the end of $logs/$name.log:"
        tail -n 40 "$logs/$name.log"
    fi
}

build() { make --no-print-directory -s -j"$jobs" BUILD="$1" "${@:2}"; }

# units BUILD: every unit test program, each a pass or a fail. Some only wait, so more run at once than there are processors.
units() {
    local program name seconds good
    while read -r name seconds good; do
        if [ "$good" = 0 ]; then
            passed=$((passed + 1))
            note "ok    $name ($seconds s)"
        else
            failed=$((failed + 1))
            note "FAIL  $name; the end of $logs/$name.log:"
            tail -n 40 "$logs/$name.log"
        fi
    done < <(for program in build/"$1"/tests/unit/test_*; do
        case $program in *.o | *.d) continue ;; esac
        printf '%s\0' "$program"
    done | xargs -0 -P $((jobs * 2)) -I{} bash -c '
        name=unit-$1-$(basename "$2")
        timeout "${UNIT_TIMEOUT:-120}" "$2" >"$3/$name.log" 2>&1
        echo "$name $SECONDS $?"' unit "$1" {} "$logs")
}

# fuzz SECONDS: every target's seeds, then new input for that long; as many at once as there are processors.
# libFuzzer's own limit is one second more than it says, so it is interrupted, which it ends with 72.
fuzz() {
    local seconds=$1 target name
    mkdir -p build/fuzz/findings
    for target in build/fuzz/tests/fuzz/fuzz_*; do
        case $target in *.o | *.d) continue ;; esac
        name=$(basename "$target")
        printf '%s\0' "${name#fuzz_}"
    done | xargs -0 -P "$jobs" -I{} sh -c '
        corpus=build/fuzz/corpus/$1
        mkdir -p "$corpus"
        set -- "$1" "$2" build/fuzz/tests/fuzz/fuzz_$1 -timeout=20 -rss_limit_mb=2048 -artifact_prefix=build/fuzz/findings/$1- \
            "$corpus" tests/fuzz/corpus/$1
        [ -e "tests/fuzz/$1.dict" ] && set -- "$@" -dict=tests/fuzz/$1.dict
        name=$1 seconds=$2
        shift 2
        {
            "$@" -runs=0 && timeout --preserve-status -s INT "$seconds" "$@"
            [ $? = 72 ]
        } >"build/test-logs/fuzz-$name.log" 2>&1 || { echo "fuzz_$name found something: build/test-logs/fuzz-$name.log"; exit 1; }
        ' fuzz {} "$seconds"
}

# system BUILD MARK WORKERS [FILE...]
# Some tests measure time, which a machine with other work upsets: what failed, if it is little, is run again by itself,
# and what fails then has failed.
system() {
    local build=$1 mark=$2 workers=$3 out failures
    shift 3
    [ $# -gt 0 ] || set -- tests/system
    out=$logs/pytest-$build.out
    export SMTPTAP=$PWD/build/$build/smtptap
    /usr/bin/python3 -m pytest -q -p no:cacheprovider -n "$workers" -m "$mark" --durations=15 "$@" >"$out" 2>&1
    local status=$?
    cat "$out"
    [ $status = 1 ] || return $status
    mapfile -t failures < <(sed -nE 's/^FAILED ([^[ ]+(\[[^]]*\])?)( - .*)?$/\1/p' "$out")
    [ ${#failures[@]} -gt 0 ] && [ ${#failures[@]} -le 5 ] && ! grep -q '^ERROR' "$out" || return 1
    grep -qE "^${#failures[@]} failed" "$out" || return 1
    /usr/bin/python3 -m pytest -q -p no:cacheprovider -m "$mark" "${failures[@]}" >"$out" 2>&1
    status=$?
    sed 's/^/again: /' "$out"
    [ $status = 0 ] && echo "again, alone, passed: ${#failures[@]}"
    return $status
}

# What depends on speed and on what the compiler makes of it is run on the release build in the short run too.
release_files='path load log limits smuggling bdat kill ledger restart'

# Adds pytest's own counts to ours.
count_pytest() {
    local line n
    line=$(grep -E '^[0-9]+ (passed|failed|skipped|error)|^=* ?[0-9]+ (passed|failed)' "$logs/$1.log" | tail -n 1)
    n=$(grep -oE '[0-9]+ passed' <<<"$line" | grep -oE '[0-9]+') && passed=$((passed + n))
    n=$(grep -oE '[0-9]+ failed' <<<"$line" | grep -oE '[0-9]+') && failed=$((failed + n))
    if n=$(sed -n 's/^again, alone, passed: //p' "$logs/$1.log") && [ -n "$n" ]; then
        failed=$((failed - n)) passed=$((passed + n))
        note "      $1: $n failed at first and passed alone:"
        grep '^FAILED' "$logs/$1.log"
    fi
    n=$(grep -oE '[0-9]+ error' <<<"$line" | grep -oE '[0-9]+') && failed=$((failed + n))
    n=$(grep -oE '[0-9]+ skipped' <<<"$line" | grep -oE '[0-9]+') && skipped=$((skipped + n))
    note "      $1: $line"
}

/usr/bin/python3 -m pytest -q -p no:cacheprovider --collect-only tests/system >$logs/collect.log 2>&1 &
step build-asan build asan tests-build
step build-release build release all
step build-fuzz make --no-print-directory -s -j"$jobs" fuzz-build
[ $failed = 0 ] || { note "$passed passed, $failed failed"; exit 1; }

if [ "$mode" = long ]; then
    step build-tsan build tsan tests-build
    step build-load build release build/release/tests/bench/smtp_load
    units tsan
fi
units asan
for run in build/asan/tests/scenario/run; do
    [ -x $run ] && step scenarios $run tests/scenario
done
if [ "$mode" = short ]; then
    step system system asan 'not long' $((jobs * 3))
    count_pytest system
    # shellcheck disable=SC2046 # a list of words
    step system-release system release 'not long' $((jobs * 3)) $(printf 'tests/system/test_%s.py ' $release_files)
    count_pytest system-release
    step fuzz fuzz "${FUZZ_SECONDS:-1}"
else
    step system system asan 'not long' $((jobs * 2))
    count_pytest system
    step system-tsan system tsan 'not long' "$jobs"
    count_pytest system-tsan
    step system-long system release long 1
    count_pytest system-long
    step fuzz fuzz "${FUZZ_SECONDS:-600}"
fi
note ""
note "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
