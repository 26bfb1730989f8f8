/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_pager_bed.h - a pager at work in front of a file, threads that touch what isn't there, and a host
 * whose reads can be watched and held, whose clock can jump, that can be without userfaultfd.
 *
 * Wraps pread, clock_gettime, syscall, open, ioctl and pthread_create.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_PAGER_BED_H
#define CLOCHE_TESTS_UNIT_VMM_PAGER_BED_H

#include "tests/unit/vmm_restore_bed.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "vmm/snapshot/pager.h"
#include "vmm/snapshot/touch.h"
#include "vmm/snapshot/userfault.h"

#define READS_MAX 1024u
#define PATIENCE_MS 20000 /* a test that waits longer fails */

static struct {
	atomic_uint reads; /* calls of pread */
	_Atomic off_t read_at[READS_MAX];
	_Atomic off_t held; /* reads at that place wait for .go; -1: none */
	sem_t arrived, go;
	atomic_uint clock_ahead_s;
	int no_userfault;         /* errno of the call, 0: there is one */
	bool no_device;           /* /dev/userfaultfd can't be opened */
	atomic_uint registered;   /* calls */
	atomic_uint threads_left; /* then none can be started */
} host;

ssize_t __real_pread(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset);
int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset)
{
	unsigned number = atomic_fetch_add(&host.reads, 1);

	if (number < READS_MAX)
		atomic_store(&host.read_at[number], offset);
	if (offset == atomic_load(&host.held)) {
		sem_post(&host.arrived);
		sem_wait(&host.go);
	}
	return __real_pread(fd, data, size, offset);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int ret = __real_clock_gettime(clock, out);

	out->tv_sec += (time_t)atomic_load(&host.clock_ahead_s);
	return ret;
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_userfaultfd && host.no_userfault) {
		errno = host.no_userfault;
		return -1;
	}
	return __real_syscall(number, a, b, c, d, e, f);
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	if (host.no_device && strcmp(path, "/dev/userfaultfd") == 0) {
		errno = EACCES;
		return -1;
	}
	return __real_open(path, flags, mode);
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (request == UFFDIO_REGISTER)
		atomic_fetch_add(&host.registered, 1);
	return __real_ioctl(fd, request, arg);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
	if (atomic_load(&host.threads_left) == 0)
		return EAGAIN;
	atomic_fetch_sub(&host.threads_left, 1);
	return __real_pthread_create(thread, attributes, run, arg);
}

/* --- waiting --------------------------------------------------------------------------------- */

static inline void pause_ms(long ms)
{
	const struct timespec pause = { .tv_nsec = ms * 1000000 };

	nanosleep(&pause, NULL);
}

#define wait_until(condition)                                                                      \
	do {                                                                                       \
		for (int ms_ = 0; !(condition); ms_++) {                                           \
			if (ms_ == PATIENCE_MS)                                                    \
				fail_msg("waited in vain for %s", #condition);                     \
			pause_ms(1);                                                               \
		}                                                                                  \
	} while (0)

/* Touches a byte, which may take for ever. */
struct toucher {
	pthread_t thread;
	const volatile uint8_t *at;
	atomic_bool done;
	uint8_t value;
};

static inline void *toucher_run(void *arg)
{
	struct toucher *toucher = arg;

	toucher->value = *toucher->at;
	atomic_store(&toucher->done, true);
	return NULL;
}

static inline void toucher_start(struct toucher *toucher, const uint8_t *at)
{
	toucher->at = at;
	atomic_store(&toucher->done, false);
	assert_int_equal(pthread_create(&toucher->thread, NULL, toucher_run, toucher), 0);
}

static inline void toucher_join(struct toucher *toucher)
{
	assert_int_equal(pthread_join(toucher->thread, NULL), 0);
	assert_true(atomic_load(&toucher->done));
}

/* --- the pager ------------------------------------------------------------------------------- */

static struct {
	struct snapshot_file *file; /* owned */
	struct guest_memory memory;
	struct pager *pager; /* owned */
	struct error err;
	unsigned fds; /* before there was a pager */
	atomic_uint failed, finished;
	char message[256]; /* of the failure */
} paged;

static inline void on_failed(void *arg, const char *message)
{
	assert_ptr_equal(arg, &paged);
	snprintf(paged.message, sizeof(paged.message), "%s", message);
	atomic_fetch_add(&paged.failed, 1);
}

static inline void on_finished(void *arg)
{
	assert_ptr_equal(arg, &paged);
	atomic_fetch_add(&paged.finished, 1);
}

/* RAM of @letters (vmm_restore_bed.h) in a file that is open. */
static inline void paged_open(const char *letters)
{
	bed_fill_blocks(letters);
	paged.file = bed_snapshot("snapshot");
}

static inline int paged_create(const char *touch, const char *record)
{
	const struct pager_config config = { .touch = touch, .record = record };

	bed_init_memory(&paged.memory);
	paged.fds = count_fds();
	return pager_create(&paged.memory, paged.file, &config, &paged.pager, &paged.err);
}

static inline int paged_start(void)
{
	const struct pager_handlers handlers = { &paged, on_failed, on_finished };

	return pager_start(paged.pager, &handlers, &paged.err);
}

/* With @record nothing comes by itself. */
static inline void paged_go(const char *touch, const char *record)
{
	if (paged_create(touch, record) || paged_start())
		fail_msg("%s", paged.err.msg);
}

/* Waits until all is there, and ends. */
static inline void paged_end_whole(void)
{
	wait_until(atomic_load(&paged.finished) == 1);
	assert_true(pager_is_complete(paged.pager));
	assert_false(atomic_load(&paged.memory.loading));
	pager_finish(paged.pager);
	paged.pager = NULL;
	assert_int_equal(count_fds(), paged.fds);
	assert_int_equal(atomic_load(&paged.finished), 1);
	assert_int_equal(atomic_load(&paged.failed), 0);
}

static inline int paged_setup(void **state)
{
	struct error err = { 0 };
	int fd;

	bed_open(state);
	memset(&paged, 0, sizeof(paged));
	memset(&host, 0, sizeof(host));
	atomic_store(&host.held, -1);
	atomic_store(&host.threads_left, UINT32_MAX);
	if (sem_init(&host.arrived, 0, 0) || sem_init(&host.go, 0, 0))
		return -1;
	int ret = userfault_open(&fd, &err);
	if (ret == 0)
		close(fd);
	*state = ret == -ENOTSUP ? "no" : NULL;
	return ret == 0 || ret == -ENOTSUP ? 0 : ret;
}

static inline int paged_teardown(void **state)
{
	pager_finish(paged.pager);
	guest_memory_finish(&paged.memory);
	snapshot_file_close(paged.file);
	return bed_close(state);
}

/* Each test that can't do without. */
#define need_userfault(state)                                                                      \
	do {                                                                                       \
		if (*(state)) {                                                                    \
			print_message("skip %s: no userfaultfd for this user\n", __func__);        \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

#endif
