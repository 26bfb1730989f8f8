/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devices.h - puts the machine's devices on its bus. Main thread, before the first vCPU runs. */
#ifndef CLOCHE_VMM_DEVICES_H
#define CLOCHE_VMM_DEVICES_H

#include "vmm/vm.h"

/* Creates every device of the table that the configuration asks for. 0 or -errno. */
int devices_create(struct vm *vm, struct error *err);

/* Destroys what was created, in reverse; takes a VM with any number of them. */
void devices_destroy(struct vm *vm);

#endif
