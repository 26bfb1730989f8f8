/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_control_bed.h - a control socket with real clients, for units of control*.c. What it asks of the
 * machine (vCPUs, agent, screen, balloon, copies) is played here. One thread.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_CONTROL_BED_H
#define CLOCHE_TESTS_UNIT_VMM_CONTROL_BED_H

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "lib/sock.h"
#include "lib/wire.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/frames.h"
#include "vmm/picture.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/settle.h"
#include "vmm/snapshot/copy.h"
#include "vmm/viewers.h"
#include "vmm/virtio/balloon.h"
#include "vmm/vm.h"

#define CLIENTS 3
#define MEMORY_MIB 64

static struct {
	unsigned pauses, resumes, pokes;
	enum vm_reason ended;
	/* What was asked of the agent or the screen last, and how to answer it. */
	agent_done *agent_done;
	picture_done *picture_done;
	settle_done *settle_done;
	void *done_arg;
	uint64_t agent_timeout_ms;
	char agent_verb[32];
	json_t *hello;
	struct screenshot_wish shot;
	struct comparison_wish comparison;
	char frames[2][32]; /* of the comparison */
	struct settle_wish settle;
	/* The copies that were asked for last: owned here. */
	struct clone_plan *plans;
	unsigned plan_count;
	char *path, *parent;
	int progress_fd;
	copy_done *copy_done;
	/* Who wanted frames: the socket is owned here. */
	int frames_fd, frames_ret;
	bool frames_fast;
	/* The balloon. */
	bool answers; /* there is a driver that brings statistics */
	unsigned asked;
	struct balloon_state balloon;
} machine;

/* --- the machine ----------------------------------------------------------------------------- */

void vm_pause(struct vm *vm)
{
	machine.pauses++;
	vm->paused = true;
}

void vm_resume(struct vm *vm)
{
	machine.resumes++;
	vm->paused = false;
}

void vm_end(struct vm *vm, enum vm_reason reason, int vcpu, uint64_t pc, const char *detail)
{
	(void)vm;
	(void)pc;
	assert_int_equal(vcpu, -1);
	assert_non_null(detail);
	machine.ended = reason;
}

int64_t vm_stage_ms(const struct vm *vm, enum vm_stage stage)
{
	uint64_t at = atomic_load(&vm->stages[stage]);

	return at ? (int64_t)(at / NS_PER_MS) : -1;
}

void agent_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, agent_done *done, void *arg)
{
	(void)agent;
	(void)blob;
	(void)blob_size;
	snprintf(machine.agent_verb, sizeof(machine.agent_verb), "%s",
	         json_string_value(json_object_get(request, "verb")));
	machine.agent_timeout_ms = timeout_ms;
	machine.agent_done = done;
	machine.done_arg = arg;
}

const json_t *agent_hello(const struct agent *agent)
{
	(void)agent;
	return machine.hello;
}

bool screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height)
{
	(void)screen;
	*out_width = 800;
	*out_height = 600;
	return true;
}

void picture_shoot(struct vm *vm, const struct screenshot_wish *wish, picture_done *done, void *arg)
{
	(void)vm;
	machine.shot = *wish;
	machine.picture_done = done;
	machine.done_arg = arg;
}

void picture_compare(struct vm *vm, const struct comparison_wish *wish, picture_done *done,
                     void *arg)
{
	(void)vm;
	machine.comparison = *wish;
	snprintf(machine.frames[0], sizeof(machine.frames[0]), "%s", wish->frame);
	snprintf(machine.frames[1], sizeof(machine.frames[1]), "%s", wish->against ?: "");
	machine.picture_done = done;
	machine.done_arg = arg;
}

void settle(struct settling *settling, const struct settle_wish *wish, settle_done *done, void *arg)
{
	(void)settling;
	machine.settle = *wish;
	machine.settle_done = done;
	machine.done_arg = arg;
}

#ifndef BED_HAS_FRAMES /* who defines it links scan.c and frames.c */
void scan_poke(struct scan *scan)
{
	(void)scan;
	machine.pokes++;
}

int frames_add(struct frames *frames, int fd, bool fast)
{
	(void)frames;
	machine.frames_fast = fast;
	if (machine.frames_ret == 0)
		machine.frames_fd = fd;
	return machine.frames_ret;
}
#endif

int virtio_balloon_set_target(struct virtio_device *dev, uint64_t size)
{
	(void)dev;
	machine.balloon.target = size;
	return 0;
}

bool virtio_balloon_ask(struct virtio_device *dev)
{
	(void)dev;
	machine.asked++;
	return machine.answers;
}

void virtio_balloon_read(struct virtio_device *dev, struct balloon_state *out_state)
{
	(void)dev;
	*out_state = machine.balloon;
}

/* --- viewers --- */

struct viewers {
	uint64_t last, holder;
	bool may_control;
	int error; /* for the next call; 0: it succeeds */
	char byte; /* that the socket which came along had */
};

static struct viewers lookers;

int viewers_add(struct viewers *viewers, int fd, bool may_control, uint64_t *out_number,
                struct error *err)
{
	if (viewers->error) {
		close(fd);
		return error_set(err, viewers->error, "refused");
	}
	assert_int_equal(read(fd, &viewers->byte, 1), 1);
	close(fd);
	viewers->may_control = may_control;
	*out_number = ++viewers->last;
	return 0;
}

int viewers_take(struct viewers *viewers, uint64_t number, uint64_t *out_number, struct error *err)
{
	if (viewers->error)
		return error_set(err, viewers->error, "refused");
	*out_number = viewers->holder = number ? number : viewers->last;
	return 0;
}

void viewers_release(struct viewers *viewers)
{
	viewers->holder = 0;
}

bool viewers_are_in_control(const struct viewers *viewers)
{
	return viewers->holder != 0;
}

json_t *viewers_describe(const struct viewers *viewers)
{
	return json_pack("{s:[],s:I}", "viewers", "holder", (json_int_t)viewers->holder);
}

void copies_fork(struct vm *vm, struct clone_plan *plans, unsigned count, copy_done *done,
                 void *arg)
{
	(void)vm;
	assert_null(machine.plans);
	machine.plans = plans;
	machine.plan_count = count;
	machine.copy_done = done;
	machine.done_arg = arg;
}

void copies_snapshot(struct vm *vm, char *path, char *parent, int progress_fd, copy_done *done,
                     void *arg)
{
	(void)vm;
	assert_null(machine.path);
	machine.path = path;
	machine.parent = parent;
	machine.progress_fd = progress_fd;
	machine.copy_done = done;
	machine.done_arg = arg;
}

void clone_plan_finish(struct clone_plan *plan)
{
	free(plan->name);
	free(plan->control);
	free(plan->vsock);
	free(plan->report);
	free(plan->console);
	free(plan->log);
	free(plan->net);
}

static inline void forget_copies(void)
{
	for (unsigned i = 0; i < machine.plan_count; i++)
		clone_plan_finish(&machine.plans[i]);
	free(machine.plans);
	free(machine.path);
	free(machine.parent);
	close_fd(&machine.progress_fd);
	machine.plans = NULL;
	machine.plan_count = 0;
	machine.path = machine.parent = NULL;
}

/* --- the bed --------------------------------------------------------------------------------- */

struct bed {
	char folder[32], path[64];
	struct vm_config config;
	struct vm vm;
	struct wire_conn clients[CLIENTS];
};

static inline int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct error err = { 0 };

	memset(&machine, 0, sizeof(machine));
	machine.progress_fd = -1;
	if (!bed)
		return -1;
	strcpy(bed->folder, "/tmp/unit.XXXXXX");
	if (!mkdtemp(bed->folder))
		return -1;
	snprintf(bed->path, sizeof(bed->path), "%s/control.sock", bed->folder);
	bed->config = (struct vm_config){ .name = "demo",
		                          .cpus = 2,
		                          .memory = (uint64_t)MEMORY_MIB << 20 };
	bed->vm.config = &bed->config;
	lookers = (struct viewers){ 0 };
	bed->vm.viewers = &lookers;
	atomic_store(&bed->vm.stages[STAGE_STARTED], 1);
	for (unsigned i = 0; i < CLIENTS; i++)
		bed->clients[i] = (struct wire_conn){ .fd = -1 };
	*state = bed;
	return loop_create(&bed->vm.loop) ||
	       control_create(&bed->vm, bed->path, &bed->vm.control, &err);
}

static inline int teardown(void **state)
{
	struct bed *bed = *state;

	for (unsigned i = 0; i < CLIENTS; i++)
		wire_conn_finish(&bed->clients[i]);
	control_destroy(bed->vm.control);
	loop_destroy(bed->vm.loop);
	json_decref(machine.hello);
	forget_copies();
	int ret = rmdir(bed->folder); /* the socket is gone with its owner */
	free(bed);
	return ret;
}

/* A timer that is due stops the loop behind the watches of its first round. */
struct stopper {
	struct loop_timer timer;
	struct loop *loop;
};

static inline void stop(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct stopper, timer)->loop);
}

static inline void rounds(struct bed *bed, unsigned count)
{
	while (count-- > 0) {
		struct stopper stopper = { .loop = bed->vm.loop };

		loop_timer_set(bed->vm.loop, &stopper.timer, clock_now_ns(), stop);
		assert_int_equal(loop_run(bed->vm.loop), 0);
	}
}

static inline int connect_plain(struct bed *bed)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, bed->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	rounds(bed, 2);
	return fd;
}

static inline void join(struct bed *bed, unsigned i)
{
	assert_int_equal(wire_conn_init(&bed->clients[i], connect_plain(bed)), 0);
}

/* Sends @text, as JSON, from client @i, and lets the loop run. */
static inline void say_from(struct bed *bed, unsigned i, const char *text, int fd)
{
	json_t *request = json_loads(text, 0, NULL);

	assert_non_null(request);
	assert_int_equal(wire_conn_send(&bed->clients[i], request, NULL, 0, fd), 0);
	json_decref(request);
	rounds(bed, 2);
}

static inline void say(struct bed *bed, unsigned i, const char *text)
{
	say_from(bed, i, text, -1);
}

/* From the first client; @fd comes along. */
static inline void say_with_fd(struct bed *bed, const char *text, int fd)
{
	say_from(bed, 0, text, fd);
}

/* The next reply to client @i; NULL: none is there. The caller owns it. */
static inline json_t *heard(struct bed *bed, unsigned i)
{
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct error err = { 0 };

	wire_conn_read(&bed->clients[i], &err);
	if (wire_conn_next(&bed->clients[i], &message, &err) <= 0)
		return NULL;
	json_t *object = json_incref(message.object);
	wire_message_finish(&message);
	return object;
}

static inline bool is_closed(struct bed *bed, unsigned i)
{
	struct error err = { 0 };

	rounds(bed, 2);
	return wire_conn_read(&bed->clients[i], &err) == -ECONNRESET;
}

/* @reply must be an error of this code, with these words. */
static inline void expect_error(const json_t *reply, const char *row, const char *code,
                                const char *words)
{
	const json_t *error = json_object_get(reply, "error");

	assert_row(row, reply && json_is_false(json_object_get(reply, "ok")));
	assert_row(row, strcmp(json_string_value(json_object_get(error, "code")), code) == 0);
	assert_row(row, strstr(json_string_value(json_object_get(error, "message")), words));
}

static inline void refused(struct bed *bed, const char *text, const char *code, const char *words)
{
	say(bed, 0, text);
	json_t *reply = heard(bed, 0);

	expect_error(reply, text, code, words);
	json_decref(reply);
}

static inline json_t *granted(struct bed *bed, unsigned i)
{
	json_t *reply = heard(bed, i);

	assert_non_null(reply);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	return reply;
}

static inline json_int_t number(const json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

static inline void expect_nothing(struct bed *bed, unsigned i)
{
	rounds(bed, 2);
	assert_null(heard(bed, i));
}

#endif
