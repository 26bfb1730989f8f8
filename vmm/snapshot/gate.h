/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.h - a copy of a guest isn't let out before it knows that it is one.
 *
 * A copy has a generation id of its own (VMGenID), at which its kernel draws new randomness; its agent
 * hears of it, and of the time and the session's name, before anything else ("generation", lib/proto.h).
 * Until it has acknowledged, its network is shut, its requests to the host wait, requests to its agent
 * are refused, and nobody is told that the agent or the browser is ready. I/O thread.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_GATE_H
#define CLOCHE_VMM_SNAPSHOT_GATE_H

#include <jansson.h>

struct vm;

/* Shuts a copy's devices; before it runs. */
void gate_shut(struct vm *vm);

/* What the agent is to be told first on a new channel: owned by the caller. NULL: nothing (any more). */
json_t *gate_greeting(struct vm *vm);

/* The agent has acknowledged: opens all. */
void gate_open(struct vm *vm);

#endif
