/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay.h - guest TCP ports that lead to ports of the host. The agent's thread.
 */
#ifndef CLOCHE_GUEST_RELAY_H
#define CLOCHE_GUEST_RELAY_H

struct agent;
struct relays; /* opaque */

/* Nothing listens yet; the verb "relay" adds listeners. 0 or -ENOMEM. */
int relays_create(struct agent *agent, struct relays **out_relays);

/* Closes all listeners and connections; takes NULL. */
void relays_destroy(struct relays *relays);

#endif
