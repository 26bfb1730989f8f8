/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc_gate.h - what a viewer says (RFC 6143), cut into messages and checked, before anybody acts on it.
 *
 * A viewer may be anybody who got hold of the socket, so nothing of it reaches libvncserver but whole
 * messages of three kinds, with numbers in range; keys and the pointer are told apart; clipboards are
 * skipped; all else, file transfer and chat among it, ends the connection. Pure; one thread at a time.
 */
#ifndef CLOCHE_DISPLAY_VNC_GATE_H
#define CLOCHE_DISPLAY_VNC_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define VNC_GATE_BUFFER 2048u       /* bytes */
#define VNC_GATE_ENCODINGS_MAX 256u /* that a viewer may list; known ones are let through */
#define VNC_GATE_CUT_MAX (1u << 20) /* bytes of a clipboard that is skipped */
#define VNC_GATE_EVENTS_MAX (VNC_GATE_BUFFER / 6) /* keys and moves that one full buffer may hold */
#define VNC_VERSION_SIZE 12u                      /* "RFB 003.008\n" */

enum vnc_said {
	VNC_SAID_NOTHING,  /* that anybody hears of */
	VNC_SAID_VERSION,  /* .bytes: the one that both speak, 3.3, 3.7 or 3.8 */
	VNC_SAID_SECURITY, /* it wants no authentication */
	VNC_SAID_INIT,
	VNC_SAID_FORMAT,    /* SetPixelFormat */
	VNC_SAID_ENCODINGS, /* SetEncodings, with those only that we know */
	VNC_SAID_REQUEST,   /* FramebufferUpdateRequest, for some of the screen */
	VNC_SAID_KEY,
	VNC_SAID_POINTER
};

struct vnc_message {
	enum vnc_said said;
	const uint8_t *
		bytes; /* as it is to be handed on; borrowed from the gate until it is asked again */
	size_t size;
	uint32_t keysym; /* VNC_SAID_KEY: an X keysym, not 0, at most 29 bits */
	bool down;
	uint16_t x, y;   /* VNC_SAID_POINTER: anywhere, maybe beyond the screen */
	uint8_t buttons; /* bit 0 is X's button 1 */
};

enum vnc_gate_state { VNC_GATE_VERSION, VNC_GATE_SECURITY, VNC_GATE_INIT, VNC_GATE_OPEN };

/* All zeros at the start, but for the size of the screen. */
struct vnc_gate {
	unsigned width, height;
	enum vnc_gate_state state;
	uint8_t buffer[VNC_GATE_BUFFER];
	size_t start, used; /* buffer[start..used) isn't looked at yet */
	size_t skip;        /* bytes of a clipboard to come */
};

/* Where the viewer's next bytes are to be put. How many fit: at least one after next() has said 0. */
size_t vnc_gate_space(struct vnc_gate *gate, uint8_t **out_space);

/* @size bytes were put there. */
void vnc_gate_filled(struct vnc_gate *gate, size_t size);

/* 1: the next message; 0: it takes more bytes; -EPROTO, with @err: nothing more is believed. */
int vnc_gate_next(struct vnc_gate *gate, struct vnc_message *out_message, struct error *err);

#endif
