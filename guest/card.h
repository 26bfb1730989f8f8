/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * card.h - the guest's network card, as far as a clone must change it. The agent's thread.
 */
#ifndef CLOCHE_GUEST_CARD_H
#define CLOCHE_GUEST_CARD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

#define CARD_MAC_SIZE 6

/* "02:12:34:56:78:9a", not a group's and not all zero; false: *out_mac is untouched. Pure. */
bool card_parse_mac(const char *text, uint8_t out_mac[CARD_MAC_SIZE]);

/*
 * Gives the first Ethernet interface that address, whether it is up or not; one that has it already
 * is left alone. IPv6 addresses made from the old one are made anew. 0; -ENODEV: there is none; or
 * -errno.
 */
int card_set_mac(const uint8_t mac[CARD_MAC_SIZE], struct error *err);

#endif
