/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/status.h"

#include <unistd.h>

#include "lib/clock.h"
#include "vmm/agent.h"
#include "vmm/screen.h"
#include "vmm/virtio/balloon.h"
#include "vmm/vm.h"

static json_t *describe_stages(const struct vm *vm)
{
	static const struct {
		const char *name;
		enum vm_stage stage;
	} shown[] = {
		{ "entry_ms", STAGE_ENTRY },     { "first_exit_ms", STAGE_FIRST_EXIT },
		{ "agent_ms", STAGE_AGENT },     { "display_ms", STAGE_DISPLAY },
		{ "browser_ms", STAGE_BROWSER },
	};
	json_t *stages = json_object();

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		int64_t ms = vm_stage_ms(vm, shown[i].stage);

		if (ms >= 0)
			json_object_set_new(stages, shown[i].name, json_integer(ms));
	}
	return stages;
}

static void describe_origin(const struct vm *vm, json_t *reply)
{
	static const char *const kinds[] = {
		[ORIGIN_BOOT] = "boot", [ORIGIN_RESTORE] = "restore", [ORIGIN_FORK] = "fork"
	};
	char generation[2 * VMGENID_SIZE + 1];
	json_t *origin = json_pack("{s:s}", "kind", kinds[vm->origin.kind]);

	if (vm->origin.kind != ORIGIN_BOOT)
		json_object_set_new(origin, "of", json_string(vm->origin.of));
	if (vm->origin.kind == ORIGIN_RESTORE)
		json_object_set_new(origin, "mode",
		                    json_string(restore_mode_name(vm->origin.mode)));
	platform_generation(&vm->platform, generation);
	json_object_set_new(reply, "origin", origin);
	json_object_set_new(reply, "generation", json_string(generation));
	json_object_set_new(reply, "acknowledged", json_boolean(vm->acknowledged));
	json_object_set_new(reply, "loaded", json_boolean(vm->loaded));
}

static json_t *describe_exits(const struct vm *vm)
{
	uint64_t mmio = 0, pio = 0, other = 0;

	for (unsigned i = 0; i < vm->vcpus.count; i++) {
		mmio += atomic_load(&vm->vcpus.cpus[i].exits_mmio);
		pio += atomic_load(&vm->vcpus.cpus[i].exits_pio);
		other += atomic_load(&vm->vcpus.cpus[i].exits_other);
	}
	return json_pack("{s:I,s:I,s:I}", "mmio", (json_int_t)mmio, "pio", (json_int_t)pio, "other",
	                 (json_int_t)other);
}

static json_int_t in_mib(uint64_t bytes)
{
	return (json_int_t)(bytes >> 20);
}

/* The guest's figures as it gave them, but for what no JSON integer holds. */
static json_t *describe_guest_memory(const struct balloon_state *state)
{
	static const char *const names[BALLOON_STATS] = {
		[BALLOON_SWAP_IN] = "swapped_in_bytes",
		[BALLOON_SWAP_OUT] = "swapped_out_bytes",
		[BALLOON_MAJOR_FAULTS] = "major_faults",
		[BALLOON_MINOR_FAULTS] = "minor_faults",
		[BALLOON_FREE] = "free_bytes",
		[BALLOON_TOTAL] = "total_bytes",
		[BALLOON_AVAILABLE] = "available_bytes",
		[BALLOON_CACHES] = "caches_bytes",
		[BALLOON_HUGE_PAGES] = "huge_pages",
		[BALLOON_HUGE_PAGE_FAILURES] = "huge_page_failures",
		[BALLOON_OOM_KILLS] = "oom_kills",
	};
	uint64_t age_ns = clock_now_ns() - state->stats_ns;
	json_t *stats = json_pack("{s:I}", "age_ms", (json_int_t)(age_ns / NS_PER_MS));

	for (unsigned i = 0; i < BALLOON_STATS; i++) {
		uint64_t value = state->stats[i];

		if (state->known & 1u << i)
			json_object_set_new(stats, names[i],
			                    json_integer(value > INT64_MAX ? INT64_MAX
			                                                   : (json_int_t)value));
	}
	return stats;
}

json_t *status_describe_balloon(const struct vm *vm)
{
	struct balloon_state state;

	virtio_balloon_read(vm->balloon, &state);
	json_t *balloon =
		json_pack("{s:b,s:I,s:I,s:I,s:I}", "driver", state.driver, "target_mib",
	                  in_mib(state.target), "actual_mib", in_mib(state.actual), "inflated_mib",
	                  in_mib(state.inflated), "reported_mib", in_mib(state.reported));
	if (state.known)
		json_object_set_new(balloon, "stats", describe_guest_memory(&state));
	return balloon;
}

void status_describe(const struct vm *vm, json_t *reply)
{
	uint64_t now = clock_now_ns();
	unsigned width, height;

	json_object_set_new(reply, "name", json_string(vm->config->name));
	json_object_set_new(reply, "pid", json_integer(getpid()));
	json_object_set_new(reply, "state", json_string(vm->paused ? "paused" : "running"));
	json_object_set_new(reply, "cpus", json_integer(vm->config->cpus));
	json_object_set_new(reply, "memory_mib",
	                    json_integer((json_int_t)(vm->config->memory >> 20)));
	json_object_set_new(
		reply, "uptime_ms",
		json_integer((json_int_t)((now - vm->stages[STAGE_STARTED]) / NS_PER_MS)));
	if (vm->ttl_deadline_ns)
		json_object_set_new(
			reply, "ttl_ms",
			json_integer(vm->ttl_deadline_ns > now
		                             ? (json_int_t)((vm->ttl_deadline_ns - now) / NS_PER_MS)
		                             : 0));
	json_object_set_new(reply, "started_ns",
	                    json_integer((json_int_t)vm->stages[STAGE_STARTED]));
	json_object_set_new(reply, "stages", describe_stages(vm));
	describe_origin(vm, reply);
	if (agent_hello(vm->agent))
		json_object_set_new(reply, "agent", json_deep_copy(agent_hello(vm->agent)));
	if (screen_size(vm->screen, &width, &height))
		json_object_set_new(reply, "display",
		                    json_pack("{s:i,s:i}", "width", (int)width, "height",
		                              (int)height));
	json_object_set_new(reply, "balloon", status_describe_balloon(vm));
	json_object_set_new(reply, "exits", describe_exits(vm));
}
