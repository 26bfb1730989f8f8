/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_template.c - resident templates: whole or not there, shared, and never what isn't ours.
 *
 * Wraps openat, so that a file system can be without O_TMPFILE, pwrite, so that it can be full and a
 * builder can be killed, and clock_gettime.
 */
#include "tests/unit/vmm_restore_bed.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>

#include "vmm/snapshot/template.h"
#include "vmm/snapshot/template_trailer.h"

static struct {
	bool no_tmpfile;
	atomic_int pwrites_left; /* then .pwrite_errno, or SIGKILL when that is 0; -1: any number */
	int pwrite_errno;
	atomic_uint pwrites;
	atomic_ullong clock_step; /* each look at the clock moves it on by that */
	atomic_ullong clock_ahead;
} host;

static char folder[PATH_MAX + 16];
static struct snapshot_file *file;
static char name[SNAPSHOT_ID_HEX_SIZE + 8], partial[SNAPSHOT_ID_HEX_SIZE + 16];

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, mode_t mode);
ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset);
int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_openat(int at, const char *path, int flags, mode_t mode)
{
	if (host.no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return __real_openat(at, path, flags, mode);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	atomic_fetch_add(&host.pwrites, 1);
	if (atomic_load(&host.pwrites_left) >= 0 && atomic_fetch_sub(&host.pwrites_left, 1) <= 0) {
		if (host.pwrite_errno == 0)
			raise(SIGKILL);
		atomic_store(&host.pwrites_left, 0);
		errno = host.pwrite_errno;
		return -1;
	}
	return __real_pwrite(fd, data, size, offset);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int ret = __real_clock_gettime(clock, out);

	out->tv_sec += (time_t)atomic_fetch_add(&host.clock_ahead, atomic_load(&host.clock_step));
	return ret;
}

static int setup(void **state)
{
	char hex[SNAPSHOT_ID_HEX_SIZE];

	bed_open(state);
	host.no_tmpfile = false;
	atomic_store(&host.pwrites_left, -1);
	atomic_store(&host.clock_step, 0);
	atomic_store(&host.clock_ahead, 0);
	bed_fill_blocks("szdzzdzs");
	file = bed_snapshot("snapshot");
	snapshot_id_to_hex(snapshot_file_id(file), hex);
	snprintf(name, sizeof(name), "%s.mem", hex);
	snprintf(partial, sizeof(partial), ".%s.partial", hex);
	snprintf(folder, sizeof(folder), "%s", bed_path("templates"));
	return mkdir(folder, 0700);
}

static const char *in_folder(const char *what)
{
	static char path[PATH_MAX + 80];

	snprintf(path, sizeof(path), "%s/%s", folder, what);
	return path;
}

static int teardown(void **state)
{
	DIR *entries = opendir(folder);
	const struct dirent *entry;

	snapshot_file_close(file);
	assert_non_null(entries);
	while ((entry = readdir(entries)))
		if (unlinkat(dirfd(entries), entry->d_name, 0))
			unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
	closedir(entries);
	return bed_close(state);
}

static unsigned count_in_folder(void)
{
	DIR *entries = opendir(folder);
	unsigned count = 0;

	assert_non_null(entries);
	while (readdir(entries))
		count++;
	closedir(entries);
	return count - 2;
}

static void build(void)
{
	struct error err = { 0 };

	if (template_build(folder, file, &err))
		fail_msg("%s", err.msg);
}

static ino_t inode(void)
{
	struct stat st;

	assert_int_equal(stat(in_folder(name), &st), 0);
	return st.st_ino;
}

static void map(struct guest_memory *memory)
{
	struct block_set blocks;
	struct error err = { 0 };
	int fd;

	if (template_open(folder, file, &fd, &blocks, &err))
		fail_msg("%s", err.msg);
	*memory = (struct guest_memory){ 0 };
	bed_init_memory(memory);
	if (guest_memory_map_file(memory, fd, blocks.bits, &err))
		fail_msg("%s", err.msg);
	close(fd);
}

/* --- a good one ------------------------------------------------------------------------------ */

static void test_built_and_mapped(void **state)
{
	struct guest_memory memory;
	struct stat st;

	(void)state;
	build();
	map(&memory);
	assert_same_ram(&memory);
	/* z blocks stay anonymous, and so they can be in huge pages. */
	for (size_t i = 0; i < strlen("szdzzdzs."); i++)
		assert_int_equal(guest_memory_has_file(&memory, i * BLOCK, 1),
		                 "szdzzdzs."[i] != 'z');
	guest_memory_finish(&memory);

	assert_int_equal(count_in_folder(), 1);
	assert_int_equal(stat(in_folder(name), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	/* Sparse: no more than the chunks that aren't zero, some blocks of the folder's file system more. */
	uint64_t chunks = 2 + 2 * BLOCK_CHUNKS + 2;
	assert_true((uint64_t)st.st_blocks * 512 <= chunks * CHUNK + 16 * PAGE);
}

static void test_what_is_written_stays_private(void **state)
{
	struct guest_memory one, other;
	size_t size;

	(void)state;
	build();
	uint8_t *before = read_whole(in_folder(name), &size);
	map(&one);
	map(&other);
	memset(one.ram, 0x5a, one.ram_size);
	assert_same_ram(&other);
	memset(other.ram + 2 * BLOCK, 0xa5, BLOCK);
	assert_int_equal(one.ram[2 * BLOCK], 0x5a);
	guest_memory_finish(&one);
	guest_memory_finish(&other);
	uint8_t *after = read_whole(in_folder(name), &size);
	assert_memory_equal(before, after, size);
	free(before);
	free(after);
}

static void test_a_good_one_is_kept(void **state)
{
	(void)state;
	build();
	ino_t first = inode();
	build();
	assert_int_equal(inode(), first);
}

static void test_none(void **state)
{
	struct block_set blocks;
	struct error err = { 0 };
	int fd = -7;

	(void)state;
	assert_clear(&err, template_open(folder, file, &fd, &blocks, &err), name);
	assert_int_equal(err.code, -ENOENT);
	assert_int_equal(fd, -7);
	rmdir(folder);
	err = (struct error){ 0 };
	assert_clear(&err, template_open(folder, file, &fd, &blocks, &err), folder);
	assert_int_equal(err.code, -ENOENT);
	err = (struct error){ 0 };
	assert_clear(&err, template_build(folder, file, &err), folder);
	assert_int_equal(mkdir(folder, 0700), 0);
}

/* --- bad ones -------------------------------------------------------------------------------- */

static void replace(const char *with_folder_entry)
{
	assert_int_equal(rename(in_folder(with_folder_entry), bed_path("moved")), 0);
	assert_int_equal(unlink(in_folder(name)), 0);
	assert_int_equal(rename(bed_path("moved"), in_folder(name)), 0);
}

static void spoil_byte(off_t offset, int whence)
{
	int fd = open(in_folder(name), O_RDWR | O_CLOEXEC);
	uint8_t byte;

	/* Its mode forbids it to all but root. */
	if (fd < 0) {
		assert_int_equal(chmod(in_folder(name), 0600), 0);
		fd = open(in_folder(name), O_RDWR | O_CLOEXEC);
	}
	assert_true(fd >= 0);
	off_t at = lseek(fd, offset, whence);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(__real_pwrite(fd, &byte, 1, at), 1);
	close(fd);
	assert_int_equal(chmod(in_folder(name), 0400), 0);
}

static void resize(off_t by)
{
	struct stat st;

	assert_int_equal(stat(in_folder(name), &st), 0);
	assert_int_equal(chmod(in_folder(name), 0600), 0);
	assert_int_equal(truncate(in_folder(name), st.st_size + by), 0);
	assert_int_equal(chmod(in_folder(name), 0400), 0);
}

static void make_truncated(void)
{
	resize(-1);
}

static void make_longer(void)
{
	resize(1);
}

static void make_empty(void)
{
	struct stat st;

	assert_int_equal(stat(in_folder(name), &st), 0);
	resize(-st.st_size);
}

static void make_writable(void)
{
	assert_int_equal(chmod(in_folder(name), 0600), 0);
}

static void make_readable_by_all(void)
{
	assert_int_equal(chmod(in_folder(name), 0444), 0);
}

static void make_wrong_hash(void)
{
	spoil_byte(-1, SEEK_END);
}

static void make_wrong_bits(void)
{
	spoil_byte(-9, SEEK_END);
}

static void make_wrong_magic(void)
{
	spoil_byte((off_t)bed.ram_size, SEEK_SET);
}

static void make_symlink(void)
{
	assert_int_equal(rename(in_folder(name), bed_path("elsewhere")), 0);
	assert_int_equal(symlink(bed_path("elsewhere"), in_folder(name)), 0);
}

static void make_fifo(void)
{
	assert_int_equal(mkfifo(in_folder("fifo"), 0400), 0);
	replace("fifo");
}

static void make_anothers(void)
{
	char hex[SNAPSHOT_ID_HEX_SIZE], others[SNAPSHOT_ID_HEX_SIZE + 8];
	struct snapshot_file *other = bed_snapshot("other");
	struct error err = { 0 };

	assert_int_equal(template_build(folder, other, &err), 0);
	snapshot_id_to_hex(snapshot_file_id(other), hex);
	snprintf(others, sizeof(others), "%s.mem", hex);
	replace(others);
	snapshot_file_close(other);
}

static void test_bad_ones(void **state)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} rows[] = {
		{ "truncated", make_truncated },
		{ "longer", make_longer },
		{ "empty", make_empty },
		{ "writable", make_writable },
		{ "readable by all", make_readable_by_all },
		{ "wrong hash", make_wrong_hash },
		{ "wrong bits", make_wrong_bits },
		{ "wrong magic", make_wrong_magic },
		{ "symlink", make_symlink },
		{ "FIFO", make_fifo },
		{ "another snapshot's", make_anothers },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct guest_memory memory;
		struct block_set blocks;
		struct error err = { 0 };
		int fd = -7;

		build();
		unsigned fds = count_fds();
		rows[i].make();
		assert_row(rows[i].name,
		           template_open(folder, file, &fd, &blocks, &err) == -EBADMSG);
		assert_clear(&err, -EBADMSG, name);
		assert_row(rows[i].name, fd == -7 && count_fds() == fds);
		/* Made anew in its place. */
		build();
		assert_row(rows[i].name, count_in_folder() == 1 && count_fds() == fds);
		map(&memory);
		assert_same_ram(&memory);
		guest_memory_finish(&memory);
	}
}

static void test_of_another_user(void **state)
{
	struct block_set blocks;
	struct error err = { 0 };
	int fd;

	(void)state;
	if (geteuid() != 0) {
		print_message("skip of another user: only root can give files away\n");
		skip();
	}
	build();
	assert_int_equal(chown(in_folder(name), 12345, (gid_t)-1), 0);
	assert_int_equal(template_open(folder, file, &fd, &blocks, &err), -EBADMSG);
	assert_clear(&err, -EBADMSG, "belongs to another user");
	build();
	assert_int_equal(template_open(folder, file, &fd, &blocks, &err), 0);
	close(fd);
}

static void test_folder_of_others(void **state)
{
	static const mode_t modes[] = { 0720, 0702, 0777 };
	struct block_set blocks;
	struct error err = { 0 };
	int fd;

	(void)state;
	build();
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(chmod(folder, modes[i]), 0);
		assert_int_equal(template_open(folder, file, &fd, &blocks, &err), -EPERM);
		assert_clear(&err, -EPERM, folder);
		assert_int_equal(template_build(folder, file, &err), -EPERM);
	}
	assert_int_equal(chmod(folder, 0700), 0);
}

/* --- hosts that fail ------------------------------------------------------------------------- */

static void test_no_room(void **state)
{
	struct error err = { 0 };

	(void)state;
	for (int row = 0; row < 4; row++) {
		host.no_tmpfile = row % 2;
		host.pwrite_errno = row < 2 ? ENOSPC : EIO;
		atomic_store(&host.pwrites_left, row < 2 ? 20 : 0);
		unsigned fds = count_fds();
		err = (struct error){ 0 };
		int ret = template_build(folder, file, &err);
		assert_clear(&err, ret, folder);
		assert_int_equal(ret, row < 2 ? -ENOSPC : -EIO);
		assert_int_equal(count_in_folder(), 0);
		assert_int_equal(count_fds(), fds);
	}
	atomic_store(&host.pwrites_left, -1);
	build();
}

static void test_spoilt_snapshot(void **state)
{
	struct error err = { 0 };

	(void)state;
	bed_spoil_first_chunk("snapshot");
	int ret = template_build(folder, file, &err);
	assert_int_equal(ret, -EBADMSG);
	assert_clear(&err, ret, bed_path("snapshot"));
	assert_int_equal(count_in_folder(), 0);
}

static void test_without_tmpfile(void **state)
{
	struct guest_memory memory;

	(void)state;
	host.no_tmpfile = true;
	build();
	assert_int_equal(count_in_folder(), 1);
	map(&memory);
	assert_same_ram(&memory);
	guest_memory_finish(&memory);
}

#define BUILT 3 /* how a process ends that didn't only find one */

/* A process that builds, once @go (NULL: at once) has no writer any more. */
static pid_t start_builder(const int go[2])
{
	pid_t pid = fork();
	struct error err = { 0 };
	char byte;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	if (go) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 0)
			_exit(2);
	}
	atomic_store(&host.pwrites, 0);
	if (template_build(folder, file, &err))
		_exit(1);
	_exit(atomic_load(&host.pwrites) ? BUILT : 0);
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_killed_builder(void **state)
{
	(void)state;
	for (int row = 0; row < 2; row++) {
		host.no_tmpfile = row;
		host.pwrite_errno = 0;
		atomic_store(&host.pwrites_left, 30);
		int status = end_of(start_builder(NULL));
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(count_in_folder(), row);
		assert_int_equal(access(in_folder(partial), F_OK) == 0, row);
		atomic_store(&host.pwrites_left, -1);
		build();
		assert_int_equal(count_in_folder(), 1);
		assert_int_equal(unlink(in_folder(name)), 0);
	}
}

/* Their lock, as it is while somebody builds. */
static int take_lock(void)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	return fd;
}

static void test_builders_at_once(void **state)
{
	enum { BUILDERS = 4 };
	struct guest_memory memory;
	pid_t pids[BUILDERS];
	unsigned built = 0;
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	for (int i = 0; i < BUILDERS; i++)
		pids[i] = start_builder(go);
	close(go[0]);
	int lock = take_lock();
	close(go[1]);
	assert_int_equal(count_in_folder(), 0);
	close(lock);
	for (int i = 0; i < BUILDERS; i++) {
		int status = end_of(pids[i]);

		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == BUILT);
		built += WEXITSTATUS(status) == BUILT;
	}
	assert_int_equal(built, 1);
	assert_int_equal(count_in_folder(), 1);
	map(&memory);
	assert_same_ram(&memory);
	guest_memory_finish(&memory);
}

static void test_waits_for_a_builder(void **state)
{
	struct error err = { 0 };
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	pid_t pid = start_builder(go);
	close(go[0]);
	int lock = take_lock();
	close(go[1]);
	/* Not for ever. */
	atomic_store(&host.clock_step, 9);
	assert_int_equal(template_build(folder, file, &err), -EBUSY);
	assert_clear(&err, -EBUSY, folder);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(count_in_folder(), 0);
	close(lock);
	assert_int_equal(WEXITSTATUS(end_of(pid)), BUILT);
	assert_int_equal(count_in_folder(), 1);
}

/* --- the trailer alone ----------------------------------------------------------------------- */

static void test_trailer(void **state)
{
	static const uint64_t sizes[] = { 1 << 20, (16 << 20) + PAGE, 18ull << 20, 64ull << 30 };
	const struct snapshot_id id = { { 1, 2, 3 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		static uint8_t bytes[TEMPLATE_TRAILER_MAX];
		static struct block_set blocks, read_back;
		size_t size = template_trailer_size(sizes[i]);
		struct error err = { 0 };

		assert_true(size <= sizeof(bytes));
		memset(&blocks, 0, sizeof(blocks));
		for (uint64_t block = 0; block < guest_blocks(sizes[i]); block += 3)
			guest_block_set(blocks.bits, block);
		assert_int_equal(template_trailer_encode(&id, sizes[i], &blocks, bytes), 0);
		assert_int_equal(
			template_trailer_decode(bytes, size, &id, sizes[i], &read_back, &err), 0);
		assert_memory_equal(&blocks, &read_back, sizeof(blocks));
		/* Every byte counts. */
		for (size_t at = 0; at < size; at++) {
			bytes[at] ^= 0x80;
			assert_int_equal(template_trailer_decode(bytes, size, &id, sizes[i],
			                                         &read_back, &err),
			                 -EBADMSG);
			bytes[at] ^= 0x80;
		}
		for (size_t cut = size > 200 ? size - 200 : 0; cut < size; cut++)
			assert_int_equal(template_trailer_decode(bytes, cut, &id, sizes[i],
			                                         &read_back, &err),
			                 -EBADMSG);
		assert_int_equal(template_trailer_decode(bytes, size, &id, sizes[i] + PAGE,
		                                         &read_back, &err),
		                 -EBADMSG);
	}
}

static void test_trailer_of_more_blocks_than_there_are(void **state)
{
	static uint8_t bytes[TEMPLATE_TRAILER_MAX];
	const struct snapshot_id id = { { 9 } };
	struct block_set blocks = { .bits = { 0x20 } }; /* the 6th of 5 */
	struct error err = { 0 };

	(void)state;
	assert_int_equal(template_trailer_encode(&id, 5 * BLOCK, &blocks, bytes), 0);
	assert_int_equal(template_trailer_decode(bytes, template_trailer_size(5 * BLOCK), &id,
	                                         5 * BLOCK, &blocks, &err),
	                 -EBADMSG);
	assert_int_equal(template_trailer_encode(&id, 6 * BLOCK, &blocks, bytes), 0);
	assert_int_equal(template_trailer_decode(bytes, template_trailer_size(6 * BLOCK), &id,
	                                         6 * BLOCK, &blocks, &err),
	                 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_built_and_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_written_stays_private, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_good_one_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_another_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spoilt_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_tmpfile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_builder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_builders_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_a_builder, setup, teardown),
		cmocka_unit_test(test_trailer),
		cmocka_unit_test(test_trailer_of_more_blocks_than_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
