#!/usr/bin/env bash
# Runs a command as the first process of a container such as docker or podman would make, without either of them:
#
#   enter.sh [--engine docker|podman] [--cap-add CAP]... [--read-only-cgroups] -- COMMAND...
#
# What a container engine does is done here by hand: a control group of its own, PID, mount, IPC, UTS and cgroup
# namespaces, a root file system of its own (an overlay over the machine's: nothing of the machine is changed),
# its /dev, /sys read-only, /proc with the usual paths masked or read-only, files bound over /etc/resolv.conf and
# others, and the engine's default capabilities as bounding set. What is not here: a seccomp filter (docs/guide/containers.md turns it off), AppArmor, SELinux, a
# network namespace, a user namespace.
set -euo pipefail

# What each engine allows by default: docker's run reference, containers.conf(5).
podman=chown,dac_override,fowner,fsetid,kill,net_bind_service,setfcap,setgid,setpcap,setuid,sys_chroot
docker=$podman,mknod,net_raw,audit_write
capabilities=$docker
added=
cgroups=rw
while [ "$#" -gt 0 ]; do
    case "$1" in
        --engine) capabilities=${!2}; shift 2 ;;
        --cap-add) added="$added,$2"; shift 2 ;;
        --read-only-cgroups) cgroups=ro; shift ;;
        --) shift; break ;;
        *) echo "what is $1?" >&2; exit 2 ;;
    esac
done
# When this script starts itself inside, everything is decided.
inside=${SESSION0_CONTAINER_INSIDE:-}
if [ -n "$inside" ]; then
    read -r capabilities cgroups <<< "$inside"
    unset SESSION0_CONTAINER_INSIDE
fi
capabilities=$capabilities$added

# Control group file systems: mount point and options of each that limits use.
groups() {
    awk '{ for (i = 1; i <= NF; i++) if ($i == "-") dash = i }
         $(dash + 1) == "cgroup2" { print $5, "cgroup2", "-" }
         $(dash + 1) == "cgroup" { n = split($(dash + 3), options, ",")
             for (i = 1; i <= n; i++) if (options[i] ~ /^(memory|pids|cpu)$/) print $5, "cgroup", options[i] }' \
        /proc/self/mountinfo
}

if [ -z "$inside" ]; then
    # Outside: the container's control group, and the namespaces.
    name="session0-container-$$"
    mapfile -t mounted < <(groups)
    # Whatever ends us, the groups go; `unshare` takes the container with it.
    clean() {
        for line in "${mounted[@]}"; do
            group="${line%% *}/$name"
            [ ! -e "$group/cgroup.kill" ] || echo 1 > "$group/cgroup.kill"
            for _ in $(seq 100); do
                find "$group" -depth -type d -exec rmdir {} + 2> /dev/null || true
                [ -d "$group" ] || break
                sleep 0.02
            done
        done
    }
    trap clean EXIT
    for line in "${mounted[@]}"; do mkdir "${line%% *}/$name"; done
    # In the background, so that a signal for us can be passed on.
    (
        for line in "${mounted[@]}"; do echo "$BASHPID" > "${line%% *}/$name/cgroup.procs"; done
        export SESSION0_CONTAINER_INSIDE="$capabilities $cgroups"
        exec unshare --pid --fork --kill-child --mount --propagation private --ipc --uts --cgroup -- "$0" -- "$@"
    ) &
    container=$!
    trap 'pkill -TERM -P "$container" || true' TERM INT
    # An engine has no process of its own in a container's group: once the first process is there, unshare goes.
    until pgrep -P "$container" > /dev/null || ! kill -0 "$container" 2> /dev/null; do sleep 0.01; done
    for line in "${mounted[@]}"; do echo "$container" > "${line%% *}/cgroup.procs" 2> /dev/null || true; done
    status=0
    while kill -0 "$container" 2> /dev/null; do
        status=0
        wait "$container" || status=$?
    done
    exit "$status"
fi

# Inside: the root file system.
top=/run
mount -t tmpfs -o mode=755 tmpfs "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$top/root"
mapfile -t groups < <(groups)
cd "$top/root"
for share in ${SESSION0_CONTAINER_SHARE:-}; do
    # As with -v: directories of the machine that the test looks into.
    mkdir -p ".$share"
    mount --bind "$share" ".$share"
done

mount -t proc -o nosuid,nodev,noexec proc proc
mount -t tmpfs -o nosuid,mode=755,size=64m tmpfs dev
mkdir dev/pts dev/shm dev/mqueue
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 dev/tty c 5 0
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o nosuid,nodev,noexec,size=64m tmpfs dev/shm
mount -t mqueue -o nosuid,nodev,noexec mqueue dev/mqueue
mount -t tmpfs -o mode=755 tmpfs run

mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
if [ "${#groups[@]}" -eq 1 ]; then
    mount -t cgroup2 -o "$cgroups,nosuid,nodev,noexec" cgroup sys/fs/cgroup
else
    # A machine with both versions, as docker passes it on.
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    for line in "${groups[@]}"; do
        read -r _ kind option <<< "$line"
        at=sys/fs/cgroup/unified
        [ "$kind" = cgroup2 ] || at="sys/fs/cgroup/$option"
        mkdir "$at"
        options="$cgroups,nosuid,nodev,noexec"
        [ "$kind" = cgroup2 ] || options="$options,$option"
        mount -t "$kind" -o "$options" cgroup "$at"
    done
fi

for masked in kcore keys timer_list; do
    [ ! -e "proc/$masked" ] || mount --bind dev/null "proc/$masked"
done
for read_only in bus fs irq sys sysrq-trigger; do
    [ -e "proc/$read_only" ] || continue
    mount --bind "proc/$read_only" "proc/$read_only"
    mount -o remount,bind,ro,nosuid,nodev,noexec "proc/$read_only"
done

for file in resolv.conf hosts hostname; do
    cp -L "/etc/$file" "$top/$file" 2> /dev/null || : > "$top/$file"
    echo "# bound by the engine" >> "$top/$file"
    [ -e "etc/$file" ] || : > "etc/$file"
    mount --bind "$top/$file" "etc/$file"
done

# Until we are alone in our group: see outside.
for line in "${groups[@]}"; do
    read -r at kind _ <<< "$line"
    [ "$kind" = cgroup2 ] || continue
    while grep -qx 0 "sys/fs/cgroup/${at#/sys/fs/cgroup}/cgroup.procs"; do sleep 0.01; done
done

hostname container
pivot_root . .
umount -l .
cd /
exec setpriv --bounding-set="-all,+${capabilities//,/,+}" --inh-caps=-all -- "$@"
