/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_agent.c - vmm/agent.c over lib/wire_conn.c: a guest that speaks for the agent, and a host that
 * asks it for things meanwhile. Every request ends exactly once. HELLO with an odd upper half makes a
 * copy of the guest, which is to acknowledge that it is one.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/loop.h"
#include "lib/proto.h"
#include "tests/fuzz/clock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/vmm_fake_kvm.h"
#include "vmm/agent.h"

#define STEPS_MAX 200

enum step { CONNECT, SAY, HELLO, REPLY, REQUEST, LISTEN, TIME, CLOSE, STEPS };

static struct {
	struct loop *loop;
	struct agent *agent;
	int guest; /* the guest's end, or -1 */
	unsigned asked, ended, lost, greeted;
	bool is_copy; /* that hasn't acknowledged yet */
} bed;

void fuzz_init(void)
{
}

static void ask(uint64_t timeout_ms, size_t blob_size);

static void on_done(void *arg, json_t *reply, const void *blob, size_t blob_size)
{
	bool again = arg;

	CHECK(json_is_object(reply));
	CHECK(blob || blob_size == 0);
	bed.ended++;
	/* A callback may ask again, but not for ever: agent.h allows it to answer at once. */
	if (again)
		ask(0, 0);
}

static void ask(uint64_t timeout_ms, size_t blob_size)
{
	static const uint8_t zeros[WIRE_BLOB_MAX + 1];
	json_t *request = json_pack("{s:s}", "verb", "clock");

	CHECK(request);
	bed.asked++;
	agent_request(bed.agent, request, zeros, blob_size, timeout_ms, on_done,
	              timeout_ms % 2 ? &bed : NULL);
	json_decref(request);
}

static void on_event(void *arg, const char *name, const json_t *event)
{
	(void)arg;
	CHECK(name && json_is_object(event));
}

static void on_lost(void *arg)
{
	(void)arg;
	bed.lost++;
}

static json_t *on_greeting(void *arg)
{
	(void)arg;
	bed.greeted += bed.is_copy;
	return bed.is_copy ? json_pack("{s:s}", "verb", "generation") : NULL;
}

static void on_acknowledged(void *arg)
{
	(void)arg;
	CHECK(bed.greeted > 0);
	bed.greeted--;
	bed.is_copy = false;
}

static void connect_guest(void)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	agent_accept(bed.agent, pair[0]);
	close_fd(&bed.guest);
	bed.guest = pair[1];
}

static void say(const void *data, size_t size)
{
	/* It may be closed, or full: a guest has to live with both. */
	if (bed.guest >= 0 && send(bed.guest, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		close_fd(&bed.guest);
}

static void say_text(const char *text)
{
	say(text, strlen(text));
}

/* Mostly none: large ones take long. The largest is larger than allowed. */
static size_t blob_size(uint8_t byte)
{
	return byte < 8 ? byte * (WIRE_BLOB_MAX + 1) / 7 : 0;
}

static void take_step(struct input *in)
{
	static char sink[4096];
	uint8_t byte = input_u8(in), how = byte / STEPS;
	const uint8_t *data;
	char line[64];
	size_t size;

	switch ((enum step)(byte % STEPS)) {
	case CONNECT:
		connect_guest();
		break;
	case SAY:
		size = input_bytes(in, input_u8(in), &data);
		say(data, size);
		break;
	case HELLO:
		bed.is_copy |= how & 1;
		snprintf(line, sizeof(line), "{\"event\":\"hello\",\"protocol\":%d}\n",
		         PROTO_VERSION);
		say_text(line);
		break;
	case REPLY:
		snprintf(line, sizeof(line), "{\"id\":%u,\"ok\":%s}\n", how,
		         how & 1 ? "true" : "false");
		say_text(line);
		break;
	case REQUEST:
		/* With a blob a guest that doesn't read is soon full; the largest is one too large. */
		ask((uint64_t)1 << how, blob_size(input_u8(in)));
		break;
	case LISTEN:
		if (bed.guest >= 0 && recv(bed.guest, sink, sizeof(sink), MSG_DONTWAIT) == 0)
			close_fd(&bed.guest);
		break;
	case TIME:
		fuzz_clock_advance((uint64_t)1 << (how + 16));
		break;
	case CLOSE:
		close_fd(&bed.guest);
		break;
	case STEPS:
		break;
	}
	fake_kvm_rounds(bed.loop, 1);
}

void fuzz_one(struct input *in)
{
	const struct agent_handlers handlers = { .event = on_event,
		                                 .lost = on_lost,
		                                 .greeting = on_greeting,
		                                 .acknowledged = on_acknowledged };

	fuzz_clock_reset();
	bed.guest = -1;
	bed.asked = bed.ended = bed.lost = bed.greeted = 0;
	bed.is_copy = false;
	CHECK(loop_create(&bed.loop) == 0);
	CHECK(agent_create(bed.loop, &handlers, &bed.agent) == 0);
	for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++)
		take_step(in);
	agent_destroy(bed.agent);
	CHECK(bed.asked == bed.ended);
	close_fd(&bed.guest);
	loop_destroy(bed.loop);
}
