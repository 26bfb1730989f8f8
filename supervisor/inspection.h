/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inspection.h - what a snapshot file holds, as `cloche-vmm --inspect` and `--verify` say it: the
 * supervisor reads none itself. Single thread; blocks.
 */
#ifndef CLOCHE_SUPERVISOR_INSPECTION_H
#define CLOCHE_SUPERVISOR_INSPECTION_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/launch.h"

/*
 * Asks the VMM at @vmm about the file at @path (absolute); with @verify every byte is checked.
 * *out_object, owned by the caller, is as cloche-snapshot(5) has it. -1: no sound snapshot, in the
 * VMM's words; or interrupted. @signal_fd is interrupt_watch()'s.
 */
int inspection_ask(const char *vmm, const char *path, bool verify, int signal_fd,
                   json_t **out_object, struct failure *failure);

/*
 * Takes the machine that the inspection @object describes into @plan, as far as it is known. For
 * people: the VMM reads the file itself. 0 or -1 without memory.
 */
int inspection_read_machine(const json_t *object, struct launch_plan *plan,
                            struct failure *failure);

#endif
