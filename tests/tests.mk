# SPDX-License-Identifier: GPL-2.0-or-later
#
# tests.mk - units, native-bed tests, and both once more under sanitizers. Part of the Makefile.
#
# A cmocka unit is tests/unit/test_NAME.c and one line here:
#
#	unit_test_NAME_SRC := the sources it tests, lib/ apart
#
# and, where it needs them, _LIBS (beyond jansson and cmocka) and _WRAP (calls that it replaces by
# __wrap_…). Everything of lib/ that is used gets linked by itself.

unit_test_lib_error_SRC :=
unit_test_lib_full_io_SRC :=
unit_test_lib_full_io_WRAP := read pread write pwrite
unit_test_lib_listener_SRC :=
unit_test_lib_log_SRC :=
unit_test_lib_loop_SRC :=
unit_test_lib_sock_SRC :=
unit_test_lib_thread_SRC :=
unit_test_lib_token_bucket_SRC :=
unit_test_lib_wire_conn_SRC :=
unit_test_lib_wire_conn_WRAP := recvmsg sendmsg
unit_test_lib_wire_fields_SRC :=
unit_test_lib_wire_fields_WRAP := realloc
unit_test_lib_wire_parser_SRC :=
unit_test_lib_wire_parser_WRAP := malloc realloc

unit_test_guest_card_SRC := guest/card.c
unit_test_guest_cdp_SRC := guest/cdp.c
unit_test_guest_files_SRC := guest/paths.c guest/xwd.c
unit_test_guest_generation_SRC := guest/generation.c guest/card.c guest/machine.c
unit_test_guest_generation_WRAP := open lseek read clock_settime card_set_mac
unit_test_guest_input_SRC := guest/keys.c guest/steps.c guest/text.c
unit_test_guest_input_LIBS := -lxkbcommon
unit_test_guest_options_SRC := guest/options.c guest/environment.c
unit_test_guest_tidy_SRC := guest/tidy.c guest/children.c
unit_test_guest_tidy_WRAP := open sync

SUPERVISOR_UNDER_TEST := $(filter-out supervisor/main.c supervisor/cmd_%,$(SUPERVISOR_SRC)) \
                         $(SUPERVISOR_DISPLAY_SRC)
SUPERVISOR_TEST_LIBS := -lisal -llz4 -lspng -lxxhash
unit_test_supervisor_actions_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_actions_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_actions_frame_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_actions_frame_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_actions_perform_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_actions_perform_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_actions_perform_WRAP := clock_gettime nanosleep
unit_test_supervisor_actions_mistakes_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_actions_mistakes_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_parse_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_parse_LIBS := $(SUPERVISOR_TEST_LIBS)
RECORDING := $(filter supervisor/recording_%,$(SUPERVISOR_SRC)) supervisor/failure.c \
             $(SUPERVISOR_DISPLAY_SRC)
unit_test_supervisor_recording_SRC := $(RECORDING)
unit_test_supervisor_recording_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_recording_damage_SRC := $(RECORDING)
unit_test_supervisor_recording_damage_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_recording_golden_SRC := $(RECORDING)
unit_test_supervisor_recording_golden_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_frames_SRC := supervisor/frames.c $(SUPERVISOR_DISPLAY_SRC)
unit_test_supervisor_frames_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_session_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_session_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_snapshot_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_snapshot_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_template_SRC := $(SUPERVISOR_UNDER_TEST)
unit_test_supervisor_template_LIBS := $(SUPERVISOR_TEST_LIBS)
unit_test_supervisor_view_SRC := $(SUPERVISOR_UNDER_TEST) \
                                 $(addprefix supervisor/view_,assets.c page.c request.c)
unit_test_supervisor_view_LIBS := $(SUPERVISOR_TEST_LIBS)

DISPLAY_LIBS := -lisal -lspng -lxxhash
unit_test_display_deflate_SRC := display/deflate.c
unit_test_display_deflate_LIBS := -lisal -lz
unit_test_display_find_SRC := $(SUPERVISOR_DISPLAY_SRC)
unit_test_display_find_LIBS := $(DISPLAY_LIBS)
unit_test_display_framebuffer_SRC := $(DISPLAY_SRC)
unit_test_display_framebuffer_LIBS := $(DISPLAY_LIBS)
unit_test_display_framebuffer_WRAP := malloc calloc
unit_test_display_png_SRC := $(DISPLAY_SRC)
unit_test_display_png_LIBS := $(DISPLAY_LIBS)
unit_test_display_png_WRAP := malloc mmap
unit_test_display_compare_SRC := $(DISPLAY_SRC)
unit_test_display_compare_LIBS := $(DISPLAY_LIBS)
unit_test_display_scale_SRC := $(DISPLAY_SRC)
unit_test_display_scale_LIBS := $(DISPLAY_LIBS)
unit_test_display_scale_WRAP := calloc
unit_test_display_screenshot_SRC := $(DISPLAY_SRC)
unit_test_display_screenshot_LIBS := $(DISPLAY_LIBS)
unit_test_display_screenshot_WRAP := memfd_create write
unit_test_display_stillness_SRC := $(DISPLAY_SRC)
unit_test_display_stillness_LIBS := $(DISPLAY_LIBS)
unit_test_display_stillness_WRAP := calloc mmap
unit_test_display_tiles_SRC := $(DISPLAY_SRC)
unit_test_display_tiles_LIBS := $(DISPLAY_LIBS)
unit_test_display_tiles_WRAP := mmap
unit_test_display_vnc_SRC := $(DISPLAY_SRC)
unit_test_display_vnc_LIBS := $(DISPLAY_LIBS) -lvncclient
unit_test_display_vnc_gate_SRC := display/vnc_gate.c
unit_test_display_xwd_SRC := $(DISPLAY_SRC)
unit_test_display_xwd_LIBS := $(DISPLAY_LIBS)

ARCH := vmm/arch/x86_64
unit_test_vmm_action_event_SRC := vmm/action_event.c
unit_test_vmm_agent_SRC := vmm/agent.c vmm/agent_event.c vmm/irq.c tests/unit/vmm_fake_kvm.c
unit_test_vmm_agent_WRAP := ioctl clock_gettime
unit_test_vmm_memory_SRC := vmm/memory.c
unit_test_vmm_memory_WRAP := mmap
unit_test_vmm_untouched_SRC := vmm/untouched.c vmm/memory.c
CONTROL_UNDER_TEST := vmm/control.c vmm/control_verbs.c vmm/control_copies.c vmm/control_viewers.c vmm/control_screen.c \
                      vmm/control_watch.c vmm/action_event.c vmm/status.c vmm/platform.c $(DISPLAY_SRC) \
                      vmm/options_net.c vmm/snapshot/restore_mode.c vmm/snapshot/file_format.c
unit_test_vmm_control_SRC := $(CONTROL_UNDER_TEST)
unit_test_vmm_control_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_control_copies_SRC := $(CONTROL_UNDER_TEST)
unit_test_vmm_control_copies_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_control_watch_SRC := $(CONTROL_UNDER_TEST)
unit_test_vmm_control_watch_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_control_screen_SRC := $(CONTROL_UNDER_TEST)
unit_test_vmm_control_screen_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_control_viewers_SRC := $(CONTROL_UNDER_TEST)
unit_test_vmm_control_viewers_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_viewers_SRC := vmm/viewers.c vmm/viewer_input.c $(DISPLAY_SRC)
unit_test_vmm_viewers_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_viewer_input_SRC := vmm/viewer_input.c
unit_test_vmm_picture_SRC := vmm/picture.c vmm/frame_ids.c $(DISPLAY_SRC)
unit_test_vmm_picture_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_screen_SRC := vmm/screen.c vmm/screen_pages.c vmm/picture.c vmm/frame_ids.c vmm/memory.c \
                            $(DISPLAY_SRC)
unit_test_vmm_screen_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_frame_ids_SRC := vmm/frame_ids.c display/grid.c
unit_test_vmm_frame_ids_WRAP := malloc getrandom
unit_test_vmm_scan_SRC := vmm/scan.c $(DISPLAY_SRC)
unit_test_vmm_scan_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_scan_WRAP := clock_gettime ppoll __ppoll_chk pthread_create
unit_test_vmm_settle_SRC := vmm/settle.c vmm/scan.c vmm/picture.c vmm/frame_ids.c $(DISPLAY_SRC)
unit_test_vmm_settle_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_settle_WRAP := clock_gettime ppoll __ppoll_chk
unit_test_vmm_kvm_SRC := vmm/kvm.c vmm/memory.c
unit_test_vmm_kvm_WRAP := open ioctl
unit_test_vmm_report_SRC := vmm/report.c
unit_test_vmm_bus_SRC := vmm/bus.c
unit_test_vmm_loader_SRC := $(ARCH)/loader.c vmm/memory.c
unit_test_vmm_boot_params_SRC := $(ARCH)/boot_params.c $(ARCH)/loader.c $(ARCH)/fdt.c vmm/memory.c
unit_test_vmm_boot_params_LIBS := -lfdt
unit_test_vmm_frames_SRC := vmm/frames.c vmm/scan.c supervisor/frames.c display/picture.c $(DISPLAY_SRC)
unit_test_vmm_frames_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_fdt_SRC := $(ARCH)/fdt.c
unit_test_vmm_fdt_LIBS := -lfdt
FAKE_VCPU := tests/unit/vmm_fake_kvm.c tests/unit/vmm_fake_vcpu.c
unit_test_vmm_cpuid_SRC := $(ARCH)/cpuid.c $(FAKE_VCPU)
unit_test_vmm_cpuid_WRAP := ioctl
unit_test_vmm_msrs_SRC := $(ARCH)/msrs.c $(FAKE_VCPU)
unit_test_vmm_msrs_WRAP := ioctl
unit_test_vmm_cpu_state_SRC := $(ARCH)/cpu_state.c $(ARCH)/msrs.c $(ARCH)/cpuid.c $(FAKE_VCPU)
unit_test_vmm_cpu_state_WRAP := ioctl
unit_test_vmm_ioapic_SRC := $(ARCH)/ioapic.c vmm/irq.c tests/unit/vmm_fake_kvm.c
unit_test_vmm_ioapic_WRAP := ioctl
unit_test_vmm_queue_SRC := vmm/virtio/queue.c vmm/memory.c
unit_test_vmm_queue_state_SRC := vmm/virtio/queue.c vmm/memory.c
unit_test_vmm_virtio_mmio_SRC := vmm/virtio/mmio.c vmm/virtio/queue.c vmm/virtio/rng.c \
                                 vmm/virtio/pmem.c vmm/irq.c vmm/memory.c tests/unit/vmm_fake_kvm.c
unit_test_vmm_virtio_mmio_WRAP := ioctl getrandom
VIRTIO_CORE := vmm/virtio/mmio.c vmm/virtio/queue.c vmm/irq.c vmm/memory.c tests/unit/vmm_fake_kvm.c
# Every virtio device there is.
VIRTIO_DEVICES := $(filter vmm/virtio/%,$(VMM_SRC)) vmm/irq.c vmm/memory.c tests/unit/vmm_fake_kvm.c
unit_test_vmm_virtio_state_SRC := $(VIRTIO_DEVICES)
unit_test_vmm_virtio_state_WRAP := ioctl
unit_test_vmm_virtio_quiesce_SRC := $(VIRTIO_DEVICES)
unit_test_vmm_virtio_quiesce_WRAP := ioctl preadv
unit_test_vmm_rng_SRC := vmm/virtio/rng.c vmm/virtio/pmem.c $(VIRTIO_CORE)
unit_test_vmm_rng_WRAP := ioctl clock_gettime
unit_test_vmm_balloon_SRC := vmm/virtio/balloon.c vmm/virtio/pmem.c $(VIRTIO_CORE)
unit_test_vmm_balloon_WRAP := ioctl madvise
unit_test_vmm_blk_request_SRC := vmm/virtio/blk_request.c vmm/virtio/queue.c vmm/memory.c
unit_test_vmm_blk_SRC := $(filter vmm/virtio/blk%,$(VMM_SRC)) vmm/virtio/worker.c vmm/virtio/mmio.c \
                         vmm/virtio/queue.c vmm/virtio/pmem.c vmm/irq.c vmm/memory.c \
                         tests/unit/vmm_fake_kvm.c
unit_test_vmm_blk_WRAP := ioctl preadv pwritev2 fallocate fdatasync clock_gettime
unit_test_vmm_vsock_conn_SRC := vmm/virtio/vsock_conn.c
VSOCK_UNDER_TEST := $(filter vmm/virtio/vsock%,$(VMM_SRC)) vmm/virtio/mmio.c vmm/virtio/queue.c \
                    vmm/virtio/pmem.c vmm/irq.c vmm/memory.c tests/unit/vmm_fake_kvm.c
unit_test_vmm_vsock_SRC := $(VSOCK_UNDER_TEST)
unit_test_vmm_vsock_WRAP := ioctl
unit_test_vmm_vsock_clone_SRC := $(VSOCK_UNDER_TEST) vmm/virtio/state.c
unit_test_vmm_vsock_clone_WRAP := ioctl
unit_test_vmm_vsock_flow_SRC := $(VSOCK_UNDER_TEST)
unit_test_vmm_vsock_flow_WRAP := ioctl clock_gettime
unit_test_vmm_sections_SRC := vmm/snapshot/sections.c
unit_test_vmm_sections_LIBS := -lxxhash
unit_test_vmm_config_SRC := vmm/snapshot/config.c vmm/snapshot/sections.c
unit_test_vmm_config_LIBS := -lxxhash
unit_test_vmm_copy_SRC := $(addprefix vmm/snapshot/,copy.c gate.c sections.c file_format.c) vmm/platform.c
unit_test_vmm_copy_LIBS := -lxxhash
unit_test_vmm_copy_WRAP := fork pipe2 loop_stop
unit_test_vmm_state_SRC := $(addprefix vmm/snapshot/,state.c pause.c sections.c config.c) vmm/serial.c \
                           vmm/screen.c vmm/screen_pages.c $(addprefix $(ARCH)/,ioapic.c cpu_state.c \
                           msrs.c cpuid.c) tests/unit/vmm_fake_vcpu.c $(VIRTIO_DEVICES) $(DISPLAY_SRC)
unit_test_vmm_state_LIBS := $(DISPLAY_LIBS)
unit_test_vmm_state_WRAP := ioctl
unit_test_vmm_serial_SRC := vmm/serial.c vmm/irq.c tests/unit/vmm_fake_kvm.c
unit_test_vmm_serial_WRAP := ioctl write
unit_test_vmm_options_SRC := vmm/options.c vmm/options_net.c vmm/snapshot/restore_mode.c
unit_test_vmm_options_LIBS := -lxxhash
unit_test_vmm_net_SRC := $(filter vmm/virtio/net%,$(VMM_SRC)) vmm/virtio/mmio.c vmm/virtio/queue.c \
                         vmm/virtio/pmem.c vmm/irq.c vmm/memory.c tests/unit/vmm_fake_kvm.c
unit_test_vmm_net_WRAP := ioctl clock_gettime recv
unit_test_vmm_net_framing_SRC := vmm/virtio/net_framing.c
unit_test_vmm_net_header_SRC := vmm/virtio/net_header.c
SNAPSHOT_FILE := $(addprefix vmm/snapshot/,sections.c parallel.c $(addprefix file_,format.c load.c \
                 chain.c read.c target.c write.c))
SNAPSHOT_FILE_LIBS := -llz4 -lxxhash
unit_test_vmm_snapshot_damage_SRC := $(SNAPSHOT_FILE)
unit_test_vmm_snapshot_damage_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_snapshot_damage_WRAP := pread __pread_chk malloc
unit_test_vmm_snapshot_file_SRC := $(SNAPSHOT_FILE)
unit_test_vmm_snapshot_file_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_snapshot_golden_SRC := $(SNAPSHOT_FILE)
unit_test_vmm_snapshot_golden_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_snapshot_golden_WRAP := realpath
unit_test_vmm_snapshot_inspect_SRC := $(SNAPSHOT_FILE) $(addprefix vmm/snapshot/,examine.c \
                                      file_inspect.c config.c info.c)
unit_test_vmm_snapshot_inspect_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_snapshot_write_SRC := $(SNAPSHOT_FILE)
unit_test_vmm_snapshot_write_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_snapshot_write_WRAP := pwritev fsync linkat renameat openat malloc realloc realpath \
                                     pthread_create pthread_mutex_lock
SNAPSHOT_RAM := vmm/memory.c vmm/snapshot/blocks.c $(SNAPSHOT_FILE)
unit_test_vmm_template_SRC := vmm/snapshot/template.c vmm/snapshot/template_trailer.c $(SNAPSHOT_RAM)
unit_test_vmm_template_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_template_WRAP := openat pwrite clock_gettime
unit_test_vmm_touch_SRC := vmm/snapshot/touch.c vmm/snapshot/touch_record.c $(SNAPSHOT_FILE)
unit_test_vmm_touch_LIBS := $(SNAPSHOT_FILE_LIBS)
PAGER := $(addprefix vmm/snapshot/,pager.c pager_work.c touch.c touch_record.c userfault.c) $(SNAPSHOT_RAM)
unit_test_vmm_pager_SRC := $(PAGER)
unit_test_vmm_pager_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_pager_WRAP := pread clock_gettime syscall open ioctl pthread_create
unit_test_vmm_restore_SRC := $(addprefix vmm/snapshot/,restore.c restore_mode.c template.c \
                             template_trailer.c) vmm/untouched.c $(PAGER)
unit_test_vmm_restore_LIBS := $(SNAPSHOT_FILE_LIBS)
unit_test_vmm_restore_WRAP := $(unit_test_vmm_pager_WRAP)
unit_test_vmm_platform_SRC := vmm/platform.c

unit_test_supervisor_watching_SRC := $(sort $(CONTROL_UNDER_TEST) vmm/scan.c vmm/frames.c \
                                     $(SUPERVISOR_UNDER_TEST))
unit_test_supervisor_watching_LIBS := $(DISPLAY_LIBS) $(SUPERVISOR_TEST_LIBS)

UNIT_TESTS := $(sort $(patsubst unit_test_%_SRC,%,$(filter unit_test_%_SRC,$(.VARIABLES))))
UNIT_PROGRAMS := $(addprefix $(B)/tests/unit_,$(UNIT_TESTS))

# The archive lets a unit take from lib/ what it uses and nothing else.
$(B)/tests/lib.a: $(call objects,$(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

define unit_rule
$(B)/tests/unit_$(1): $(call objects,tests/unit/test_$(1).c $(unit_test_$(1)_SRC)) $(B)/tests/lib.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $(addprefix -Wl$(comma)--wrap=,$(unit_test_$(1)_WRAP)) -o $$@ $$^ \
		$(unit_test_$(1)_LIBS) -ljansson -lcmocka -lpthread
endef
comma := ,
$(foreach name,$(UNIT_TESTS),$(eval $(call unit_rule,$(name))))

# The guest of the native-bed tests: no libc, no host flags, linked for its place in guest RAM.
NATIVE_GUEST_SRC := start.S main.c runtime.c interrupts.c virtio.c basic.c devices.c hold.S memory.c
NATIVE_GUEST_CFLAGS := -std=gnu17 -D_GNU_SOURCE -I. -O2 -g $(WARN) -MMD -MP -ffreestanding -fno-pie \
                       -fno-stack-protector -fcf-protection=none -mno-red-zone -mgeneral-regs-only \
                       -fno-asynchronous-unwind-tables
NATIVE_GUEST_LINK = $(CC) -nostdlib -static -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
                    -Wl,-T,$< -o $@ $(filter %.o,$^)
NATIVE_GUEST_OBJ := $(patsubst %,$(B)/obj/tests/native/guest/%.o,$(basename $(NATIVE_GUEST_SRC)))

$(B)/obj/tests/native/guest/%.o: tests/native/guest/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(NATIVE_GUEST_CFLAGS) -c -o $@ $<

$(B)/obj/tests/native/guest/%.o: tests/native/guest/%.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) $(NATIVE_GUEST_CFLAGS) -c -o $@ $<

$(B)/tests/native-guest: tests/native/guest/guest.ld $(NATIVE_GUEST_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(NATIVE_GUEST_LINK)

# The hostile guest stands on the same runtime.
HOSTILE_GUEST_SRC := main.c driver.c serve.c stream.c rings.c queues.c races.c transport.c life.c \
                     small.c vsock.c blk.c balloon.c net.c tap.c storms.c
HOSTILE_GUEST_OBJ := $(HOSTILE_GUEST_SRC:%.c=$(B)/obj/tests/hostile/guest/%.o) \
                     $(patsubst %,$(B)/obj/tests/native/guest/%.o,start runtime)

$(addprefix $(B)/obj/tests/bench/,cycles.o touched.o): $(B)/obj/tests/bench/%.o: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(NATIVE_GUEST_CFLAGS) -c -o $@ $<

$(B)/obj/tests/hostile/guest/%.o: tests/hostile/guest/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(NATIVE_GUEST_CFLAGS) -c -o $@ $<

$(B)/tests/hostile-guest: tests/native/guest/guest.ld $(HOSTILE_GUEST_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(NATIVE_GUEST_LINK)

NATIVE_PROGRAMS := $(B)/bin/cloche-vmm $(B)/tests/native-guest $(B)/tests/hostile-guest
NATIVE_TESTS := tests/native/run.py tests/hostile/run.py

include tests/fuzz/fuzz.mk

.PHONY: tests
tests: $(UNIT_PROGRAMS) $(REPLAY_PROGRAMS) $(NATIVE_PROGRAMS)

.PHONY: check-unit
check-unit: ## cmocka units, one program a module; what fuzzing found, replayed
	@scripts/setup build check
	@$(MAKE) --no-print-directory $(UNIT_PROGRAMS) $(REPLAY_PROGRAMS)
	@scripts/run-tests $(UNIT_PROGRAMS) $(REPLAYS)

.PHONY: check-native
check-native: ## cloche-vmm on this host's own /dev/kvm, with a guest that needs only ring 3
	@scripts/setup build check
	@$(MAKE) --no-print-directory $(NATIVE_PROGRAMS)
	@CLOCHE_BUILD=$(B) scripts/run-tests --timeout 1200 $(NATIVE_TESTS)

# Builds beside the first; what a sanitizer finds fails the test that it happens in. The one for
# threads can't be combined with the others.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# -Wno-tsan: gcc says that it doesn't follow fences. Nothing rests on one but the order of accesses
# to guest memory, which are atomic.
SANITIZE_THREADS := -fsanitize=thread -Wno-tsan -fno-omit-frame-pointer

# $(1): the build's name, $(2): its sanitizers.
define check_sanitized
	@scripts/setup build check
	@$(MAKE) --no-print-directory B=$(B)/$(1) SAN='$(2)' HARDEN=-fPIE OPT='-O1 -g' tests
	@TSAN_OPTIONS=halt_on_error=1:die_after_fork=0 CLOCHE_BUILD=$(B)/$(1) scripts/run-tests --timeout 2400 $(patsubst \
		$(B)/%,$(B)/$(1)/%,$(UNIT_PROGRAMS)) $(REPLAYS:'$(B)/%='$(B)/$(1)/%) $(NATIVE_TESTS)
endef

.PHONY: check-asan
check-asan: ## the same tests under the address and undefined sanitizers
	$(call check_sanitized,asan,$(SANITIZE))

.PHONY: check-tsan
check-tsan: ## the same tests under the thread sanitizer
	$(call check_sanitized,tsan,$(SANITIZE_THREADS))
