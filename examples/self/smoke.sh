#!/bin/sh
# Smoke test of an installed Penstock, in the folder that holds bin/: versions, and a controller that
# starts, answers a client and ends.
set -eu
bin=$(cd "$(dirname "$0")/bin" && pwd)
data=$PWD/smoke

for program in penstock penstock-controller penstock-agent penstock-shim; do
    "$bin/$program" --version
done

"$bin/penstock-controller" --data "$data" --http 127.0.0.1:0 --control 127.0.0.1:0 \
    --bulk 127.0.0.1:0 &
controller=$!
trap 'kill "$controller" 2>/dev/null || :' EXIT
tries=0
until [ -e "$data/endpoints.json" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "smoke: no controller within 30 s" >&2; exit 1; }
    sleep 0.1
done

PENSTOCK_ENDPOINT=$(sed -n 's/.*"http": *"\([^"]*\)".*/\1/p' "$data/endpoints.json")
AWS_SHARED_CREDENTIALS_FILE=$data/admin.credentials
AWS_PROFILE=penstock
export PENSTOCK_ENDPOINT AWS_SHARED_CREDENTIALS_FILE AWS_PROFILE
"$bin/penstock" pipeline list
"$bin/penstock" agent list

kill -TERM "$controller"
wait "$controller"
echo "smoke: the installed programs start, answer and end"
