/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status.h - what a client is told of a VM (lib/proto.h, control verb "status"). I/O thread.
 */
#ifndef CLOCHE_VMM_STATUS_H
#define CLOCHE_VMM_STATUS_H

#include <jansson.h>

struct vm;

/* Adds all of status but "deaths", which belong to the control socket, to @reply (borrowed). */
void status_describe(const struct vm *vm, json_t *reply);

/* The balloon alone: an object owned by the caller. */
json_t *status_describe_balloon(const struct vm *vm);

#endif
