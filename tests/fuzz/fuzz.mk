# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuzz.mk - fuzz targets: under libFuzzer, and as tests that replay files. Part of tests/tests.mk.
#
# A target is tests/fuzz/fuzz_NAME.c and one line here, of the same form as a unit's:
#
#	fuzz_NAME_SRC := the sources it fuzzes and what it drives them with, lib/ apart
#
# with _LIBS and _WRAP where needed. Its seeds are tests/fuzz/seeds/NAME (made by
# tests/fuzz/seeds.py), inputs that once crashed it tests/fuzz/regressions/NAME.

FUZZ_RAM := tests/fuzz/guest_ram.c vmm/memory.c
FUZZ_RINGS := tests/fuzz/rings.c vmm/virtio/queue.c $(FUZZ_RAM)

FUZZ_KVM := tests/unit/vmm_fake_kvm.c tests/fuzz/clock.c vmm/irq.c
FUZZ_DRIVER := tests/fuzz/driver.c vmm/virtio/mmio.c vmm/virtio/pmem.c $(FUZZ_KVM) $(FUZZ_RINGS)

fuzz_actions_SRC := $(SUPERVISOR_UNDER_TEST)
fuzz_actions_LIBS := $(SUPERVISOR_TEST_LIBS)
fuzz_actions_WRAP := regcomp
fuzz_agent_SRC := vmm/agent.c vmm/agent_event.c $(FUZZ_KVM)
fuzz_agent_WRAP := ioctl clock_gettime
fuzz_balloon_SRC := vmm/virtio/balloon.c $(FUZZ_DRIVER)
fuzz_balloon_WRAP := ioctl clock_gettime
fuzz_blk_SRC := $(filter vmm/virtio/blk%,$(VMM_SRC)) tests/fuzz/worker.c $(FUZZ_DRIVER)
fuzz_blk_WRAP := ioctl clock_gettime
fuzz_display_SRC := vmm/screen_pages.c $(DISPLAY_SRC) $(FUZZ_RAM)
fuzz_display_LIBS := -lisal -lxxhash
fuzz_frames_SRC := supervisor/frames.c $(SUPERVISOR_DISPLAY_SRC)
fuzz_frames_LIBS := $(SUPERVISOR_TEST_LIBS)
fuzz_loader_SRC := $(ARCH)/loader.c $(ARCH)/boot_params.c $(ARCH)/fdt.c vmm/memory.c
fuzz_loader_LIBS := -lfdt
fuzz_net_SRC := $(filter vmm/virtio/net%,$(VMM_SRC)) $(FUZZ_DRIVER)
fuzz_net_WRAP := ioctl clock_gettime
fuzz_net_framing_SRC := vmm/virtio/net_framing.c
fuzz_net_header_SRC := vmm/virtio/net_header.c
fuzz_pmem_SRC := $(FUZZ_DRIVER)
fuzz_pmem_WRAP := ioctl clock_gettime
fuzz_queue_SRC := $(FUZZ_RINGS)
fuzz_recording_SRC := $(RECORDING)
fuzz_recording_LIBS := $(SUPERVISOR_TEST_LIBS)
fuzz_registers_SRC := vmm/serial.c vmm/platform.c vmm/bus.c $(ARCH)/ioapic.c $(FUZZ_KVM)
fuzz_registers_WRAP := ioctl clock_gettime
fuzz_restore_SRC := vmm/snapshot/template_trailer.c vmm/snapshot/touch.c $(SNAPSHOT_RAM)
fuzz_restore_LIBS := $(SNAPSHOT_FILE_LIBS)
fuzz_rng_SRC := vmm/virtio/rng.c $(FUZZ_DRIVER)
fuzz_rng_WRAP := ioctl clock_gettime
fuzz_snapshot_SRC := $(SNAPSHOT_FILE) $(addprefix vmm/snapshot/,file_inspect.c config.c info.c)
fuzz_snapshot_LIBS := $(SNAPSHOT_FILE_LIBS)
fuzz_state_SRC := $(filter-out vmm/virtio/worker.c $(FUZZ_DRIVER),$(filter vmm/virtio/%,$(VMM_SRC))) \
                  tests/fuzz/worker.c tests/unit/vmm_fake_vcpu.c vmm/serial.c vmm/screen.c \
                  vmm/screen_pages.c $(addprefix $(ARCH)/,ioapic.c cpu_state.c msrs.c cpuid.c) \
                  $(DISPLAY_SRC) $(FUZZ_DRIVER)
fuzz_state_LIBS := -lisal -lxxhash
fuzz_state_WRAP := ioctl clock_gettime
fuzz_vnc_SRC := $(DISPLAY_SRC)
fuzz_vnc_LIBS := -lisal -lxxhash
fuzz_vsock_SRC := $(filter vmm/virtio/vsock%,$(VMM_SRC)) $(FUZZ_DRIVER)
fuzz_vsock_WRAP := ioctl clock_gettime
fuzz_wire_SRC :=

FUZZ_TARGETS := $(sort $(patsubst fuzz_%_SRC,%,$(filter fuzz_%_SRC,$(.VARIABLES))))
REPLAY_PROGRAMS := $(addprefix $(B)/tests/replay_,$(FUZZ_TARGETS))
FUZZ_PROGRAMS := $(addprefix $(B)/fuzz/,$(FUZZ_TARGETS))

# $(1): the target, $(2): the program, $(3): its main, $(4): linker flags.
define fuzz_rule
$(2): $(call objects,tests/fuzz/fuzz_$(1).c tests/fuzz/entry.c $(fuzz_$(1)_SRC) $(3)) $(B)/tests/lib.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $(4) $(addprefix -Wl$(comma)--wrap=,$(fuzz_$(1)_WRAP)) -o $$@ $$^ \
		$(fuzz_$(1)_LIBS) -ljansson -lcmocka -lpthread
endef
$(foreach name,$(FUZZ_TARGETS),$(eval $(call \
	fuzz_rule,$(name),$(B)/tests/replay_$(name),tests/fuzz/replay.c)))
$(foreach name,$(FUZZ_TARGETS),$(eval $(call \
	fuzz_rule,$(name),$(B)/fuzz/$(name),,-fsanitize=fuzzer)))

# What scripts/run-tests runs: a command a target, and that the seeds are what the script writes.
REPLAYS = $(foreach name,$(FUZZ_TARGETS),'$(B)/tests/replay_$(name) $(strip $(wildcard \
	tests/fuzz/seeds/$(name) tests/fuzz/regressions/$(name)))') 'tests/fuzz/seeds.py --check'

# libFuzzer is clang's, and wants to see every edge: a build of its own.
FUZZ_BUILD := $(B)/libfuzzer
FUZZ_RUN = tests/fuzz/run.py --programs $(FUZZ_BUILD)/fuzz --work $(B)/fuzz --seconds

.PHONY: fuzz-build
fuzz-build:
	@$(MAKE) --no-print-directory B=$(FUZZ_BUILD) CC=clang HARDEN=-fPIE OPT='-O1 -g' \
		SAN='$(SANITIZE) -fsanitize=fuzzer-no-link' fuzz-programs

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_PROGRAMS)

.PHONY: fuzz
fuzz: ## every fuzz target for SECONDS=n (60), two at a time; TARGETS='a b' only those
	@scripts/setup build check fuzz
	@$(MAKE) --no-print-directory fuzz-build
	@$(FUZZ_RUN) $(or $(SECONDS),60) $(TARGETS)
