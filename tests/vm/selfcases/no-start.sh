# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# More memory than QEMU takes: it doesn't start, and its own words are told.
#@ memory: 900000000
ok "never here"
