# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# Ends in the middle, by an unset variable.
#@ timeout: 60
ok "so far"
# shellcheck disable=SC2154
echo "$no_such_variable"
ok "never here"
