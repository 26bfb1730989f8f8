/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * info.h - who took a snapshot, when, and in which boot of which host. No state; any thread.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_INFO_H
#define CLOCHE_VMM_SNAPSHOT_INFO_H

#include <jansson.h>
#include <stdbool.h>

#include "vmm/snapshot/sections.h"

/* Encodes SECTION_INFO. */
void info_save(struct sections_writer *sections);

/*
 * True when a state, which has passed sections_check(), was taken since this host has booted: its
 * processor is then the one that the guest has seen. Whoever forges that is not believed more than
 * KVM believes them; it only saves asking KVM.
 */
bool info_is_of_this_boot(const uint8_t *state, size_t size);

/* The same for people, an object owned by the caller; NULL when there is none. */
json_t *info_describe(const uint8_t *state, size_t size);

#endif
