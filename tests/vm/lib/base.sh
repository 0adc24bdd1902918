# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash

: "${root_dir:?}"

note() { echo "vm: $*"; }
warn() { echo "vm: $*" >&2; }

# shellcheck source=/dev/null
source "$root_dir/tests/lib/packages.sh"
