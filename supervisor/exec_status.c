/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec_status.c - see exec_status.h. Pure functions.
 */
#include "supervisor/exec_status.h"

#include <string.h>

#include "lib/proto.h"
#include "supervisor/client.h"
#include "supervisor/failure.h"

#define SIGNAL_MAX 64

int exec_status_of_reply(const json_t *reply)
{
	json_int_t code = client_integer(reply, "exit", 0, 255, -1);
	json_int_t sig = client_integer(reply, "signal", 1, SIGNAL_MAX, -1);

	/* However it took its end: whoever set the limit wants to hear of it. */
	if (json_is_true(json_object_get(reply, "timed_out")))
		return STATUS_EXEC_TIMEOUT;
	if (code >= 0)
		return (int)code;
	return sig > 0 ? STATUS_EXEC_SIGNAL + (int)sig : -1;
}

int exec_status_of_failure(int status, const char *code)
{
	/* These are the agent's own words for execve(2)'s; failures of the host have other codes. */
	if (status == STATUS_FAILED && strcmp(code, PROTO_ERR_NOT_FOUND) == 0)
		return STATUS_EXEC_NOT_FOUND;
	if (status == STATUS_FAILED &&
	    (strcmp(code, PROTO_ERR_DENIED) == 0 || strcmp(code, PROTO_ERR_FAILED) == 0))
		return STATUS_EXEC_DENIED;
	return STATUS_EXEC_FAILED;
}
