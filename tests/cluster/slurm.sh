#!/usr/bin/env bash
# A Slurm cluster of this machine alone, for tests: one node with its processors, which listens on
# the loopback interface. It needs root or sudo, and neither systemd nor control groups, and so runs in
# a container; Slurm and munge come by apt-get where they are missing.
# Usage: tests/cluster/slurm.sh up|status|down FOLDER
#   up      start it, with its configuration, key, state and logs in FOLDER; then, to use it:
#           export SLURM_CONF=FOLDER/slurm.conf
#   status  show the node and the queue
#   down    cancel all jobs, end the daemons and remove what they wrote
# Exit status 77: it can't be installed here; standard error says why.
set -euo pipefail

action=${1:?usage: slurm.sh up|status|down FOLDER}
folder=$(realpath -m "${2:?usage: slurm.sh up|status|down FOLDER}")
export SLURM_CONF=$folder/slurm.conf

unfit() {
    echo "slurm.sh: $1" >&2
    exit 77
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n env SLURM_CONF="$SLURM_CONF" "$@"; fi
}

install() {
    if ! command -v slurmctld slurmd munged > /dev/null; then
        command -v apt-get > /dev/null || unfit "Slurm is not installed, and there is no apt-get."
        { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qy --no-install-recommends slurm-wlm munge; } \
            > "$folder/apt.log" 2>&1 ||
            unfit "apt-get can't install Slurm: $(tail -n 1 "$folder/apt.log")"
    fi
}

free_ports() {
    python3 - << 'END'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in held))
END
}

configure() {
    local host ports
    host=$(hostname -s)
    read -ra ports < <(free_ports)
    cat > "$SLURM_CONF" << END
ClusterName=kidneyct
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmdSpoolDir=$folder/spool
StateSaveLocation=$folder/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=1
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 * 0.9 / 1024)}' /proc/meminfo) State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
}

up() {
    as_root true 2> /dev/null || unfit "Slurm's daemons want root, or sudo without a password."
    mkdir -p "$folder/spool" "$folder/state"
    chmod 755 "$folder"
    install
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
    as_root munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
        --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
        --seed-file="$folder/munge.seed" 2> "$folder/munged.err" ||
        unfit "munged doesn't start: $(tail -n 1 "$folder/munged.err")"
    configure
    as_root slurmctld
    as_root slurmd
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%t 2> /dev/null)" != idle ] || return 0
        sleep 0.5
    done
    status >&2 || true
    tail -n 5 "$folder"/slurm*.log >&2
    down
    unfit "Slurm's node doesn't become idle within 30 s."
}

status() {
    sinfo
    squeue
}

down() {
    [ -f "$SLURM_CONF" ] || return 0
    timeout 10 scancel --user="$(id -un)" 2> /dev/null || true
    for _ in $(seq 30); do
        [ -n "$(squeue --noheader 2> /dev/null)" ] || break
        sleep 0.5
    done
    for daemon in slurmd slurmctld munged; do
        [ -s "$folder/$daemon.pid" ] || continue
        pid=$(cat "$folder/$daemon.pid")
        as_root kill "$pid" 2> /dev/null || true
        for _ in $(seq 40); do
            [ -d "/proc/$pid" ] || break
            sleep 0.25
        done
    done
    as_root rm -rf "$folder"
}

case $action in
up | status | down) $action ;;
*) echo "slurm.sh: up, status or down, not $action" >&2 && exit 2 ;;
esac
