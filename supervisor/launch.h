/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * launch.h - a new session's VMM: its folder filled, its process started, and all of it taken back
 * when something goes wrong. Single thread.
 *
 * Order of calls: session_create(), launch_prepare(), launch_start(), launch_connect(); then
 * launch_release() leaves it running, or launch_abort() leaves nothing.
 */
#ifndef CLOCHE_SUPERVISOR_LAUNCH_H
#define CLOCHE_SUPERVISOR_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/client.h"
#include "supervisor/images.h"
#include "supervisor/parse.h"

#define LAUNCH_RELAYS_MAX 16
#define LAUNCH_DISKS_MAX 4

struct launch_relay {
	uint16_t port;
	char *socket; /* owned, absolute */
};

struct launch_disk {
	char *path; /* owned, absolute */
	bool read_only;
};

/* The snapshot that a session continues, and how; see cloche-vmm(1), --restore. */
struct launch_restore {
	char *file;           /* owned, absolute; NULL: the session boots */
	const char *mode;     /* borrowed: "template", "lazy", "eager"; NULL: the VMM's choice */
	char *templates;      /* owned: the folder of resident templates; NULL: none */
	char *touch, *record; /* owned: first-touch orders, to follow and to write; NULL: none */
};

/* What a session is to be. */
struct launch_plan {
	char *vmm; /* owned */
	struct launch_restore restore;
	/*
	 * With restore.file all that follows, down to the disks, is what the snapshot says, for people,
	 * and may not be known; but the image, if known, time to live, page, relays and card count.
	 */
	struct images images;
	uint64_t memory_mib, cpus;
	struct geometry size;
	uint64_t ttl_s;             /* 0: none */
	char *page;                 /* owned; NULL: none */
	char *append;               /* owned; NULL: nothing */
	char *net;                  /* owned; NULL: no network card */
	int net_fd;                 /* borrowed; the VMM's PROCESS_MORE_FD; 0: none */
	const char *mac, *net_rate; /* borrowed; NULL: the VMM's choice, no limit */
	bool guest_root, no_page_reporting;
	struct launch_relay relays[LAUNCH_RELAYS_MAX];
	size_t relay_count;
	struct launch_disk disks[LAUNCH_DISKS_MAX];
	size_t disk_count;
	json_t *origin; /* owned: for session.json (facts.h); NULL: a boot */
};

void launch_plan_finish(struct launch_plan *plan);
#define cleanup_plan __attribute__((cleanup(launch_plan_finish)))

/* A VMM that this process has started. */
struct launch {
	struct session *session; /* borrowed */
	pid_t pid;
	int pidfd;           /* owned */
	uint64_t started_ns; /* CLOCK_MONOTONIC, right before it was started */
};

#define LAUNCH_INIT                                                                                \
	{                                                                                          \
		.pidfd = -1                                                                        \
	}

/* Checks the socket paths' lengths and makes the links of the relays. */
int launch_prepare(const struct session *session, const struct launch_plan *plan,
                   struct failure *failure);

/* Starts the VMM and writes session.json. On failure nothing runs. */
int launch_start(struct session *session, const struct launch_plan *plan, struct launch *out_launch,
                 struct failure *failure);

/*
 * Connects @client, an initialised one, as soon as the VMM behind @pidfd listens in @session. -1: it
 * ended instead, the time is over, or client->interrupt_fd became readable.
 */
int launch_connect(const struct session *session, int pidfd, struct client *client,
                   uint64_t timeout_ms, struct failure *failure);

/*
 * If the VMM has ended, or does within a moment, puts its own words, exit status and report in
 * place of those in @failure. For when a call failed because the session died.
 */
void launch_explain(struct launch *launch, struct failure *failure);

/* Kills the VMM, waits for it and removes the session's folder. Takes one that never started. */
void launch_abort(struct launch *launch);

/* Forgets the VMM, which runs on. */
void launch_release(struct launch *launch);

#endif
