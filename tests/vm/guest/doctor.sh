# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# What the cases about `caisson doctor` share. Each stack is compared in both of doctor's forms, the
# tree and the JSON, with golden/STACK.txt and .json (`#@ tree:`). What differs from run to run is
# taken out before. golden/record writes the files from a run's logs.

# without_numbers: of processes, tasks, descriptors, anonymous devices, connections, and amounts;
# nodes are numbered as they come
without_numbers() {
	awk '
		/^ *"id": / { gsub(/[^0-9]/, ""); ids[$0] = ++count; print "      \"id\": " count ","; next }
		/^ *"(upper|lower|node)": / { number = $2 + 0; sub(/[0-9]+/, ids[number]) }
		{ print }' |
		sed -E -e 's/"pid": [0-9]+/"pid": 0/' -e 's/"dev": "0:[0-9]+"/"dev": "0:N"/' \
			-e 's,/(proc|task|fd|fdinfo|connections)/[0-9]+,/\1/N,g' -e 's/\([0-9]+\)/(N)/g' \
			-e 's/fuse_connection [0-9]+/fuse_connection N/' -e 's/0x[0-9a-f]+/0xN/g' \
			-e 's/[0-9]+ kB/N kB/g' -e 's/[0-9]+ of [0-9]+ tasks/N of N tasks/'
}

# drawn STACK OBJECT: what doctor says of OBJECT is STACK's. The text without evidence and remedies,
# which the JSON has as well.
drawn() {
	run_with_timeout 30 caisson doctor "$2" | sed -e '/^     seen: /d' -e '/^     remedy: /d' \
		-e 's/([0-9]*)/(N)/g' >"/run/$1.txt"
	run_with_timeout 30 caisson doctor --json "$2" | without_numbers >"/run/$1.json"
	# a guest that had no CPU for a while took a file of /proc for one that hangs
	! grep -q 'it hangs"' "/run/$1.json" ||
		run_with_timeout 30 caisson doctor --json "$2" | without_numbers >"/run/$1.json"
	for drawn_file in "$1.txt" "$1.json"; do
		sed "s/^/golden $drawn_file: /" "/run/$drawn_file"
		check "$drawn_file" cmp "/run/$drawn_file" "/vm/golden/$drawn_file"
	done
}
