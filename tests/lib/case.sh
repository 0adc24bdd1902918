# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What an integration case is written with; it comes with lib/mount.sh.
#
# Every command of a case is a check: one that fails ends the case and says where. So conditions
# are written as commands (`same A B`, `refused ENOSPC COMMAND`); `!`, `&&` and `if` don't count.
# `defer` registers what undoes a step as soon as the step is taken; at the end, whatever the end
# is, these run in reverse. One that fails makes the case fail.
#
# The lines `#@ KEY: VALUE` at the head of a case say what it needs; lib/head-keys lists the keys.
#
# It gets: CAISSON_BUILD (build directory), CAISSON_SCRATCH (an empty directory of its own). Both
# have defaults, so that a case can be run by hand. Exit status: 0 pass, 77 skip, otherwise fail.
set -Eeuo pipefail

tests_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root_dir=$(dirname "$tests_dir")
case_name=$(basename "$0" .sh)
build_dir=${CAISSON_BUILD:-$root_dir/build}
CAISSOND=${CAISSOND:-$build_dir/daemon/caissond}
CAISSON=${CAISSON:-$build_dir/daemon/caisson}
. "$tests_dir/lib/scratch.sh"

say() { echo "$case_name: $*"; }

skip() {
	echo "skip: $*"
	exit 77
}

fail() {
	say "FAILED: $*$(called_from)" >&2
	exit 1
}

# called_from [SKIP]: the lines that led to the caller, without the last SKIP
called_from() {
	local i lines=()
	for ((i = 2 + ${1:-0}; i < ${#BASH_SOURCE[@]}; i++)); do
		lines+=("${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}")
	done
	((${#lines[@]} == 0)) || echo " (from ${lines[*]})"
}

# cleanup stack: each entry is a command line, quoted for eval
deferred=()
defer() {
	local quoted
	printf -v quoted '%q ' "$@"
	deferred+=("$quoted")
}

case_failed_at() {
	local status=$?
	say "FAILED (status $status): $1:$2: $3$(called_from 1)" >&2
}

case_end() {
	local status=$? i
	trap - ERR
	trap '' INT TERM
	set +e
	kill_clients
	for ((i = ${#deferred[@]} - 1; i >= 0; i--)); do
		if ! eval "${deferred[i]}"; then
			say "FAILED: clean-up: ${deferred[i]}" >&2
			((status == 0 || status == 77)) && status=1
		fi
	done
	exit "$status"
}

trap 'case_failed_at "${BASH_SOURCE[0]##*/}" "$LINENO" "$BASH_COMMAND"' ERR
trap case_end EXIT
trap 'exit 130' INT TERM

# daemons and what reads from them: set by mount.sh, spared by kill_clients
declare -A keep_pid=()

# kill_tree PID: it and all below it
kill_tree() {
	local child
	kill -STOP "$1" 2>/dev/null || true
	for child in $(pgrep -P "$1"); do
		kill_tree "$child"
	done
	kill -KILL "$1" 2>/dev/null || true
}

# Background jobs that are still there at the end are stray clients.
kill_clients() {
	local pid
	for pid in $(jobs -pr); do
		[[ -v keep_pid[$pid] ]] || kill_tree "$pid"
	done
}

# wait_until SECONDS COMMAND...: polls; 1 when the time is over. For state that nothing announces.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS <= end)) || return 1
		sleep 0.05
	done
}

# process_is_gone PID: not there, or only waiting for its parent
process_is_gone() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	[[ ${stat##*) } == [ZX]* ]]
}

# stop_process PID: stops it, and waits until each of its threads stands. kill alone returns before
# that, while a thread may still answer a request.
stop_process() {
	kill -STOP "$1"
	wait_until 20 process_stands "$1" || fail "PID $1 doesn't stop"
}
process_stands() { awk '/^State:/ && $2 != "T" { exit 1 }' /proc/"$1"/task/*/status; }

# --- checks ---

# same GOT WANTED [WHAT]
same() {
	[[ $1 == "$2" ]] || fail "${3:-value} is '$1', not '$2'"
}

# matches TEXT PATTERN [WHAT]: an extended regular expression
matches() {
	[[ $1 =~ $2 ]] || fail "${3:-text} does not match '$2': $1"
}

# less NUMBER LIMIT [WHAT], and more
less() { (($1 < $2)) || fail "${3:-value} $1 is not less than $2"; }
more() { (($1 > $2)) || fail "${3:-value} $1 is not more than $2"; }

# exits STATUS COMMAND...
exits() {
	local wanted=$1 got=0
	shift
	"$@" || got=$?
	((got == wanted)) || fail "status $got, not $wanted: $*"
}

# refused TEXT COMMAND...: the command fails, and says TEXT (such as what strerror has for the
# errno wanted) on stderr. Output on stdout is kept.
refused() {
	local text=$1 said status=0
	shift
	{ said=$(LC_ALL=C "$@" 2>&1 >&3) || status=$?; } 3>&1
	((status != 0)) || fail "went well, but should have failed with '$text': $*"
	[[ $said == *"$text"* ]] || fail "failed with '$said', not '$text': $*"
}

# sums DIR: one checksum over names and contents of all regular files below
sums() {
	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum)
}

# sum FILE
sum() {
	local line
	line=$(sha256sum <"$1")
	echo "${line%% *}"
}

if [[ -z ${CAISSON_SCRATCH:-} ]]; then
	scratch_sweep /var/tmp
	CAISSON_SCRATCH=$(scratch_new /var/tmp "$case_name")
	defer rm -rf --one-file-system "$CAISSON_SCRATCH"
	chmod 755 "$CAISSON_SCRATCH" # cases act as other users
fi
# shellcheck disable=SC2034 # for the case
scratch=$CAISSON_SCRATCH
