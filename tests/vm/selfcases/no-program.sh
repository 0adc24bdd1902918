# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#@ programs: no-such-program
ok "never here"
