/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * init.c - the guest's first user space: from the initramfs to cloche-agent.
 *
 * Static, PID 1, one thread. The stages, in order:
 *
 *	kernel file systems -> root device -> erofs + tmpfs overlay -> the session's own tmpfs
 *	-> agent copied in -> initramfs emptied -> root switched -> exec of the agent
 *
 * Nothing here waits for ever and nothing returns: a stage that fails prints one line on the
 * console and reboots the guest, which its VMM sees. No code is shared with the other programs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DEVICE_WAIT_MS 10000
#define DEVICE_POLL_MS 2
#define VIRTIO_ID_PMEM 27

#define ROOT_IMAGE "/image"     /* the erofs, read-only */
#define ROOT_CHANGES "/changes" /* tmpfs: what the session writes */
#define ROOT_NEW "/newroot"     /* both, overlaid */

#define AGENT_SOURCE "/cloche-agent"
#define AGENT_FOLDER "/run/cloche"
#define AGENT_PATH AGENT_FOLDER "/agent"

static void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *fmt, ...)
{
	va_list args;

	fputs("cloche-init: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("; the guest reboots now\n", stderr);
	tcdrain(STDERR_FILENO);
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void folder_make(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		die("can't make %s: %s", path, strerror(errno));
}

static void mount_or_die(const char *source, const char *target, const char *type,
                         unsigned long flags, const char *options, const char *hint)
{
	if (mount(source, target, type, flags, options) < 0)
		die("can't mount %s (%s) on %s: %s; %s", source, type ? type : "move", target,
		    strerror(errno), hint);
}

/* The kernel opens /dev/console before us only when the initramfs carries that node. */
static void console_open(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		return;
	for (int std = 0; std <= STDERR_FILENO; std++)
		if (std != fd)
			dup2(fd, std);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void kernel_mounts(void)
{
	const char *hint = "the guest kernel lacks it: make images";

	folder_make("/proc", 0555);
	folder_make("/sys", 0555);
	folder_make("/dev", 0755);
	mount_or_die("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755", hint);
	console_open();
	mount_or_die("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, hint);
	mount_or_die("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, hint);
}

/* --- the root image --- */

static bool device_is_pmem(const char *name)
{
	char path[512], text[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%.200s/device", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strtoul(text, NULL, 16) == VIRTIO_ID_PMEM;
}

/*
 * The virtio bus lists its devices before their drivers are done with them, so it says which
 * block device will come: without this, a scratch disk could be taken for the root.
 */
static bool machine_has_pmem(void)
{
	bool found = false;
	struct dirent *entry;
	DIR *dir = opendir("/sys/bus/virtio/devices");

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.' && device_is_pmem(entry->d_name);
	closedir(dir);
	return found;
}

/* A disk's node is there a moment before the disk can be opened (ENXIO): so it is opened. */
static bool device_wait(const char *path)
{
	const struct timespec nap = { .tv_nsec = DEVICE_POLL_MS * 1000000L };

	for (int waited = 0; waited < DEVICE_WAIT_MS; waited += DEVICE_POLL_MS) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			close(fd);
			return true;
		}
		nanosleep(&nap, NULL);
	}
	return false;
}

static void image_mount(void)
{
	bool pmem = machine_has_pmem();
	const char *device = pmem ? "/dev/pmem0" : "/dev/vda";

	if (!device_wait(device))
		die("no root image: %s couldn't be opened within %d s; give the VMM an --image",
		    device, DEVICE_WAIT_MS / 1000);
	folder_make(ROOT_IMAGE, 0755);
	mount_or_die(device, ROOT_IMAGE, "erofs", MS_RDONLY, pmem ? "dax=always" : NULL,
	             "is it the erofs that make images builds?");
}

/* The session sees image and changes as one root; all that it writes lives in guest RAM. */
static void root_mount(void)
{
	folder_make(ROOT_CHANGES, 0755);
	folder_make(ROOT_NEW, 0755);
	mount_or_die("changes", ROOT_CHANGES, "tmpfs", 0, "mode=0755", "too little memory?");
	folder_make(ROOT_CHANGES "/upper", 0755);
	folder_make(ROOT_CHANGES "/work", 0755);
	mount_or_die("root", ROOT_NEW, "overlay", 0,
	             "lowerdir=" ROOT_IMAGE ",upperdir=" ROOT_CHANGES "/upper,workdir=" ROOT_CHANGES
	             "/work",
	             "the guest kernel lacks overlayfs: make images");
}

/* A fresh tmpfs inside the new root; its folder is made when the image lacks it. */
static void session_tmpfs(const char *folder, unsigned long flags, const char *options)
{
	char path[64];

	snprintf(path, sizeof(path), ROOT_NEW "%s", folder);
	folder_make(path, 0755);
	mount_or_die("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | flags, options,
	             "too little memory?");
}

static void mount_move(const char *folder)
{
	char path[64];

	snprintf(path, sizeof(path), ROOT_NEW "%s", folder);
	folder_make(path, 0755);
	mount_or_die(folder, path, NULL, MS_MOVE, NULL, "the guest kernel refuses to move it");
}

static void session_mounts(void)
{
	mount_move("/proc");
	mount_move("/sys");
	mount_move("/dev");
	session_tmpfs("/tmp", 0, "mode=1777");
	session_tmpfs("/run", 0, "mode=0755");
	session_tmpfs("/dev/shm", MS_NOEXEC, "mode=1777");
	folder_make(ROOT_NEW "/dev/pts", 0755);
	mount_or_die("devpts", ROOT_NEW "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
	             "mode=0620,ptmxmode=0666", "the guest kernel lacks it: make images");
}

/*
 * The name servers that the kernel was told by DHCP or by ip= (Documentation/admin-guide/nfs of
 * Linux): its file is a resolv.conf. A guest without any has none.
 */
static void resolver_set_up(void)
{
	char text[512];
	int fd = open("/proc/net/pnp", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	if (strstr(text, "\nnameserver ") &&
	    symlink("/proc/net/pnp", ROOT_NEW "/etc/resolv.conf") < 0 && errno != EEXIST)
		die("can't make /etc/resolv.conf: %s", strerror(errno));
}

/* --- the agent --- */

static void agent_copy(void)
{
	int from = open(AGENT_SOURCE, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int to;

	if (from < 0 || fstat(from, &st) < 0)
		die("no agent in the initramfs (%s: %s); make images", AGENT_SOURCE,
		    strerror(errno));
	folder_make(ROOT_NEW AGENT_FOLDER, 0755);
	to = open(ROOT_NEW AGENT_PATH, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (to < 0)
		die("can't make %s: %s", AGENT_PATH, strerror(errno));
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);

		if (n <= 0)
			die("can't copy the agent to %s: %s", AGENT_PATH,
			    n < 0 ? strerror(errno) : "it is cut short");
		left -= n;
	}
	if (fchmod(to, 0755) < 0 || close(to) < 0)
		die("can't finish %s: %s", AGENT_PATH, strerror(errno));
	close(from);
}

/* --- switching roots --- */

/*
 * The initramfs is RAM that nothing would ever give back. Other file systems are left alone:
 * the recursion stays on @device, and the folders that things are mounted on keep their names.
 */
static void initramfs_free(int folder, dev_t device)
{
	DIR *dir = fdopendir(folder);
	struct dirent *entry;

	if (!dir) {
		close(folder);
		return;
	}
	while ((entry = readdir(dir))) {
		struct stat st;
		int child;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_dev != device)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			unlinkat(folder, entry->d_name, 0);
			continue;
		}
		child = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (child >= 0)
			initramfs_free(child, device);
		unlinkat(folder, entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static void root_switch(void)
{
	int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (old < 0 || fstat(old, &st) < 0 || chdir(ROOT_NEW) < 0)
		die("can't enter the new root: %s", strerror(errno));
	initramfs_free(old, st.st_dev);
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		die("can't switch to the new root: %s", strerror(errno));
}

int main(void)
{
	char *argv[] = { "cloche-agent", NULL };
	char *envp[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		         "HOME=/root", "LANG=C.UTF-8", NULL };

	if (getpid() != 1) {
		fputs("cloche-init: runs only as PID 1 of a guest\n", stderr);
		return 2;
	}
	umask(0);
	kernel_mounts();
	image_mount();
	root_mount();
	resolver_set_up();
	session_mounts();
	agent_copy();
	root_switch();
	umask(022);
	execve(AGENT_PATH, argv, envp);
	die("can't run %s: %s; was the agent built for this root image?", AGENT_PATH,
	    strerror(errno));
}
