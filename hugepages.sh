#!/usr/bin/env bash
# Reserves, mounts, shows and releases hugepages for DPDK. Without arguments it only shows.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: bash hugepages.sh [show]
       bash hugepages.sh reserve PAGES [--size 2M|1G] [--node N]
       bash hugepages.sh mount [--size 2M|1G]
       bash hugepages.sh release [--size 2M|1G] [--node N]

  show      what is reserved, free and mounted, for each size and NUMA node (changes nothing; the default)
  reserve   makes PAGES pages of that size stand ready (a total, not an addition), and mounts them
  mount     mounts hugepages of that size, if they are not
  release   gives free pages back to the machine; pages in use stay until their process ends

  --size    2M (default) or 1G
  --node N  only on NUMA node N; without it the kernel spreads pages over the nodes

Example: 1 GB as 2 MB pages on node 0, seen afterwards:
  bash hugepages.sh reserve 512 --size 2M --node 0
  bash hugepages.sh show

Reservations last until the next boot. Pages of 1G are seldom to be had on a machine that has run for a while: put
`hugepagesz=1G hugepages=N` on the kernel's command line.
TEXT
}

fail() {
    echo "hugepages.sh: $1" >&2
    exit "${2:-1}"
}

misused() {
    fail "$1 (see: bash hugepages.sh --help)" 2
}

command=show
pages=
size=2M
node=
[ $# -gt 0 ] && { command=$1; shift; }
while [ $# -gt 0 ]; do
    case "$1" in
    --size) size=${2:-}; shift 2 || misused "--size wants 2M or 1G" ;;
    --node) node=${2:-}; shift 2 || misused "--node wants a number" ;;
    -h | --help) usage; exit 0 ;;
    [0-9]*) [ "$command" = reserve ] && [ -z "$pages" ] || misused "what is $1?"; pages=$1; shift ;;
    *) misused "what is $1?" ;;
    esac
done
case "$size" in
2M | 2m) size=2M; kilobytes=2048; mountpoint=/dev/hugepages ;;
1G | 1g) size=1G; kilobytes=1048576; mountpoint=/dev/hugepages1G ;;
*) misused "--size is 2M or 1G, not '$size'" ;;
esac
[[ "$node" =~ ^[0-9]*$ ]] || misused "--node wants a number, not '$node'"
[[ "$pages" =~ ^[0-9]*$ ]] || misused "reserve wants a number of pages, not '$pages'"

# The folder whose nr_hugepages speaks for the size, and the node if one was given.
pool() {
    local base=/sys/kernel/mm/hugepages
    if [ -n "$node" ]; then
        base=/sys/devices/system/node/node$node/hugepages
        [ -d "/sys/devices/system/node/node$node" ] || fail "this machine has no NUMA node $node"
    fi
    [ -d "$base/hugepages-${kilobytes}kB" ] || fail "this machine has no hugepages of $size"
    echo "$base/hugepages-${kilobytes}kB"
}

need_root() {
    [ "$(id -u)" -eq 0 ] || fail "$command needs root: sudo bash hugepages.sh $command ..."
}

mounted_at() {
    local word=2M
    [ "$size" = 1G ] && word=1024M
    awk -v size="pagesize=$word" '$3 == "hugetlbfs" && index("," $4 ",", "," size ",") { print $2; exit }' /proc/mounts
}

show() {
    local folder where bytes
    printf '%-8s %-6s %9s %9s   %s\n' SIZE NODE RESERVED FREE MOUNTED
    for bytes in 2048 1048576; do
        size=2M; [ "$bytes" = 1048576 ] && size=1G
        where=$(mounted_at)
        for folder in /sys/devices/system/node/node*/hugepages/hugepages-${bytes}kB; do
            [ -d "$folder" ] || continue
            local number=${folder#/sys/devices/system/node/node}
            printf '%-8s %-6s %9s %9s   %s\n' "$size" "${number%%/*}" \
                "$(cat "$folder/nr_hugepages")" "$(cat "$folder/free_hugepages")" "${where:-no}"
        done
    done
}

mount_pages() {
    local where
    where=$(mounted_at)
    [ -n "$where" ] && return
    mkdir -p "$mountpoint"
    mount -t hugetlbfs -o "pagesize=$size" tailwater "$mountpoint" || fail "cannot mount hugepages of $size at $mountpoint"
    echo "mounted hugepages of $size at $mountpoint"
}

# Asks the kernel for a number of pages and says what it gave.
ask() {
    local folder=$1 want=$2 got
    echo "$want" > "$folder/nr_hugepages" || fail "the kernel refused $want pages of $size"
    got=$(cat "$folder/nr_hugepages")
    echo "hugepages of $size${node:+ on node $node}: $got reserved, $(cat "$folder/free_hugepages" ) free"
    if [ "$got" -lt "$want" ]; then
        fail "only $got of $want pages: memory is fragmented or short; free some (echo 3 > /proc/sys/vm/drop_caches), or reserve at boot"
    fi
}

case "$command" in
show) show ;;
reserve)
    [ -n "$pages" ] || misused "reserve wants a number of pages"
    folder=$(pool)
    need_root
    ask "$folder" "$pages"
    mount_pages
    ;;
mount) need_root; pool > /dev/null; mount_pages ;;
release)
    folder=$(pool)
    need_root
    # Pages in use are not taken from their process: they become surplus and go when it ends.
    ask "$folder" 0
    ;;
-h | --help | help) usage ;;
*) misused "what is '$command'?" ;;
esac
