#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `caisson run` locks the memory of the command that it executes, as the kernel shows. The command
# finds its environment, files, signals and limits unchanged, and isn't started if the lock can't be
# had. The mark is tested in tests/vm/cases/run.sh.
#
#@ packages: gcc libc6-dev libcap2-bin util-linux procps meson python3
#@ sanitize: asan
#@ transport: one
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

CAISSON_LOCK_LIBRARY=$(realpath "$build_dir")/daemon/libcaisson-lock.so
export CAISSON_LOCK_LIBRARY
# a sanitized caisson is given LD_PRELOAD here, and would be the first itself
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
cd "$scratch"

run() { "$CAISSON" run --io-flusher=off "$@"; }

# The same for another user, and for root without a capability. Nobody can read the build tree if
# it is somebody's own.
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
without() { setpriv --bounding-set="-$1" "${@:2}"; }

# tells STATUS TEXT COMMAND...: the command says one line: object, action, reason, with TEXT in it
tells() {
	local wanted=$1 text=$2 got=0
	"${@:3}" 2>"$scratch/stderr" || got=$?
	cat "$scratch/stderr"
	same "$got" "$wanted" "status of ${*:3}"
	same "$(wc -l <"$scratch/stderr")" 1 "number of lines on stderr"
	matches "$(<"$scratch/stderr")" '^caisson: .+: .+: ' stderr
	matches "$(<"$scratch/stderr")" "$text" stderr
}

# not_started COMMAND...: `touch started` would be
not_started() {
	"$@"
	[[ ! -e started ]] || fail "the command was started"
}

# from the kernel: the size of locked mappings, and those that aren't locked but could be
locked_kib() { sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }
unlocked_maps() {
	awk '/^[0-9a-f]+-[0-9a-f]+ / { name = $1 " " $6 }
		/^VmFlags:/ && !/ (lo|io|pf)( |$)/ && name !~ /\[(vdso|vvar|vsyscall)/ { print name }' \
		"/proc/$1/smaps"
}
is_named() { [[ $(cat "/proc/$1/comm") == "$2" ]]; }
is_locked() { is_named "$1" sleep && (($(locked_kib "$1") > 1000)); }

say "locked"
"$CAISSON" run --io-flusher=off -- sleep 1000 2>"$scratch/stderr" &
pid=$!
wait_until 10 is_locked $pid
same "$(unlocked_maps $pid)" "" "list of mappings that aren't locked"
same "$(grep -c 'not safe to stack on' "$scratch/stderr")" 1 "number of lines that say so"
# 3 for want of the mark
exits 3 "$CAISSON" audit $pid --json | python3 -c '
import json, sys
[process] = json.load(sys.stdin)["processes"]
assert process["memory"]["state"] == "locked", process
assert process["comm"] == "sleep", process
'
kill $pid
exits 143 wait $pid

say "not locked"
"$CAISSON" run --io-flusher=off --mlock=off sleep 1000 &
pid=$!
wait_until 10 is_named $pid sleep
same "$(locked_kib $pid)" 0 "VmLck with --mlock=off"
more "$(unlocked_maps $pid | wc -l)" 5 "number of mappings that aren't locked"
kill $pid
exits 143 wait $pid

say "what is inherited, and what not"
# sh itself, and a child of it
# shellcheck disable=SC2016 # for the inner shell
run sh -c 'grep VmLck /proc/$$/status; cat /proc/self/status | grep VmLck' >locks
more "$(awk 'NR == 1 { print $2 }' locks)" 1000 "VmLck of the command"
same "$(awk 'NR == 2 { print $2 }' locks)" 0 "VmLck of its child"

environment() { sh -c env | grep -v '^_=' | LC_ALL=C sort; }
(unset CAISSON_LOCK_LIBRARY && environment) >wanted
run sh -c env | grep -v '^_=' | LC_ALL=C sort >got
diff wanted got
other=$(ldd /bin/sh | sed -n 's/.* => \(.*\) (.*/\1/p' | head -n 1)
# empty in what the command runs, if the entry was taken off wrongly
for list in "$other" "$other:$other" "$other $other"; do
	# shellcheck disable=SC2016 # for the inner shell
	same "$(LD_PRELOAD=$list run sh -c 'echo "$LD_PRELOAD"')" "$list" LD_PRELOAD
done

# of the command itself: a shell changes its own while it waits for others
show_state() {
	local as=(env --ignore-signal=USR1 --block-signal=USR2 "$@")
	"${as[@]}" ls -l /proc/self/fd /proc/self/cwd |
		sed -n 's/.* \([^ ]* -> \)/\1/; s/pipe:.*\|\/proc\/[0-9]*//; / -> /p'
	"${as[@]}" grep -E '^(Sig(Blk|Ign|Cgt)|Umask)' /proc/self/status
	"${as[@]}" nice
}
exec 7</dev/zero
show_state >wanted
show_state "$CAISSON" run --io-flusher=off >got
exec 7<&-
grep -q '^7 -> /dev/zero' wanted
grep -q '^SigBlk:.*8..$' wanted
diff wanted got

same "$(echo input | run -- cat)" input "standard input"
exits 42 run -- sh -c 'exit 42'
exits 0 run -- test a = a # its options are its own
same "$(run --mlock=require -- echo --mlock=off -- x)" "--mlock=off -- x" "arguments"

say "limits"
few=65536
# by the library, so after the warnings
# shellcheck disable=SC2016 # for the inner shell
not_started tells 3 'memory of touch: lock: .*RLIMIT_MEMLOCK allows 64 KiB' \
	without ipc_lock prlimit --memlock=$few:$few sh -c '
		"$@" 2>all; status=$?; grep lock: all >&2; exit $status' - \
	"$CAISSON" run --io-flusher=off touch started
same "$(without ipc_lock prlimit --memlock=$few: "$CAISSON" run --io-flusher=off \
	bash -c 'ulimit -S -l')" "$(ulimit -H -l)" "soft limit in the command, KiB"

say "what can't be preloaded into"
echo 'int main(void) { return 5; }' >main.c
gcc -static -o static main.c
gcc -o dynamic main.c
not_started tells 3 'linked statically' run ./static
exits 5 run --mlock=off ./static
exits 5 run ./dynamic
tells 3 'executes another program' run env touch started
echo 'touch started' >text
chmod +x text
not_started tells 3 'neither an ELF program nor a script' run ./text
printf '#!/usr/bin/env sh\ntouch started\n' >env-script
chmod +x env-script
not_started tells 3 '/usr/bin/env: preload .*executes another' run ./env-script
printf '#!/bin/sh\ngrep VmLck /proc/$$/status\n' >script
chmod +x script
more "$(run ./script 2>"$scratch/stderr" | awk '{ print $2 }')" 1000 "VmLck of a script's interpreter"
grep -q '^caisson: ./script: run: it is a script: /bin/sh is locked' "$scratch/stderr"

if ((EUID == 0)) && "${nobody[@]}" test -x "$CAISSON" -a -r "$CAISSON_LOCK_LIBRARY"; then
	cp dynamic set-uid && chown 65533 set-uid && chmod 4755 set-uid
	cp dynamic set-gid && chgrp 65533 set-gid && chmod 2755 set-gid
	cp dynamic with-caps && setcap cap_net_raw+ep with-caps
	cp dynamic unreadable && chmod 711 unreadable
	for program in set-uid set-gid with-caps; do
		tells 3 'gains privileges' "${nobody[@]}" "$CAISSON" run --io-flusher=off ./$program
		exits 5 "${nobody[@]}" "$CAISSON" run --io-flusher=off --mlock=off ./$program
	done
	tells 3 'find out whether it can be locked: Permission denied' \
		"${nobody[@]}" "$CAISSON" run --io-flusher=off ./unreadable
	# control: an ordinary program of an ordinary user
	exits 5 "${nobody[@]}" "$CAISSON" run --io-flusher=off ./dynamic
	# root doesn't gain from those
	more "$(cp /bin/grep grep && setcap cap_net_raw+ep grep &&
		run ./grep VmLck /proc/self/status | awk '{ print $2 }')" 1000 "VmLck with capabilities"
else
	say "left out: programs that gain privileges (needs root, and a build that all can read)"
fi

say "the library"
for library in /nonesuch.so "$other" libcaisson-lock.so "$scratch/a b.so"; do
	not_started tells 3 "^caisson: $library: load: " \
		env CAISSON_LOCK_LIBRARY="$library" "$CAISSON" run --io-flusher=off touch started
done
# where it is looked for is where it is installed to
installed=$(meson introspect --installed "$build_dir" | python3 -c '
import json, sys
[path] = [to for made, to in json.load(sys.stdin).items() if made.endswith("/libcaisson-lock.so")]
print(path)')
grep -qaF "$installed" "$CAISSON"
# a constructor that nobody asked for does nothing
LD_PRELOAD=$CAISSON_LOCK_LIBRARY grep -q '^VmLck:[^0-9]*0 kB' /proc/self/status

say "no mark"
not_started tells 3 '^caisson: IO_FLUSHER state: set: .*CAP_SYS_RESOURCE' \
	without sys_resource "$CAISSON" run -- touch started
not_started tells 3 'CAP_SYS_RESOURCE' \
	without sys_resource "$CAISSON" run --io-flusher=require --mlock=off -- touch started
without sys_resource "$CAISSON" run --io-flusher=off true 2>"$scratch/stderr"
grep -q '^caisson: true: run: not safe to stack on (--io-flusher=off)$' "$scratch/stderr"
grep -q '^caisson: oom_score_adj of true: set to -1000: ' "$scratch/stderr"

say "what can't be executed"
echo >plain
mkdir directory
printf '#!/nonesuch\n' >no-interpreter
chmod +x no-interpreter
tells 127 'nonesuch: find: No such file' run nonesuch
tells 127 './nonesuch: find: No such file' run ./nonesuch
tells 127 './no-interpreter: .*: No such file' run ./no-interpreter
tells 126 './plain: find: Permission denied' run ./plain
tells 126 './directory: find: Permission denied' run ./directory
exits 127 run --mlock=off nonesuch
exits 127 run --mlock=off ./no-interpreter
exits 126 run --mlock=off ./plain
exits 126 run --mlock=off ./directory

say "usage"
tells 1 'run: parse: a command is expected' run
tells 1 'run: parse: a command is expected' run --
tells 1 'option --nonsense: parse: unknown' run --nonsense true
tells 1 'option --mlock=yes: parse: =require or =off' run --mlock=yes true
tells 1 'option --io-flusher: parse: =require or =off' run --io-flusher off true
