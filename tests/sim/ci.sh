#!/usr/bin/env bash
# ci.sh PENSTOCK-SIM [SECONDS] - part of each test run: the seeds that belong to this commit, the same
# for everybody who tests it, then fresh ones. Both first seeds are printed, so that a run can be
# repeated; a violation prints its own command.
set -euo pipefail
sim=$1
seconds=${2:-30}
commit=$(git -C "$(dirname "$0")" rev-parse HEAD 2>/dev/null) || commit=0
of_commit=$((16#${commit:0:8} % 1000000000 + 1000))
fresh=$(($(date +%s%N) / 1000 % 1000000000 + 2000000000))
for first in "$of_commit" "$fresh"; do
    echo "penstock-sim --seed $first --seeds 1000000 --seconds $seconds"
    "$sim" --seed "$first" --seeds 1000000 --seconds "$seconds"
done
