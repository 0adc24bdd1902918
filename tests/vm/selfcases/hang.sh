# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# Never ends: the host's time-out has to, with a dump that shows where.
#@ timeout: 15
ok "so far"
exec sleep 100000
