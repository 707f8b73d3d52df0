#!/bin/sh
# Builds the engines of a bundle on this Jetson, proves them and measures them.
#
#   prove.sh BUNDLE [REPORT]
set -eu

bundle=${1:?usage: prove.sh BUNDLE [REPORT]}
report=${2:-report.json}

edge-tx doctor "$bundle"
edge-tx build "$bundle"
edge-tx verify "$bundle"
edge-tx bench "$bundle" --seconds 2 --json > "$report"
edge-tx tune "$bundle"
echo "measured: $report"
