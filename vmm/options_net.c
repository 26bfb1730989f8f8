/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options_net.c - the part of the command line that describes the network card. See options.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/token_bucket.h"
#include "vmm/options.h"

/* IEEE 802: of the first byte */
#define MAC_MULTICAST 0x01
#define MAC_LOCAL 0x02

int options_parse_net(const char *text, struct net_config *out_config, struct error *err)
{
	static const struct {
		const char *prefix;
		enum net_kind kind;
	} kinds[] = {
		{ "tap:", NET_TAP },
		{ "tap-fd:", NET_TAP_FD },
		{ "stream:", NET_STREAM },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t length = strlen(kinds[i].prefix);
		const char *rest = text + length;

		if (strncmp(text, kinds[i].prefix, length) != 0 || *rest == '\0')
			continue;
		if (kinds[i].kind == NET_TAP_FD) {
			char *end;
			long fd;

			errno = 0;
			fd = strtol(rest, &end, 10);
			if (*rest < '0' || *rest > '9' || *end || errno || fd < 3 || fd > INT_MAX)
				break;
			out_config->fd = (int)fd;
		}
		out_config->kind = kinds[i].kind;
		out_config->target = kinds[i].kind == NET_TAP_FD ? NULL : rest;
		return 0;
	}
	return error_set(err, -EINVAL,
	                 "--net must be tap:IFNAME, tap-fd:N with N an open descriptor above 2, or "
	                 "stream:PATH, not '%s'",
	                 text);
}

int options_parse_mac(const char *text, struct net_config *out_config, struct error *err)
{
	unsigned byte[NET_MAC_SIZE];
	uint8_t any = 0;
	char rest;

	/* sscanf alone would take blanks, signs and single digits. */
	if (strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17 ||
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &byte[0], &byte[1], &byte[2], &byte[3],
	           &byte[4], &byte[5], &rest) != NET_MAC_SIZE)
		return error_set(err, -EINVAL,
		                 "--mac must be an address like 02:12:34:56:78:9a, not '%s'", text);
	for (size_t i = 0; i < NET_MAC_SIZE; i++)
		any |= (uint8_t)byte[i];
	if ((byte[0] & MAC_MULTICAST) || !any)
		return error_set(err, -EINVAL,
		                 "--mac must be one card's address (the first byte even, not all "
		                 "zeros), not '%s'",
		                 text);
	for (size_t i = 0; i < NET_MAC_SIZE; i++)
		out_config->mac[i] = (uint8_t)byte[i];
	out_config->has_mac = true;
	return 0;
}

/* A number, with a suffix where @suffixes, up to '\0' or ':'. NULL when it is none. */
static const char *parse_rate(const char *text, bool suffixes, uint64_t *out_rate)
{
	static const char units[] = "KMG";
	unsigned long long number;
	const char *unit;
	unsigned shift = 0;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || errno)
		return NULL;
	unit = suffixes && *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if ((*end && *end != ':') || number > TOKEN_BUCKET_RATE_MAX >> shift)
		return NULL;
	*out_rate = (uint64_t)number << shift;
	return end;
}

int options_parse_net_rate(const char *text, struct net_config *out_config, struct error *err)
{
	uint64_t bytes, packets = 0;
	const char *end = parse_rate(text, true, &bytes);

	if (end && *end == ':')
		end = parse_rate(end + 1, false, &packets);
	if (!end || *end || (bytes == 0 && packets == 0))
		return error_set(
			err, -EINVAL,
			"--net-rate must be BYTES or BYTES:PACKETS a second, such as 10M or "
			"10M:5000 or 0:5000, not '%s'",
			text);
	out_config->rate_bytes = bytes;
	out_config->rate_packets = packets;
	return 0;
}

int options_finish_net(struct net_config *config, const char *name, uint32_t cid, struct error *err)
{
	if (config->kind == NET_NONE &&
	    (config->has_mac || config->rate_bytes || config->rate_packets))
		return error_set(err, -EINVAL, "--%s needs a card: --net tap:IFNAME or stream:PATH",
		                 config->has_mac ? "mac" : "net-rate");
	if (config->kind == NET_NONE || config->has_mac)
		return 0;
	XXH64_hash_t hash = XXH3_64bits_withSeed(name, strlen(name), cid);
	config->mac[0] = MAC_LOCAL;
	for (size_t i = 1; i < NET_MAC_SIZE; i++)
		config->mac[i] = (uint8_t)(hash >> (8 * i));
	return 0;
}
