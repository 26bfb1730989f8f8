/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/save.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "vmm/snapshot/clone.h"
#include "vmm/untouched.h"

#define NICE 10
/* Nobody waits longer for a file; the original has long gone on. */
#define LIMIT_S 3600u

struct writing {
	int fd; /* borrowed; -1 when nobody listens any more */
	uint64_t begun_ns;
};

static json_int_t elapsed_ms(const struct writing *writing)
{
	return (json_int_t)((clock_now_ns() - writing->begun_ns) / NS_PER_MS);
}

/* A reader that is slow gets fewer lines, one that is gone none: the file is written all the same. */
static void say(struct writing *writing, json_t *line)
{
	if (writing->fd >= 0 && line && json_dumpfd(line, writing->fd, JSON_COMPACT) == 0 &&
	    write(writing->fd, "\n", 1) == 1) {
		json_decref(line);
		return;
	}
	writing->fd = -1;
	json_decref(line);
}

static void on_progress(void *arg, const struct snapshot_progress *progress)
{
	struct writing *writing = arg;

	say(writing, json_pack("{s:I,s:I,s:I,s:I}", "done", (json_int_t)progress->done, "total",
	                       (json_int_t)progress->total, "written",
	                       (json_int_t)progress->written, "elapsed_ms", elapsed_ms(writing)));
}

static void say_end(struct writing *writing, const struct save *save,
                    const struct snapshot_stats *stats)
{
	char id[SNAPSHOT_ID_HEX_SIZE];

	snapshot_id_to_hex(&save->id, id);
	say(writing,
	    json_pack("{s:b,s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "ok", 1, "id", id, "file_bytes",
	              (json_int_t)stats->file_bytes, "zero", (json_int_t)stats->zero, "lz4",
	              (json_int_t)stats->lz4, "raw", (json_int_t)stats->raw, "parent",
	              (json_int_t)stats->parent, "elapsed_ms", elapsed_ms(writing)));
}

void save_run(struct vm *vm, const struct save *save)
{
	struct writing writing = { .fd = save->progress_fd, .begun_ns = clock_now_ns() };
	struct snapshot_stats stats = { 0 };
	struct untouched *untouched = NULL;
	struct error err = { 0 };
	sigset_t none;

	/* Ending the original's process group or asking it to end is not meant for its writer. */
	setsid();
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(LIMIT_S);
	clone_close_others(&writing.fd);
	setpriority(PRIO_PROCESS, 0, NICE);
	/* Without it all RAM is read: only slower. */
	if (untouched_scan(&vm->memory, &untouched, &err))
		log_warn("snapshot: %s", err.msg);
	err = (struct error){ 0 };
	struct snapshot_source source = {
		.path = save->path,
		.id = save->id,
		.state = save->state,
		.state_size = save->state_size,
		.ram = vm->memory.ram,
		.ram_size = vm->memory.ram_size,
		.is_untouched = untouched ? untouched_is : NULL,
		.arg = untouched,
		.parent = save->parent,
		.progress = on_progress,
		.progress_arg = &writing,
	};
	int ret = snapshot_file_write(&source, &stats, &err);
	if (ret == 0)
		say_end(&writing, save, &stats);
	else
		log_error("snapshot: %s", err.msg);
	if (ret)
		say(&writing, json_pack("{s:b,s:{s:s,s:s}}", "ok", 0, "error", "code",
		                        PROTO_ERR_FAILED, "message", err.msg));
	_exit(ret ? 1 : 0);
}
