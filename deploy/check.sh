#!/usr/bin/env bash
# Checks what lies here with its own tools: promtool (Debian: prometheus), systemd-analyze (systemd), jq.
set -euo pipefail
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "== the alert rules, and what they fire on"
promtool check rules prometheus/scanedge.rules.yml
promtool test rules prometheus/scanedge.rules_test.yml

echo "== the dashboard's queries, as rules"
jq -r '"groups: [{name: dashboard, rules: [", (.panels[].targets[].expr | gsub("\\$issuer"; ".*") | "{record: x, expr: \(tojson)},"), "]}]"' \
  grafana/scanedge.json > "$scratch/dashboard.yml"
promtool check rules --lint=none "$scratch/dashboard.yml"

echo "== the units"
go build -o "$scratch/scanedge" ../cmd/scanedge
for unit in systemd/*.service; do # the check wants the program where the unit says
  sed "s#^ExecStart=/usr/bin/scanedge#ExecStart=$scratch/scanedge#" "$unit" > "$scratch/$(basename "$unit")"
done
systemd-analyze verify --man=no "$scratch"/*.service
for unit in systemd/*.service; do
  systemd-analyze security --offline=true --no-pager --threshold=20 "$unit" | tail -1
done
