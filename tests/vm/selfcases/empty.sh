# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# A case that checks nothing proves nothing.
#@ timeout: 60
true
