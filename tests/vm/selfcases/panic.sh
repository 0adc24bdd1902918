# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#@ timeout: 60
ok "so far"
echo c >/proc/sysrq-trigger
