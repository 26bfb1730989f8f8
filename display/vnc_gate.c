/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/vnc_gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

/* RFC 6143, 7.5. */
enum { SET_PIXEL_FORMAT = 0, SET_ENCODINGS = 2, UPDATE_REQUEST = 3, KEY = 4, POINTER = 5, CUT = 6 };

#define FORMAT_SIZE 20u
#define ENCODINGS_HEAD 4u
#define REQUEST_SIZE 10u
#define KEY_SIZE 8u
#define POINTER_SIZE 6u
#define CUT_HEAD 8u
#define KEYSYM_MAX 0x1fffffffu
#define SECURITY_NONE 1u

/*
 * Those that libvncserver does well, each with its own state a viewer: Raw, Hextile, Zlib, Tight, ZRLE;
 * quality and compression of Tight, subsampling too, cursor shapes (it hides the viewer's own), LastRect,
 * DesktopSize.
 */
static bool is_known(int32_t encoding)
{
	static const int32_t known[] = { 0, 5, 6, 7, 16, -239, -224, -223 };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (encoding == known[i])
			return true;
	return (encoding >= -32 && encoding <= -23) || (encoding >= -256 && encoding <= -247) ||
	       (encoding >= -512 && encoding <= -412) || (encoding >= -768 && encoding <= -763);
}

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static void put_be16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

size_t vnc_gate_space(struct vnc_gate *gate, uint8_t **out_space)
{
	if (gate->start > 0) {
		memmove(gate->buffer, gate->buffer + gate->start, gate->used - gate->start);
		gate->used -= gate->start;
		gate->start = 0;
	}
	*out_space = gate->buffer + gate->used;
	return VNC_GATE_BUFFER - gate->used;
}

void vnc_gate_filled(struct vnc_gate *gate, size_t size)
{
	ASSERT(size <= VNC_GATE_BUFFER - gate->used);
	gate->used += size;
}

/* --- the beginning --------------------------------------------------------------------------- */

/* Older ones speak like 3.3, newer ones and Apple's 3.889 like 3.8 (RFC 6143, 7.1.1). */
static int next_version(struct vnc_gate *gate, uint8_t *p, struct vnc_message *message,
                        struct error *err)
{
	unsigned minor = 0;

	for (unsigned i = 8; i < 11; i++)
		minor = p[i] >= '0' && p[i] <= '9' ? minor * 10 + (p[i] - '0') : 10000;
	if (memcmp(p, "RFB 003.", 8) != 0 || minor >= 1000 || minor < 3 || p[11] != '\n')
		return error_set(err, -EPROTO, "it speaks no RFB 3");
	memcpy(p + 8, minor < 7 ? "003" : minor == 7 ? "007" : "008", 3);
	gate->state = minor < 7 ? VNC_GATE_INIT : VNC_GATE_SECURITY;
	message->said = VNC_SAID_VERSION;
	return (int)VNC_VERSION_SIZE;
}

static int next_security(struct vnc_gate *gate, const uint8_t *p, struct vnc_message *message,
                         struct error *err)
{
	if (p[0] != SECURITY_NONE)
		return error_set(err, -EPROTO, "it asks for security type %u", p[0]);
	gate->state = VNC_GATE_INIT;
	message->said = VNC_SAID_SECURITY;
	return 1;
}

static int next_init(struct vnc_gate *gate, uint8_t *p, struct vnc_message *message)
{
	/* None has the screen for itself. */
	p[0] = 1;
	gate->state = VNC_GATE_OPEN;
	message->said = VNC_SAID_INIT;
	return 1;
}

/* --- then ------------------------------------------------------------------------------------ */

static int next_format(const uint8_t *p, struct vnc_message *message, struct error *err)
{
	unsigned bits = p[4], depth = p[5], true_colour = p[7];

	if ((bits != 8 && bits != 16 && bits != 32) || depth > bits || (!true_colour && bits != 8))
		return error_set(err, -EPROTO, "it asks for pixels of %u bits, %u of them colour",
		                 bits, depth);
	for (unsigned i = 14; true_colour && i < 17; i++)
		if (p[i] >= bits)
			return error_set(err, -EPROTO,
			                 "it asks for a colour shifted by %u of %u bits", p[i],
			                 bits);
	for (unsigned i = 8; true_colour && i < 14; i += 2)
		if (be16(p + i) == 0)
			return error_set(err, -EPROTO, "it asks for pixels without a colour");
	message->said = VNC_SAID_FORMAT;
	return (int)FORMAT_SIZE;
}

/* What we don't know is taken out in place. */
static int next_encodings(uint8_t *p, size_t size, struct vnc_message *message, struct error *err)
{
	unsigned count = be16(p + 2), kept = 0;

	if (count > VNC_GATE_ENCODINGS_MAX)
		return error_set(err, -EPROTO, "it lists %u encodings", count);
	if (size < ENCODINGS_HEAD + 4 * count)
		return 0;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *from = p + ENCODINGS_HEAD + 4 * i;

		if (is_known((int32_t)be32(from)))
			memmove(p + ENCODINGS_HEAD + 4 * kept++, from, 4);
	}
	put_be16(p + 2, kept);
	message->said = VNC_SAID_ENCODINGS;
	message->size = ENCODINGS_HEAD + 4 * kept;
	return (int)(ENCODINGS_HEAD + 4 * count);
}

/* One for nothing that is there isn't handed on: libvncserver divides by its width. */
static int next_request(const struct vnc_gate *gate, uint8_t *p, struct vnc_message *message)
{
	unsigned x = be16(p + 2), y = be16(p + 4), width = be16(p + 6), height = be16(p + 8);

	if (x >= gate->width || y >= gate->height || width == 0 || height == 0)
		return (int)REQUEST_SIZE;
	if (width > gate->width - x)
		put_be16(p + 6, gate->width - x);
	if (height > gate->height - y)
		put_be16(p + 8, gate->height - y);
	message->said = VNC_SAID_REQUEST;
	return (int)REQUEST_SIZE;
}

static int next_key(const uint8_t *p, struct vnc_message *message, struct error *err)
{
	message->said = VNC_SAID_KEY;
	message->down = p[1] != 0;
	message->keysym = be32(p + 4);
	if (message->keysym == 0 || message->keysym > KEYSYM_MAX)
		return error_set(err, -EPROTO, "it sends a key that is none");
	return (int)KEY_SIZE;
}

static int next_pointer(const uint8_t *p, struct vnc_message *message)
{
	message->said = VNC_SAID_POINTER;
	message->buttons = p[1];
	message->x = (uint16_t)be16(p + 2);
	message->y = (uint16_t)be16(p + 4);
	return (int)POINTER_SIZE;
}

/* Its length is negative for clipboards of another make, which are as long without the sign. */
static int next_cut(struct vnc_gate *gate, const uint8_t *p, struct error *err)
{
	uint32_t length = be32(p + 4);

	if (length & 0x80000000u)
		length = -length;
	if (length > VNC_GATE_CUT_MAX)
		return error_set(err, -EPROTO, "it sends a clipboard of %u bytes", length);
	gate->skip = length;
	return (int)CUT_HEAD;
}

static size_t size_of(uint8_t type)
{
	switch (type) {
	case SET_PIXEL_FORMAT:
		return FORMAT_SIZE;
	case SET_ENCODINGS:
		return ENCODINGS_HEAD;
	case UPDATE_REQUEST:
		return REQUEST_SIZE;
	case KEY:
		return KEY_SIZE;
	case POINTER:
		return POINTER_SIZE;
	case CUT:
		return CUT_HEAD;
	default:
		return 0;
	}
}

/* Bytes of the message, 0: more are needed, or -EPROTO. */
static int next_open(struct vnc_gate *gate, uint8_t *p, size_t size, struct vnc_message *message,
                     struct error *err)
{
	size_t least = size_of(p[0]);

	if (least == 0)
		return error_set(err, -EPROTO,
		                 "it sends a message of type %u, which none here takes", p[0]);
	if (size < least)
		return 0;
	switch (p[0]) {
	case SET_PIXEL_FORMAT:
		return next_format(p, message, err);
	case SET_ENCODINGS:
		return next_encodings(p, size, message, err);
	case KEY:
		return next_key(p, message, err);
	case POINTER:
		return next_pointer(p, message);
	case CUT:
		return next_cut(gate, p, err);
	default:
		return next_request(gate, p, message);
	}
}

static int next(struct vnc_gate *gate, uint8_t *p, size_t size, struct vnc_message *message,
                struct error *err)
{
	switch (gate->state) {
	case VNC_GATE_VERSION:
		return size < VNC_VERSION_SIZE ? 0 : next_version(gate, p, message, err);
	case VNC_GATE_SECURITY:
		return next_security(gate, p, message, err);
	case VNC_GATE_INIT:
		return next_init(gate, p, message);
	case VNC_GATE_OPEN:
		return next_open(gate, p, size, message, err);
	}
	return 0;
}

static void skip(struct vnc_gate *gate)
{
	size_t left = gate->used - gate->start, taken = gate->skip < left ? gate->skip : left;

	gate->start += taken;
	gate->skip -= taken;
}

int vnc_gate_next(struct vnc_gate *gate, struct vnc_message *out_message, struct error *err)
{
	for (;;) {
		struct vnc_message message = { 0 };
		uint8_t *p;

		skip(gate);
		if (gate->start == gate->used)
			return 0;
		p = gate->buffer + gate->start;
		int size = next(gate, p, gate->used - gate->start, &message, err);
		if (size <= 0)
			return size;
		gate->start += (size_t)size;
		if (message.said == VNC_SAID_NOTHING)
			continue;
		message.bytes = p;
		if (message.size == 0)
			message.size = (size_t)size;
		*out_message = message;
		return 1;
	}
}
