# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The unit tests of the flusher scope and of the audit pass where the capability to set the mark is
# available. On a machine without it they leave most of it out.
#
#@ build: test-reclaim test-audit
#@ memory: 512

export CAISSON_TESTS_MUST_RUN=1
for name in test-reclaim test-audit; do
	expect_status 0 "$name" run_with_timeout 90 "$name"
done
