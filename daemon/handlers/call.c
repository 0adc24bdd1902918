/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/call.h"

#include "base/macro.h"

static uint32_t save(const struct call *call, const void *part)
{
	return part ? (uint32_t)((const uint8_t *)part - (const uint8_t *)call->in) : 0;
}

static const void *load(const void *message, uint32_t off)
{
	return off ? (const uint8_t *)message + off : NULL;
}

void call_save(const struct call *call, struct call_parts *ret_parts)
{
	*ret_parts = (struct call_parts){
		.arg = save(call, call->arg),
		.data = save(call, call->data),
		.data_len = call->data_len,
		.supp_gid = call->supp_gid,
	};
	for (size_t i = 0; i < ARRAY_SIZE(call->name); i++)
		ret_parts->name[i] = save(call, call->name[i]);
}

void call_load(struct call *call, const void *message, const struct call_parts *parts)
{
	call->in = message;
	call->arg = load(message, parts->arg);
	call->data = load(message, parts->data);
	call->data_len = parts->data_len;
	call->supp_gid = parts->supp_gid;
	for (size_t i = 0; i < ARRAY_SIZE(call->name); i++)
		call->name[i] = load(message, parts->name[i]);
}
