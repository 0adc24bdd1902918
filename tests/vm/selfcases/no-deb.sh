# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#@ debs: no-such-package
ok "never here"
