/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_serial.c - the 16550A's registers and interrupt, its ring, and where the output goes.
 *
 * Wraps ioctl (vmm_fake_kvm.h) for the interrupt line, and write for a guest that prints meanwhile.
 */
#include "tests/unit/vmm_fake_kvm.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/serial.h"

#define THR 0
#define IER 1
#define IIR 2
#define FCR 2
#define LCR 3
#define MCR 4
#define LSR 5
#define MSR 6
#define SCR 7
#define IER_THRI 2
#define IIR_NONE 1
#define IIR_THRI 2
#define LCR_DLAB 0x80
#define MCR_LOOP 0x10

struct bed {
	struct loop *loop;
	struct irq_line irq;
	struct serial serial;
	char path[64];
	struct error err;
};

/* What a guest prints while we write its output: @chatter is asked for one byte a write. */
static struct bed *chatter;
static unsigned chatter_left;

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	if (chatter && fd == chatter->serial.out_fd && chatter_left > 0) {
		chatter_left--;
		serial_write(&chatter->serial, THR, 1, 'x');
	}
	return __real_write(fd, data, size);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	fake_kvm_reset();
	if (!bed || loop_create(&bed->loop) || irq_line_init(&bed->irq, FAKE_VM_FD, 4, &bed->err))
		return -1;
	snprintf(bed->path, sizeof(bed->path), "/tmp/cloche-unit-serial-%d", getpid());
	unlink(bed->path);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	serial_finish(&bed->serial);
	unlink(bed->path);
	irq_line_finish(&bed->irq);
	loop_destroy(bed->loop);
	free(bed);
	return 0;
}

static void start(struct bed *bed)
{
	assert_int_equal(serial_init(&bed->serial, bed->loop, &bed->irq, bed->path, &bed->err), 0);
}

static uint64_t get(struct bed *bed, unsigned reg)
{
	return serial_read(&bed->serial, reg, 1);
}

static void set(struct bed *bed, unsigned reg, unsigned value)
{
	serial_write(&bed->serial, reg, 1, value);
}

static void print(struct bed *bed, const char *text)
{
	for (; *text; text++)
		set(bed, THR, (uint8_t)*text);
}

static void assert_file(const struct bed *bed, const char *expected)
{
	char text[256] = "";

	cleanup_fd int fd = open(bed->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t got = read(fd, text, sizeof(text) - 1);
	assert_int_equal(got, strlen(expected));
	assert_string_equal(text, expected);
}

/* --- registers --- */

static void test_registers(void **state)
{
	struct bed *bed = *state;

	start(bed);
	assert_int_equal(get(bed, LSR), 0x60);
	assert_int_equal(get(bed, MSR), 0xb0);
	assert_int_equal(get(bed, IIR), IIR_NONE);
	assert_int_equal(get(bed, THR), 0);
	set(bed, SCR, 0x5a);
	assert_int_equal(get(bed, SCR), 0x5a);
	set(bed, IER, 0xff);
	assert_int_equal(get(bed, IER), 0x0f);
	set(bed, MCR, 0xff);
	assert_int_equal(get(bed, MCR), 0x1f);
	/* In loopback the modem lines follow MCR, which is how drivers probe. */
	set(bed, MCR, MCR_LOOP | 0x0a);
	assert_int_equal(get(bed, MSR), 0xa0);
	set(bed, MCR, 0);
	/* The divisor hides behind DLAB; IER and THR keep theirs. */
	set(bed, IER, 0x05);
	set(bed, LCR, LCR_DLAB | 3);
	assert_int_equal(get(bed, LCR), LCR_DLAB | 3);
	set(bed, THR, 0x0c);
	set(bed, IER, 0x02);
	assert_int_equal(get(bed, THR), 0x0c);
	assert_int_equal(get(bed, IER), 0x02);
	set(bed, LCR, 3);
	assert_int_equal(get(bed, IER), 0x05);
	/* The FIFO bits of IIR say whether FCR enabled it. */
	set(bed, FCR, 1);
	assert_int_equal(get(bed, IIR), 0xc0 | IIR_NONE);
	set(bed, FCR, 0);
	assert_int_equal(get(bed, IIR), IIR_NONE);
	/* What can't be written. */
	set(bed, LSR, 0);
	set(bed, MSR, 0);
	assert_int_equal(get(bed, LSR), 0x60);
	assert_int_equal(get(bed, MSR), 0xb0);
	assert_int_equal(bed->serial.written, 0);
}

static void test_odd_accesses(void **state)
{
	struct bed *bed = *state;

	start(bed);
	set(bed, SCR, 0x5a);
	for (unsigned size = 2; size <= 8; size *= 2)
		for (unsigned reg = 0; reg < SERIAL_SIZE; reg++) {
			assert_int_equal(serial_read(&bed->serial, reg, size), 0);
			serial_write(&bed->serial, reg, size, UINT64_MAX);
		}
	assert_int_equal(get(bed, SCR), 0x5a);
	assert_int_equal(get(bed, IER), 0);
	assert_int_equal(bed->serial.written, 0);
}

/* THR is always empty: pending when the enable bit is set and after each byte, until IIR is read. */
static void test_transmit_interrupt(void **state)
{
	struct bed *bed = *state;

	start(bed);
	print(bed, "x");
	assert_int_equal(fake_kvm_edges(&bed->irq), 0);
	assert_int_equal(get(bed, IIR), IIR_NONE);

	set(bed, IER, IER_THRI);
	assert_int_equal(fake_kvm_edges(&bed->irq), 1);
	assert_true(atomic_load(&bed->irq.asserted));
	assert_int_equal(get(bed, IIR), IIR_THRI);
	assert_false(atomic_load(&bed->irq.asserted));
	assert_int_equal(get(bed, IIR), IIR_NONE);
	/* Set once more is no edge of the bit. */
	set(bed, IER, IER_THRI | 1);
	assert_int_equal(fake_kvm_edges(&bed->irq), 0);

	print(bed, "y");
	assert_int_equal(fake_kvm_edges(&bed->irq), 1);
	assert_int_equal(get(bed, IIR), IIR_THRI);
	/* Disabled while pending: nothing shows; enabled again: it comes back. */
	print(bed, "z");
	set(bed, IER, 0);
	assert_int_equal(get(bed, IIR), IIR_NONE);
	fake_kvm_edges(&bed->irq);
	set(bed, IER, IER_THRI);
	assert_int_equal(fake_kvm_edges(&bed->irq), 1);
	/* Behind DLAB the same offset is no IER. */
	set(bed, IER, 0);
	set(bed, LCR, LCR_DLAB);
	set(bed, IER, IER_THRI);
	assert_int_equal(fake_kvm_edges(&bed->irq), 0);
}

/* --- output --- */

static void test_file(void **state)
{
	struct bed *bed = *state;
	struct stat st;

	start(bed);
	print(bed, "first\n");
	fake_kvm_rounds(bed->loop, 2);
	assert_file(bed, "first\n");
	print(bed, "second\n");
	set(bed, MCR, MCR_LOOP);
	print(bed, "looped back\n");
	serial_finish(&bed->serial); /* moves out the rest */
	assert_file(bed, "first\nsecond\n");
	assert_int_equal(stat(bed->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* A new one appends. */
	start(bed);
	assert_null(bed->serial.created);
	print(bed, "third\n");
	serial_finish(&bed->serial);
	assert_file(bed, "first\nsecond\nthird\n");
}

static void test_discard(void **state)
{
	struct bed *bed = *state;

	start(bed);
	serial_discard(&bed->serial);
	serial_finish(&bed->serial);
	assert_int_equal(access(bed->path, F_OK), -1);
	/* A file that was there before stays. */
	cleanup_fd int fd = open(bed->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	start(bed);
	serial_discard(&bed->serial);
	serial_finish(&bed->serial);
	assert_int_equal(access(bed->path, F_OK), 0);
}

static void test_no_file(void **state)
{
	static const char *const paths[] = { "", "/", "/no/such/folder/console" };
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		bed->err = (struct error){ 0 };
		int ret = serial_init(&bed->serial, bed->loop, &bed->irq, paths[i], &bed->err);
		assert_true(ret < 0 && ret == bed->err.code);
		assert_non_null(strstr(bed->err.msg, "cannot write console file"));
		serial_finish(&bed->serial);
	}
	/* A link is not followed, whoever made it. */
	assert_int_equal(symlink("/tmp/cloche-unit-elsewhere", bed->path), 0);
	assert_int_equal(serial_init(&bed->serial, bed->loop, &bed->irq, bed->path, &bed->err),
	                 -ELOOP);
	/* A pipe that nobody reads. */
	unlink(bed->path);
	assert_int_equal(mkfifo(bed->path, 0600), 0);
	assert_int_equal(serial_init(&bed->serial, bed->loop, &bed->irq, bed->path, &bed->err),
	                 -ENXIO);
}

/* With nobody draining, the newest bytes stay, the oldest are counted as lost. */
static void test_ring_overflow(void **state)
{
	struct bed *bed = *state;
	char text[64];

	start(bed);
	for (unsigned i = 0; i < SERIAL_RING_SIZE + 1000; i++)
		set(bed, THR, 'a' + i % 26);
	assert_int_equal(bed->serial.lost, 1000);
	assert_int_equal(bed->serial.written - bed->serial.drained, SERIAL_RING_SIZE);
	print(bed, "\nthe end\n");
	serial_tail(&bed->serial, 1, text, sizeof(text));
	assert_string_equal(text, "the end\n");
	serial_finish(&bed->serial);
	struct stat st;
	assert_int_equal(stat(bed->path, &st), 0);
	assert_int_equal(st.st_size, SERIAL_RING_SIZE);
}

/* A file that has grown too long starts anew. */
static void test_file_is_bounded(void **state)
{
	struct bed *bed = *state;
	struct stat st;

	start(bed);
	for (unsigned round = 0; round < SERIAL_FILE_MAX / SERIAL_RING_SIZE + 4; round++) {
		for (unsigned i = 0; i < SERIAL_RING_SIZE; i++)
			set(bed, THR, 'x');
		fake_kvm_rounds(bed->loop, 1);
		assert_int_equal(stat(bed->path, &st), 0);
		assert_true((uint64_t)st.st_size <= SERIAL_FILE_MAX);
	}
	assert_int_equal(bed->serial.lost, 0);
	assert_true((uint64_t)st.st_size < SERIAL_FILE_MAX);
}

/* Standard output as a pipe: a slow reader gets all in the end, one that leaves stops nobody. */
static void test_pipe(void **state)
{
	static char text[SERIAL_RING_SIZE];
	struct bed *bed = *state;
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_true(fcntl(pair[1], F_SETPIPE_SZ, 4096) >= 4096);
	int stdout_copy = dup(STDOUT_FILENO);
	assert_int_equal(dup2(pair[1], STDOUT_FILENO), STDOUT_FILENO);
	int ret = serial_init(&bed->serial, bed->loop, &bed->irq, "-", &bed->err);
	dup2(stdout_copy, STDOUT_FILENO);
	close(stdout_copy);
	close(pair[1]);
	assert_int_equal(ret, 0);

	for (unsigned i = 0; i < 20000; i++)
		set(bed, THR, 'p');
	size_t got = 0;
	while (got < 20000) {
		fake_kvm_rounds(bed->loop, 1);
		ssize_t n = read(pair[0], text, sizeof(text));
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(got, 20000);
	assert_int_equal(bed->serial.lost, 0);

	close(pair[0]);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < 10; i++) {
		print(bed, "nobody\n");
		fake_kvm_rounds(bed->loop, 2);
	}
	assert_int_equal(bed->serial.written, bed->serial.drained);
}

static void test_tail(void **state)
{
	static const struct {
		const char *name, *printed;
		unsigned lines;
		size_t size;
		const char *tail;
	} rows[] = {
		{ "nothing", "", 5, 64, "" },
		{ "fewer than asked for", "a\nb\n", 5, 64, "a\nb\n" },
		{ "as many", "a\nb\n", 2, 64, "a\nb\n" },
		{ "the last one", "a\nb\n", 1, 64, "b\n" },
		{ "a line without its end", "a\nb", 1, 64, "b" },
		{ "two, one without its end", "a\nb\nc", 2, 64, "b\nc" },
		{ "empty lines count", "a\n\n\n", 2, 64, "\n\n" },
		{ "carriage returns are left out", "a\r\nb\r\n", 2, 64, "a\nb\n" },
		{ "what isn't printable", "a\x1b[0m\x01\xff\tb\n", 1, 64, "a?[0m??\tb\n" },
		{ "little room: the end counts", "0123456789", 1, 5, "6789" },
		{ "room for nothing", "0123456789", 1, 1, "" },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char tail[64];

		start(bed);
		print(bed, rows[i].printed);
		memset(tail, '#', sizeof(tail));
		serial_tail(&bed->serial, rows[i].lines, tail, rows[i].size);
		if (strcmp(tail, rows[i].tail) != 0)
			fail_msg("row '%s': '%s', expected '%s'", rows[i].name, tail, rows[i].tail);
		serial_finish(&bed->serial);
	}
}

/* A guest that never falls silent doesn't keep the I/O thread; what it printed comes out all the same. */
static void test_turn_is_bounded(void **state)
{
	struct bed *bed = *state;

	start(bed);
	set(bed, THR, '!');
	chatter = bed;
	chatter_left = 1000;
	fake_kvm_rounds(bed->loop, 1);
	assert_true(chatter_left > 500 && chatter_left < 1000);
	fake_kvm_rounds(bed->loop, 1000);
	chatter = NULL;
	assert_int_equal(chatter_left, 0);
	assert_int_equal(bed->serial.written, 1001);
	assert_int_equal(bed->serial.drained, 1001);
}

/* --- state --- */

#define STATE_BYTES 8

static void save(const struct bed *bed, uint8_t out[STATE_BYTES])
{
	struct wire_writer writer = WIRE_WRITER_INIT;

	serial_save(&bed->serial, &writer);
	assert_false(writer.failed);
	assert_int_equal(writer.size, STATE_BYTES);
	memcpy(out, writer.data, STATE_BYTES);
	wire_writer_finish(&writer);
}

static int restore(struct bed *bed, const void *data, size_t size)
{
	struct wire_reader in = wire_reader_over(data, size);

	return serial_restore(&bed->serial, &in, &bed->err);
}

/* A device as new, as a copy's is. */
static void start_copy(struct bed *bed)
{
	serial_finish(&bed->serial);
	unlink(bed->path);
	fake_kvm_edges(&bed->irq);
	irq_line_clear(&bed->irq);
	start(bed);
}

static void test_copy(void **state)
{
	struct bed *bed = *state;
	uint8_t saved[STATE_BYTES], again[STATE_BYTES];

	start(bed);
	set(bed, LCR, LCR_DLAB | 3);
	set(bed, THR, 0x0c);
	set(bed, IER, 0x01);
	set(bed, LCR, 3);
	set(bed, IER, 5);
	set(bed, FCR, 1);
	set(bed, MCR, MCR_LOOP | 3);
	set(bed, SCR, 0x77);
	save(bed, saved);
	start_copy(bed);
	assert_int_equal(restore(bed, saved, sizeof(saved)), 0);
	save(bed, again);
	assert_memory_equal(again, saved, sizeof(saved));
	assert_int_equal(get(bed, LCR), 3);
	assert_int_equal(get(bed, IER), 5);
	assert_int_equal(get(bed, MCR), MCR_LOOP | 3);
	assert_int_equal(get(bed, MSR), 0x30);
	assert_int_equal(get(bed, SCR), 0x77);
	assert_int_equal(get(bed, IIR), 0xc0 | IIR_NONE);
	set(bed, LCR, LCR_DLAB);
	assert_int_equal(get(bed, THR), 0x0c);
	assert_int_equal(get(bed, IER), 0x01);
	/* What the original has printed is not printed again. */
	assert_int_equal(bed->serial.written, 0);
	assert_file(bed, "");
}

/* The interrupt that the guest hasn't taken is sent again, if it wants one. */
static void test_copy_with_an_interrupt_pending(void **state)
{
	static const struct {
		const char *name;
		bool enabled, taken;
		unsigned edges;
	} rows[] = {
		{ "wanted", true, false, 1 },
		{ "taken already", true, true, 0 },
		{ "not wanted", false, false, 0 },
	};
	struct bed *bed = *state;
	uint8_t saved[STATE_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_copy(bed);
		set(bed, IER, rows[i].enabled ? IER_THRI : 0);
		print(bed, "x");
		if (rows[i].taken)
			get(bed, IIR);
		save(bed, saved);
		start_copy(bed);
		assert_int_equal(restore(bed, saved, sizeof(saved)), 0);
		assert_row(rows[i].name, fake_kvm_edges(&bed->irq) == rows[i].edges);
		assert_row(rows[i].name, atomic_load(&bed->irq.asserted) == (rows[i].edges > 0));
		assert_row(rows[i].name, get(bed, IIR) == (rows[i].edges ? IIR_THRI : IIR_NONE));
		/* Pending all the same, for when it is enabled. */
		if (!rows[i].enabled) {
			set(bed, IER, IER_THRI);
			assert_int_equal(get(bed, IIR), IIR_THRI);
		}
	}
}

static void test_states_that_lie(void **state)
{
	struct bed *bed = *state;
	uint8_t lie[STATE_BYTES + 1];

	start(bed);
	memset(lie, 0xff, sizeof(lie));
	for (size_t size = 0; size <= sizeof(lie); size++)
		assert_int_equal(restore(bed, lie, size), size == STATE_BYTES ? 0 : -EINVAL);
	start_copy(bed);
	assert_int_equal(restore(bed, lie, STATE_BYTES), 0);
	set(bed, LCR, 0);
	assert_int_equal(get(bed, IER), 0x0f);
	assert_int_equal(get(bed, MCR), 0x1f);
	set(bed, MCR, 0);
	print(bed, "x");
	fake_kvm_rounds(bed->loop, 2);
	assert_file(bed, "x");
}

static void test_finish_of_nothing(void **state)
{
	struct serial serial = { 0 };

	(void)state;
	serial_finish(&serial);
	serial_finish(&serial);
}

int main(void)
{
#define SERIAL_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERIAL_TEST(test_registers),
		SERIAL_TEST(test_odd_accesses),
		SERIAL_TEST(test_transmit_interrupt),
		SERIAL_TEST(test_file),
		SERIAL_TEST(test_discard),
		SERIAL_TEST(test_no_file),
		SERIAL_TEST(test_ring_overflow),
		SERIAL_TEST(test_file_is_bounded),
		SERIAL_TEST(test_pipe),
		SERIAL_TEST(test_tail),
		SERIAL_TEST(test_turn_is_bounded),
		SERIAL_TEST(test_copy),
		SERIAL_TEST(test_copy_with_an_interrupt_pending),
		SERIAL_TEST(test_states_that_lie),
		cmocka_unit_test(test_finish_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
