/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.h - the guest as a machine: its last set-up steps, and its end. The agent's thread.
 */
#ifndef CLOCHE_GUEST_MACHINE_H
#define CLOCHE_GUEST_MACHINE_H

#include <stdint.h>
#include <time.h>

/* 2020-01-01 and 2100-01-01, in ns: outside of them a clock is a mistake. */
#define MACHINE_REALTIME_MIN_NS (INT64_C(1577836800) * 1000000000)
#define MACHINE_REALTIME_MAX_NS (INT64_C(4102444800) * 1000000000)

struct agent;

/*
 * What a session needs beyond what the initramfs made: host name, loopback, limits, the folders of
 * X and of the user. Only for PID 1. What fails is logged; the agent goes on, for an agent that
 * can be asked is worth more than none.
 */
void machine_prepare(const struct agent *agent);

/* Makes the folders that the agent itself needs, PID 1 or not. 0 or -errno. */
int machine_make_folders(const struct agent *agent);

/* Any clock, in ns. */
int64_t machine_read_clock(clockid_t id);

/* Sets CLOCK_REALTIME, in ns. 0 or -errno. */
int machine_set_clock(int64_t realtime_ns);

/*
 * Ends all processes and then the guest, by power off or reboot as agent->reboot says; as a test's
 * child it only stops the loop. In a guest it doesn't return.
 */
void machine_end(struct agent *agent);

#endif
