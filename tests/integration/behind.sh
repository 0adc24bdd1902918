#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the kernel has checked may be outdated when a handler acts: somebody who works in the backing
# directory or through another mount has renamed files or changed modes and owners (behind.py). Each
# user can then do what ext4 would let him do there, and no more.
#
#@ packages: python3 e2fsprogs
#@ timeout: 240
#@ sanitize: asan
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

# under a sanitizer, which takes long, no more than reaches every handler that the others reach
if [[ -n ${CAISSON_SANITIZER:-} ]]; then
	parts=(create_behind sticky sticky_race changed set_id)
	cases=1000
else
	parts=(create_behind sticky sticky_race changed namespace_root namespaces renames
		set_id)
	cases=3000
fi

# ask OUTPUT MOUNT BACKING TRUTH: as behind.py has it
ask() {
	local output=$1
	shift
	python3 "$tests_dir/integration/behind.py" "$@" "${parts[@]}" >"$output"
}

make_backing ext4 256M
mkdir "$backing/plain" "$backing/served" "$backing/served/sub"

ask "$scratch/wanted" "$backing"/{plain,plain,plain}
more "$(wc -l <"$scratch/wanted")" "$cases" "number of cases"

say "behind the mount"
serve "$backing/served" "$mnt" allow_other
ask "$scratch/got" "$mnt/sub" "$backing"/served/{sub,sub}
diff "$scratch/wanted" "$scratch/got"

say "by a second mount of a subdirectory"
parts=(create_behind sticky sticky_race)
wanted_now() { grep -E '^(create|make|link|sticky|race)' "$scratch/wanted"; }
mkdir "$backing/served/sub/second"
serve "$backing/served/sub/second" "$scratch/second" allow_other
ask "$scratch/got" "$mnt/sub/second" "$scratch/second" "$backing/served/sub/second"
diff <(wanted_now) "$scratch/got"
unserve "$scratch/second"
unserve

say "where the kernel remembers nothing"
mkdir "$backing/served/third"
serve "$backing/served" "$mnt" allow_other,entry_timeout=0,attr_timeout=0
ask "$scratch/got" "$mnt/third" "$backing"/served/{third,third}
diff <(wanted_now) "$scratch/got"
unserve
