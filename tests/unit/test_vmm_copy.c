/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_copy.c - requests for copies: what they wait for, in which order they are made, who is told
 * what; and what a copy's agent is greeted with.
 *
 * The pause, the state and the writer are played; wraps fork, whose results a test chooses, pipe2, and
 * loop_stop, which is counted. Above 700 lines: forks and snapshots wait in one queue, and share that bed.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "vmm/snapshot/config.h"
#include "vmm/snapshot/copy.h"
#include "vmm/snapshot/gate.h"
#include "vmm/snapshot/info.h"
#include "vmm/snapshot/pager.h"
#include "vmm/snapshot/pause.h"
#include "vmm/snapshot/save.h"
#include "vmm/snapshot/state.h"
#include "vmm/viewers.h"
#include "vmm/virtio/vsock.h"
#include "vmm/vm.h"

#define RESULTS_MAX 8

struct machine {
	char calls[64]; /* a letter each: Begin, Info, Config, State, Copy, Fork, End */
	int state_error;
	unsigned hurried, identities;
	int forks[4]; /* what fork returns; below 0: -errno */
	unsigned fork_count;
	int pipe_error;
	int pipe_writer; /* a copy of the write end of the last pipe, or -1 */
	jmp_buf writer;
	struct save saved; /* what the writer was given */
	unsigned shut, opened, net_shut, net_opened;
	unsigned stops; /* of the loop, but for those of rounds() */
	bool held;      /* viewers' threads */
};

static struct machine machine;

static void note(char letter)
{
	size_t length = strlen(machine.calls);

	assert_true(length + 1 < sizeof(machine.calls));
	machine.calls[length] = letter;
}

/* --- the machine ----------------------------------------------------------------------------- */

void pause_begin(struct vm *vm)
{
	(void)vm;
	note('B');
}

void pause_copy(struct vm *vm)
{
	(void)vm;
	note('C');
}

void pause_end(struct vm *vm)
{
	(void)vm;
	note('E');
}

void viewers_hold(struct viewers *viewers)
{
	(void)viewers;
	assert_false(machine.held);
	machine.held = true;
}

void viewers_go_on(struct viewers *viewers)
{
	(void)viewers;
	assert_true(machine.held);
	machine.held = false;
}

void info_save(struct sections_writer *sections)
{
	(void)sections;
	note('I');
}

void config_save(const struct vm *vm, struct sections_writer *sections)
{
	(void)vm;
	(void)sections;
	note('c');
}

uint64_t image_identity(const void *data, uint64_t size)
{
	(void)data;
	(void)size;
	machine.identities++;
	return 5;
}

int state_save(const struct vm *vm, struct sections_writer *out, struct error *err)
{
	(void)vm;
	note('S');
	wire_put_string(&out->out, "state");
	return machine.state_error ? error_set(err, machine.state_error, "no state") : 0;
}

void pager_hurry(struct pager *pager)
{
	(void)pager;
	machine.hurried++;
}

void save_run(struct vm *vm, const struct save *save)
{
	(void)vm;
	machine.saved = *save;
	longjmp(machine.writer, 1);
}

void __real_loop_stop(struct loop *loop);
void __wrap_loop_stop(struct loop *loop);

void __wrap_loop_stop(struct loop *loop)
{
	machine.stops++;
	__real_loop_stop(loop);
}

pid_t __wrap_fork(void);
int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags);

pid_t __wrap_fork(void)
{
	int result = machine.forks[machine.fork_count++];

	assert_true(machine.held);
	note('F');
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

int __wrap_pipe2(int fds[2], int flags)
{
	if (machine.pipe_error) {
		errno = machine.pipe_error;
		return -1;
	}
	int ret = __real_pipe2(fds, flags);
	close_fd(&machine.pipe_writer);
	machine.pipe_writer = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
	return ret;
}

void virtio_vsock_shut(struct virtio_device *dev)
{
	(void)dev;
	machine.shut++;
}

void virtio_vsock_open(struct virtio_device *dev)
{
	(void)dev;
	machine.opened++;
}

void virtio_net_shut(struct virtio_device *dev)
{
	(void)dev;
	machine.net_shut++;
}

void virtio_net_open(struct virtio_device *dev)
{
	(void)dev;
	machine.net_opened++;
}

/* --- the bed --------------------------------------------------------------------------------- */

struct bed {
	struct vm vm;
	struct vm_config config;
	struct copy_result results[RESULTS_MAX];
	pid_t pids[RESULTS_MAX][COPY_CLONES_MAX];
	unsigned results_count;
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	memset(&machine, 0, sizeof(machine));
	machine.pipe_writer = -1;
	if (!bed || loop_create(&bed->vm.loop))
		return -1;
	bed->config = (struct vm_config){ .name = "first" };
	bed->vm.config = &bed->config;
	bed->vm.loaded = bed->vm.acknowledged = true;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	copies_end(&bed->vm);
	loop_destroy(bed->vm.loop);
	close_fd(&machine.pipe_writer);
	free(bed);
	return 0;
}

static void on_done(void *arg, const struct copy_result *result)
{
	struct bed *bed = arg;
	unsigned i = bed->results_count++;

	assert_true(i < RESULTS_MAX);
	bed->results[i] = *result;
	memcpy(bed->pids[i], result->pids, result->pid_count * sizeof(pid_t));
}

static struct clone_plan *plans(unsigned count)
{
	struct clone_plan *made = calloc(count, sizeof(*made));

	assert_non_null(made);
	for (unsigned i = 0; i < count; i++) {
		made[i].name = strdup("clone");
		made[i].net = i ? strdup("tap:t0") : NULL;
	}
	return made;
}

static void ask_forks(struct bed *bed, unsigned count)
{
	copies_fork(&bed->vm, plans(count), count, on_done, bed);
}

static void ask_snapshot(struct bed *bed)
{
	copies_snapshot(&bed->vm, strdup("/s"), strdup("/t"), -1, on_done, bed);
}

/* What has come on the loop, and then its end: a timer that is due stops it. */
struct stopper {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct stopper, timer)->loop);
	machine.stops--;
}

static void rounds(struct bed *bed, unsigned count)
{
	while (count-- > 0) {
		struct stopper stopper = { .loop = bed->vm.loop };

		loop_timer_set(bed->vm.loop, &stopper.timer, clock_now_ns(), stop);
		assert_int_equal(loop_run(bed->vm.loop), 0);
		loop_timer_cancel(bed->vm.loop, &stopper.timer);
	}
}

static void expect_error(const struct bed *bed, unsigned i, int code, const char *words)
{
	assert_true(i < bed->results_count);
	assert_int_equal(bed->results[i].err.code, code);
	if (!strstr(bed->results[i].err.msg, words))
		fail_msg("%s", bed->results[i].err.msg);
}

/* --- waiting --------------------------------------------------------------------------------- */

/* All memory must be there, and a guest that can acknowledge must have done so. */
static void test_what_is_waited_for(void **state)
{
	static const struct {
		const char *name;
		bool loaded, acknowledged, has_agent;
		bool made;
	} rows[] = {
		{ "a guest as any", true, true, true, true },
		{ "memory is missing", false, true, true, false },
		{ "a copy", true, false, true, false },
		{ "a copy, memory is missing", false, false, true, false },
		{ "a copy without an agent", true, false, false, true },
		{ "the same, memory is missing", false, false, false, false },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed->results_count = 0;
		bed->vm.loaded = rows[i].loaded;
		bed->vm.acknowledged = rows[i].acknowledged;
		bed->vm.has_agent = rows[i].has_agent;
		bed->vm.pager = rows[i].loaded ? NULL : (struct pager *)bed; /* never looked at */
		machine = (struct machine){ .forks = { 77 }, .pipe_writer = -1 };
		ask_forks(bed, 1);
		assert_row(rows[i].name, machine.stops == rows[i].made);
		assert_row(rows[i].name, machine.hurried == !rows[i].loaded);
		assert_null(copies_make(&bed->vm));
		assert_row(rows[i].name, bed->results_count == rows[i].made);
		bed->vm.loaded = bed->vm.acknowledged = true;
		copies_go_on(&bed->vm);
		assert_row(rows[i].name, machine.stops == 1);
		assert_null(copies_make(&bed->vm));
		assert_row(rows[i].name, bed->results_count == 1);
		/* Nothing is left to be made. */
		copies_go_on(&bed->vm);
		assert_row(rows[i].name, machine.stops == 1);
		assert_null(copies_make(&bed->vm));
		assert_row(rows[i].name, bed->results_count == 1);
	}
	bed->vm.pager = NULL;
}

static void test_made_in_order(void **state)
{
	struct bed *bed = *state;

	machine.forks[0] = 10;
	machine.forks[1] = 11;
	machine.forks[2] = 12;
	ask_forks(bed, 1);
	ask_snapshot(bed);
	ask_forks(bed, 1);
	assert_null(copies_make(&bed->vm));
	assert_int_equal(bed->results_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(bed->results[i].err.code, 0);
		assert_int_equal(bed->results[i].pid_count, 1);
		assert_int_equal(bed->pids[i][0], 10 + i);
	}
	assert_string_equal(machine.calls, "BSCFE"
	                                   "BIcSCFE"
	                                   "BSCFE");
}

/* --- the original ---------------------------------------------------------------------------- */

static void test_snapshot(void **state)
{
	struct bed *bed = *state;
	static const struct snapshot_id none;

	machine.forks[0] = 10;
	machine.forks[1] = 11;
	bed->vm.image_size = 4096;
	ask_snapshot(bed);
	ask_snapshot(bed);
	assert_null(copies_make(&bed->vm));
	assert_int_equal(bed->results_count, 2);
	assert_int_equal(bed->results[0].err.code, 0);
	assert_false(snapshot_id_equal(&bed->results[0].id, &none));
	assert_false(snapshot_id_equal(&bed->results[0].id, &bed->results[1].id));
	/* The root image is looked at once. */
	assert_int_equal(machine.identities, 1);
	assert_int_equal(bed->vm.image_identity, 5);
}

/* The VM runs on whatever fails, and whoever asked is told. */
static void test_copies_that_fail(void **state)
{
	static const struct {
		const char *calls;
		int fork, state_error, pipe_error;
		unsigned count;
		int code;
		const char *words;
	} rows[] = {
		{ "BSCFE", -ENOMEM, 0, 0, 1, -ENOMEM, "cannot fork: Cannot allocate memory" },
		{ "BSCE", 5, -EIO, 0, 1, -EIO, "no state" },
		{ "", 5, 0, EMFILE, 2, -EMFILE, "pipe: Too many open files" },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(machine.calls, 0, sizeof(machine.calls));
		machine.fork_count = bed->results_count = 0;
		machine.forks[0] = rows[i].fork;
		machine.state_error = rows[i].state_error;
		machine.pipe_error = rows[i].pipe_error;
		ask_forks(bed, rows[i].count);
		assert_null(copies_make(&bed->vm));
		assert_string_equal(machine.calls, rows[i].calls);
		assert_int_equal(bed->results_count, 1);
		expect_error(bed, 0, rows[i].code, rows[i].words);
		assert_int_equal(bed->results[0].pid_count, 0);
		machine.state_error = machine.pipe_error = 0;
	}
}

static void test_disks(void **state)
{
	struct bed *bed = *state;

	machine.forks[0] = 10;
	bed->config.disks[0] = (struct vm_disk){ "/ro", true };
	bed->config.disks[1] = (struct vm_disk){ "/rw", false };
	bed->config.disk_count = 2;
	ask_forks(bed, 1);
	ask_snapshot(bed);
	assert_null(copies_make(&bed->vm));
	expect_error(bed, 0, -ENOTSUP, "/rw");
	expect_error(bed, 1, -ENOTSUP, "/rw");
	assert_string_equal(machine.calls, ""); /* the guest didn't even stand still */
	bed->config.disk_count = 1;
	ask_forks(bed, 1);
	assert_null(copies_make(&bed->vm));
	assert_int_equal(bed->results[2].err.code, 0);
}

/* What a restored session goes on to use is not written over, whatever name it is given by. */
static void test_onto_its_origin(void **state)
{
	char folder[] = "/tmp/cloche-unit-copy-XXXXXX", path[64], other[64];
	struct bed *bed = *state;
	struct stat st;

	machine.forks[0] = 10;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a", folder);
	snprintf(other, sizeof(other), "%s/b", folder);
	assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	assert_int_equal(link(path, other), 0);
	assert_int_equal(stat(path, &st), 0);
	bed->vm.origin_device = st.st_dev;
	bed->vm.origin_inode = st.st_ino;
	copies_snapshot(&bed->vm, strdup(other), NULL, -1, on_done, bed);
	assert_null(copies_make(&bed->vm));
	expect_error(bed, 0, -EINVAL, other);
	assert_string_equal(machine.calls, "");
	unlink(other);
	copies_snapshot(&bed->vm, strdup(other), strdup(path), -1, on_done, bed);
	assert_null(copies_make(&bed->vm));
	assert_int_equal(bed->results[1].err.code, 0);
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
}

/* The first clone says which others it has forked, in as many pieces as the pipe likes. */
static void test_pids_of_several(void **state)
{
	static const pid_t others[] = { 101, 102, 103 };
	struct bed *bed = *state;

	machine.forks[0] = 100;
	ask_forks(bed, 4);
	assert_null(copies_make(&bed->vm));
	assert_string_equal(machine.calls, "BSCFE");
	assert_int_equal(bed->results_count, 0);
	rounds(bed, 2);
	assert_int_equal(write(machine.pipe_writer, others, 6), 6);
	rounds(bed, 2);
	assert_int_equal(bed->results_count, 0);
	assert_int_equal(write(machine.pipe_writer, (const uint8_t *)others + 6, 6), 6);
	rounds(bed, 2);
	assert_int_equal(bed->results_count, 1);
	assert_int_equal(bed->results[0].err.code, 0);
	assert_int_equal(bed->results[0].pid_count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(bed->pids[0][i], 100 + i);
	rounds(bed, 2);
	assert_int_equal(bed->results_count, 1);
}

static void test_some_of_several(void **state)
{
	static const pid_t others[] = { 101 };
	struct bed *bed = *state;

	machine.forks[0] = 100;
	ask_forks(bed, 4);
	assert_null(copies_make(&bed->vm));
	assert_int_equal(write(machine.pipe_writer, others, sizeof(others)), sizeof(others));
	close_fd(&machine.pipe_writer);
	rounds(bed, 3);
	assert_int_equal(bed->results_count, 1);
	expect_error(bed, 0, -ECHILD, "only 2 of 4 clones");
	assert_int_equal(bed->results[0].pid_count, 2);
}

/* Two at a time: each has a pipe of its own. */
static void test_several_twice(void **state)
{
	static const pid_t other = 201;
	struct bed *bed = *state;

	machine.forks[0] = 100;
	machine.forks[1] = 200;
	ask_forks(bed, 2);
	ask_forks(bed, 2);
	assert_null(copies_make(&bed->vm));
	/* Of the first, nobody holds the other end any more. */
	assert_int_equal(write(machine.pipe_writer, &other, sizeof(other)), sizeof(other));
	rounds(bed, 3);
	assert_int_equal(bed->results_count, 2);
	unsigned good = bed->results[0].err.code ? 1 : 0;
	assert_int_equal(bed->results[good].err.code, 0);
	assert_int_equal(bed->pids[good][0], 200);
	assert_int_equal(bed->pids[good][1], 201);
	expect_error(bed, !good, -ECHILD, "only 1 of 2");
}

static void test_session_ends(void **state)
{
	struct bed *bed = *state;

	machine.forks[0] = 100;
	ask_forks(bed, 2);
	assert_null(copies_make(&bed->vm)); /* begun: the other's pid is to come */
	bed->vm.loaded = false;
	ask_forks(bed, 3);
	ask_snapshot(bed);
	assert_int_equal(bed->results_count, 0);
	copies_end(&bed->vm);
	assert_int_equal(bed->results_count, 3);
	for (unsigned i = 0; i < 3; i++)
		expect_error(bed, i, -ECANCELED, "the session ends");
	copies_end(&bed->vm);
	assert_int_equal(bed->results_count, 3);
}

/* --- the copies ------------------------------------------------------------------------------ */

static const uint8_t encoded[] = { 5, 0, 0, 0, 's', 't', 'a', 't', 'e' };

/* Becomes a clone; what the process would go on with is checked, and freed by the test. */
static void expect_clone(struct bed *bed, const char *net)
{
	const struct clone_plan *plan = copies_make(&bed->vm);

	assert_non_null(plan);
	assert_string_equal(plan->name, "clone");
	assert_true(net ? plan->net && strcmp(plan->net, net) == 0 : !plan->net);
	assert_int_equal(bed->vm.saved.size, sizeof(encoded));
	assert_memory_equal(bed->vm.saved.state, encoded, sizeof(encoded));
	assert_int_not_equal(bed->vm.copied_ns, 0);
	assert_int_equal(bed->results_count, 0); /* the original tells */
	assert_null(strchr(machine.calls, 'E'));
	free((uint8_t *)(uintptr_t)bed->vm.saved.state);
}

static void test_clone(void **state)
{
	struct bed *bed = *state;

	machine.forks[0] = 0;
	ask_forks(bed, 1);
	expect_clone(bed, NULL);
	assert_string_equal(machine.calls, "BSCF");
}

/* It forks the others and tells their pids. */
static void test_first_clone_of_three(void **state)
{
	struct bed *bed = *state;

	machine.forks[0] = 0;
	machine.forks[1] = 31;
	machine.forks[2] = 32;
	ask_forks(bed, 3);
	expect_clone(bed, NULL);
	assert_string_equal(machine.calls, "BSCFFF");
}

static void test_last_clone_of_three(void **state)
{
	struct bed *bed = *state;

	machine.forks[0] = 0;
	machine.forks[1] = 31;
	machine.forks[2] = 0;
	ask_forks(bed, 3);
	expect_clone(bed, "tap:t0");
	assert_string_equal(machine.calls, "BSCFFF");
}

/* The others can't be made: the first goes on, and says how many there are. */
static void test_first_clone_alone(void **state)
{
	struct bed *bed = *state;

	machine.forks[0] = 0;
	machine.forks[1] = -EAGAIN;
	ask_forks(bed, 3);
	expect_clone(bed, NULL);
	assert_string_equal(machine.calls, "BSCFF");
}

static void test_writer(void **state)
{
	struct bed *bed = *state;
	static const struct snapshot_id none;

	machine.forks[0] = 0;
	ask_snapshot(bed);
	struct copy *copy = bed->vm.copies;
	if (setjmp(machine.writer) == 0) {
		copies_make(&bed->vm);
		fail_msg("a writer doesn't return");
	}
	assert_string_equal(machine.calls, "BIcSCF");
	assert_string_equal(machine.saved.path, "/s");
	assert_string_equal(machine.saved.parent, "/t");
	assert_int_equal(machine.saved.progress_fd, -1);
	assert_false(snapshot_id_equal(&machine.saved.id, &none));
	assert_int_equal(machine.saved.state_size, sizeof(encoded));
	assert_memory_equal(machine.saved.state, encoded, sizeof(encoded));
	free((uint8_t *)(uintptr_t)machine.saved.state);
	/* The process would have ended. */
	bed->vm.copies = copy;
}

/* --- the gate -------------------------------------------------------------------------------- */

static void test_gate(void **state)
{
	struct bed *bed = *state;
	struct virtio_device net = { 0 };

	for (unsigned with_net = 0; with_net < 2; with_net++) {
		bed->vm.net = with_net ? &net : NULL;
		gate_shut(&bed->vm);
		assert_false(bed->vm.acknowledged);
		assert_int_equal(machine.net_shut, with_net);
		gate_open(&bed->vm);
		assert_true(bed->vm.acknowledged);
		assert_int_equal(machine.net_opened, with_net);
	}
	assert_int_equal(machine.shut, 2);
	assert_int_equal(machine.opened, 2);
}

static void test_greeting(void **state)
{
	struct bed *bed = *state;
	struct virtio_device net = { 0 };
	struct timespec now;

	bed->config.net.mac[0] = 2;
	bed->config.net.mac[5] = 0xab;
	for (size_t i = 0; i < VMGENID_SIZE; i++)
		bed->vm.platform.generation[i] = (uint8_t)(i << 4 | i);
	assert_null(gate_greeting(&bed->vm)); /* it has acknowledged */
	bed->vm.acknowledged = false;
	for (unsigned with_net = 0; with_net < 2; with_net++) {
		bed->vm.net = with_net ? &net : NULL;
		clock_gettime(CLOCK_REALTIME, &now);
		json_t *greeting = gate_greeting(&bed->vm);
		json_int_t told_ns = json_integer_value(json_object_get(greeting, "realtime_ns"));
		assert_in_range(told_ns / (json_int_t)NS_PER_S, now.tv_sec, now.tv_sec + 60);
		json_object_del(greeting, "realtime_ns");
		char *text = json_dumps(greeting, JSON_COMPACT | JSON_SORT_KEYS);
		assert_string_equal(
			text, with_net ? "{\"generation\":\"00112233445566778899aabbccddeeff\","
					 "\"mac\":\"02:00:00:00:00:ab\",\"session\":\"first\","
					 "\"verb\":\"generation\"}"
				       : "{\"generation\":\"00112233445566778899aabbccddeeff\","
					 "\"session\":\"first\",\"verb\":\"generation\"}");
		free(text);
		json_decref(greeting);
	}
}

int main(void)
{
#define COPY_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		COPY_TEST(test_what_is_waited_for),
		COPY_TEST(test_made_in_order),
		COPY_TEST(test_snapshot),
		COPY_TEST(test_copies_that_fail),
		COPY_TEST(test_disks),
		COPY_TEST(test_onto_its_origin),
		COPY_TEST(test_pids_of_several),
		COPY_TEST(test_some_of_several),
		COPY_TEST(test_several_twice),
		COPY_TEST(test_session_ends),
		COPY_TEST(test_clone),
		COPY_TEST(test_first_clone_of_three),
		COPY_TEST(test_last_clone_of_three),
		COPY_TEST(test_first_clone_alone),
		COPY_TEST(test_writer),
		COPY_TEST(test_gate),
		COPY_TEST(test_greeting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
