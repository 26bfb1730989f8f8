/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.h - whether stock guests can run on this host, as `cloche-vmm --probe` finds out, and what
 * to do when they can't. Single thread; probe_run() blocks for up to a few seconds where a KVM
 * interprets guest kernel code, a few milliseconds elsewhere.
 */
#ifndef CLOCHE_SUPERVISOR_PROBE_H
#define CLOCHE_SUPERVISOR_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/failure.h"

enum probe_kvm { PROBE_KVM_OK, PROBE_KVM_MISSING, PROBE_KVM_PERMISSION, PROBE_KVM_UNUSABLE };

struct probe {
	bool guests_run; /* the verdict */
	enum probe_kvm kvm;
	char group[32]; /* that owns /dev/kvm, may be empty */
	int api;
	bool interpreted;  /* this KVM interprets guest kernel code */
	long ring0_us;     /* time of a ring-0 loop of 10^6 iterations, 0: not measured */
	char missing[256]; /* capabilities, "A, B"; empty: none */
	char message[256]; /* one sentence, clean */
	json_t *object;    /* owned: all that the VMM said */
};

void probe_finish(struct probe *probe);
#define cleanup_probe __attribute__((cleanup(probe_finish)))

/* Asks the VMM at @vmm. -1: it did not answer as agreed. */
int probe_run(const char *vmm, struct probe *out_probe, struct failure *failure);

/* What to do about a host where guests don't run: one line, into @out_text. */
void probe_advise(const struct probe *probe, char *out_text, size_t size);

/* Takes the VMM's answer apart; for probe_run() and its tests. */
int probe_parse(const char *text, bool guests_run, struct probe *out_probe,
                struct failure *failure);

#endif
