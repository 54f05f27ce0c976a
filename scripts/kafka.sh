#!/usr/bin/env bash
# A real Apache Kafka for tests and demonstrations: one node (KRaft), loopback only, everything in one folder.
#
#   scripts/kafka.sh start  [--dir DIR] [--port PORT] [--secure | --join DIR2]
#                                                       starts it, waits until it answers, prints its address
#   scripts/kafka.sh stop   [--dir DIR]                 stops it; --wipe removes its folder too
#   scripts/kafka.sh status [--dir DIR]                 prints its address, exit 1 if it does not run
#   scripts/kafka.sh topics [--dir DIR]                 prints topic, partitions and messages of each
#   scripts/kafka.sh path   [--dir DIR]                 prints its folder
#   scripts/kafka.sh fetch                              gets the broker's jars, if they are not here yet
#
# DIR is target/kafka unless given. PORT is 9092 unless given; 0 takes free ones. `start` on a running one prints its
# address and changes nothing. `start --secure` adds listeners with TLS and SASL, whose keys and users it makes
# (scripts/kafka/secure.sh); `start --join DIR2` makes it the second broker of the one that runs in DIR2. The broker comes from Maven Central as scripts/kafka/pom.xml pins it, once: it is kept
# in target/kafka-lib (or the folder in TAILWATER_KAFKA_LIB).
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
dir="$root/target/kafka"
port=9092
wipe=no
secure=no
join=
start_seconds_max=60
stop_seconds_max=20

. "$here/kafka/secure.sh"

die() { echo "kafka.sh: $*" >&2; exit 1; }
usage() { sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

need() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null || die "$1 is missing; run scripts/setup, or: apt-get install $2"
}

need_java() {
  need java openjdk-17-jre-headless
  local version
  version="$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')"
  [ "${version:-0}" -ge 17 ] || die "Java 17 or later is needed, java is version ${version:-unknown}; run scripts/setup, or: apt-get install openjdk-17-jre-headless"
}

# The broker's jars, resolved once for each state of the pom. Two calls at once do not disturb each other.
library() {
  local base="${TAILWATER_KAFKA_LIB:-$root/target/kafka-lib}" sum lib fresh
  sum="$(sha256sum "$here/kafka/pom.xml" | cut -c1-12)"
  lib="$base/$sum"
  if [ ! -e "$lib/complete" ]; then
    need mvn maven
    mkdir -p "$base"
    fresh="$(mktemp -u "$base/resolving.XXXXXX")"
    trap "rm -rf '$fresh'" EXIT # whatever ends this, half a library is not left behind
    mkdir "$fresh"
    echo "kafka.sh: resolving the broker by Maven (once)" >&2
    mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$fresh" >&2 ||
      die "Maven could not resolve scripts/kafka/pom.xml; its message stands above: is Maven Central, or your mirror of it in ~/.m2/settings.xml, reachable?"
    touch "$fresh/complete"
    mv -T "$fresh" "$lib" 2>/dev/null || true # another call was first
  fi
  echo "$lib"
}

address() { cat "$dir/address" 2>/dev/null; }

# True if the process in the pid file is our broker: a pid is used again after a while.
running() {
  local pid
  pid="$(cat "$dir/pid" 2>/dev/null)" || return 1
  [ -r "/proc/$pid/cmdline" ] && tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$dir/server.properties"
}

answers() { kcat -L -b "$1" -m 2 >/dev/null 2>&1; }

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port that nobody listens at, below those that the system gives to connections of its own accord.
free_port() {
  local tried port
  for tried in {1..200}; do
    port=$((20000 + RANDOM % 12000))
    taken "$port" || { echo "$port"; return; }
  done
  die "no free port between 20000 and 32000 was found in $tried attempts; give one with --port"
}

configure() { # PORT CONTROLLER_PORT
  local roles=broker,controller node=1 controller="$2" clients="PLAINTEXT://127.0.0.1:$1" listeners sasl tls more=
  if [ -n "$join" ]; then
    roles=broker node=2
    controller="$(sed -n 's/^controller.quorum.voters=1@127.0.0.1://p' "$join/server.properties")" || die "no broker is in $join"
  elif [ "$secure" = yes ]; then
    make_secrets
    sasl="$(free_port)" tls="$(free_port)"
    while [ "$(printf '%s\n' "$1" "$controller" "$sasl" "$tls" | sort -u | wc -l)" -lt 4 ]; do sasl="$(free_port)" tls="$(free_port)"; done
    clients+=",SASL://127.0.0.1:$sasl,TLS://127.0.0.1:$tls"
    more="$(secure_properties "$sasl" "$tls")"
  fi
  listeners="$clients"
  [ -n "$join" ] || listeners+=",CONTROLLER://127.0.0.1:$controller"
  (umask 077; : >"$dir/server.properties") # it may hold a password
  cat >"$dir/server.properties" <<EOF
process.roles=$roles
node.id=$node
controller.quorum.voters=1@127.0.0.1:$controller
listeners=$listeners
advertised.listeners=$clients
controller.listener.names=CONTROLLER
log.dirs=$dir/data
num.partitions=4
auto.create.topics.enable=true
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
$more
EOF
}

# Sets `java_kafka`, the command that a class of the broker and its arguments are put behind.
set_java_kafka() {
  java_kafka=(java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true
    "-Dlog4j2.configurationFile=$here/kafka/log4j2.properties" -cp "$(library)/*")
}

format_storage() {
  # A broker that was stopped goes on with what it held.
  [ -e "$dir/data/meta.properties" ] && return
  local id users=()
  id="$(head -c16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=')"
  [ -z "$join" ] || id="$(sed -n 's/^cluster.id=//p' "$join/data/meta.properties")"
  [ "$secure" = no ] || set_users
  "${java_kafka[@]}" kafka.tools.StorageTool format --cluster-id "$id" --config "$dir/server.properties" "${users[@]}" \
    >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; die "the storage in $dir/data could not be formatted; its message stands above; 'kafka.sh stop --wipe --dir $dir' clears it"; }
}

# One start or stop of a folder at a time.
lock() {
  mkdir -p "$dir"
  dir="$(cd "$dir" && pwd)"
  exec 9>"$dir/lock"
  flock -w $((start_seconds_max + stop_seconds_max)) 9 || die "another call of kafka.sh works on $dir; wait for it, or take another folder with --dir"
}

start() {
  need_java
  need kcat kcat
  lock
  if running; then
    answers "$(address)" || die "the broker in $dir runs (pid $(cat "$dir/pid")) but does not answer; its log: $dir/kafka.log; stop it: scripts/kafka.sh stop --dir $dir"
    address
    return
  fi
  set_java_kafka
  # One broker at a time from the choice of its ports until it has them: another start would find them free.
  exec 8>>"${TMPDIR:-/tmp}/tailwater-kafka-ports-$(id -u)-$(readlink /proc/self/ns/net | tr -dc 0-9)"
  flock -w 300 8 || die "another broker has been starting for five minutes; see who holds ${TMPDIR:-/tmp}/tailwater-kafka-ports-*"
  local controller
  [ "$port" != 0 ] || port="$(free_port)"
  controller="$(free_port)"
  while [ "$controller" = "$port" ]; do controller="$(free_port)"; done
  # A broker that was killed may hold its port a moment longer than its memory.
  [ ! -e "$dir/pid" ] || for _ in {1..50}; do taken "$port" || break; sleep 0.1; done
  taken "$port" && die "port $port of 127.0.0.1 is taken by another program; give another one with --port, or 0 for a free one"
  configure "$port" "$controller"
  format_storage
  # In a session of its own: a terminal's Ctrl-C is for who started it, not for the broker.
  cd "$dir"
  setsid "${java_kafka[@]}" kafka.Kafka "$dir/server.properties" >"$dir/kafka.log" 2>&1 </dev/null 8>&- 9>&- &
  echo $! >"$dir/pid"
  echo "127.0.0.1:$port" >"$dir/address"
  wait_until_it_answers
  exec 8>&-
  address
}

wait_until_it_answers() {
  local end=$((SECONDS + start_seconds_max)) pid
  pid="$(cat "$dir/pid")"
  until answers "127.0.0.1:$port"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$dir/kafka.log" >&2
      rm -f "$dir/pid" "$dir/address"
      die "the broker ended while it started; the end of its log stands above, all of it: $dir/kafka.log"
    fi
    if [ $SECONDS -ge $end ]; then
      tail -n 20 "$dir/kafka.log" >&2
      end_broker
      die "the broker did not answer within $start_seconds_max s; the end of its log stands above, all of it: $dir/kafka.log"
    fi
    sleep 0.2
  done
}

end_broker() {
  if running; then
    local pid end=$((SECONDS + stop_seconds_max))
    pid="$(cat "$dir/pid")"
    kill -TERM "$pid"
    while running; do
      if [ $SECONDS -ge $end ]; then
        echo "kafka.sh: the broker (pid $pid) does not end, and is killed" >&2
        kill -KILL "$pid" || true
        break
      fi
      sleep 0.1
    done
  fi
  rm -f "$dir/pid" "$dir/address"
}

stop() {
  [ -d "$dir" ] || return 0
  lock
  end_broker
  if [ "$wipe" = yes ]; then
    # Only what is ours: the folder may have been given by mistake.
    rm -rf "$dir/data" "$dir/secure" "$dir/server.properties" "$dir/kafka.log" "$dir/format.log" "$dir/lock"
    rmdir "$dir" 2>/dev/null || true
  fi
}

status() {
  if running && answers "$(address)"; then
    address
  else
    echo "kafka.sh: no broker runs in $dir; start it: scripts/kafka.sh start --dir $dir" >&2
    exit 1
  fi
}

topics() {
  need kcat kcat
  [ -x /usr/bin/python3 ] || die "/usr/bin/python3 is missing; run scripts/setup, or: apt-get install python3"
  status >/dev/null
  kcat -L -J -b "$(address)" | /usr/bin/python3 -c '
import json, subprocess, sys
broker = sys.argv[1]
def offset(topic, partition, which):
    out = subprocess.run(["kcat", "-Q", "-b", broker, "-t", f"{topic}:{partition}:{which}"], capture_output=True, text=True, check=True)
    return int(out.stdout.split()[-1])
for topic in sorted(json.load(sys.stdin)["topics"], key=lambda each: each["topic"]):
    partitions = [each["partition"] for each in topic["partitions"]]
    messages = sum(offset(topic["topic"], each, -1) - offset(topic["topic"], each, -2) for each in partitions)
    print(topic["topic"], len(partitions), messages, sep="\t")' "$(address)"
}

command="${1:-}"
[ $# -gt 0 ] && shift
while [ $# -gt 0 ]; do
  case "$1" in
    --dir) [ $# -ge 2 ] || usage; dir="$2"; shift 2 ;;
    --port) [ $# -ge 2 ] || usage; port="$2"; shift 2 ;;
    --wipe) wipe=yes; shift ;;
    --secure) secure=yes; shift ;;
    --join) [ $# -ge 2 ] || usage; join="$(cd "$2" && pwd)"; shift 2 ;;
    *) usage ;;
  esac
done
case "$port" in '' | *[!0-9]*) die "--port wants a number, not '$port'" ;; esac
case "$dir" in /*) ;; *) dir="$PWD/$dir" ;; esac
if [ -d "$dir" ]; then dir="$(cd "$dir" && pwd)"; fi

case "$command" in
  start) start ;;
  stop) stop ;;
  status) status ;;
  topics) topics ;;
  path) echo "$dir" ;;
  fetch) need_java; library ;;
  *) usage ;;
esac
