/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_guest_card.c - the network card's address: its text, and a real card in a network namespace
 * of the test's own.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/card.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{ "02:12:34:56:78:9a", true },
		{ "02:AB:cd:EF:00:ff", true },
		{ "00:00:00:00:00:01", true },
		{ "00:00:00:00:00:00", false }, /* nobody's */
		{ "01:12:34:56:78:9a", false }, /* a group's */
		{ "ff:ff:ff:ff:ff:ff", false }, /* everybody's */
		{ "", false },
		{ "02:12:34:56:78", false },
		{ "02:12:34:56:78:9", false },
		{ "02:12:34:56:78:9a:", false },
		{ "02:12:34:56:78:9a:bc", false },
		{ "2:12:34:56:78:9a:b", false },
		{ "02-12-34-56-78-9a", false },
		{ "02:12:34:56:78:9g", false },
		{ " 2:12:34:56:78:9a", false },
		{ "+2:12:34:56:78:9a", false },
		{ "0x:12:34:56:78:9a", false },
		{ "02:12:34:56:78:9\xc3", false },
		{ "021234:56:78:9a::", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t mac[CARD_MAC_SIZE] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };

		assert_row(rows[i].text, card_parse_mac(rows[i].text, mac) == rows[i].good);
		assert_row(rows[i].text, rows[i].good || mac[0] == 0xee);
	}
}

/* --- a card of our own --- */

#define CAN_NOT 77 /* status of the child that has no namespace or no card */

/* Checks in the child, whose asserts wouldn't be seen. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                    \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int tap_open(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int interface_up(int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -1;
	request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

/* What /proc/net/if_inet6 has on the interface: true if @address is among it. */
static bool has_ipv6(const char *address)
{
	char line[128];
	FILE *file = fopen("/proc/thread-self/net/if_inet6", "re");
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, address, strlen(address));
	if (file)
		fclose(file);
	return found;
}

static bool wait_ipv6(const char *address, bool there)
{
	const struct timespec nap = { .tv_nsec = 10000000 };

	for (int i = 0; i < 500; i++) {
		if (has_ipv6(address) == there)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

#define OLD_IPV6 "fe80000000000000001122fffe334455"
#define NEW_IPV6 "fe80000000000000001234fffe56789a"

static int card_is_changed(void)
{
	const uint8_t old[CARD_MAC_SIZE] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
	const uint8_t new[CARD_MAC_SIZE] = { 0x02, 0x12, 0x34, 0x56, 0x78, 0x9a };
	bool ipv6 = access("/proc/thread-self/net/if_inet6", F_OK) == 0;
	struct ifreq request = { .ifr_name = "card" };
	struct error err = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int tap;

	CHECK(fd >= 0 && interface_up(fd, "lo") == 0);
	CHECK(card_set_mac(new, &err) == -ENODEV && err.code == -ENODEV);
	tap = tap_open("card");
	if (tap < 0)
		return CAN_NOT;
	/* While it is down, and then while it is up: up it stays. */
	CHECK(card_set_mac(old, &err) == 0);
	CHECK(interface_up(fd, "card") == 0);
	CHECK(!ipv6 || wait_ipv6(OLD_IPV6, true));
	CHECK(card_set_mac(new, &err) == 0);
	CHECK(ioctl(fd, SIOCGIFHWADDR, &request) == 0);
	CHECK(!memcmp(request.ifr_hwaddr.sa_data, new, sizeof(new)));
	CHECK(ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP));
	CHECK(!ipv6 || (wait_ipv6(NEW_IPV6, true) && wait_ipv6(OLD_IPV6, false)));
	CHECK(card_set_mac(new, &err) == 0);
	CHECK(!ipv6 || has_ipv6(NEW_IPV6));
	close(tap);
	close(fd);
	return 0;
}

static void test_set(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			_exit(CAN_NOT);
		_exit(card_is_changed());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CAN_NOT) {
		print_message("no network namespace or no tap device here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_set),
	};

	return cmocka_run_group_tests_name("guest_card", tests, NULL, NULL);
}
