/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pause.h - a running VM brought to rest so that it can be copied, and let go again. I/O thread, from
 * outside the loop: no callback is running.
 *
 *	            pause_begin()                                pause_copy()
 *	RUNNING ------------------> PAUSING ----> QUIESCED ------------------> COPYING
 *	   ^                        vCPUs are     disks have ended             state is saved,
 *	   |                        kicked,       their requests; chains       then fork(2)
 *	   |                        settled,      are back in their rings;        |
 *	   |                        parked        devices are locked              |
 *	   `---------------------------- pause_end() ----------------------------'
 *	        devices look at their queues again; the vCPUs run, unless the session was frozen before
 *
 * What doesn't rest: the threads of screen and scan, which only read guest memory, and the console's output,
 * whose bytes have left the guest. Neither is part of a guest's state. The host's side of vsock and net stands
 * still because the I/O thread does.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_PAUSE_H
#define CLOCHE_VMM_SNAPSHOT_PAUSE_H

struct vm;

/* Returns when the VM is QUIESCED. Blocks for as long as a request of a disk takes. */
void pause_begin(struct vm *vm);

/* From QUIESCED: the state is being saved or the process forked. */
void pause_copy(struct vm *vm);

/* From QUIESCED or COPYING. In the original only: a copy has no vCPUs and no devices of its own yet. */
void pause_end(struct vm *vm);

#endif
