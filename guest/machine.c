/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.c - set-up and end of the guest. The agent's thread.
 */
#include "guest/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"

#define HOST_NAME "cloche"
#define FILES_MAX 65536
#define END_GRACE_MS 500

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
		log_warn("no loopback interface: %s", strerror(errno));
		return;
	}
	request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		log_warn("can't bring up the loopback interface: %s", strerror(errno));
}

/* Makes @path a folder of that mode and owner; what is there already is put right. */
static int folder_make(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
		return -errno;
	return 0;
}

int machine_make_folders(const struct agent *agent)
{
	const char *run = agent->options.run;
	char path[sizeof(agent->options.run) + 8];
	bool root = geteuid() == 0;
	uid_t uid = root ? AGENT_UID : geteuid();
	gid_t gid = root ? AGENT_GID : getegid();
	int ret;

	if (mkdir(run, 0755) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/fb", run);
	ret = folder_make(path, 0700, uid, gid);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "%s/user", run);
	return folder_make(path, 0700, uid, gid);
}

/*
 * Chromium reserves address space by half a GiB, most of which it never touches. The kernel's
 * default refuses a piece that is larger than all RAM: in a small guest every renderer would die.
 */
static void overcommit_allow(void)
{
	cleanup_fd int fd = open("/proc/sys/vm/overcommit_memory", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		log_warn("can't allow overcommitment of memory: %s", strerror(errno));
}

void machine_prepare(const struct agent *agent)
{
	const struct rlimit files = { FILES_MAX, FILES_MAX };
	const struct rlimit cores = { 0, 0 };
	int ret;

	if (sethostname(HOST_NAME, strlen(HOST_NAME)) < 0)
		log_warn("can't set the host name: %s", strerror(errno));
	loopback_up();
	overcommit_allow();
	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_CORE, &cores);
	ret = folder_make("/tmp/.X11-unix", 01777, 0, 0);
	if (ret < 0)
		log_warn("can't make the folder of the X sockets: %s", strerror(-ret));
	ret = folder_make(agent->options.home, 0755, AGENT_UID, AGENT_GID);
	if (ret < 0)
		log_warn("can't make %s the user's: %s", agent->options.home, strerror(-ret));
}

int64_t machine_read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

int machine_set_clock(int64_t realtime_ns)
{
	const struct timespec ts = {
		.tv_sec = realtime_ns / (int64_t)NS_PER_S,
		.tv_nsec = realtime_ns % (int64_t)NS_PER_S,
	};

	return clock_settime(CLOCK_REALTIME, &ts) < 0 ? -errno : 0;
}

/* Waits until no child is left, at most END_GRACE_MS. SIGCHLD stays blocked: we only poll. */
static void processes_wait(void)
{
	const struct timespec nap = { .tv_nsec = (long)(5 * NS_PER_MS) };
	uint64_t deadline = clock_now_ns() + END_GRACE_MS * NS_PER_MS;
	pid_t pid;

	do {
		do {
			pid = waitpid(-1, NULL, WNOHANG);
		} while (pid > 0);
		if (pid < 0 && errno == ECHILD)
			return;
		nanosleep(&nap, NULL);
	} while (clock_now_ns() < deadline);
}

void machine_end(struct agent *agent)
{
	if (!agent->init) {
		loop_stop(agent->loop);
		return;
	}
	log_info("%s", agent->reboot ? "rebooting" : "powering off");
	kill(-1, SIGTERM);
	processes_wait();
	kill(-1, SIGKILL);
	processes_wait();
	sync();
	reboot(agent->reboot ? RB_AUTOBOOT : RB_POWER_OFF);
	/* Only a machine that can't power off comes here: a halt is what is left. */
	reboot(RB_AUTOBOOT);
	_exit(1);
}
