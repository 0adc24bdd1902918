# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# For what is run by hand: a build where there is none yet. tests/run makes its own.

: "${root_dir:?}" "${build_dir:?}"

# need_build: 0 when the build directory holds a build that is up to date
need_build() {
	need_packages meson ninja-build gcc libc6-dev pkg-config libfuse3-dev liburing-dev libjson-c-dev \
		fuse3 procps || return 1
	[[ -f $build_dir/build.ninja ]] || meson setup "$build_dir" "$root_dir" >/dev/null || return 1
	meson compile -C "$build_dir" >/dev/null
}
