/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation.c - the verb "generation": a clone becomes somebody else than its parent. The agent's
 * thread.
 *
 * A clone's VMM draws a new generation id, and raises the interrupt of the VMGenID device before
 * the first CPU runs. The guest's kernel (drivers/virt/vmgenid.c, drivers/char/random.c), in the
 * interrupt handler, on whatever CPU gets it:
 *
 *	reads the id; the old one again: done
 *	add_device_randomness()  mixes it into the pool
 *	crng_reseed()            a new key; each CPU's generator sees at its next use that its own is old
 *	pr_notice()              "crng reseeded due to virtual machine fork"
 *
 * That line of its log is all that user space gets to see; Linux 6.12 sends no uevent. It stands
 * behind the reseeding: after it, getrandom() gives on every CPU what no other clone gets. This
 * process may well run before the handler does, on another CPU or because interrupts are off, so a
 * request waits for the line. The line may also be first: then it is in the log, from where this
 * file has read it last. It counts for one request, once. It doesn't name its id: a guest that is
 * cloned between line and request has one too many, so its VMM clones it only after the reply.
 *
 * What a clone has from its parent, and what becomes of it:
 *
 *	random numbers     the kernel's: as above. Programs that start from now on get seeds, stack
 *	                   protectors and memory layouts of their own; running ones keep theirs
 *	clocks             CLOCK_REALTIME is set here; CLOCK_MONOTONIC is the VMM's business
 *	network card       gets its address here, IPv6 addresses follow; an IPv4 one stays
 *	connections        the VMM resets those through vsock; new ones leave from ports of their own
 *	                   (host.c). Listening relays stay, they are the session's furniture
 *	the agent          draws no seeds, ids, tokens or temporary names. jansson's hash seed stays,
 *	                   which protects from pages that would have to know it
 *	Xvfb               has no cookies
 *	Chromium           draws what must be secret from the kernel. The salts of its profile stay,
 *	                   and the state of Math.random() in pages that are open
 *	/etc/machine-id    is empty in the image, and nobody fills it
 *	boot_id            stays: Linux draws it once. So does its secret for TCP's sequence numbers
 *	host name          is every guest's
 */
#include "guest/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/card.h"
#include "guest/channel.h"
#include "guest/machine.h"
#include "guest/verbs.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/proto.h"

#define RECORD_MAX 4096   /* bytes; Linux makes none above 2048 */
#define RECORDS_MAX 8192u /* in one go: more than its log holds */
#define ANNOUNCEMENT "random: crng reseeded due to virtual machine fork\n"

/* A checked request. */
struct order {
	char id[PROTO_GENERATION_DIGITS + 1];
	char session[65]; /* what fits of the name: it is only said */
	json_int_t realtime_ns;
	bool has_mac;
	uint8_t mac[CARD_MAC_SIZE];
};

struct generation {
	struct agent *agent; /* borrowed */
	int log_fd;          /* owned; -1: none */
	struct loop_watch watch;
	struct request *waiting;              /* borrowed; NULL: none */
	struct order order;                   /* the waiting request's */
	json_int_t announced;                 /* lines not yet used up by a reply */
	char id[PROTO_GENERATION_DIGITS + 1]; /* of the last reply; "" before */
};

/* --- the kernel's log --- */

bool generation_is_announced(const char *record, size_t size)
{
	const size_t length = sizeof(ANNOUNCEMENT) - 1;
	const char *text = size ? memchr(record, ';', size) : NULL;

	/* "5,1234,56789012,-;text\n": facility * 8 + level. What programs write is never facility 0. */
	if (!text || record[0] < '0' || record[0] > '7' || record[1] != ',')
		return false;
	text++;
	return size - (size_t)(text - record) >= length && !memcmp(text, ANNOUNCEMENT, length);
}

/*
 * Reads on to the log's end. Records that were overwritten before we came (EPIPE) are none to worry
 * about: the one that is waited for has just been written.
 */
static int log_read(struct generation *generation)
{
	char record[RECORD_MAX];

	for (unsigned i = 0; i < RECORDS_MAX; i++) {
		ssize_t n = read(generation->log_fd, record, sizeof(record));

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		if (generation_is_announced(record, (size_t)n))
			generation->announced++;
	}
	return 0;
}

/* --- the change --- */

/* The time that the VMM said, and what has gone by since. */
static int clock_follow(const struct order *order, const struct request *request, struct error *err)
{
	json_int_t since_ns = (json_int_t)(clock_now_ns() - request->started_ns);
	int ret = machine_set_clock(order->realtime_ns + since_ns);

	return ret < 0 ? error_set(err, ret, "can't set the clock: %s", strerror(-ret)) : 0;
}

static int order_follow(const struct order *order, const struct request *request, struct error *err)
{
	int ret = clock_follow(order, request, err);

	if (ret == 0 && order->has_mac)
		ret = card_set_mac(order->mac, err);
	return ret;
}

static void order_finish(struct generation *generation, const struct order *order,
                         struct request *request)
{
	bool renewed = strcasecmp(generation->id, order->id) != 0;
	struct error err = { 0 };
	json_t *members;

	/* Outside of a guest, clock and card are somebody's machine's. */
	if (generation->agent->init && order_follow(order, request, &err) < 0) {
		request_fail(request, PROTO_ERR_FAILED, "generation: %s", err.msg);
		return;
	}
	memcpy(generation->id, order->id, sizeof(order->id));
	members = json_pack("{s:I, s:I}", "announced", generation->announced, "realtime_ns",
	                    (json_int_t)machine_read_clock(CLOCK_REALTIME));
	generation->announced = 0;
	request_reply(request, members, NULL, 0);
	/* The serial port takes its time: the VMM waits for the reply, nobody for this. */
	if (renewed)
		log_info("this is session %s from now on", order->session);
}

/* --- waiting --- */

static struct request *wait_end(struct generation *generation)
{
	struct request *request = generation->waiting;

	loop_watch_remove(generation->agent->loop, &generation->watch);
	generation->waiting = NULL;
	return request;
}

static void generation_cancel(struct request *request)
{
	wait_end(request->agent->generation);
}

static void log_ready(struct loop_watch *watch, uint32_t events)
{
	struct generation *generation = container_of(watch, struct generation, watch);
	int ret = log_read(generation);

	(void)events;
	if (ret < 0)
		request_fail(wait_end(generation), PROTO_ERR_FAILED,
		             "generation: the kernel's log can't be read: %s", strerror(-ret));
	else if (generation->announced)
		order_finish(generation, &generation->order, wait_end(generation));
}

static void announcement_await(struct generation *generation, const struct order *order,
                               struct request *request)
{
	int ret = generation->log_fd < 0 ? -ENOENT : log_read(generation);

	if (ret == 0 && generation->announced) {
		order_finish(generation, order, request);
		return;
	}
	if (ret == 0)
		ret = loop_watch_add(generation->agent->loop, &generation->watch,
		                     generation->log_fd, EPOLLIN, log_ready);
	if (ret < 0) {
		request_fail(request, PROTO_ERR_FAILED,
		             "generation: the kernel's log can't be read: %s", strerror(-ret));
		return;
	}
	generation->order = *order;
	generation->waiting = request;
	request->cancel = generation_cancel;
	request->waiting_for = "the kernel to say that it has reseeded";
}

/* --- the request --- */

/* Fills @order from the request; false: the request has been answered. */
static bool order_parse(struct request *request, struct order *order)
{
	const char *id = NULL, *session = NULL, *mac = NULL;

	if (!request_text(request, "generation", true, &id) ||
	    !request_text(request, "session", true, &session) ||
	    !request_number(request, "realtime_ns", true, MACHINE_REALTIME_MIN_NS,
	                    MACHINE_REALTIME_MAX_NS, &order->realtime_ns) ||
	    !request_text(request, "mac", false, &mac))
		return false;
	if (strlen(id) != PROTO_GENERATION_DIGITS ||
	    strspn(id, "0123456789abcdefABCDEF") != PROTO_GENERATION_DIGITS) {
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "generation: \"generation\" must be %d hexadecimal digits",
		             PROTO_GENERATION_DIGITS);
		return false;
	}
	memcpy(order->id, id, sizeof(order->id));
	snprintf(order->session, sizeof(order->session), "%s", session);
	order->has_mac = mac != NULL;
	if (mac && !card_parse_mac(mac, order->mac)) {
		request_fail(request, PROTO_ERR_BAD_REQUEST,
		             "generation: \"mac\" must be one card's address");
		return false;
	}
	return true;
}

void verb_generation(struct agent *agent, struct request *request)
{
	struct generation *generation = agent->generation;
	struct order order = { .has_mac = false };

	if (!order_parse(request, &order))
		return;
	if (generation->waiting) {
		request_fail(request, PROTO_ERR_BUSY, "generation: another one is being awaited");
		return;
	}
	/* The same again: its reply was lost with the connection. */
	if (!agent->init || !strcasecmp(generation->id, order.id))
		order_finish(generation, &order, request);
	else
		announcement_await(generation, &order, request);
}

static int log_open(void)
{
	cleanup_fd int fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		return -errno;
	return steal_fd(&fd);
}

int generation_create(struct agent *agent, struct generation **out_generation)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (!generation)
		return -ENOMEM;
	generation->agent = agent;
	generation->log_fd = -1;
	if (agent->init) {
		generation->log_fd = log_open();
		if (generation->log_fd < 0)
			log_error("no clone of this guest will do: /dev/kmsg: %s",
			          strerror(-generation->log_fd));
	}
	*out_generation = generation;
	return 0;
}

void generation_destroy(struct generation *generation)
{
	if (!generation)
		return;
	loop_watch_remove(generation->agent->loop, &generation->watch);
	close_fd(&generation->log_fd);
	free(generation);
}
