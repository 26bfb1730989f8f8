/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report.h - what is said when a guest has ended. Main thread, after vm_run(). */
#ifndef CLOCHE_VMM_REPORT_H
#define CLOCHE_VMM_REPORT_H

#include "vmm/vm.h"

/*
 * Logs the reason, for a crash with instruction pointer and last console lines, and writes the
 * report file that the configuration asks for (temporary name, then rename). Returns the process's
 * exit status.
 */
int report_ending(struct vm *vm);

/* The same from any thread, while the guest may still be running: the process ends right behind it. */
int report_at_once(struct vm *vm);

#endif
