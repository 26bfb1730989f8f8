/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * warm.h - a guest made ready to be copied many times: idle, and small. Single thread; blocks.
 */
#ifndef CLOCHE_SUPERVISOR_WARM_H
#define CLOCHE_SUPERVISOR_WARM_H

#include "supervisor/client.h"
#include "supervisor/command.h"

/*
 * Waits until the guest's CPUs are idle, a minute at most: a browser that has just come up has a lot to
 * do yet, which every copy would do again. One that never comes to rest is no failure.
 */
int warm_wait_until_idle(const struct invocation *inv, struct client *client, int signal_fd,
                         struct failure *failure);

/*
 * Has the guest drop what it holds of files, then takes all that it can spare with the balloon and gives
 * it back: what it doesn't need is zeros then, which take no room in a snapshot.
 */
int warm_shrink(const struct invocation *inv, struct client *client, struct failure *failure);

/*
 * The share of time, in percent, for which a guest's CPUs were idle between two readings of its
 * /proc/stat; -1 when they make no sense. The texts are the guest's. For the tests.
 */
int warm_idle_percent(const char *before, const char *after);

#endif
