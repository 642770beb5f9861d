#!/usr/bin/env bash
# The main job from end to end: run 120 topics, kill the run, resume it, export, and count.
# The writer is the built-in scripted one, so neither a model nor a key is needed.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
topics=120

fail() {
    echo "demo: $*" >&2
    exit 1
}

# Echo a command as it would be typed, then run it.
step() {
    echo
    echo "\$ $*"
    "$@"
}

command -v backstay >/dev/null || fail "backstay is not on the path; start this with 'make demo'"

rm -rf "$root/.demo"
mkdir -p "$root/.demo/.backstay"
# The demo has a database of its own, whatever the shell or a settings file above says.
unset BACKUP_DIRECTORY "${!BACKSTAY_@}"
export BACKSTAY_DATABASE_URL="$root/.demo/.backstay/backstay.db"
cd "$root/.demo"
cp "$root/examples/topics.csv" .

echo
echo "\$ backstay run topics.csv --model scripted:0.2 --concurrency 4 &"
set -m # the run gets a process group of its own
backstay run topics.csv --model scripted:0.2 --concurrency 4 &
run=$!
set +m
trap 'kill -9 -- "-$run" 2>/dev/null || true' EXIT
# Until something is done, which takes longer where the machine has other work.
for _ in $(seq 120); do
    sleep 0.5
    kill -0 -- "-$run" 2>/dev/null || fail "the run ended before it could be killed"
    if backstay status topics 2>/dev/null | grep -Eq '^  items +([2-9][0-9]|1[0-9][0-9]) completed'; then
        break
    fi
done
echo
echo "\$ kill -9 %1"
kill -9 -- "-$run" 2>/dev/null || fail "the run ended before it could be killed"
{ wait "$run" || true; } 2>/dev/null
trap - EXIT

step backstay status topics
step backstay resume
step backstay conversations export --job topics -o topics.jsonl

lines="$(wc -l <topics.jsonl | tr -d ' ')"
echo
echo "\$ wc -l topics.jsonl"
echo "$lines"
[ "$lines" -eq "$topics" ] || fail "topics.jsonl has $lines lines instead of $topics"

step backstay conversations export --job topics --format native -o topics.native.jsonl

echo
echo "Every item of topics.csv, looked for in the export:"
python - <<'PYTHON'
import csv
import json
import sys
from collections import Counter
from pathlib import Path

with Path("topics.csv").open(encoding="utf-8", newline="") as rows:
    wanted = {row["id"] for row in csv.DictReader(rows)}
with Path("topics.native.jsonl").open(encoding="utf-8") as lines:
    found = Counter(json.loads(line)["item_id"] for line in lines)
twice = sorted(item_id for item_id, times in found.items() if times > 1)
missing = sorted(wanted - found.keys())
print(f"{len(wanted)} items, {len(found)} found, {len(missing)} missing, {len(twice)} there twice")
sys.exit(1 if twice or missing or found.keys() - wanted else 0)
PYTHON

step backstay run topics.csv --model scripted:0.2

echo
echo "demo: all $topics topics are there, each once, although the run was killed. Look around in .demo"
