/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * card.c - the address of the network card. The agent's thread.
 *
 * virtio_net takes a new address while the card is up (IFF_LIVE_ADDR_CHANGE), and tells the device
 * only where that offers a command for it, which ours doesn't: its VMM knows. Taking the card down
 * meanwhile would cost its routes.
 */
#include "guest/card.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool card_parse_mac(const char *text, uint8_t out_mac[CARD_MAC_SIZE])
{
	uint8_t mac[CARD_MAC_SIZE], any = 0;

	if (strlen(text) != 3 * CARD_MAC_SIZE - 1)
		return false;
	for (size_t i = 0; i < CARD_MAC_SIZE; i++) {
		const char *pair = text + 3 * i;
		int high = hex_digit(pair[0]), low = hex_digit(pair[1]);

		if (high < 0 || low < 0 || (pair[2] != ':' && pair[2] != '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
		any |= mac[i];
	}
	if ((mac[0] & 1) || !any)
		return false;
	memcpy(out_mac, mac, sizeof(mac));
	return true;
}

/* The first Ethernet interface's name and address. 0 or -ENODEV. */
static int card_find(int fd, struct ifreq *out_card)
{
	struct if_nameindex *list = if_nameindex();
	int ret = -ENODEV;

	for (size_t i = 0; ret < 0 && list && list[i].if_index; i++) {
		struct ifreq request = { .ifr_flags = 0 };

		memcpy(request.ifr_name, list[i].if_name,
		       strnlen(list[i].if_name, IF_NAMESIZE - 1));
		if (ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
		    request.ifr_hwaddr.sa_family == ARPHRD_ETHER) {
			*out_card = request;
			ret = 0;
		}
	}
	if_freenameindex(list);
	return ret;
}

/* The kernel makes IPv6 addresses when the protocol comes up on a card, and at no other time. */
static void ipv6_renew(const char *name)
{
	char path[64 + IF_NAMESIZE], now = '?';
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.15s/disable_ipv6", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &now, 1, 0) != 1 || now != '0')
		return; /* it isn't on */
	if (pwrite(fd, "1", 1, 0) != 1 || pwrite(fd, "0", 1, 0) != 1)
		log_warn("%s keeps its IPv6 addresses: %s", name, strerror(errno));
}

int card_set_mac(const uint8_t mac[CARD_MAC_SIZE], struct error *err)
{
	struct ifreq card;
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return error_set(err, -errno, "no socket: %s", strerror(errno));
	ret = card_find(fd, &card);
	if (ret < 0)
		return error_set(err, ret, "there is no network card to give an address to");
	if (!memcmp(card.ifr_hwaddr.sa_data, mac, CARD_MAC_SIZE))
		return 0;
	memcpy(card.ifr_hwaddr.sa_data, mac, CARD_MAC_SIZE);
	if (ioctl(fd, SIOCSIFHWADDR, &card) < 0)
		return error_set(err, -errno, "%.15s takes no new address: %s", card.ifr_name,
		                 strerror(errno));
	ipv6_renew(card.ifr_name);
	return 0;
}
