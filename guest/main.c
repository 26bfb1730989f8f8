/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - cloche-agent from start to end; the order is that of agent.h. The agent's only thread.
 *
 * As PID 1 of a guest it takes its options from the kernel command line, and never returns.
 * Started by anybody else (by tests, on a host) it takes arguments, leaves the machine alone, and
 * ends cleanly on SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/browser.h"
#include "guest/channel.h"
#include "guest/children.h"
#include "guest/display.h"
#include "guest/generation.h"
#include "guest/input.h"
#include "guest/machine.h"
#include "guest/relay.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/loop.h"

/* x86's limit is 2048; room for others. */
#define KERNEL_LINE_MAX 8192

/* SIGTERM and SIGINT, which end a test's agent; PID 1 isn't sent them. */
struct stopper {
	struct loop *loop; /* borrowed */
	struct loop_watch watch;
	int fd; /* owned */
};

static void stop_ready(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	loop_stop(container_of(watch, struct stopper, watch)->loop);
}

static int stopper_init(struct stopper *stopper, struct loop *loop)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	stopper->loop = loop;
	stopper->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (stopper->fd < 0)
		return -errno;
	return loop_watch_add(loop, &stopper->watch, stopper->fd, EPOLLIN, stop_ready);
}

static void options_read_kernel(struct options *options)
{
	char line[KERNEL_LINE_MAX];
	struct error err = { 0 };
	cleanup_fd int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;

	if (n < 0) {
		log_error("no kernel command line: %s", strerror(errno));
		return;
	}
	line[n] = '\0';
	if (options_parse_kernel(options, line, &err) < 0)
		log_error("kernel command line: %s; the default stands", err.msg);
}

static void browser_start(struct agent *agent)
{
	if (!agent->options.no_browser && browser_create(agent, &agent->browser) < 0)
		log_error("no browser will come");
}

static void display_ready(struct agent *agent)
{
	int ret = input_create(agent, &agent->input);

	if (ret < 0)
		log_error("no input: %s", strerror(-ret));
	channel_stage_reached(agent->channel, STAGE_DISPLAY);
	browser_start(agent);
}

static int agent_start(struct agent *agent)
{
	int ret;

	ret = loop_create(&agent->loop);
	if (ret == 0)
		ret = children_create(agent->loop, &agent->children);
	if (ret == 0)
		ret = relays_create(agent, &agent->relays);
	if (ret == 0)
		ret = generation_create(agent, &agent->generation);
	if (ret == 0)
		ret = channel_create(agent, &agent->channel);
	if (ret < 0)
		return ret;
	channel_stage_reached(agent->channel, STAGE_AGENT);
	ret = machine_make_folders(agent);
	if (ret == 0)
		ret = display_create(agent, display_ready, &agent->display);
	if (ret < 0)
		log_error("no display will come: %s", strerror(-ret));
	return 0;
}

static void agent_finish(struct agent *agent)
{
	channel_destroy(agent->channel);
	browser_destroy(agent->browser);
	input_destroy(agent->input);
	display_destroy(agent->display);
	generation_destroy(agent->generation);
	relays_destroy(agent->relays);
	children_destroy(agent->children);
	loop_destroy(agent->loop);
}

int main(int argc, char **argv)
{
	struct agent agent = { .init = getpid() == 1, .reboot = true };
	struct stopper stopper = { .fd = -1 };
	struct error err = { 0 };
	int ret;

	log_init("cloche-agent", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	options_init(&agent.options);
	if (agent.init) {
		options_read_kernel(&agent.options);
		machine_prepare(&agent);
	} else if (options_parse_arguments(&agent.options, argc, argv, &err) < 0) {
		log_error("%s", err.msg);
		return 2;
	}
	ret = agent_start(&agent);
	if (ret == 0 && !agent.init)
		ret = stopper_init(&stopper, agent.loop);
	if (ret < 0)
		log_error("can't start: %s", strerror(-ret));
	else
		ret = loop_run(agent.loop);
	if (agent.init)
		machine_end(&agent); /* the agent is the guest: without it, nothing is left to do */
	agent_finish(&agent);
	close_fd(&stopper.fd);
	return ret < 0 ? 1 : 0;
}
