/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/route.h"

#include "handlers/dispatch.h"

enum route route_choose(const struct dispatch_entry *entry, bool backoff)
{
	switch (entry->class) {
	case DISPATCH_DATA:
		return ROUTE_RING;
	case DISPATCH_META:
		return entry->nonblocking && !backoff ? ROUTE_INLINE : ROUTE_WORKER;
	case DISPATCH_SESSION:
	case DISPATCH_UNKNOWN:
		break;
	}
	return ROUTE_ANSWER;
}
