/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_snapshot_write.c - a file that is written is there whole or not at all, whatever fails.
 *
 * Each failure: the old file is as it was, nothing else is left in its folder, no fd stays open.
 */
#include "tests/unit/vmm_snapshot_bed.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* Calls that fail as a test says: the nth one, counted from 1, or (0) none. */
enum call { PWRITEV, FSYNC, LINKAT, RENAMEAT, MALLOC, THREAD, REALPATH, CALLS };

static struct fault {
	_Atomic unsigned count;
	unsigned nth;
	int error;
	bool from_then_on, kills;
} faults[CALLS];

static bool no_nameless_files; /* the file system has no O_TMPFILE */
static size_t write_at_most;   /* bytes a pwritev, 0: all */
static bool stumbling;         /* threads stay behind now and then, before they take a lock */

static int take_fault(enum call call)
{
	struct fault *f = &faults[call];
	unsigned count = ++f->count;

	if (f->nth == 0 || count < f->nth || (count > f->nth && !f->from_then_on))
		return 0;
	if (f->kills)
		raise(SIGKILL);
	return f->error;
}

static void plan(enum call call, unsigned nth, int error)
{
	memset(faults, 0, sizeof(faults));
	faults[call].nth = nth;
	faults[call].error = error;
}

#define FAIL(call)                                                                                 \
	do {                                                                                       \
		int error_ = take_fault(call);                                                     \
		if (error_) {                                                                      \
			errno = error_;                                                            \
			return -1;                                                                 \
		}                                                                                  \
	} while (0)

ssize_t __real_pwritev(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t offset);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	FAIL(PWRITEV);
	if (write_at_most == 0)
		return __real_pwritev(fd, iov, count, offset);
	struct iovec first = iov[0];

	if (first.iov_len > write_at_most)
		first.iov_len = write_at_most;
	return __real_pwritev(fd, &first, 1, offset);
}

int __wrap_fsync(int fd)
{
	FAIL(FSYNC);
	return __real_fsync(fd);
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	FAIL(LINKAT);
	return __real_linkat(from_fd, from, to_fd, to, flags);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	FAIL(RENAMEAT);
	return __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_openat(int fd, const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (no_nameless_files && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return __real_openat(fd, path, flags, mode);
}

void *__wrap_malloc(size_t size)
{
	return take_fault(MALLOC) ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return take_fault(MALLOC) ? NULL : __real_realloc(p, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
	int error = take_fault(THREAD);

	return error ? error : __real_pthread_create(thread, attr, run, arg);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	static _Atomic unsigned count;

	if (stumbling && ++count % 61 == 0)
		usleep(10000);
	return __real_pthread_mutex_lock(mutex);
}

char *__wrap_realpath(const char *path, char *resolved)
{
	int error = take_fault(REALPATH);

	if (error) {
		errno = error;
		return NULL;
	}
	return __real_realpath(path, resolved);
}

/* --- the old file, and what is to replace it --- */

static uint8_t *old;
static size_t old_size;

static int setup(void **state)
{
	memset(faults, 0, sizeof(faults));
	no_nameless_files = false;
	write_at_most = 0;
	stumbling = false;
	bed_open(state);
	bed_fill("tzr", 4096);
	bed_write("a", NULL);
	old = read_whole(bed_path("a"), &old_size);
	bed_fill("rtzqrtzqrtzqrtzqrtzqrtzqrtzqrtzqrtzqrtzqrt", 4096);
	return 0;
}

static int setup_named(void **state)
{
	setup(state);
	no_nameless_files = true;
	return 0;
}

static int teardown(void **state)
{
	memset(faults, 0, sizeof(faults));
	free(old);
	return bed_close(state);
}

static int write_a(struct error *err)
{
	struct snapshot_source source = bed_source("a");

	source.threads = 2;
	*err = (struct error){ 0 };
	return snapshot_file_write(&source, NULL, err);
}

static void assert_old_file(unsigned files)
{
	size_t size;
	uint8_t *data = read_whole(bed_path("a"), &size);

	assert_int_equal(size, old_size);
	assert_memory_equal(data, old, size);
	free(data);
	assert_int_equal(bed_count_files(), files);
}

static void assert_new_file(void)
{
	static uint8_t chunk[CHUNK];
	struct snapshot_file *file;
	struct error err = { 0 };

	memset(faults, 0, sizeof(faults));
	if (snapshot_file_open(bed_path("a"), &file, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(snapshot_file_ram_size(file), bed.ram_size);
	for (uint64_t i = 0; i < snapshot_file_chunk_count(file); i++) {
		assert_int_equal(snapshot_file_read_chunk(file, i, chunk, &err), 0);
		assert_memory_equal(chunk, bed.ram + i * CHUNK, snapshot_file_chunk_size(file, i));
	}
	snapshot_file_close(file);
}

/* --- what fails --- */

/* The first call fails, then the second and so on, until there is none that could. */
static void test_each_call(void **state)
{
	static const struct {
		const char *name;
		enum call call;
		int error, ret;
		unsigned calls; /* that there are at least */
	} rows[] = {
		{ "write: no space", PWRITEV, ENOSPC, -ENOSPC, 3 },
		{ "write: I/O error", PWRITEV, EIO, -EIO, 3 },
		{ "write: quota", PWRITEV, EDQUOT, -EDQUOT, 3 },
		{ "no memory", MALLOC, ENOMEM, -ENOMEM, 3 },
		{ "link", LINKAT, ENOSPC, -ENOSPC, 1 },
		{ "rename", RENAMEAT, EIO, -EIO, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned fds = count_fds(), nth = 1;
		struct error err;

		for (;; nth++) {
			plan(rows[i].call, nth, rows[i].error);
			int ret = write_a(&err);
			bool failed = faults[rows[i].call].count >= nth;
			memset(faults, 0, sizeof(faults));
			assert_int_equal(count_fds(), fds);
			if (!failed || ret == 0)
				break;
			assert_row(rows[i].name, ret == rows[i].ret);
			assert_clear(&err, ret, bed_path("a"));
			assert_old_file(1);
		}
		/* What had a name from the start isn't linked. */
		if (rows[i].call != LINKAT || !no_nameless_files)
			assert_row(rows[i].name, nth > rows[i].calls);
		assert_new_file();
		teardown(state);
		bool named = no_nameless_files;
		setup(state);
		no_nameless_files = named;
	}
}

static void test_sync_fails(void **state)
{
	struct error err;

	(void)state;
	plan(FSYNC, 1, EIO);
	assert_int_equal(write_a(&err), -EIO);
	assert_clear(&err, -EIO, bed_path("a"));
	assert_old_file(1);

	/* The folder's: the file is there, but that is all that is known. */
	plan(FSYNC, 2, EIO);
	assert_int_equal(write_a(&err), -EIO);
	assert_non_null(strstr(err.msg, "its folder can't be synced"));
	assert_int_equal(bed_count_files(), 1);
	assert_new_file();
	plan(FSYNC, 2, EINVAL);
	assert_int_equal(write_a(&err), 0);
	assert_new_file();
}

static void test_short_writes(void **state)
{
	static const size_t sizes[] = { 100000, 4096, 1001 };
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		write_at_most = sizes[i];
		assert_int_equal(write_a(&err), 0);
		assert_new_file();
	}
	/* Interrupted once, in a different place each time. */
	for (unsigned nth = 1; nth < 20; nth++) {
		plan(PWRITEV, nth, EINTR);
		assert_int_equal(write_a(&err), 0);
		assert_new_file();
	}
}

static void test_few_threads(void **state)
{
	struct error err;

	(void)state;
	plan(THREAD, 2, EAGAIN);
	assert_int_equal(write_a(&err), 0);
	assert_new_file();
	plan(THREAD, 1, EAGAIN);
	assert_int_equal(write_a(&err), -EAGAIN);
	assert_int_equal(bed_count_files(), 1);
	assert_new_file();
}

static void test_parent_path_fails(void **state)
{
	struct snapshot_source source = bed_source("a");
	struct error err = { 0 };

	(void)state;
	bed_write("parent", NULL);
	source.parent = bed_path("parent");
	plan(REALPATH, 1, EACCES);
	assert_int_equal(snapshot_file_write(&source, NULL, &err), -EACCES);
	assert_clear(&err, -EACCES, source.parent);
	assert_old_file(2);
}

/* Whichever worker stays behind, and wherever: each stripe gets its place, and all come to an end. */
static void test_stumbling_threads(void **state)
{
	char pattern[1500];
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(pattern) - 1; i++)
		pattern[i] = i % 16 ? 'z' : (char)('A' + i / 16 % 25);
	pattern[sizeof(pattern) - 1] = '\0';
	bed_fill(pattern, 4096);
	/* Instead of hanging for ever. */
	alarm(60);
	stumbling = true;
	for (unsigned threads = 2; threads <= 6; threads++) {
		struct snapshot_source source = bed_source("a");

		source.threads = threads;
		err = (struct error){ 0 };
		assert_int_equal(snapshot_file_write(&source, NULL, &err), 0);
		assert_new_file();
	}
	alarm(0);
}

/* --- what is in the way --- */

static void test_places(void **state)
{
	static const struct {
		const char *name;
		int ret;
	} rows[] = {
		{ "fifo", -EINVAL },    { "folder", -EINVAL },
		{ "link", -EINVAL },    { "nowhere", -EINVAL },
		{ "", -EINVAL },        { ".", -EINVAL },
		{ "..", -EINVAL },      { "missing/file", -ENOENT },
		{ "a/file", -ENOTDIR }, { "folder/.", -EINVAL },
	};
	char long_name[300];

	(void)state;
	assert_int_equal(mkfifo(bed_path("fifo"), 0600), 0);
	assert_int_equal(mkdir(bed_path("folder"), 0700), 0);
	assert_int_equal(symlink(bed_path("a"), bed_path("link")), 0);
	assert_int_equal(symlink("nothing", bed_path("nowhere")), 0);
	memset(long_name, 'n', sizeof(long_name));
	long_name[NAME_MAX - 7] = '\0';
	for (size_t i = 0; i <= ARRAY_SIZE(rows); i++) {
		bool is_last = i == ARRAY_SIZE(rows);
		const char *name = is_last ? long_name : rows[i].name;
		struct snapshot_source source = bed_source("a");
		struct error err = { 0 };

		source.path = bed_path(name);
		int ret = snapshot_file_write(&source, NULL, &err);
		assert_row(name, ret == (is_last ? -ENAMETOOLONG : rows[i].ret));
		assert_true(err.code == ret && err.msg[0] && !strchr(err.msg, '\n'));
		assert_old_file(5);
	}
	/* The longest that there is room for. */
	long_name[NAME_MAX - (int)strlen("..partial")] = '\0';
	struct snapshot_source source = bed_source("a");
	struct error err = { 0 };
	source.path = bed_path(long_name);
	assert_int_equal(snapshot_file_write(&source, NULL, &err), 0);
	assert_old_file(6);
}

/* It became something else while the file was written. */
static bool make_folder(void *arg, uint64_t offset, uint64_t size)
{
	(void)arg;
	(void)size;
	if (offset == 0 && unlink(bed_path("a")) == 0)
		mkdir(bed_path("a"), 0700);
	return false;
}

static void test_place_changes(void **state)
{
	struct snapshot_source source = bed_source("a");
	struct error err = { 0 };

	(void)state;
	source.is_untouched = make_folder;
	source.threads = 1;
	assert_int_equal(snapshot_file_write(&source, NULL, &err), -EINVAL);
	assert_int_equal(bed_count_files(), 1);
	assert_int_equal(rmdir(bed_path("a")), 0);
}

static void test_stale_partial(void **state)
{
	struct error err;

	(void)state;
	write_whole(bed_path(".a.partial"), (const uint8_t *)"left over", 9);
	write_whole(bed_path(".b.partial"), (const uint8_t *)"another's", 9);
	plan(FSYNC, 1, EIO);
	assert_int_equal(write_a(&err), -EIO);
	/* Gone though this one failed, too. */
	assert_old_file(2);
	assert_int_equal(access(bed_path(".b.partial"), F_OK), 0);
	write_whole(bed_path(".a.partial"), (const uint8_t *)"left over", 9);
	memset(faults, 0, sizeof(faults));
	assert_int_equal(write_a(&err), 0);
	assert_int_equal(bed_count_files(), 2);
	assert_new_file();
}

static void test_locked_partial(void **state)
{
	struct error err;

	(void)state;
	write_whole(bed_path(".a.partial"), (const uint8_t *)"under way", 9);
	int fd = open(bed_path(".a.partial"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(write_a(&err), -EBUSY);
	assert_clear(&err, -EBUSY, bed_path("a"));
	assert_non_null(strstr(err.msg, "another snapshot to "));
	assert_old_file(2);
	close(fd);
	assert_int_equal(write_a(&err), 0);
	assert_int_equal(bed_count_files(), 1);
}

static int put_partial(bool locked)
{
	int fd = open(bed_path(".a.partial"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	if (locked)
		assert_int_equal(flock(fd, LOCK_EX), 0);
	return fd;
}

static bool put_stale(void *arg, uint64_t offset, uint64_t size)
{
	(void)arg;
	(void)size;
	if (offset == 0)
		close(put_partial(false));
	return false;
}

static bool put_locked(void *arg, uint64_t offset, uint64_t size)
{
	(void)size;
	if (offset == 0 && *(int *)arg < 0)
		*(int *)arg = put_partial(true);
	return false;
}

/* Somebody else takes the name while a file without one is written: gone again, or there to stay. */
static void test_partial_comes(void **state)
{
	struct snapshot_source source = bed_source("a");
	struct error err = { 0 };
	int fd = -1;

	(void)state;
	source.threads = 1;
	source.is_untouched = put_locked;
	source.arg = &fd;
	assert_int_equal(snapshot_file_write(&source, NULL, &err), -EBUSY);
	assert_clear(&err, -EBUSY, bed_path("a"));
	assert_old_file(2);
	close(fd);
	source.is_untouched = put_stale;
	assert_int_equal(snapshot_file_write(&source, NULL, &err), 0);
	assert_int_equal(bed_count_files(), 1);
	assert_new_file();
}

static void test_strange_partial(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(symlink("a", bed_path(".a.partial")), 0);
	assert_int_equal(write_a(&err), -EINVAL);
	assert_non_null(strstr(err.msg, ".a.partial is in the way"));
	assert_old_file(2);
	assert_int_equal(unlink(bed_path(".a.partial")), 0);
	assert_int_equal(mkfifo(bed_path(".a.partial"), 0600), 0);
	assert_int_equal(write_a(&err), -EINVAL);
	assert_old_file(2);
}

/* --- killed --- */

static void kill_at(enum call call, unsigned nth)
{
	int status;

	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct error err;

		plan(call, nth, 0);
		faults[call].kills = true;
		_exit(write_a(&err) == 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_killed(void **state)
{
	static const struct {
		enum call call;
		unsigned nth;
		bool leaves; /* a partial file, without a name until the end */
	} rows[] = {
		{ PWRITEV, 1, false }, { PWRITEV, 3, false }, { FSYNC, 1, false },
		{ LINKAT, 1, false },  { RENAMEAT, 1, true },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (no_nameless_files && rows[i].call == LINKAT)
			continue;
		kill_at(rows[i].call, rows[i].nth);
		assert_old_file(rows[i].leaves || no_nameless_files ? 2 : 1);
	}
	assert_int_equal(write_a(&err), 0);
	assert_int_equal(bed_count_files(), 1);
	assert_new_file();
}

/* --- several at once --- */

#define WRITERS 4
#define ROUNDS 8

static void test_writers_at_once(void **state)
{
	pid_t pids[WRITERS];
	unsigned written = 0;

	(void)state;
	fflush(NULL);
	for (unsigned i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			unsigned good = 0;

			for (unsigned round = 0; round < ROUNDS; round++) {
				struct error err;
				int ret = write_a(&err);

				if (ret != 0 && ret != -EBUSY)
					_exit(255);
				good += ret == 0;
			}
			_exit((int)good);
		}
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= ROUNDS);
		written += (unsigned)WEXITSTATUS(status);
	}
	assert_true(written > 0);
	assert_int_equal(bed_count_files(), 1);
	assert_new_file();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sync_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stumbling_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parent_path_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_place_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_partial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_partial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_partial_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_partial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writers_at_once, setup, teardown),
		/* The same where the file has its name from the start. */
		cmocka_unit_test_setup_teardown(test_each_call, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_sync_fails, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_short_writes, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_place_changes, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_stale_partial, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_locked_partial, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_strange_partial, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup_named, teardown),
		cmocka_unit_test_setup_teardown(test_writers_at_once, setup_named, teardown),
	};

	return cmocka_run_group_tests_name("vmm_snapshot_write", tests, NULL, NULL);
}
