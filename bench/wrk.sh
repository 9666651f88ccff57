#!/usr/bin/env bash
# One code against one edge, beside the same fasthttp with a constant answer: requests a second by wrk, server and wrk each on
# a core of their own, interleaved A B B A …; medians, and the ratio pair by pair. Needs wrk and taskset.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-11} seconds=${SECONDS_EACH:-4}
dir=$(mktemp -d)
pids=()
cleanup() { for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT

go build -o "$dir/constant" ./bench/micro/constant
taskset -c 0 "$dir/constant" >"$dir/constant.url" & pids+=($!)
bin/scanedge up --dir "$dir/fleet" --edges 1 >"$dir/up.log" 2>&1 & pids+=($!)
for _ in $(seq 300); do [ -s "$dir/fleet/up.json" ] && [ -s "$dir/constant.url" ] && break; sleep 0.1; done
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$dir/fleet/up.json" | head -1; }
edge=$(field scan) key=$(field scanner_key) constant=$(cat "$dir/constant.url")
taskset -a -c -p 0 "$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$dir/fleet/up.json" | head -1)" >/dev/null

rate() { # URL: requests a second; an answer that is not 2xx ends it
  local out; out=$(taskset -c 1 wrk -t1 -c32 -d"${seconds}s" -H "Authorization: Bearer $key" "$1")
  if grep -q 'Non-2xx' <<<"$out"; then echo "$out" >&2; exit 1; fi
  awk '/Requests\/sec/ {print $2}' <<<"$out"
}
median() { sort -n | awk '{v[NR]=$1} END {print NR%2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
for i in $(seq "$rounds"); do
  order=(edge constant); (( i % 2 == 0 )) && order=(constant edge)
  for what in "${order[@]}"; do
    url=$constant/; [ "$what" = edge ] && url=$edge/v1/scan/demo-a:d000000001
    r=$(rate "$url"); echo "$r" >>"$dir/$what.rates"; printf '%-9s %12.0f requests/s\n' "$what" "$r"
  done
done
paste "$dir/edge.rates" "$dir/constant.rates" | awk '{print $1 / $2}' | sort -n >"$dir/ratios"
printf 'medians of %d: edge %.0f/s, constant answer %.0f/s; ratio %.3f (%.3f to %.3f)\n' "$rounds" "$(median <"$dir/edge.rates")" \
  "$(median <"$dir/constant.rates")" "$(median <"$dir/ratios")" "$(head -1 "$dir/ratios")" "$(tail -1 "$dir/ratios")"
