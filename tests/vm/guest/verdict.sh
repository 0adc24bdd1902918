# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# verdict STATUS: says in one line how the case ended. The host takes this line and nothing else
# for the case's own word: a case that checked nothing, or ended by an error, has failed.
verdict() {
	passed=$(wc -l </run/vm/passed)
	failed=$(wc -l </run/vm/failed)
	skipped=$(wc -l </run/vm/skipped)
	if [ "$1" -eq 77 ] && [ "$failed" -eq 0 ]; then
		word=skip
	elif [ "$failed" -gt 0 ]; then
		word=fail
	elif [ "$1" -ne 0 ]; then
		echo "vm: not ok: the case ended with status $1" >/dev/kmsg
		word=fail failed=1
	elif [ "$passed" -eq 0 ]; then
		echo "vm: not ok: the case checked nothing" >/dev/kmsg
		word=fail failed=1
	else
		word=pass
	fi
	echo "vm: verdict $word passed=$passed failed=$failed skipped=$skipped" >/dev/kmsg
}
