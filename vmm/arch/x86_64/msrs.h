/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msrs.h - which model-specific registers belong to a vCPU's saved state, and how they are read and
 * written. The caller's thread owns the vCPU, which isn't running.
 */
#ifndef CLOCHE_VMM_ARCH_X86_64_MSRS_H
#define CLOCHE_VMM_ARCH_X86_64_MSRS_H

#include "lib/error.h"
#include "lib/wire_fields.h"

/* Encodes every MSR of the list that this KVM has and this vCPU can read (KVM api.rst 4.18). */
int msrs_save(int kvm_fd, int vcpu_fd, struct wire_writer *out, struct error *err);

/*
 * Writes what @in has. An MSR that isn't of the list, or that this KVM refuses to set to another value
 * than it has, is an error that names it. TSC_DEADLINE comes after all others, as it counts in the
 * TSC. 0 or -errno.
 */
int msrs_restore(int vcpu_fd, struct wire_reader *in, struct error *err);

#endif
