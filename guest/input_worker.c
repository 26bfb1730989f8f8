/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input_worker.c - steps to XTEST. A process of its own, unprivileged, with one thread.
 *
 * Every code point arrives through XTEST, the supplementary planes included: Chromium takes them
 * from the keymap like any other (checked by tests/e2e/agent_host.py). What it takes to get there
 * on a machine of any speed is keymap.c's theory and windows.c's barrier.
 */
#include "guest/input_worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <xcb/xcb.h>
#include <xcb/xtest.h>
#include <xkbcommon/xkbcommon-keysyms.h>

#include "guest/keymap.h"
#include "guest/steps.h"
#include "guest/text.h"
#include "guest/windows.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/proto.h"
#include "lib/wire.h"

#define BARRIER_MS 10000
#define PRESS_DELAY_MS 10
#define LAST_REAL_BUTTON 3

struct worker {
	struct loop *loop;
	struct wire_conn wire;
	struct loop_watch wire_watch, x_watch;
	xcb_connection_t *x;
	const xcb_screen_t *screen;
	struct keymap *keymap;
	struct windows *windows;
	bool mapping_changed;  /* by somebody: read it before the next request */
	bool held[256];        /* keys that a step pressed and none released yet */
	uint32_t keysyms[256]; /* of those that a "keysym" pressed; 0: another step did */
};

/* --- events --- */

static void event_note(void *arg, const xcb_generic_event_t *event)
{
	struct worker *worker = arg;

	if ((event->response_type & 0x7f) == XCB_MAPPING_NOTIFY)
		worker->mapping_changed = true;
}

/* Also after every request: answers that were waited for may have brought events along. */
static void events_handle(struct worker *worker)
{
	xcb_generic_event_t *event;

	while ((event = xcb_poll_for_event(worker->x))) {
		windows_handle(worker->windows, event);
		event_note(worker, event);
		free(event);
	}
	xcb_flush(worker->x);
	if (xcb_connection_has_error(worker->x))
		_exit(1);
}

static void barrier(struct worker *worker)
{
	if (!windows_barrier(worker->windows, BARRIER_MS, event_note, worker))
		_exit(1);
}

static void worker_sleep(struct worker *worker, uint32_t ms)
{
	uint64_t deadline = clock_now_ns() + ms * NS_PER_MS;
	uint64_t now;

	events_handle(worker);
	while ((now = clock_now_ns()) < deadline) {
		struct pollfd pfd = { .fd = xcb_get_file_descriptor(worker->x), .events = POLLIN };

		poll(&pfd, 1, (int)((deadline - now) / NS_PER_MS + 1));
		events_handle(worker);
	}
}

/* --- keys --- */

static void fake(struct worker *worker, uint8_t type, uint8_t detail, int16_t x, int16_t y)
{
	xcb_test_fake_input(worker->x, type, detail, XCB_CURRENT_TIME, worker->screen->root, x, y,
	                    0);
}

/*
 * Chromium takes two presses with the same time for one, and the display's clock ticks in
 * milliseconds: two clicks in a row would count as a double click or not by chance. The server
 * itself waits before a press (XTestFakeInput's time is a delay), so the time between the two stays
 * short however busy this process's processor is. The wheel's buttons need none of it.
 */
static void button_press(struct worker *worker, uint8_t button)
{
	xcb_test_fake_input(worker->x, XCB_BUTTON_PRESS, button,
	                    button <= LAST_REAL_BUTTON ? PRESS_DELAY_MS : 0, worker->screen->root,
	                    0, 0, 0);
}

static void key_press(struct worker *worker, uint8_t keycode)
{
	if (!worker->held[keycode])
		fake(worker, XCB_KEY_PRESS, keycode, 0, 0);
}

static void key_release(struct worker *worker, uint8_t keycode)
{
	if (!worker->held[keycode])
		fake(worker, XCB_KEY_RELEASE, keycode, 0, 0);
}

static uint8_t keycode_of(struct worker *worker, uint32_t keysym)
{
	struct stroke stroke;

	return keymap_find(worker->keymap, keysym, &stroke) ? stroke.keycode : 0;
}

/* Maps @keysyms (at most @count) onto keys; returns how many of them can be typed now. */
static size_t keysyms_prepare(struct worker *worker, const uint32_t *keysyms, size_t count)
{
	size_t ready = 0;

	keymap_plan_begin(worker->keymap);
	while (ready < count && keymap_plan(worker->keymap, keysyms[ready]) == 0)
		ready++;
	if (keymap_plan_overwrites(worker->keymap))
		barrier(worker);
	if (keymap_commit(worker->keymap))
		barrier(worker);
	return ready;
}

static void keysym_type(struct worker *worker, uint32_t keysym)
{
	uint8_t shift = keycode_of(worker, XKB_KEY_Shift_L);
	struct stroke stroke;

	if (!keymap_find(worker->keymap, keysym, &stroke))
		return;
	if (stroke.shift)
		key_press(worker, shift);
	fake(worker, XCB_KEY_PRESS, stroke.keycode, 0, 0);
	fake(worker, XCB_KEY_RELEASE, stroke.keycode, 0, 0);
	if (stroke.shift)
		key_release(worker, shift);
}

static bool caps_lock_is_on(struct worker *worker)
{
	xcb_query_pointer_reply_t *reply = xcb_query_pointer_reply(
		worker->x, xcb_query_pointer(worker->x, worker->screen->root), NULL);
	bool on = reply && (reply->mask & XCB_MOD_MASK_LOCK);

	free(reply);
	return on;
}

static int text_type(struct worker *worker, const char *text, struct error *err)
{
	uint32_t *keysyms = calloc(strlen(text) + 1, sizeof(*keysyms));
	bool caps = caps_lock_is_on(worker);
	size_t count = 0, done = 0, ready = 0;
	int32_t character;

	if (!keysyms)
		return error_set(err, -ENOMEM, "no memory");
	while ((character = text_next(&text)) > 0)
		keysyms[count++] = keys_from_character(character);
	if (caps)
		keysym_type(worker, XKB_KEY_Caps_Lock);
	while (done < count) {
		ready = keysyms_prepare(worker, keysyms + done, count - done);
		if (!ready)
			break;
		for (size_t i = 0; i < ready; i++)
			keysym_type(worker, keysyms[done + i]);
		done += ready;
	}
	if (caps)
		keysym_type(worker, XKB_KEY_Caps_Lock);
	free(keysyms);
	return done == count ? 0 : error_set(err, -EBUSY, "the keyboard has no spare key");
}

/* The keys of a chord, Shift among them when the last one needs it. */
static int chord_strokes(struct worker *worker, const struct chord *chord, uint8_t *keycodes,
                         size_t *out_count, struct error *err)
{
	uint8_t shift = keycode_of(worker, XKB_KEY_Shift_L);
	bool shifted = false;
	size_t count = 0;

	if (keysyms_prepare(worker, chord->keysyms, chord->count) != chord->count)
		return error_set(err, -EBUSY, "the keyboard has no spare key");
	for (size_t i = 0; i < chord->count; i++) {
		struct stroke stroke;

		if (!keymap_find(worker->keymap, chord->keysyms[i], &stroke))
			return error_set(err, -EBUSY, "the keyboard has no key for it");
		if (stroke.shift && !shifted)
			keycodes[count++] = shift;
		shifted = shifted || stroke.shift || stroke.keycode == shift;
		keycodes[count++] = stroke.keycode;
	}
	*out_count = count;
	return 0;
}

static int chord_do(struct worker *worker, const struct step *step, struct error *err)
{
	uint8_t keycodes[2 * KEYS_CHORD_MAX];
	size_t count = 0;
	int ret = chord_strokes(worker, &step->chord, keycodes, &count, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < count && step->way != WAY_UP; i++) {
		key_press(worker, keycodes[i]);
		if (step->way == WAY_DOWN)
			worker->held[keycodes[i]] = true;
	}
	for (size_t i = count; i-- > 0 && step->way != WAY_DOWN;) {
		if (step->way == WAY_UP) {
			worker->held[keycodes[i]] = false;
			worker->keysyms[keycodes[i]] = 0;
		}
		key_release(worker, keycodes[i]);
	}
	return 0;
}

/* --- keysyms, as a viewer sends them --- */

/*
 * The viewer's keyboard has made a keysym of its keys already, Shift and Caps Lock among them; the guest's
 * keyboard may have it elsewhere. Shift is what the guest's key needs while it goes down, then again what
 * the viewer holds. Keys that write nothing are pressed with whatever is held: Shift+Tab is one.
 */
static int keysym_press(struct worker *worker, uint32_t keysym, struct error *err)
{
	const uint8_t shifts[] = { keycode_of(worker, XKB_KEY_Shift_L),
		                   keycode_of(worker, XKB_KEY_Shift_R) };
	bool caps = keys_has_case(keysym) && caps_lock_is_on(worker);
	struct stroke stroke;

	if (keysyms_prepare(worker, &keysym, 1) != 1 ||
	    !keymap_find(worker->keymap, keysym, &stroke))
		return error_set(err, -EBUSY, "the keyboard has no spare key");
	if (worker->held[stroke.keycode])
		return 0;
	bool shifted = worker->held[shifts[0]] || worker->held[shifts[1]];
	bool add = stroke.shift && !shifted;
	bool drop = !stroke.shift && shifted && keys_is_character(keysym);

	if (caps)
		keysym_type(worker, XKB_KEY_Caps_Lock);
	for (size_t i = 0; i < 2; i++)
		if ((add && i == 0) || (drop && worker->held[shifts[i]]))
			fake(worker, add ? XCB_KEY_PRESS : XCB_KEY_RELEASE, shifts[i], 0, 0);
	fake(worker, XCB_KEY_PRESS, stroke.keycode, 0, 0);
	for (size_t i = 0; i < 2; i++)
		if ((add && i == 0) || (drop && worker->held[shifts[i]]))
			fake(worker, add ? XCB_KEY_RELEASE : XCB_KEY_PRESS, shifts[i], 0, 0);
	if (caps)
		keysym_type(worker, XKB_KEY_Caps_Lock);
	worker->held[stroke.keycode] = true;
	worker->keysyms[stroke.keycode] = keysym;
	return 0;
}

/* The key that it was pressed with; with Shift let go in between it may have another name by now. */
static uint8_t keycode_to_release(struct worker *worker, uint32_t keysym)
{
	uint8_t keycode = keycode_of(worker, keysym);

	for (unsigned i = 0; i < 256; i++)
		if (worker->held[i] && worker->keysyms[i] == keysym)
			return (uint8_t)i;
	return worker->held[keycode] && worker->keysyms[keycode] ? keycode : 0;
}

static void keysym_release(struct worker *worker, uint32_t keysym)
{
	uint8_t keycode = keycode_to_release(worker, keysym);

	if (!keycode)
		return;
	worker->held[keycode] = false;
	worker->keysyms[keycode] = 0;
	fake(worker, XCB_KEY_RELEASE, keycode, 0, 0);
}

/* Digits of the keypad are digits: whether its keys write some is the guest's Num Lock's affair. */
static uint32_t without_keypad(uint32_t keysym)
{
	if (keysym >= XKB_KEY_KP_0 && keysym <= XKB_KEY_KP_9)
		return XKB_KEY_0 + (keysym - XKB_KEY_KP_0);
	if (keysym == XKB_KEY_KP_Decimal)
		return XKB_KEY_period;
	return keysym == XKB_KEY_KP_Separator ? XKB_KEY_comma : keysym;
}

static int keysym_do(struct worker *worker, const struct step *step, struct error *err)
{
	uint32_t keysym = without_keypad(step->keysym);
	int ret = step->way == WAY_UP ? 0 : keysym_press(worker, keysym, err);

	if (ret == 0 && step->way != WAY_DOWN)
		keysym_release(worker, keysym);
	return ret;
}

/* --- steps --- */

static int step_do(struct worker *worker, const struct step *step, struct error *err)
{
	switch (step->kind) {
	case STEP_MOVE:
		fake(worker, XCB_MOTION_NOTIFY, 0, step->x, step->y);
		return 0;
	case STEP_BUTTON:
		if (step->way != WAY_UP)
			button_press(worker, step->button);
		if (step->way != WAY_DOWN)
			fake(worker, XCB_BUTTON_RELEASE, step->button, 0, 0);
		return 0;
	case STEP_KEY:
		return chord_do(worker, step, err);
	case STEP_KEYSYM:
		return keysym_do(worker, step, err);
	case STEP_TEXT:
		return text_type(worker, step->text, err);
	case STEP_SLEEP:
		worker_sleep(worker, step->sleep_ms);
		return 0;
	}
	return 0;
}

static int steps_do(struct worker *worker, const struct steps *steps, struct error *err)
{
	events_handle(worker);
	if (worker->mapping_changed) {
		worker->mapping_changed = false;
		if (keymap_reload(worker->keymap) < 0)
			_exit(1);
	}
	for (size_t i = 0; i < steps->count; i++) {
		int ret = step_do(worker, &steps->list[i], err);

		if (ret < 0)
			return error_prefix(err, ret, "step %zu", i);
	}
	return 0;
}

/* The pointer's place is also the server's word that it has handled all before. */
static json_t *done_reply(struct worker *worker, json_int_t id, size_t count)
{
	xcb_query_pointer_reply_t *pointer = xcb_query_pointer_reply(
		worker->x, xcb_query_pointer(worker->x, worker->screen->root), NULL);
	json_t *reply = wire_reply_ok(id);

	if (!pointer || !reply)
		_exit(1);
	json_object_set_new(reply, "steps", json_integer((json_int_t)count));
	json_object_set_new(reply, "x", json_integer(pointer->root_x));
	json_object_set_new(reply, "y", json_integer(pointer->root_y));
	free(pointer);
	return reply;
}

static json_t *request_do(struct worker *worker, json_t *request)
{
	json_int_t id = json_integer_value(json_object_get(request, "id"));
	struct steps steps = { .count = 0 };
	struct error err = { 0 };
	json_t *reply;

	if (steps_parse(json_object_get(request, "steps"), worker->screen->width_in_pixels,
	                worker->screen->height_in_pixels, &steps, &err) < 0)
		return wire_reply_error(id, PROTO_ERR_BAD_REQUEST, "%s", err.msg);
	if (steps_do(worker, &steps, &err) < 0)
		reply = wire_reply_error(id, PROTO_ERR_FAILED, "%s", err.msg);
	else
		reply = done_reply(worker, id, steps.count);
	steps_finish(&steps);
	return reply;
}

static void request_ready(struct loop_watch *watch, uint32_t events)
{
	struct worker *worker = container_of(watch, struct worker, wire_watch);
	struct wire_message message = WIRE_MESSAGE_INIT;

	(void)events;
	if (wire_conn_read(&worker->wire, NULL) < 0)
		_exit(0);
	while (wire_conn_next(&worker->wire, &message, NULL) > 0) {
		json_t *reply = request_do(worker, message.object);

		if (!reply || wire_conn_send(&worker->wire, reply, NULL, 0, -1) < 0)
			_exit(1);
		json_decref(reply);
		wire_message_finish(&message);
	}
	events_handle(worker);
}

static void x_ready(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	events_handle(container_of(watch, struct worker, x_watch));
}

/* --- start --- */

static bool x_open(struct worker *worker, uint32_t display)
{
	char name[16];
	int number;

	snprintf(name, sizeof(name), ":%u", display);
	worker->x = xcb_connect(name, &number);
	if (xcb_connection_has_error(worker->x)) {
		log_error("input: Xvfb lets nobody in");
		return false;
	}
	worker->screen = xcb_setup_roots_iterator(xcb_get_setup(worker->x)).data;
	if (!xcb_get_extension_data(worker->x, &xcb_test_id)->present) {
		log_error("input: Xvfb has no XTEST");
		return false;
	}
	return windows_create(worker->x, worker->screen, &worker->windows) == 0 &&
	       keymap_create(worker->x, &worker->keymap) == 0;
}

void input_worker(int fd, uint32_t display)
{
	struct worker worker = { .wire = { .fd = -1 } };

	if (wire_conn_init(&worker.wire, fd) < 0 || loop_create(&worker.loop) < 0 ||
	    !x_open(&worker, display))
		_exit(1);
	if (loop_watch_add(worker.loop, &worker.wire_watch, fd, EPOLLIN, request_ready) < 0 ||
	    loop_watch_add(worker.loop, &worker.x_watch, xcb_get_file_descriptor(worker.x), EPOLLIN,
	                   x_ready) < 0)
		_exit(1);
	events_handle(&worker);
	loop_run(worker.loop);
	_exit(1);
}
