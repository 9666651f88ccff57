# The machine that the documents' commands find: a network, processes, /etc/hosts of its own. What they type runs as it stands but for
# what this file and the table "places" in docs_linux_test.go say.
set -eEuo pipefail
trap 'echo "FAILED: $BASH_COMMAND (exit status $?)"' ERR
ip link set lo up
echo '127.0.0.1 localhost origin.example gate-3.example' >hosts
mount --bind hosts /etc/hosts
mkdir -p etc/systemd/system secrets backup
openssl rand -hex 16 >secrets/sz-seed
openssl genpkey -algorithm ed25519 >secrets/sz-key.pem
chmod 600 secrets/*
{ echo subject,status; echo guest,green; seq -f 's%.0f,green' 4000; } >daily.csv
export SCANEDGE_ORIGIN=http://127.0.0.1:7000 HOME=$PWD
tries=0 fleet=

# begun PID FILE: waits until a process has written its FILE.
begun() {
  for _ in $(seq 300); do
    [ -s "$2" ] && return
    kill -0 "$1" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

# fleet: what "make run" starts, and an issuer gz that has taken a daily file.
fleet() {
  "$BIN" up --dir var --subjects 2000 >>log 2>&1 &
  fleet=$!
  begun "$fleet" var/up.json
  tokens var/up.json
  SCANEDGE_ORIGIN=$(jq -r .origin var/up.json) EDGE=$(jq -r '.edges[0].scan' var/up.json)
  scanedge issuer create gz
  filled
}
tokens() {
  ADMIN=$(jq -r .admin_token "$1") PUSH=$(jq -r .push_token "$1") KEY=$(jq -r .scanner_key "$1")
  SCANEDGE_TOKEN=$ADMIN
  export SCANEDGE_TOKEN
}
filled() {
  scanedge push gz daily.csv
  before=$(scanedge issuer show gz --json | jq .offset)
}

# held: has a push held and prints its id. Each makes another change, so that it is one.
held() {
  local word
  echo >>holds
  word=$(awk '{split("red yellow void", w); word = w[NR % 3 + 1]} END {print word}' holds)
  { echo subject,status; seq -f 's%.0f,'"$word" $((2000 + RANDOM % 1000)); } >wrong.csv
  curl -s -H "Authorization: Bearer $PUSH" -H 'Content-Type: text/csv' --data-binary @wrong.csv \
    "$SCANEDGE_ORIGIN/v1/issuers/gz/deltas" | jq -er .id
}

# scanedge: the program. Words in capitals are what the reader is to put in; servers go on in the background; nobody can be asked.
scanedge() {
  local args=() a token=$SCANEDGE_TOKEN
  for a; do
    case $a in
      ISSUER) a=gz ;;
      SUBJECT) a=guest ;;
      FILE) a=daily.csv ;;
      NAME) a=gate-3 ;;
      NEW) a=gz-2 ;;
      1742) a=$before ;;
      KEY) a=$("$BIN" issuer show gz --json | jq -r .public_key) ;;
      BACKUP) a=backup/lost; [ -d "$a" ] || "$BIN" backup "$PWD/$a" ;;
      join-…) a=$joins ;;
      DIR) a=restored-$tries ;;
      ID)
        case $1 in
          token) a=$("$BIN" token create push --name "lost-$RANDOM" --issuer gz --json | jq -r .id) ;;
          *) a=$(held) ;;
        esac ;;
    esac
    args+=("$a")
  done
  case "$1 ${2-}" in
    origin*) serve origin "${args[@]}"; return ;;
    "edge --"*) serve edge "${args[@]}" --dir "joined-$((++tries))" --listen 127.0.0.1:0 --tls-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0; return ;;
    "edge enrol") "$BIN" "${args[@]}" | tee said; joins=$(grep -o 'join-[A-Za-z0-9._-]*' said | head -1); return ;;
    scan*) env -u SCANEDGE_ORIGIN -u SCANEDGE_TOKEN "$BIN" "${args[@]}"; return ;;
    status*) settled "$BIN" "${args[@]}"; return ;;
    restore*) args=("${args[@]/restored-$tries/restored-$((tries + 1))}"); tries=$((tries + 1)) ;;
    approve*|rollback*|"push --replace") args+=(--yes) ;;
  esac
  [ "$1" != push ] || token=$PUSH
  SCANEDGE_TOKEN=$token "$BIN" "${args[@]}"
}

# settled COMMAND…: an edge may have started a moment ago.
settled() {
  for _ in $(seq 100); do
    if "$@" >said 2>&1; then cat said; return; fi
    sleep 0.2
  done
  cat said
  return 1
}

# serve origin|edge ARG…: starts a server, in the place of the one that was lost unless it listens elsewhere.
serve() {
  local kind=$1 dir; shift
  dir=$(printf '%s\n' "$@" | grep -A1 -x -e --dir | tail -1)
  if [ "$kind" = origin ] && [[ " $* " != *" 127.0.0.1:0 "* ]] && [ -n "$fleet" ]; then
    kill "$fleet"
    wait "$fleet" || true
    SCANEDGE_ORIGIN=http://127.0.0.1:7000
  fi
  env -u SCANEDGE_ORIGIN -u SCANEDGE_TOKEN "$BIN" "$@" >>log 2>&1 &
  begun $! "$dir/listening.json" || { tail -5 log; return 1; }
}

# systemctl enable --now UNIT: checks the unit and starts its ExecStart with its EnvironmentFile. reload UNIT: what its ExecReload says.
systemctl() {
  if [ "$1" = reload ]; then reloaded "$PWD/etc/systemd/system/$2.service" "$2/listening.json"; return; fi
  local unit=$PWD/etc/systemd/system/$3.service name=${3#scanedge-} exec
  sed -i "s#/var/lib/#$PWD/#; s#/etc/scanedge/#$PWD/etc/scanedge/#; s#/usr/bin/scanedge#$BIN#" "$unit"
  systemd-analyze verify --man=no "$unit"
  sed -i "s/join-…/${joins-}/" "etc/scanedge/$name.env"
  exec=$(sed -n 's/^ExecStart=//p' "$unit")
  ( unset SCANEDGE_ORIGIN SCANEDGE_TOKEN; set -a; . "etc/scanedge/$name.env"; exec $exec >>log 2>&1 ) &
  begun $! "scanedge-$name/listening.json" || { tail -5 log; return 1; }
  if [ "$name" = origin ]; then tokens scanedge-origin/tokens.json; filled; fi
}

# reloaded UNIT FILE: reloads, and waits until another process says that it listens.
reloaded() {
  local before; before=$(jq .pid "$2")
  MAINPID=$before bash -c "$(sed -n 's/^ExecReload=//p' "$1")"
  for _ in $(seq 300); do
    if [ "$(jq .pid "$2")" != "$before" ]; then return; fi
    sleep 0.1
  done
  return 1
}

# shows OUTPUT COMMAND: COMMAND prints OUTPUT, but for digits; soon, for edges follow.
shows() {
  local got
  for _ in $(seq 50); do
    got=$(eval "$2" 2>/dev/null) || true
    if [ "$(digits "$got")" = "$(digits "$1")" ]; then echo "$got"; return; fi
    sleep 0.2
  done
  printf 'the document shows\n%s\nand this was printed\n%s\n' "$1" "$got"
  return 1
}
digits() { sed -E 's/[0-9][0-9,.]*(ms|s)?/#/g; s/ +/ /g' <<<"$1"; }
