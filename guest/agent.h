/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * agent.h - what the parts of cloche-agent share, and the order in which they come to life.
 *
 * cloche-agent is PID 1 of the guest and the VMM's hand inside it. One thread, one loop; every
 * part below runs on it and blocks on nothing but memory. main.c brings them up in this order:
 *
 *	options  -> what to be: kernel command line
 *	machine  -> the guest's last set-up steps (PID 1 only)
 *	children -> SIGCHLD, reaping, starting programs
 *	generation -> the kernel's log, which tells a clone that it is one (PID 1 only)
 *	channel  -> the VMM: hello, requests, events
 *	display  -> Xvfb; when it answers:
 *	input    -> the worker that owns the X connection
 *	browser  -> Chromium and its DevTools pipe
 *
 * Who may call whom: verbs call requests (channel.h); nobody calls a verb but the channel.
 */
#ifndef CLOCHE_GUEST_AGENT_H
#define CLOCHE_GUEST_AGENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "guest/options.h"

#define AGENT_VERSION "0.1"

/* The user that everything but the agent itself runs as. */
#define AGENT_UID 1000
#define AGENT_GID 1000
#define AGENT_USER "agent"
#define AGENT_PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

struct agent {
	struct options options;
	bool init;         /* PID 1 of a guest, not a test's child */
	bool reboot;       /* what machine_end() does at the last */
	struct loop *loop; /* owned, as all below */
	struct children *children;
	struct generation *generation;
	struct channel *channel;
	struct display *display;
	struct input *input;
	struct browser *browser;
	struct relays *relays;
};

#endif
