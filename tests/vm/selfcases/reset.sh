# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# The guest goes away without a word.
#@ timeout: 60
ok "so far"
reboot -n -f
