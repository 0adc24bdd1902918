# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#@ timeout: 60
skip_case "because it says so"
