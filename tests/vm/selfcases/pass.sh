# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#@ timeout: 60
check "true is true" true
skip "one thing, on purpose"
