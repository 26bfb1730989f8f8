/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_vnc.c - display/vnc_gate.c and display/vnc_session.c: a viewer's bytes, and libvncserver behind them.
 *
 * The input is what a viewer sends, in pieces; after each of them some of the screen changes. However it is cut, the
 * gate lets the same through; what it lets through is whole, known and in range. The session's viewer reads all
 * that it is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/vnc.h"
#include "display/vnc_gate.h"
#include "display/vnc_session.h"
#include "tests/fuzz/fuzz.h"

#define WIDTH 100u
#define HEIGHT 70u
#define MESSAGES_MAX 4096u
#define PIECES_MAX 64u

static struct vnc_library *library;
static uint32_t pixels[WIDTH * HEIGHT];
static int number;

void fuzz_init(void)
{
	struct error err = { 0 };

	CHECK(vnc_library_load(&library, &err) == 0);
	number = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(number >= 0);
}

/* --- the gate ---------------------------------------------------------------------------------- */

static void check_message(const struct vnc_message *message)
{
	static const size_t sizes[] = { 0, VNC_VERSION_SIZE, 1, 1, 20, 0, 10, 8, 6 };

	CHECK(message->said > VNC_SAID_NOTHING && message->said <= VNC_SAID_POINTER);
	if (message->said == VNC_SAID_ENCODINGS)
		CHECK(message->size ==
		      4 + 4 * ((size_t)message->bytes[2] << 8 | message->bytes[3]));
	else
		CHECK(message->size == sizes[message->said]);
	if (message->said == VNC_SAID_KEY)
		CHECK(message->keysym >= 1 && message->keysym <= 0x1fffffff);
}

/* The messages' bytes, one after the other. Their size. */
static size_t let_through(const uint8_t *data, size_t size, size_t step, uint8_t *out, bool *out_ok)
{
	struct vnc_gate gate = { .width = WIDTH, .height = HEIGHT };
	size_t used = 0;
	int got = 0;

	while (size > 0 && got >= 0) {
		struct vnc_message message;
		struct error err = { 0 };
		uint8_t *space;
		size_t part = vnc_gate_space(&gate, &space);

		CHECK(part > 0);
		part = part < step ? part : step;
		part = part < size ? part : size;
		memcpy(space, data, part);
		vnc_gate_filled(&gate, part);
		data += part;
		size -= part;
		while ((got = vnc_gate_next(&gate, &message, &err)) > 0) {
			check_message(&message);
			memcpy(out + used, message.bytes, message.size);
			used += message.size;
		}
		CHECK(got == 0 || (got == -EPROTO && err.msg[0]));
	}
	*out_ok = got == 0;
	return used;
}

/* The pieces without their lengths. Bytes. */
static size_t join(struct input in, uint8_t *out)
{
	size_t used = 0;

	while (in.size > 0) {
		const uint8_t *piece;
		uint8_t length = input_u8(&in);
		size_t size = input_bytes(&in, length, &piece);

		memcpy(out + used, piece, size);
		used += size;
	}
	return used;
}

static void check_cuts(const struct input *in)
{
	uint8_t *said = malloc(in->size + 1), *whole = malloc(in->size + 1),
		*pieces = malloc(in->size + 1);
	bool whole_ok, pieces_ok;

	CHECK(said && whole && pieces);
	size_t all = join(*in, said);
	size_t size = let_through(said, all, VNC_GATE_BUFFER, whole, &whole_ok);
	CHECK(let_through(said, all, 1, pieces, &pieces_ok) == size);
	CHECK(whole_ok == pieces_ok && memcmp(whole, pieces, size) == 0);
	free(said);
	free(whole);
	free(pieces);
}

/* --- a session --------------------------------------------------------------------------------- */

static void on_key(void *arg, uint32_t keysym, bool down)
{
	(void)arg;
	(void)down;
	CHECK(keysym >= 1 && keysym <= 0x1fffffff);
}

static void on_pointer(void *arg, unsigned x, unsigned y, unsigned buttons)
{
	(void)arg;
	CHECK(x <= UINT16_MAX && y <= UINT16_MAX && buttons <= UINT8_MAX);
}

static void hear(int fd)
{
	static uint8_t bytes[65536];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void talk(struct vnc_session *session, int viewer, struct input *in)
{
	const struct rectangle all = { 0, 0, WIDTH, HEIGHT };
	struct error err = { 0 };
	int ret = 0;

	for (unsigned i = 0; ret == 0 && in->size > 0 && i < PIECES_MAX; i++) {
		const uint8_t *piece;
		uint8_t length = input_u8(in);
		size_t size = input_bytes(in, length, &piece);

		if (send(viewer, piece, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
		ret = vnc_session_read(session, &err);
		pixels[i % (WIDTH * HEIGHT)] += 0x010305;
		if (ret == 0 && vnc_session_is_waiting(session))
			ret = vnc_session_update(session, &all, 1);
		hear(viewer);
	}
}

void fuzz_one(struct input *in)
{
	struct vnc_session_options options = { .number = number,
		                               .name = "fuzz",
		                               .grid = grid_of(WIDTH, HEIGHT),
		                               .pixels = pixels,
		                               .key = on_key,
		                               .pointer = on_pointer };
	struct vnc_session *session = NULL;
	int ends[2];

	check_cuts(in);
	memset(pixels, 0, sizeof(pixels));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	options.fd = ends[0];
	CHECK(vnc_session_create(library, &options, &session) == 0);
	talk(session, ends[1], in);
	/* The library may have closed it. */
	if (!vnc_session_destroy(session))
		number = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(number >= 0);
	close(ends[0]);
	close(ends[1]);
}
