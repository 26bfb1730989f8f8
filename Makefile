# SPDX-License-Identifier: GPL-2.0-or-later
#
# cloche: `make help` lists what can be made. Out of tree into build/, one make, explicit sources.

B       ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0

ifeq ($(origin CC),default)
CC      := gcc
endif
OPT     ?= -O2 -g
HARDEN  ?= -fPIE -fstack-protector-strong -fcf-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
SAN     ?=
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum \
           -Wimplicit-fallthrough -Wvla -Wformat=2 -Wconversion
# KVM's ABI wants a header with its list behind it.
ifneq ($(findstring clang,$(CC)),)
WARN    += -Wno-gnu-variable-sized-type-not-at-end
endif
CFLAGS_ALL  = -std=gnu17 -D_GNU_SOURCE -DCLOCHE_VERSION='"$(VERSION)"' -I. $(OPT) $(WARN) $(HARDEN) \
              $(SAN) -MMD -MP $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN) $(LDFLAGS)

.DEFAULT_GOAL := all

# A line a file; V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

# --- sources ---------------------------------------------------------------------------------

LIB_SRC := lib/error.c lib/log.c lib/cleanup.c lib/loop.c lib/wire_parser.c lib/wire_conn.c lib/sock.c \
           lib/listener.c lib/full_io.c lib/thread.c lib/token_bucket.c lib/wire_fields.c

DISPLAY_SRC := display/framebuffer.c display/xwd.c display/png.c display/deflate.c display/scratch.c \
               display/memfile.c \
               display/screenshot.c display/grid.c display/tiles.c display/pixels.c display/scale.c \
               display/vnc.c display/vnc_gate.c display/vnc_library.c display/vnc_session.c \
               display/compare.c display/stillness.c display/hash.c display/hash_avx2.c \
               display/frame_stream.c

# What the CLI takes of it: a screen as somebody outside of the VMM knows it.
SUPERVISOR_DISPLAY_SRC := display/grid.c display/picture.c display/frame_stream.c display/png.c \
           display/deflate.c display/scratch.c display/pixels.c display/png_read.c display/find.c

VMM_SRC := vmm/main.c vmm/options.c vmm/kvm.c vmm/memory.c vmm/bus.c vmm/irq.c vmm/vm.c vmm/vcpu.c \
           vmm/devices.c vmm/serial.c vmm/platform.c vmm/control.c vmm/control_verbs.c vmm/control_viewers.c \
           vmm/agent.c vmm/agent_event.c vmm/screen.c vmm/screen_pages.c vmm/scan.c vmm/frames.c vmm/action_event.c \
           vmm/picture.c vmm/settle.c vmm/frame_ids.c vmm/control_screen.c \
           vmm/control_watch.c vmm/viewers.c vmm/viewer_input.c vmm/report.c vmm/probe.c \
           vmm/status.c vmm/options_net.c vmm/control_copies.c vmm/vm_restore.c \
           vmm/virtio/queue.c vmm/virtio/mmio.c vmm/virtio/pmem.c vmm/virtio/rng.c \
           vmm/virtio/blk.c vmm/virtio/blk_file.c vmm/virtio/blk_request.c vmm/virtio/worker.c \
           vmm/virtio/vsock.c vmm/virtio/vsock_conn.c vmm/virtio/vsock_packet.c \
           vmm/virtio/vsock_table.c vmm/virtio/vsock_rx.c vmm/virtio/vsock_tx.c \
           vmm/virtio/vsock_host.c vmm/virtio/vsock_clone.c vmm/virtio/state.c vmm/virtio/balloon.c \
           vmm/virtio/net.c vmm/virtio/net_framing.c vmm/virtio/net_header.c vmm/virtio/net_rx.c \
           vmm/virtio/net_stream.c vmm/virtio/net_tap.c vmm/virtio/net_unplugged.c \
           vmm/snapshot/sections.c vmm/snapshot/parallel.c vmm/snapshot/file_format.c \
           vmm/snapshot/file_load.c vmm/snapshot/file_chain.c vmm/snapshot/file_read.c \
           vmm/snapshot/file_target.c vmm/snapshot/file_write.c vmm/snapshot/file_inspect.c \
           vmm/snapshot/examine.c vmm/snapshot/config.c vmm/snapshot/info.c vmm/snapshot/pause.c vmm/snapshot/state.c \
           vmm/snapshot/gate.c vmm/snapshot/copy.c vmm/snapshot/clone.c vmm/snapshot/save.c \
           vmm/untouched.c vmm/snapshot/blocks.c vmm/snapshot/template.c \
           vmm/snapshot/template_trailer.c vmm/snapshot/touch.c vmm/snapshot/touch_record.c \
           vmm/snapshot/userfault.c vmm/snapshot/pager.c vmm/snapshot/pager_work.c \
           vmm/snapshot/restore.c vmm/snapshot/restore_mode.c \
           vmm/arch/x86_64/loader.c vmm/arch/x86_64/boot_params.c vmm/arch/x86_64/fdt.c \
           vmm/arch/x86_64/cpuid.c vmm/arch/x86_64/ioapic.c vmm/arch/x86_64/entry.c \
           vmm/arch/x86_64/cpu_state.c vmm/arch/x86_64/msrs.c

SUPERVISOR_SRC := supervisor/actions.c supervisor/actions_expect.c supervisor/actions_frame.c \
           supervisor/actions_keys.c supervisor/actions_list.c supervisor/actions_look.c \
           supervisor/actions_perform.c supervisor/actions_schema.c supervisor/actions_wait.c \
           supervisor/actions_steps.c supervisor/actions_table.c supervisor/actions_values.c \
           supervisor/bake.c supervisor/balloon.c supervisor/client.c \
           supervisor/cmd_act.c supervisor/cmd_bake.c supervisor/cmd_balloon.c supervisor/cmd_compare.c \
           supervisor/cmd_console.c supervisor/cmd_cp.c supervisor/cmd_doctor.c \
           supervisor/cmd_exec.c supervisor/cmd_fork.c supervisor/cmd_freeze.c supervisor/cmd_control.c \
           supervisor/cmd_inspect.c supervisor/cmd_kill.c supervisor/cmd_ls.c \
           supervisor/cmd_restore.c supervisor/cmd_run.c supervisor/cmd_shot.c \
           supervisor/cmd_snapshot.c supervisor/cmd_view.c supervisor/cmd_wait.c supervisor/ending.c \
           supervisor/exec_status.c supervisor/facts.c supervisor/failure.c \
           supervisor/fingerprint.c supervisor/hostfile.c supervisor/images.c \
           supervisor/inspection.c supervisor/interrupt.c supervisor/launch.c supervisor/main.c \
           supervisor/frames.c supervisor/recording_draw.c supervisor/recording_format.c \
           supervisor/recording_pack.c supervisor/recording_read.c supervisor/recording_seen.c \
           supervisor/recording_write.c supervisor/recording_describe.c supervisor/watching.c \
           supervisor/record.c supervisor/cmd_record.c supervisor/replay.c supervisor/replay_html.c \
           supervisor/replay_mp4.c supervisor/cmd_replay.c supervisor/watch.c supervisor/cmd_watch.c \
           supervisor/options.c supervisor/output.c supervisor/parse.c supervisor/plan.c \
           supervisor/probe.c supervisor/process.c supervisor/progress.c supervisor/residents.c \
           supervisor/session.c supervisor/shot.c supervisor/start.c supervisor/template.c \
           supervisor/view_address.c supervisor/view_options.c supervisor/warm.c supervisor/writer.c

# cloche-view: what of the CLI's it needs, and the server.
VIEW_SRC := supervisor/client.c supervisor/ending.c supervisor/failure.c supervisor/interrupt.c \
           supervisor/options.c supervisor/output.c supervisor/parse.c supervisor/process.c \
           supervisor/session.c supervisor/view_address.c supervisor/view_assets.c \
           supervisor/view_confine.c supervisor/view_file.c supervisor/view_hands.c supervisor/view_http.c \
           supervisor/view_link.c supervisor/view_main.c supervisor/view_options.c \
           supervisor/view_page.c supervisor/view_request.c supervisor/view_screen.c \
           supervisor/view_server.c

AGENT_SRC := guest/browser.c guest/browser_jobs.c guest/browser_targets.c guest/card.c guest/cdp.c \
           guest/channel.c guest/children.c guest/display.c guest/environment.c guest/exec.c guest/file.c \
           guest/file_worker.c guest/generation.c guest/host.c guest/input.c guest/input_worker.c \
           guest/keymap.c guest/keys.c guest/machine.c guest/main.c guest/options.c guest/paths.c \
           guest/relay.c guest/steps.c guest/text.c guest/tidy.c guest/verbs.c guest/windows.c guest/xwd.c

# The small libraries are linked in: a session's process is up a quarter sooner, and holds less.
VMM_LIBS        := -Wl,-Bstatic -lfdt -ljansson -llz4 -lxxhash -Wl,-Bdynamic -lisal -lpthread
SUPERVISOR_LIBS := -Wl,-Bstatic -ljansson -llz4 -lxxhash -Wl,-Bdynamic -lisal -lspng
VIEW_LIBS       := -Wl,-Bstatic -ljansson -Wl,-Bdynamic -lwebsockets -lseccomp
AGENT_LIBS      := -ljansson -lxcb -lxcb-xtest -lxkbcommon

objects = $(patsubst %.c,$(B)/obj/%.o,$(1))

# --- programs --------------------------------------------------------------------------------

HOST_PROGRAMS  := $(B)/bin/cloche-vmm $(B)/bin/cloche $(B)/bin/cloche-view
GUEST_PROGRAMS := $(B)/guest/init $(B)/guest/cloche-agent

.PHONY: all
all: $(HOST_PROGRAMS) ## all host programs

$(B)/bin/cloche-vmm: $(call objects,$(VMM_SRC) $(DISPLAY_SRC) $(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(VMM_LIBS)

$(B)/bin/cloche: $(call objects,$(SUPERVISOR_SRC) $(SUPERVISOR_DISPLAY_SRC) $(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(SUPERVISOR_LIBS)

$(B)/bin/cloche-view: $(call objects,$(VIEW_SRC) $(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(VIEW_LIBS)

# The compiler doesn't list what the assembler takes in.
$(B)/obj/supervisor/view_page.o: $(addprefix supervisor/page/viewer.,html css js)

$(B)/guest/cloche-agent: $(call objects,$(AGENT_SRC) $(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(AGENT_LIBS)

# The assembler reads it.
$(B)/obj/supervisor/replay_html.o: supervisor/replay_page.html

# Static: it runs where nothing else is.
$(B)/guest/init: initramfs/init.c
	@mkdir -p $(@D) $(B)/obj/initramfs
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -MF $(B)/obj/initramfs/init.d -fno-pie -static -o $@ $<

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# --- guest images ----------------------------------------------------------------------------
# Kernel and root image come from the cache unless their inputs have changed; the scripts decide.

IMAGES := $(B)/images

.PHONY: images
images: $(GUEST_PROGRAMS) ## guest kernel, root image, initramfs
	@scripts/setup build images
	@scripts/build-kernel --out $(IMAGES)
	@scripts/build-root --out $(IMAGES)
	@scripts/build-initramfs --init $(B)/guest/init --agent $(B)/guest/cloche-agent \
		--out $(IMAGES)/initramfs.cpio
	@ls -lL $(IMAGES) | awk 'NR > 1 { printf "  %-18s %6.1f MB\n", $$9, $$5 / 1e6 }'

.PHONY: demo
demo: ## boots a guest, fills in a form in its browser, takes its picture: demo/first-light.png
	@scripts/setup build images
	@$(MAKE) --no-print-directory all images
	@scripts/demo

# --- tests -----------------------------------------------------------------------------------

include tests/tests.mk

# --- benchmarks ------------------------------------------------------------------------------
# What is measured is C, tests/bench/run.py takes the times and lists the benchmarks.

BENCH ?= $(B)/bench
BENCH_PROGRAMS := $(addprefix $(BENCH)/bin/,floor stamp shot scan watch record guest ring cycles touched)

.PHONY: bench
bench: ## benchmarks, to build/bench/results.json; ONLY=id measures one
	@scripts/bench --out $(BENCH) $(ONLY)

# They run inside guests, under any VMM: static. Not in BENCH, so that the test bed has them too.
INSIDE_PROGRAMS := $(addprefix $(B)/inside/,disk stream)

.PHONY: bench-programs
bench-programs: $(BENCH_PROGRAMS) $(INSIDE_PROGRAMS)

$(INSIDE_PROGRAMS): $(B)/inside/%: tests/bench/inside/%.c
	@mkdir -p $(@D) $(B)/obj/tests/bench/inside
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -MF $(B)/obj/tests/bench/inside/$*.d -fno-pie -static -o $@ $< \
		-lpthread

$(addprefix $(BENCH)/bin/,floor stamp ring): $(BENCH)/bin/%: $(B)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lpthread

$(BENCH)/bin/record: $(call objects,tests/bench/record.c $(RECORDING) $(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lpng $(SUPERVISOR_TEST_LIBS) -ljansson

$(addprefix $(BENCH)/bin/,shot scan): $(BENCH)/bin/%: $(B)/obj/tests/bench/%.o \
                     $(call objects,tests/bench/screen.c $(DISPLAY_SRC) $(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lpng -lisal -lxxhash -ljansson

$(BENCH)/bin/watch: $(B)/obj/tests/bench/watch.o \
                     $(call objects,tests/bench/screen.c vmm/scan.c $(DISPLAY_SRC) $(LIB_SRC))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lpng -lisal -lxxhash -ljansson -lvncclient -lpthread

# In the test bed, beside the programs.
E2E_PROGRAMS := $(B)/tests/viewer $(B)/npm/node_modules/.package-lock.json

$(B)/tests/viewer: $(B)/obj/tests/e2e/viewer.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lvncclient

# The other viewer's library: this version, with this checksum, and nothing of it runs when it is installed.
$(B)/npm/node_modules/.package-lock.json: $(addprefix tests/e2e/rfb2/package,.json -lock.json)
	@mkdir -p $(B)/npm && cp $^ $(B)/npm/
	$(call say,NPM,$(B)/npm)
	$(Q)npm ci --prefix $(B)/npm --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
	@touch $@

# Freestanding: it has no kernel below it.
$(BENCH)/bin/guest: tests/bench/guest.c vmm/arch/arch.h vmm/arch/x86_64/layout.h
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -std=gnu17 -I. -O2 $(WARN) -ffreestanding -fcf-protection=none -fno-stack-protector \
		-fno-pie -nostdlib -static -Wl,-Ttext=0x200000 -Wl,--build-id=none -o $@ $<

# On the runtime of the native-bed tests' guest.
$(addprefix $(BENCH)/bin/,cycles touched): $(BENCH)/bin/%: tests/native/guest/guest.ld \
                     $(B)/obj/tests/bench/%.o \
                     $(patsubst %,$(B)/obj/tests/native/guest/%.o,start runtime virtio)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(NATIVE_GUEST_LINK)

# --- checks; tests/tests.mk has the parts that need no guest ----------------------------------

# Real guests need a KVM that runs them: the test bed has one, whatever this host can do.
E2E_TESTS := 'scripts/testbed --timeout 2400 tests/e2e/run.py --half 1' \
             'scripts/testbed --timeout 2400 tests/e2e/run.py --half 2'

# The guest's agent on this host, with a real Xvfb and Chromium: edges that are slow to reach in a guest.
AGENT_TESTS := 'tests/e2e/agent_host.py $(B)/guest/cloche-agent'

# The viewer in a browser on this host, with a real VNC server and Chromium.
VIEW_TESTS := 'tests/e2e/view_host.py'

# The page of a recording, likewise.
REPLAY_TESTS := 'tests/e2e/replay_host.py'

.PHONY: lint
lint: ## format, static analysis, direction of includes, headers alone, scripts
	@scripts/setup build check lint
	@scripts/lint

.PHONY: check-agent
check-agent: ## the guest's agent as a process of this host, with Xvfb and Chromium
	@scripts/setup build check agent
	@$(MAKE) --no-print-directory $(B)/guest/cloche-agent
	@scripts/run-tests --timeout 600 $(AGENT_TESTS)

.PHONY: check-view
check-view: ## the viewer and a recording's page in a browser of this host
	@scripts/setup build check view
	@$(MAKE) --no-print-directory all
	@scripts/run-tests --timeout 600 $(VIEW_TESTS) $(REPLAY_TESTS)

.PHONY: check-e2e
check-e2e: ## real guests, from boot to kill, in the test bed
	@scripts/setup build images testbed check npm
	@$(MAKE) --no-print-directory all images $(INSIDE_PROGRAMS) $(E2E_PROGRAMS)
	@scripts/build-testbed >/dev/null
	@scripts/run-tests --timeout 2500 --jobs 2 $(E2E_TESTS)

.PHONY: check
check: ## everything: units, native bed, the agent, 20 s of each fuzz target, end to end
	@scripts/setup build images testbed check agent view npm fuzz
	@$(MAKE) --no-print-directory all images tests $(INSIDE_PROGRAMS) $(E2E_PROGRAMS)
	@$(MAKE) --no-print-directory fuzz-build
	@scripts/build-testbed >/dev/null
	@scripts/run-tests --timeout 2500 --jobs 2 $(E2E_TESTS) $(UNIT_PROGRAMS) $(REPLAYS) $(NATIVE_TESTS) \
		$(AGENT_TESTS) $(VIEW_TESTS) $(REPLAY_TESTS) '$(FUZZ_RUN) 20'

# --- housekeeping ----------------------------------------------------------------------------

.PHONY: install
install: all ## programs, manual pages, completion and what images are built, to DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/cloche
	install -m 755 $(B)/bin/cloche $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(B)/bin/cloche-vmm $(B)/bin/cloche-view $(DESTDIR)$(PREFIX)/libexec/cloche/
	for page in man/*.[1-9]; do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	install -D -m 644 completions/cloche \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/cloche
	for image in vmlinux initramfs.cpio root.erofs; do \
		[ ! -e $(IMAGES)/$$image ] || \
		install -D -m 644 $(IMAGES)/$$image $(DESTDIR)$(PREFIX)/share/cloche/images/$$image; done

.PHONY: clean
clean: ## removes build/, keeps the cache
	rm -rf $(B)

.PHONY: distclean
distclean: clean ## forgets the cached kernel, root image and test bed too
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/cloche"

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
