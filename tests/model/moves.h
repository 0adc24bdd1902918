/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a request's state may change, as daemon/serve/request.h has it, for all who hold something
 * against it:
 *
 *	caisson.pml	says at each step which of these it is; one that isn't here doesn't compile
 *	two-ways.pml	the same of a gate's
 *	explore/	sees them all in the daemon's code, and no other
 *	moves.py	compares this with request.h, and replays what a daemon under load has done
 */
#define MAY_FREE_FETCH	1
#define MAY_FETCH_FREE	1
#define MAY_FETCH_RUN	1
#define MAY_FREE_RUN	1
#define MAY_RUN_FREE	1
#define MAY_RUN_GATE	1
#define MAY_GATE_RUN	1
#define MAY_RUN_IO	1
#define MAY_IO_RUN	1
#define MAY_RUN_QUEUED	1
#define MAY_QUEUED_RUN	1
#define MAY_RUN_REPLY	1
#define MAY_REPLY_FREE	1
#define MAY_REPLY_FETCH 1
