/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * browser.c - the Chromium process. The agent's thread.
 *
 * Chromium runs as the unprivileged user, with its own sandbox on: nothing here may turn that off.
 * DevTools is a pair of pipes, fds 3 and 4 of the process, so no port is open and nobody but the
 * agent can reach it. The program is started itself, not by Debian's wrapper script, whose flags
 * and API keys are for desktops.
 */
#include "guest/browser.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/environment.h"
#include "lib/cleanup.h"
#include "lib/log.h"

/* Their files would live in guest RAM. */
#define CACHE_FLAG "--disk-cache-size=33554432"

/* What a session never wants: traffic of the browser's own, or processes that sit there idle. */
#define FEATURES_OFF                                                                               \
	"--disable-features=Translate,MediaRouter,DialMediaRouteProvider,OptimizationHints,"       \
	"OptimizationGuideModelDownloading,AutofillServerCommunication,BackForwardCache,"          \
	"CertificateTransparencyComponentUpdater,InterestFeedContentSuggestions,AimEnabled,"       \
	"WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess,"                   \
	"GlobalMediaControls,PrivacySandboxSettings4,AudioServiceOutOfProcess"

static void browser_event(void *arg, const char *session, const char *method, json_t *params)
{
	targets_event(arg, session, method, params);
}

static void browser_closed(void *arg)
{
	struct browser *browser = arg;

	jobs_fail(browser);
	targets_clear(browser);
}

static void browser_ended(struct child *child, int wait_status)
{
	struct browser *browser = container_of(child, struct browser, child);

	browser->dead = true;
	jobs_fail(browser);
	targets_clear(browser);
	channel_process_died(browser->agent->channel, PROCESS_BROWSER, wait_status);
}

/* Starts the program with the far ends of the pipes as its fds 3 and 4. */
static int browser_spawn(struct browser *browser, int commands, int answers, struct error *err)
{
	const struct options *options = &browser->agent->options;
	char program[sizeof(options->browser)], page[sizeof(options->page)];
	char profile[sizeof(options->home) + 32], size[48];
	char *argv[] = {
		program,
		"--remote-debugging-pipe",
		profile,
		size,
		"--window-position=0,0",
		"--force-device-scale-factor=1",
		"--allow-pre-commit-input", /* a click right after "load" isn't dropped */
		"--lang=en-US",
		"--no-first-run",
		"--no-default-browser-check",
		"--no-pings",
		"--noerrdialogs",
		"--hide-crash-restore-bubble",
		"--password-store=basic",
		"--disable-gpu",
		"--disable-software-rasterizer",
		"--disable-audio-output",
		"--disable-background-networking",
		"--disable-breakpad",
		"--disable-client-side-phishing-detection",
		"--disable-component-update",
		"--disable-crash-reporter",
		"--disable-default-apps",
		"--disable-domain-reliability",
		"--disable-extensions",
		"--disable-field-trial-config",
		"--disable-search-engine-choice-screen",
		"--disable-sync",
		"--metrics-recording-only",
		"--log-level=3",
		CACHE_FLAG,
		FEATURES_OFF,
		page,
		NULL,
	};
	struct spawn spawn = {
		.argv = argv,
		.cwd = options->home,
		.fds = { -1, STDERR_FILENO, STDERR_FILENO, commands, answers },
		.fd_count = 5,
	};
	json_t *extra = json_pack("{s:s}", "DBUS_SESSION_BUS_ADDRESS", "disabled:");
	char **envp = NULL;
	int ret;

	strcpy(program, options->browser);
	strcpy(page, options->page);
	snprintf(profile, sizeof(profile), "--user-data-dir=%s/.cloche-browser", options->home);
	snprintf(size, sizeof(size), "--window-size=%u,%u", options->width, options->height);
	ret = environment_make(browser->agent, false, extra, &envp);
	json_decref(extra);
	if (ret < 0)
		return error_set(err, ret, "no memory");
	spawn.envp = envp;
	ret = children_spawn(browser->agent->children, &spawn, &browser->child, browser_ended, err);
	environment_free(envp);
	return ret;
}

static int browser_start(struct browser *browser, struct error *err)
{
	const struct cdp_events events = {
		.event = browser_event,
		.closed = browser_closed,
		.arg = browser,
	};
	cleanup_fd int commands = -1;
	cleanup_fd int answers = -1;
	int out[2], in[2];
	int ret;

	if (pipe2(out, O_CLOEXEC) < 0)
		return error_set(err, -errno, "can't make a pipe: %s", strerror(errno));
	commands = out[0];
	if (pipe2(in, O_CLOEXEC) < 0) {
		ret = error_set(err, -errno, "can't make a pipe: %s", strerror(errno));
		close_fd(&out[1]);
		return ret;
	}
	answers = in[1];
	fcntl(out[1], F_SETFL, O_NONBLOCK);
	fcntl(in[0], F_SETFL, O_NONBLOCK);
	ret = cdp_create(browser->agent->loop, in[0], out[1], &events, &browser->cdp);
	if (ret < 0)
		return error_set(err, ret, "can't watch the DevTools pipe: %s", strerror(-ret));
	ret = browser_spawn(browser, commands, answers, err);
	if (ret < 0)
		return ret;
	targets_discover(browser);
	return 0;
}

int browser_create(struct agent *agent, struct browser **out_browser)
{
	struct browser *browser = calloc(1, sizeof(*browser));
	struct error err = { 0 };
	int ret;

	if (!browser)
		return -ENOMEM;
	browser->agent = agent;
	ret = browser_start(browser, &err);
	if (ret < 0) {
		log_error("no browser: %s", err.msg);
		browser_destroy(browser);
		return ret;
	}
	*out_browser = browser;
	return 0;
}

void browser_destroy(struct browser *browser)
{
	if (!browser)
		return;
	child_kill(&browser->child, SIGTERM);
	children_forget(browser->agent->children, &browser->child);
	jobs_fail(browser);
	targets_clear(browser);
	cdp_destroy(browser->cdp);
	free(browser);
}
