# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# What cases are written with. A failed check is counted and the case goes on; `die` ends it.
# The counts are files, so that checks made in subshells count too.

say() { echo "vm: $*" >/dev/kmsg; }

ok() {
	echo . >>/run/vm/passed
	say "ok: $*"
}

fail() {
	echo . >>/run/vm/failed
	say "not ok: $*"
}

# skip REASON: leaves out a part of the case.
skip() {
	echo . >>/run/vm/skipped
	say "skip: $*"
}

# skip_case REASON: leaves out all of it.
skip_case() {
	skip "$*"
	exit 77
}

die() {
	fail "$*"
	exit 1
}

# check WHAT COMMAND...: ok or fail by the command's exit status.
check() {
	check_what=$1
	shift
	if "$@"; then
		ok "$check_what"
	else
		fail "$check_what (status $?: $*)"
	fi
}

# must WHAT COMMAND...: the same, but what follows makes no sense without it.
must() {
	must_what=$1
	shift
	"$@" || die "$must_what (status $?: $*)"
	ok "$must_what"
}

# expect_status WANTED WHAT COMMAND...
expect_status() {
	expect_wanted=$1 expect_what=$2 expect_got=0
	shift 2
	"$@" || expect_got=$?
	if [ "$expect_got" -eq "$expect_wanted" ]; then
		ok "$expect_what: exit status $expect_got"
	else
		fail "$expect_what: exit status $expect_got, not $expect_wanted"
	fi
}

# seconds since boot, with hundredths
uptime_now() {
	cut -d ' ' -f 1 /proc/uptime
}

# The state letter of a process; empty when it is gone. The name before it may hold anything.
process_state() {
	process_stat=
	read -r process_stat 2>/dev/null <"/proc/$1/stat" || return 0
	process_stat=${process_stat##*) }
	echo "${process_stat%% *}"
}

# has_ended PID: is it a zombie or gone? A job of this shell stays a zombie until it is waited for.
has_ended() {
	case $(process_state "$1") in
	'' | Z | X) return 0 ;;
	esac
	return 1
}

is_running() { ! has_ended "$1"; }

# wait_until SECONDS COMMAND...: polls until the command succeeds; 1 when the time is over.
wait_until() {
	wait_end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$wait_end" ] || return 1
		sleep 0.1
	done
}

# show_blocked: the kernel's stacks of every task in uninterruptible sleep, into the console log.
show_blocked() { echo w >/proc/sysrq-trigger; }

# run_with_timeout SECONDS COMMAND...: the command's status, or 124 when it took too long. Unlike
# timeout(1) it comes back even if the command can't be killed, and shows where it is stuck.
run_with_timeout() {
	run_seconds=$1
	shift
	"$@" &
	wait_job "$run_seconds" $!
}

# wait_job SECONDS PID: the same for a job that was started before.
wait_job() {
	if wait_until "$1" has_ended "$2"; then
		wait "$2"
		return
	fi
	say "process $2 not done in $1 s"
	show_blocked
	kill -9 "$2"
	return 124
}

drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# index_modules: the guest's modules as libkmod finds them. All that a case names are loaded already,
# but dmzadm and tcmu-runner look for theirs all the same. Wants `#@ programs: depmod`.
index_modules() {
	modules_dir=/lib/modules/$(uname -r)
	[ ! -e "$modules_dir/modules.dep.bin" ] || return 0
	mkdir -p "$modules_dir"
	ln -s /modules/*.ko "$modules_dir/"
	# It warns of modules.order and modules.builtin, which are missing and matter to nobody here.
	depmod 2>/dev/null
}
