/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/devices.h"
#include "vmm/frame_ids.h"
#include "vmm/frames.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/settle.h"
#include "vmm/snapshot/copy.h"
#include "vmm/snapshot/file.h"
#include "vmm/snapshot/gate.h"
#include "vmm/snapshot/pager.h"
#include "vmm/viewers.h"

#define HUGE_PAGE_SIZE ((uint64_t)2 << 20)
/* If the loop itself hangs, the kernel ends the process this much after the TTL. */
#define TTL_BACKSTOP_S 10

static const struct {
	const char *name;
	int status;
} reasons[] = {
	[VM_RUNNING] = { "running", 0 },
	[VM_SHUTDOWN] = { "shutdown", 0 },
	[VM_REBOOT] = { "reboot", 0 },
	[VM_QUIT] = { "quit", 0 },
	[VM_TTL] = { "ttl", 4 },
	[VM_PANIC] = { "panic", 3 },
	[VM_TRIPLE_FAULT] = { "triple_fault", 3 },
	[VM_INTERNAL_ERROR] = { "internal_error", 3 },
	[VM_HOST_ERROR] = { "host_error", 1 },
};

const char *vm_reason_name(enum vm_reason reason)
{
	return reasons[reason].name;
}

int vm_reason_status(enum vm_reason reason)
{
	return reasons[reason].status;
}

void vm_reach(struct vm *vm, enum vm_stage stage)
{
	unsigned long long unset = 0;

	atomic_compare_exchange_strong(&vm->stages[stage], &unset, clock_now_ns());
}

int64_t vm_stage_ms(const struct vm *vm, enum vm_stage stage)
{
	uint64_t at = atomic_load(&vm->stages[stage]);

	return at ? (int64_t)((at - atomic_load(&vm->stages[STAGE_STARTED])) / NS_PER_MS) : -1;
}

void vm_reach_told(struct vm *vm, enum vm_stage stage)
{
	if (vm->acknowledged)
		vm_reach(vm, stage);
	else
		vm->stages_held |= 1u << stage;
}

void vm_end(struct vm *vm, enum vm_reason reason, int vcpu, uint64_t pc, const char *detail)
{
	struct vm_ending *ending = &vm->ending;

	pthread_mutex_lock(&ending->lock);
	if (ending->reason == VM_RUNNING) {
		ending->reason = reason;
		ending->vcpu = vcpu;
		ending->pc = pc;
		snprintf(ending->detail, sizeof(ending->detail), "%s", detail);
	}
	pthread_mutex_unlock(&ending->lock);
	/* None yet: a clone that fails in its first steps. */
	if (vm->loop)
		loop_stop(vm->loop);
}

void vm_pause(struct vm *vm)
{
	vcpu_group_pause(&vm->vcpus);
	vm->paused = true;
}

void vm_resume(struct vm *vm)
{
	vcpu_group_resume(&vm->vcpus);
	vm->paused = false;
	scan_poke(vm->scan);
}

/* --- what the guest does --------------------------------------------------------------------- */

static void on_stopped(void *arg, unsigned index, enum vcpu_stop why, uint64_t pc,
                       const char *detail)
{
	static const enum vm_reason as_reason[] = {
		[VCPU_TRIPLE_FAULT] = VM_TRIPLE_FAULT,
		[VCPU_RESET] = VM_REBOOT,
		[VCPU_INTERNAL_ERROR] = VM_INTERNAL_ERROR,
		[VCPU_RUN_FAILED] = VM_HOST_ERROR,
	};

	vm_end(arg, as_reason[why], (int)index, pc, detail);
}

static void on_first_exit(void *arg)
{
	vm_reach(arg, STAGE_FIRST_EXIT);
}

struct vcpu_handlers vm_vcpu_handlers(struct vm *vm)
{
	return (struct vcpu_handlers){ vm, on_stopped, on_first_exit };
}

/* Asks where the screen is; in a copy when the agent may be asked, and only if it isn't known. */
static void attach_screen(struct vm *vm)
{
	unsigned width, height;

	if (!vm->acknowledged)
		vm->stages_held |= 1u << STAGE_DISPLAY;
	else if (vm->origin.kind == ORIGIN_BOOT || !screen_size(vm->screen, &width, &height))
		screen_attach(vm->screen);
}

static json_t *greet_agent(void *arg)
{
	return gate_greeting(arg);
}

/* What the agent has told before it acknowledged counts from now on. */
static void on_acknowledged(void *arg)
{
	struct vm *vm = arg;
	unsigned held = vm->stages_held;

	gate_open(vm);
	vm->stages_held = 0;
	for (unsigned stage = 0; stage < STAGE_COUNT; stage++)
		if (stage != STAGE_DISPLAY && (held & 1u << stage))
			vm_reach(vm, stage);
	if (held & 1u << STAGE_DISPLAY)
		attach_screen(vm);
	control_notify(vm->control);
	copies_go_on(vm);
}

static void on_agent_event(void *arg, const char *name, const json_t *event)
{
	struct vm *vm = arg;
	const char *stage = json_string_value(json_object_get(event, "stage"));

	if (strcmp(name, "hello") == 0)
		vm->has_agent = true;
	if (strcmp(name, "hello") == 0 || (strcmp(name, "ready") == 0 && !stage))
		return;
	if (strcmp(name, "ready") == 0 && strcmp(stage, "agent") == 0)
		vm_reach_told(vm, STAGE_AGENT);
	else if (strcmp(name, "ready") == 0 && strcmp(stage, "browser") == 0)
		vm_reach_told(vm, STAGE_BROWSER);
	else if (strcmp(name, "ready") == 0 && strcmp(stage, "display") == 0)
		attach_screen(vm);
	else if (strcmp(name, "died") == 0)
		control_note_death(vm->control, event);
	control_notify(vm->control);
}

static void on_agent_lost(void *arg)
{
	struct vm *vm = arg;

	control_notify(vm->control);
}

/* --- signals ------------------------------------------------------------------------------------ */

/* The one signal handler's way to the VM: loop_stop() is signal-safe, vm_end() isn't. */
static struct vm *volatile signalled_vm;
static volatile sig_atomic_t signal_seen;

static void on_signal(int number)
{
	signal_seen = number;
	if (signalled_vm)
		loop_stop(signalled_vm->loop);
}

static int catch_signals(struct vm *vm, struct error *err)
{
	struct sigaction end = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };
	/* Clones and writers live and end by themselves: nobody waits for them. */
	struct sigaction no_zombies = { .sa_handler = SIG_IGN, .sa_flags = SA_NOCLDWAIT };

	signalled_vm = vm;
	if (sigaction(SIGTERM, &end, NULL) || sigaction(SIGINT, &end, NULL) ||
	    sigaction(SIGHUP, &end, NULL) || sigaction(SIGPIPE, &ignore, NULL) ||
	    sigaction(SIGCHLD, &no_zombies, NULL) ||
	    /* A disk beyond the file size limit is an error of that write. */
	    sigaction(SIGXFSZ, &ignore, NULL))
		return error_set(err, -errno, "sigaction: %s", strerror(errno));
	return 0;
}

/* --- the steps ------------------------------------------------------------------------------- */

int vm_open(struct vm *vm, const struct vm_config *config, struct error *err)
{
	const struct agent_handlers agent_handlers = { vm, on_agent_event, on_agent_lost,
		                                       greet_agent, on_acknowledged };

	vm->config = config;
	vm->serial_irq.fd = -1;
	vm->vmgenid_irq.fd = -1;
	vm->loaded_fd = -1;
	vm->ending.vcpu = -1;
	pthread_mutex_init(&vm->ending.lock, NULL);
	if (vm->origin.kind == ORIGIN_BOOT)
		vm->acknowledged = vm->loaded = true;

	/* A fork has /dev/kvm open already. */
	int ret = vm->origin.kind == ORIGIN_FORK ? 0 : kvm_open(&vm->kvm, err);
	if (ret)
		return ret;
	ret = kvm_create_vm(&vm->kvm, err);
	if (ret)
		return ret;
	ret = loop_create(&vm->loop);
	if (ret)
		return error_set(err, ret, "cannot create an event loop: %s", strerror(-ret));
	/* Before there is a socket that would stay behind; the loop keeps a stop in mind. */
	ret = catch_signals(vm, err);
	if (ret)
		return ret;
	ret = agent_create(vm->loop, &agent_handlers, &vm->agent);
	if (ret == 0)
		ret = screen_create(vm, &vm->screen);
	if (ret == 0)
		ret = scan_create(vm, &vm->scan);
	if (ret == 0)
		ret = frames_create(vm, &vm->frames);
	if (ret == 0)
		ret = frame_ids_create(&vm->frame_ids);
	if (ret == 0)
		ret = settling_create(vm, &vm->settling);
	return ret ? error_set(err, ret, "cannot set up: %s", strerror(-ret)) : 0;
}

static int open_input(const char *path, const char *option, int *out_fd, struct error *err)
{
	*out_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*out_fd < 0)
		return error_set(err, -errno, "cannot open %s (%s): %s", path, option,
		                 strerror(errno));
	return 0;
}

static int load_kernel(struct vm *vm, struct error *err)
{
	cleanup_fd int fd = -1;

	int ret = open_input(vm->config->kernel, "--kernel", &fd, err);
	if (ret)
		return ret;
	vm->entry.ring3 = vm->config->ring3;
	return arch_load_kernel(&vm->memory, fd, vm->config->kernel, &vm->entry, &vm->kernel_end,
	                        err);
}

/*
 * Maps the root image shared, so that all sessions use the same host pages. The memory slot must
 * be a multiple of 2 MiB; what lies behind the file's end is anonymous zeros, as touching a file
 * mapping beyond its end would be fatal.
 */
int vm_map_image(struct vm *vm, struct error *err)
{
	const char *path = vm->config->image;
	cleanup_fd int fd = -1;
	struct stat st;

	int ret = open_input(path, "--image", &fd, err);
	if (ret)
		return ret;
	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot examine %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return error_set(
			err, -EINVAL,
			"%s is no root image: it must be a file with something in it (--image)",
			path);
	uint64_t size = (uint64_t)st.st_size;
	uint64_t padded = (size + HUGE_PAGE_SIZE - 1) & ~(HUGE_PAGE_SIZE - 1);
	void *host =
		mmap(NULL, padded, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (host == MAP_FAILED)
		return error_set(err, -errno, "cannot map %s: %s", path, strerror(errno));
	vm->image_host = host;
	vm->image_size = padded;
	if (mmap(host, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return error_set(err, -errno, "cannot map %s: %s", path, strerror(errno));

	uint64_t above = guest_memory_end(&vm->memory).value;
	if (above < LAYOUT_HOLE_END)
		above = LAYOUT_HOLE_END;
	vm->image_base = GPA((above + LAYOUT_IMAGE_ALIGN - 1) & ~(LAYOUT_IMAGE_ALIGN - 1));
	ret = guest_memory_add(&vm->memory, vm->image_base, padded, host, false);
	ASSERT(ret == 0);
	return 0;
}

int vm_load_memory(struct vm *vm, struct error *err)
{
	int ret = guest_memory_init(&vm->memory, vm->config->memory, GPA(LAYOUT_HOLE_START),
	                            GPA(LAYOUT_HOLE_END), err);

	if (ret == 0)
		ret = load_kernel(vm, err);
	if (ret == 0 && vm->config->image)
		ret = vm_map_image(vm, err);
	if (ret == 0)
		ret = kvm_add_memory(&vm->kvm, &vm->memory, 0, err);
	return ret;
}

int vm_add_devices(struct vm *vm, struct error *err)
{
	return devices_create(vm, err);
}

/*
 * A stream's server, such as passt, tells the guest its address; a tap's owner says it with --append.
 * An ip= of the caller's own is left alone.
 */
static bool wants_dhcp(const struct vm_config *c)
{
	const char *own = c->append ? strstr(c->append, "ip=") : NULL;

	while (own && own != c->append && own[-1] != ' ')
		own = strstr(own + 1, "ip=");
	return c->net.kind == NET_STREAM && !own;
}

/*
 * Free memory is reported in pieces of 2 MiB (order 9), as the host's huge pages are; by itself a
 * guest without huge pages of its own waits for pieces of 4 MiB.
 */
static int compose_cmdline(const struct vm *vm, char *out, size_t size, struct error *err)
{
	const struct vm_config *c = vm->config;
	int length = snprintf(out, size,
	                      "console=ttyS0 earlycon=uart8250,mmio,0x%x quiet panic=-1 reboot=k "
	                      "no_timer_check tsc=reliable "
	                      "page_reporting.page_reporting_order=9 cloche.size=%ux%u%s%s%s%s%s%s",
	                      LAYOUT_SERIAL, c->width, c->height,
	                      c->guest_root ? " cloche.root=1" : "", c->page ? " cloche.page=" : "",
	                      c->page ? c->page : "", wants_dhcp(c) ? " ip=dhcp" : "",
	                      c->append ? " " : "", c->append ? c->append : "");

	if (length < 0 || (size_t)length >= size)
		return error_set(err, -E2BIG,
		                 "the kernel command line has %d characters, at most %zu fit: "
		                 "shorten --append or --page",
		                 length, size - 1);
	return 0;
}

static int write_boot_params(struct vm *vm, struct error *err)
{
	const struct arch_fdt_machine machine = { .cpus = vm->config->cpus,
		                                  .devices = vm->nodes,
		                                  .device_count = vm->node_count };
	const char *initramfs = vm->config->initramfs;
	char cmdline[LAYOUT_CMDLINE_MAX];
	cleanup_fd int fd = -1;

	int ret = compose_cmdline(vm, cmdline, sizeof(cmdline), err);
	if (ret == 0 && initramfs)
		ret = open_input(initramfs, "--initramfs", &fd, err);
	if (ret)
		return ret;
	return arch_write_boot_params(&vm->memory, cmdline, &machine, fd, initramfs, vm->kernel_end,
	                              &vm->entry, err);
}

int vm_boot(struct vm *vm, struct error *err)
{
	const struct vcpu_handlers handlers = vm_vcpu_handlers(vm);
	int ret = write_boot_params(vm, err);

	if (ret)
		return ret;
	return vcpu_group_init(&vm->vcpus, &vm->kvm, vm->config->cpus, &vm->memory, &vm->entry,
	                       &vm->bus, &handlers, err);
}

int vm_serve(struct vm *vm, struct error *err)
{
	int ret = viewers_create(vm, vm->config->vnc, &vm->viewers, err);

	return ret ? ret : control_create(vm, vm->config->control, &vm->control, err);
}

/* --- running --------------------------------------------------------------------------------- */

static void on_ttl(struct loop_timer *timer)
{
	vm_end(container_of(timer, struct vm, ttl), VM_TTL, -1, 0, "its time to live is over");
}

static void start_ttl(struct vm *vm)
{
	uint64_t ttl_s = vm->config->ttl_s;

	if (ttl_s == 0)
		return;
	vm->ttl_deadline_ns = atomic_load(&vm->stages[STAGE_STARTED]) + ttl_s * NS_PER_S;
	loop_timer_set(vm->loop, &vm->ttl, vm->ttl_deadline_ns, on_ttl);
	alarm((unsigned)(ttl_s + TTL_BACKSTOP_S));
}

static bool is_over(struct vm *vm)
{
	pthread_mutex_lock(&vm->ending.lock);
	bool over = vm->ending.reason != VM_RUNNING;
	pthread_mutex_unlock(&vm->ending.lock);
	return over || signal_seen;
}

/* A signal meanwhile would stop the original's loop through a descriptor that the child shares. */
static const struct clone_plan *make_copies(struct vm *vm)
{
	sigset_t ending, before;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &ending, &before);
	const struct clone_plan *plan = copies_make(vm);
	if (plan)
		signalled_vm = NULL;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return plan;
}

int vm_run(struct vm *vm, const struct clone_plan **out_plan, struct error *err)
{
	const struct clone_plan *plan = NULL;

	start_ttl(vm);
	vm->paused = vm->config->paused;
	vm_reach(vm, STAGE_ENTRY);
	int ret = vcpu_group_start(&vm->vcpus, vm->paused, err);
	if (ret)
		return ret;
	/* The loop ends for good, or for a copy to be made. */
	do {
		ret = loop_run(vm->loop);
		if (ret == 0 && !is_over(vm))
			plan = make_copies(vm);
	} while (ret == 0 && !plan && !is_over(vm));
	signalled_vm = NULL;
	*out_plan = plan;
	if (plan)
		return 0;
	if (ret)
		return error_set(err, ret, "the event loop failed: %s", strerror(-ret));
	if (signal_seen)
		vm_end(vm, VM_QUIT, -1, 0, strsignal(signal_seen));
	return 0;
}

void vm_destroy(struct vm *vm)
{
	signalled_vm = NULL;
	/* Open requests end here, each telling the one before it: copies, agent, screen, then the clients.
	 * Whoever watches the screen ends before it. */
	copies_end(vm);
	agent_destroy(vm->agent);
	frames_destroy(vm->frames);
	settling_destroy(vm->settling);
	viewers_destroy(vm->viewers);
	scan_destroy(vm->scan);
	screen_destroy(vm->screen);
	frame_ids_destroy(vm->frame_ids);
	control_destroy(vm->control);
	vcpu_group_finish(&vm->vcpus);
	if (!atomic_load(&vm->stages[STAGE_ENTRY]))
		serial_discard(&vm->serial);
	devices_destroy(vm);
	kvm_close(&vm->kvm);
	/* Nobody touches guest memory any more. */
	pager_finish(vm->pager);
	snapshot_file_close(vm->file);
	loop_watch_remove(vm->loop, &vm->loaded_watch);
	close_fd(&vm->loaded_fd);
	if (vm->image_host)
		munmap(vm->image_host, vm->image_size);
	guest_memory_finish(&vm->memory);
	loop_destroy(vm->loop);
	free(vm->machine);
	pthread_mutex_destroy(&vm->ending.lock);
}
