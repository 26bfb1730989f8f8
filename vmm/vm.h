/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.h - the contract of one virtual machine: the tree of everything it owns, and the order in
 * which that is built. main.c calls the steps from top to bottom; vm_destroy() goes back up.
 *
 *	vm_open          loop, /dev/kvm, VM                 (host errors: no KVM, no permission)
 *	vm_load_memory   RAM, kernel, root image            (bad files, too little memory)
 *	vm_add_devices   bus, interrupt pins, virtio        (paths that exist or are too long)
 *	vm_boot          boot parameters, vCPUs
 *	vm_serve         control socket
 *	vm_run           threads run; returns when the guest or its owner has ended it
 *
 * A guest that was running before takes another way to the same point: one restored from a file has
 * vm_open_snapshot before all else and vm_restore_memory for vm_load_memory; one forked off another VM
 * has its memory already (vm_adopt). Both have vm_restore for vm_boot.
 *
 * Threads: the caller's is the I/O thread from vm_run() on. vCPU threads enter through the bus and
 * through vm_end(); the threads of screen and scan only read guest memory. All else is I/O thread only.
 */
#ifndef CLOCHE_VMM_VM_H
#define CLOCHE_VMM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/ioapic.h"
#include "vmm/bus.h"
#include "vmm/kvm.h"
#include "vmm/memory.h"
#include "vmm/platform.h"
#include "vmm/serial.h"
#include "vmm/snapshot/restore.h"
#include "vmm/vcpu.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/virtio.h"

#define VM_DISKS_MAX 4

struct vm_disk {
	const char *path;
	bool read_only;
};

/* What the command line says. Strings are borrowed and live as long as the process. */
struct vm_config {
	const char *name;
	const char *kernel, *initramfs, *image;     /* files; initramfs and image may be NULL */
	const char *append, *page;                  /* may be NULL */
	const char *control, *vsock, *vnc, *report; /* paths; may be NULL */
	const char *console;                        /* path or "-" */
	const char *examine;                        /* the snapshot of --inspect and --verify */
	struct vm_disk disks[VM_DISKS_MAX];
	unsigned disk_count;
	uint64_t memory; /* bytes */
	unsigned cpus, width, height;
	uint32_t cid;
	struct net_config net;
	uint64_t ttl_s; /* 0: none */
	bool guest_root;
	bool no_page_reporting; /* the guest keeps what it has freed */
	bool paused;            /* start with vCPUs parked */
	/* A snapshot file to go on from (NULL: boot), and how its memory is had. */
	const char *restore;
	struct restore_config restore_config;
	bool ring3; /* a freestanding test guest (arch.h) */
};

enum vm_reason {
	VM_RUNNING,
	VM_SHUTDOWN, /* the guest powered off */
	VM_REBOOT,   /* the guest asked for a reset: it ends, its owner may start another */
	VM_QUIT,     /* control socket or signal */
	VM_TTL,      /* its time is over */
	VM_PANIC,    /* the guest kernel panicked */
	VM_TRIPLE_FAULT,
	VM_INTERNAL_ERROR, /* KVM can't run this guest any further */
	VM_HOST_ERROR,     /* something of ours or of the host failed while it ran */
};

/* Why it ended; written once, under .lock, by whoever comes first. */
struct vm_ending {
	pthread_mutex_t lock;
	enum vm_reason reason;
	int vcpu; /* -1: not a vCPU's doing */
	uint64_t pc;
	char detail[192];
};

/* Milestones, CLOCK_MONOTONIC; 0 until reached. */
enum vm_stage {
	STAGE_STARTED,
	STAGE_ENTRY,
	STAGE_FIRST_EXIT,
	STAGE_AGENT,
	STAGE_DISPLAY,
	STAGE_BROWSER,
	STAGE_COUNT
};

/* How this guest has come to be. */
enum vm_origin_kind { ORIGIN_BOOT, ORIGIN_RESTORE, ORIGIN_FORK };

struct vm_origin {
	enum vm_origin_kind kind;
	char of[65]; /* the snapshot's id, or the name of the session it was forked off */
	enum restore_mode mode; /* ORIGIN_RESTORE */
};

/* See snapshot/pause.h. */
enum vm_pause { PAUSE_RUNNING, PAUSE_PAUSING, PAUSE_QUIESCED, PAUSE_COPYING };

/* The state that a copy takes up, as sections; borrowed until vm_restore() has used it. */
struct vm_saved {
	const uint8_t *state;
	size_t size;
};

#define VM_VIRTIO_MAX 12

struct clone_plan;
struct copy;
struct pager;
struct saved_origin;
struct snapshot_file;

struct vm {
	const struct vm_config *config; /* borrowed */
	struct loop *loop;
	struct kvm kvm;
	struct guest_memory memory;
	struct arch_entry entry;
	struct gpa kernel_end;
	uint8_t *image_host;     /* owned mapping of the root image */
	uint64_t image_size;     /* bytes mapped, a multiple of 2 MiB */
	uint64_t image_identity; /* 0: not looked at yet */
	struct gpa image_base;

	struct bus bus;
	struct ioapic ioapic;
	struct irq_line serial_irq, vmgenid_irq;
	struct serial serial;
	struct platform platform;
	struct virtio_device *virtio[VM_VIRTIO_MAX];
	unsigned virtio_count;
	/* Some of .virtio; a card may be missing. */
	struct virtio_device *balloon, *vsock, *net;
	unsigned disk_count; /* of them, disks */
	struct arch_fdt_device nodes[VM_VIRTIO_MAX + 4];
	unsigned node_count;
	struct vcpu_group vcpus;
	bool paused; /* its owner has frozen it */

	/* Copies (snapshot/). */
	struct vm_origin origin;
	struct vm_saved saved;
	dev_t origin_device; /* ORIGIN_RESTORE: the file, which a copy's copies came from, too */
	ino_t origin_inode;
	struct vm *original; /* what a fork left behind; never touched */
	struct snapshot_file
		*file; /* owned: it was restored from; NULL when it isn't needed any more */
	struct saved_origin *machine; /* owned: strings of the file's configuration */
	struct pager *pager;          /* owned: loads memory from .file */
	int loaded_fd;                /* owned eventfd: the pager is done */
	struct loop_watch loaded_watch;
	bool loaded;       /* all memory is there */
	bool acknowledged; /* the guest knows that it is a copy; true for one that was booted */
	bool has_agent;    /* this guest has, or its original had, an agent that can acknowledge */
	unsigned stages_held;
	enum vm_pause pause;
	struct copy *copies, *copies_begun; /* owned: asked for; forked, others' pids to come */
	uint64_t copied_ns;                 /* when the copy under way began */

	struct agent *agent;
	struct screen *screen;
	struct scan *scan;
	struct frames *frames;
	struct settling *settling;
	struct frame_ids *frame_ids;
	struct viewers *viewers;
	struct control *control;
	struct loop_timer ttl;
	uint64_t ttl_deadline_ns; /* 0: none */

	atomic_ullong stages[STAGE_COUNT];
	struct vm_ending ending;
};

/* The steps; see above. Each 0 or -errno with one line in @err; vm_destroy() undoes any number. */
int vm_open(struct vm *vm, const struct vm_config *config, struct error *err);
int vm_load_memory(struct vm *vm, struct error *err);
int vm_add_devices(struct vm *vm, struct error *err);
int vm_boot(struct vm *vm, struct error *err);
int vm_serve(struct vm *vm, struct error *err);
int vm_open_snapshot(struct vm *vm, struct vm_config *config, struct error *err);
int vm_restore_memory(struct vm *vm, struct error *err);
int vm_adopt(struct vm *vm, struct error *err);
int vm_restore(struct vm *vm, struct error *err);
/* *out_plan: NULL; or, in a forked child, what it is to become (snapshot/clone.h). */
int vm_run(struct vm *vm, const struct clone_plan **out_plan, struct error *err);
void vm_destroy(struct vm *vm);

/* Between the steps above: maps config->image behind RAM; what vCPUs tell goes to this VM. */
int vm_map_image(struct vm *vm, struct error *err);
struct vcpu_handlers vm_vcpu_handlers(struct vm *vm);

/* Ends the VM: the first reason given counts. Any thread. @pc and @vcpu (-1) go into the report. */
void vm_end(struct vm *vm, enum vm_reason reason, int vcpu, uint64_t pc, const char *detail);

/* Parks and unparks all vCPUs; idempotent. Devices' host side goes on. I/O thread. */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

/* Notes a milestone, once. Any thread. */
void vm_reach(struct vm *vm, enum vm_stage stage);

/* The same for what the guest's agent tells: noted when it has acknowledged that it is a copy. */
void vm_reach_told(struct vm *vm, enum vm_stage stage);

/* Milliseconds from the start of the VMM to @stage, or -1 while it isn't reached. */
int64_t vm_stage_ms(const struct vm *vm, enum vm_stage stage);

/* The name of a reason as the report and the man page have it. */
const char *vm_reason_name(enum vm_reason reason);

/* Exit status of the process for a reason (cloche-vmm(1)). */
int vm_reason_status(enum vm_reason reason);

#endif
