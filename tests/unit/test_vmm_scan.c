/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_scan.c - the thread that watches the screen: who is told what and when, coming and going of listeners,
 * of the screen, and of copies of the process.
 *
 * Time passes as in vmm_scan_bed.h. Wraps pthread_create, too, to count and to fail. Where a test waits, it is
 * for the thread, by a semaphore.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/vmm_scan_bed.h"

#define PATIENCE_S 30

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);

static bool no_threads;
static atomic_uint threads; /* that run */

struct entry {
	void *(*run)(void *);
	void *arg;
};

static void *run_counted(void *arg)
{
	struct entry entry = *(struct entry *)arg;

	free(arg);
	void *result = entry.run(entry.arg);
	atomic_fetch_sub(&threads, 1);
	return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
	struct entry *entry = no_threads ? NULL : malloc(sizeof(*entry));

	if (!entry)
		return EAGAIN;
	*entry = (struct entry){ run, arg };
	atomic_fetch_add(&threads, 1);
	return __real_pthread_create(thread, attributes, run_counted, entry);
}

/* --- the bed --------------------------------------------------------------------------------- */

struct bed {
	struct vm vm;
	struct scan *scan;
	struct xwd_fixture file;
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	atomic_store(&virtual_ns, 5 * NS_PER_S);
	show(open_screen(&bed->file, WIDTH, HEIGHT));
	assert_int_equal(scan_create(&bed->vm, &bed->scan), 0);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	scan_destroy(bed->scan);
	show(NULL);
	xwd_fixture_close(&bed->file);
	free(bed);
	return 0;
}

static void paint(struct bed *bed, unsigned tile)
{
	paint_tile(&bed->file, tile);
}

static void wait_for(sem_t *semaphore)
{
	struct timespec until;

	/* The real clock: the other one is the thread's. */
	__real_clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	while (sem_timedwait(semaphore, &until))
		assert_int_equal(errno, EINTR);
}

/* A listener that meets the test's thread in each of its callbacks: it reports, then waits to be let go. */
struct watcher {
	struct scan_listener listener;
	struct scan *scan;
	sem_t told, go_on;
	atomic_bool meets;
	/* The last frame. */
	struct scan_frame frame;
	uint8_t changed[TILES];
	atomic_uint frames, idles, reads;
	bool in_callback;
};

static void meet(struct watcher *watcher)
{
	if (!atomic_load(&watcher->meets))
		return;
	watcher->in_callback = true;
	sem_post(&watcher->told);
	wait_for(&watcher->go_on);
	watcher->in_callback = false;
}

static void on_frame(struct scan_listener *listener, const struct scan_frame *frame)
{
	struct watcher *watcher = container_of(listener, struct watcher, listener);

	watcher->frame = *frame;
	if (tiles_count(frame->tiles) == TILES)
		memcpy(watcher->changed, tiles_changed(frame->tiles), TILES);
	atomic_fetch_add(&watcher->frames, 1);
	meet(watcher);
}

static void watcher_init(struct watcher *watcher, struct bed *bed)
{
	*watcher = (struct watcher){ .listener = { .frame = on_frame, .fd = -1 },
		                     .scan = bed->scan,
		                     .meets = true };
	sem_init(&watcher->told, 0, 0);
	sem_init(&watcher->go_on, 0, 0);
}

/* Lets it go, for good, and takes it out. */
static void watcher_end(struct watcher *watcher)
{
	atomic_store(&watcher->meets, false);
	sem_post(&watcher->go_on);
	scan_remove(watcher->scan, &watcher->listener);
	sem_destroy(&watcher->told);
	sem_destroy(&watcher->go_on);
}

/* The next callback of @watcher, in which it stands when this returns. */
static void next(struct watcher *watcher, bool is_first)
{
	if (!is_first)
		sem_post(&watcher->go_on);
	wait_for(&watcher->told);
}

/* --- frames ---------------------------------------------------------------------------------- */

static void test_frames(void **state)
{
	struct bed *bed = *state;
	struct watcher watcher;
	uint8_t expected[TILES] = { 0 };

	watcher_init(&watcher, bed);
	assert_int_equal(scan_add(bed->scan, &watcher.listener), 0);
	next(&watcher, true);
	assert_int_equal(watcher.frame.width, WIDTH);
	assert_int_equal(watcher.frame.height, HEIGHT);
	assert_int_equal(watcher.frame.changed, TILES);
	assert_int_equal(tiles_pixels(watcher.frame.tiles)[WIDTH + 1], xwd_color(1, 1));
	uint64_t first = watcher.frame.number;

	paint(bed, 3);
	paint(bed, 8);
	next(&watcher, false);
	expected[3] = expected[8] = 1;
	assert_int_equal(watcher.frame.changed, 2);
	assert_memory_equal(watcher.changed, expected, TILES);
	assert_true(watcher.frame.number > first);
	assert_true(watcher.frame.time_ns <= atomic_load(&virtual_ns));
	watcher_end(&watcher);
}

/* Who comes later begins with all of it; for the others that is no frame. */
static void test_latecomer(void **state)
{
	struct bed *bed = *state;
	struct watcher first, second;

	watcher_init(&first, bed);
	watcher_init(&second, bed);
	assert_int_equal(scan_add(bed->scan, &first.listener), 0);
	next(&first, true);
	assert_int_equal(scan_add(bed->scan, &second.listener), 0);
	atomic_store(&first.meets, false);
	sem_post(&first.go_on);
	next(&second, true);
	assert_int_equal(second.frame.changed, TILES);
	assert_int_equal(atomic_load(&first.frames), 1);
	paint(bed, 0);
	next(&second, false);
	assert_int_equal(second.frame.changed, 1);
	watcher_end(&second);
	/* Its turn may come after the second's. */
	while (atomic_load(&first.frames) < 2)
		usleep(1000);
	watcher_end(&first);
	assert_int_equal(atomic_load(&first.frames), 2);
}

static void test_screen_comes_and_changes(void **state)
{
	struct bed *bed = *state;
	struct watcher watcher;
	struct xwd_fixture other;

	show(NULL);
	watcher_init(&watcher, bed);
	assert_int_equal(scan_add(bed->scan, &watcher.listener), 0);
	show(open_screen(&other, 64, 64));
	next(&watcher, true);
	assert_int_equal(watcher.frame.width, 64);
	assert_int_equal(watcher.frame.height, 64);
	assert_int_equal(watcher.frame.changed, 2);

	/* Another one of the same size, with the same pixels, is a whole frame, too. */
	struct xwd_fixture same;
	show(open_screen(&same, 64, 64));
	next(&watcher, false);
	assert_int_equal(watcher.frame.changed, 2);
	assert_int_equal(atomic_load(&watcher.frames), 2);
	watcher_end(&watcher);
	show(NULL);
	xwd_fixture_close(&same);
	xwd_fixture_close(&other);
}

/* --- the thread ------------------------------------------------------------------------------ */

static void test_thread_lives_while_somebody_looks(void **state)
{
	struct bed *bed = *state;
	struct watcher a, b;

	assert_int_equal(atomic_load(&threads), 0);
	scan_poke(bed->scan);
	scan_wake(bed->scan);
	assert_int_equal(atomic_load(&threads), 0);
	watcher_init(&a, bed);
	watcher_init(&b, bed);
	for (unsigned round = 0; round < 3; round++) {
		atomic_store(&a.meets, false);
		atomic_store(&b.meets, false);
		assert_int_equal(scan_add(bed->scan, &a.listener), 0);
		assert_int_equal(scan_add(bed->scan, &b.listener), 0);
		assert_int_equal(atomic_load(&threads), 1);
		scan_remove(bed->scan, &a.listener);
		assert_int_equal(atomic_load(&threads), 1);
		scan_remove(bed->scan, &b.listener);
		assert_int_equal(atomic_load(&threads), 0);
		scan_remove(bed->scan, &b.listener);
	}
	watcher_end(&a);
	watcher_end(&b);
}

static void test_no_thread(void **state)
{
	struct bed *bed = *state;
	struct watcher watcher;

	watcher_init(&watcher, bed);
	no_threads = true;
	assert_int_equal(scan_add(bed->scan, &watcher.listener), -EAGAIN);
	no_threads = false;
	assert_false(watcher.listener.active);
	assert_int_equal(scan_add(bed->scan, &watcher.listener), 0);
	next(&watcher, true);
	watcher_end(&watcher);
}

static void test_too_many(void **state)
{
	struct bed *bed = *state;
	static struct watcher watchers[SCAN_LISTENERS_MAX + 1];

	for (unsigned i = 0; i <= SCAN_LISTENERS_MAX; i++) {
		watcher_init(&watchers[i], bed);
		atomic_store(&watchers[i].meets, false);
		assert_int_equal(scan_add(bed->scan, &watchers[i].listener),
		                 i < SCAN_LISTENERS_MAX ? 0 : -EBUSY);
	}
	for (unsigned i = 0; i <= SCAN_LISTENERS_MAX; i++)
		watcher_end(&watchers[i]);
}

struct releaser {
	struct watcher *watcher;
	atomic_bool released;
};

static void *release(void *arg)
{
	struct releaser *releaser = arg;

	usleep(20000);
	atomic_store(&releaser->released, true);
	sem_post(&releaser->watcher->go_on);
	return NULL;
}

/* It is waited for who is being called, and nobody else. */
static void test_removal_waits_for_the_callback(void **state)
{
	struct bed *bed = *state;
	struct watcher slow, other;
	struct releaser releaser = { .watcher = &slow };
	pthread_t thread;

	watcher_init(&slow, bed);
	watcher_init(&other, bed);
	atomic_store(&other.meets, false);
	assert_int_equal(scan_add(bed->scan, &other.listener), 0);
	assert_int_equal(scan_add(bed->scan, &slow.listener), 0);
	next(&slow, true);
	scan_remove(bed->scan, &other.listener);
	assert_true(slow.in_callback);
	assert_int_equal(scan_add(bed->scan, &other.listener), 0);
	assert_int_equal(__real_pthread_create(&thread, NULL, release, &releaser), 0);
	scan_remove(bed->scan, &slow.listener);
	assert_true(atomic_load(&releaser.released));
	assert_false(slow.in_callback);
	pthread_join(thread, NULL);
	watcher_end(&other);
	watcher_end(&slow);
}

/* --- pace ------------------------------------------------------------------------------------ */

#define SCANS 24

struct clockmaker {
	struct watcher watcher;
	struct bed *bed;
	uint64_t times[SCANS];
	unsigned count, paint_at, poke_at;
	uint64_t (*due)(const struct clockmaker *maker);
};

/* Notes when each scan was; paints or pokes at one of them. */
static uint64_t note_scan(struct scan_listener *listener)
{
	struct watcher *watcher = container_of(listener, struct watcher, listener);
	struct clockmaker *maker = container_of(watcher, struct clockmaker, watcher);
	uint64_t time = scan_time(maker->bed->scan);

	if (maker->count == SCANS || (maker->count > 0 && maker->times[maker->count - 1] == time))
		return 0;
	maker->times[maker->count++] = time;
	if (maker->count == maker->paint_at)
		paint(maker->bed, 1);
	if (maker->count == maker->poke_at)
		scan_poke(maker->bed->scan);
	if (maker->count == SCANS)
		sem_post(&watcher->told);
	return 0;
}

static void watch_clock(struct clockmaker *maker, struct bed *bed, bool fast)
{
	maker->bed = bed;
	watcher_init(&maker->watcher, bed);
	atomic_store(&maker->watcher.meets, false);
	maker->watcher.listener.idle = note_scan;
	maker->watcher.listener.fast = fast;
	assert_int_equal(scan_add(bed->scan, &maker->watcher.listener), 0);
	wait_for(&maker->watcher.told);
	watcher_end(&maker->watcher);
}

static unsigned gap_ms(const struct clockmaker *maker, unsigned i)
{
	return (unsigned)((maker->times[i + 1] - maker->times[i]) / NS_PER_MS);
}

/* Number of the first gap of half a second. */
static unsigned first_slow(const struct clockmaker *maker, unsigned from)
{
	while (from + 1 < SCANS && gap_ms(maker, from) < 500)
		from++;
	return from;
}

static void test_pace_falls(void **state)
{
	struct bed *bed = *state;
	struct clockmaker maker = { 0 };

	watch_clock(&maker, bed, false);
	assert_int_equal(gap_ms(&maker, 0), 33);
	unsigned slow = first_slow(&maker, 0);
	assert_in_range(slow, 4, 10);
	for (unsigned i = 1; i + 1 < SCANS; i++) {
		assert_true(gap_ms(&maker, i) >= gap_ms(&maker, i - 1));
		assert_true(i < slow || gap_ms(&maker, i) == 500);
	}
}

static void test_pace_follows_a_change(void **state)
{
	struct bed *bed = *state;
	struct clockmaker maker = { .paint_at = 12 };

	watch_clock(&maker, bed, false);
	/* Seen by the thirteenth scan, half a second later. */
	assert_int_equal(gap_ms(&maker, 11), 500);
	assert_int_equal(gap_ms(&maker, 12), 33);
	assert_in_range(first_slow(&maker, 12), 16, 22);
	assert_int_equal(atomic_load(&maker.watcher.frames), 2);
}

/* At once, then 60 Hz, then 30 for the rest of a second. */
static void test_pace_follows_a_poke(void **state)
{
	struct bed *bed = *state;
	struct clockmaker maker = { .poke_at = 12 };

	watch_clock(&maker, bed, false);
	assert_int_equal(gap_ms(&maker, 10), 500);
	for (unsigned i = 11; i + 1 < SCANS; i++)
		assert_int_equal(gap_ms(&maker, i), 16);
}

/* Pokes without end: no more than 60 scans a second. */
static uint64_t poke_again(struct scan_listener *listener)
{
	struct watcher *watcher = container_of(listener, struct watcher, listener);

	note_scan(listener);
	scan_poke(watcher->scan);
	return 0;
}

static void test_endless_pokes(void **state)
{
	struct bed *bed = *state;
	struct clockmaker maker = { .bed = bed };

	watcher_init(&maker.watcher, bed);
	atomic_store(&maker.watcher.meets, false);
	maker.watcher.listener.idle = poke_again;
	assert_int_equal(scan_add(bed->scan, &maker.watcher.listener), 0);
	wait_for(&maker.watcher.told);
	watcher_end(&maker.watcher);
	for (unsigned i = 1; i + 1 < SCANS; i++)
		assert_int_equal(gap_ms(&maker, i), 16);
}

static void test_fast_listener(void **state)
{
	struct bed *bed = *state;
	struct clockmaker maker = { 0 };

	watch_clock(&maker, bed, true);
	for (unsigned i = 0; i + 1 < SCANS; i++)
		assert_int_equal(gap_ms(&maker, i), 33);
}

/* --- idle and readable ----------------------------------------------------------------------- */

#define STEP_NS (7 * NS_PER_MS)

/* Wants to be called again after 7 ms, again and again. */
static uint64_t step(struct scan_listener *listener)
{
	struct watcher *watcher = container_of(listener, struct watcher, listener);

	if (atomic_fetch_add(&watcher->idles, 1) + 1 == 20)
		sem_post(&watcher->told);
	return clock_now_ns() + STEP_NS;
}

static void test_idle_has_its_own_time(void **state)
{
	struct bed *bed = *state;
	struct watcher watcher;
	uint64_t before = atomic_load(&virtual_ns);

	watcher_init(&watcher, bed);
	atomic_store(&watcher.meets, false);
	watcher.listener.idle = step;
	assert_int_equal(scan_add(bed->scan, &watcher.listener), 0);
	wait_for(&watcher.told);
	/* Whatever the scans' pace is. */
	assert_true(atomic_load(&virtual_ns) >= before + 10 * STEP_NS);
	assert_int_equal(atomic_load(&watcher.frames), 1);
	watcher_end(&watcher);
}

static uint64_t meet_idle(struct scan_listener *listener)
{
	struct watcher *watcher = container_of(listener, struct watcher, listener);

	atomic_fetch_add(&watcher->idles, 1);
	meet(watcher);
	return 0;
}

/* Neither a scan nor its time: scan_wake() calls it. */
static void test_wake(void **state)
{
	struct bed *bed = *state;
	struct watcher watcher;

	watcher_init(&watcher, bed);
	watcher.listener.idle = meet_idle;
	assert_int_equal(scan_add(bed->scan, &watcher.listener), 0);
	next(&watcher, true); /* the frame */
	next(&watcher, false);
	uint64_t scanned = scan_time(bed->scan), now = atomic_load(&virtual_ns);
	scan_wake(bed->scan);
	next(&watcher, false);
	assert_int_equal(scan_time(bed->scan), scanned);
	assert_int_equal(atomic_load(&virtual_ns), now);
	assert_int_equal(atomic_load(&watcher.frames), 1);
	watcher_end(&watcher);
}

static void read_pipe(struct scan_listener *listener)
{
	struct watcher *watcher = container_of(listener, struct watcher, listener);
	char byte;

	assert_int_equal(read(listener->fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	atomic_fetch_add(&watcher->reads, 1);
	sem_post(&watcher->told);
}

static void test_readable(void **state)
{
	struct bed *bed = *state;
	struct watcher reader, other;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	watcher_init(&reader, bed);
	watcher_init(&other, bed);
	atomic_store(&reader.meets, false);
	atomic_store(&other.meets, false);
	reader.listener.fd = fds[0];
	reader.listener.readable = read_pipe;
	assert_int_equal(scan_add(bed->scan, &other.listener), 0);
	assert_int_equal(scan_add(bed->scan, &reader.listener), 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(write(fds[1], "x", 1), 1);
		wait_for(&reader.told);
		assert_int_equal(atomic_load(&reader.reads), i);
	}
	scan_remove(bed->scan, &reader.listener);
	assert_int_equal(write(fds[1], "x", 1), 1);
	scan_wake(bed->scan);
	watcher_end(&other);
	assert_int_equal(atomic_load(&reader.reads), 3);
	watcher_end(&reader);
	close(fds[0]);
	close(fds[1]);
}

/* --- copies ---------------------------------------------------------------------------------- */

/* Forked in the middle of a callback: the child begins with a scan of its own, and without the copy. */
static void test_fork(void **state)
{
	struct bed *bed = *state;
	struct watcher watcher;
	int status;

	watcher_init(&watcher, bed);
	assert_int_equal(scan_add(bed->scan, &watcher.listener), 0);
	next(&watcher, true);
	uintptr_t copy = (uintptr_t)tiles_pixels(watcher.frame.tiles) & ~(uintptr_t)4095;
	pid_t child = fork();
	if (child == 0) {
		struct scan *scan;
		struct watcher own;
		unsigned char resident;
		int left = mincore((void *)copy, 4096, &resident);

		if (left != -1 || errno != ENOMEM || scan_create(&bed->vm, &scan))
			_exit(1);
		watcher_init(&own, &(struct bed){ .scan = scan });
		if (scan_add(scan, &own.listener))
			_exit(2);
		next(&own, true);
		_exit(own.frame.changed == TILES ? 0 : 3);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	paint(bed, 2);
	next(&watcher, false);
	assert_int_equal(watcher.frame.changed, 1);
	watcher_end(&watcher);
}

/* Coming, going, poking, waking and painting all at once: the sanitisers see what isn't guarded. */
static void test_traffic(void **state)
{
	struct bed *bed = *state;
	static struct watcher watchers[8];

	for (unsigned i = 0; i < ARRAY_SIZE(watchers); i++) {
		watcher_init(&watchers[i], bed);
		atomic_store(&watchers[i].meets, false);
		watchers[i].listener.idle = meet_idle;
	}
	for (unsigned round = 0; round < 4000; round++) {
		struct watcher *watcher = &watchers[round * 7 % ARRAY_SIZE(watchers)];

		if (watcher->listener.active)
			scan_remove(bed->scan, &watcher->listener);
		else
			assert_int_equal(scan_add(bed->scan, &watcher->listener), 0);
		paint(bed, round % TILES);
		if (round % 3 == 0)
			scan_poke(bed->scan);
		if (round % 5 == 0)
			scan_wake(bed->scan);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(watchers); i++)
		watcher_end(&watchers[i]);
	assert_int_equal(atomic_load(&threads), 0);
}

int main(void)
{
#define SCAN_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		SCAN_TEST(test_frames),
		SCAN_TEST(test_latecomer),
		SCAN_TEST(test_screen_comes_and_changes),
		SCAN_TEST(test_thread_lives_while_somebody_looks),
		SCAN_TEST(test_no_thread),
		SCAN_TEST(test_too_many),
		SCAN_TEST(test_removal_waits_for_the_callback),
		SCAN_TEST(test_pace_falls),
		SCAN_TEST(test_pace_follows_a_change),
		SCAN_TEST(test_pace_follows_a_poke),
		SCAN_TEST(test_endless_pokes),
		SCAN_TEST(test_fast_listener),
		SCAN_TEST(test_idle_has_its_own_time),
		SCAN_TEST(test_wake),
		SCAN_TEST(test_readable),
		SCAN_TEST(test_fork),
		SCAN_TEST(test_traffic),
	};

	return cmocka_run_group_tests_name("vmm_scan", tests, NULL, NULL);
}
