/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec_status.h - the exit statuses of `cloche exec`. Pure functions.
 */
#ifndef CLOCHE_SUPERVISOR_EXEC_STATUS_H
#define CLOCHE_SUPERVISOR_EXEC_STATUS_H

#include <jansson.h>

/*
 * The exit status that an exec reply (lib/proto.h) stands for: the command's own, 128 + its signal,
 * or STATUS_EXEC_TIMEOUT. -1: it has none, or one out of range.
 */
int exec_status_of_reply(const json_t *reply);

/* The exit status for a failure: one of STATUS_EXEC_…, from its status and code (failure.h). */
int exec_status_of_failure(int status, const char *code);

#endif
