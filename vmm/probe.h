/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.h - can stock guests run on this host, and if not, why? A process of its own: --probe. */
#ifndef CLOCHE_VMM_PROBE_H
#define CLOCHE_VMM_PROBE_H

#include <stdio.h>

/* Prints one JSON object to @out (cloche-vmm(1), "--probe"). 0 when guests can run, 1 otherwise. */
int probe_host(FILE *out);

#endif
