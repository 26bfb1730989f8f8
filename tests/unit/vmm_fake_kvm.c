/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_fake_kvm.c - see vmm_fake_kvm.h.
 */
#include "tests/unit/vmm_fake_kvm.h"

#include "tests/unit/unit.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/clock.h"

struct fake_kvm fake_kvm;
bool (*fake_kvm_more)(int fd, unsigned long request, void *arg, int *out_ret);

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static void remember(unsigned long request, const void *arg)
{
	const struct kvm_irq_routing *routing = arg;

	switch (request) {
	case KVM_IRQFD:
		fake_kvm.irqfds++;
		break;
	case KVM_IOEVENTFD:
		assert_true(fake_kvm.ioeventfds < FAKE_IOEVENTFDS_MAX);
		memcpy(&fake_kvm.ioeventfd[fake_kvm.ioeventfds++], arg,
		       sizeof(struct kvm_ioeventfd));
		break;
	case KVM_SET_GSI_ROUTING:
		assert_true(routing->nr <= FAKE_ROUTES_MAX);
		fake_kvm.routings++;
		fake_kvm.route_count = routing->nr;
		memcpy(fake_kvm.routes, routing->entries,
		       routing->nr * sizeof(routing->entries[0]));
		break;
	default:
		fail_msg("the fake VM knows no ioctl 0x%lx", request);
	}
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	int ret;
	if (fake_kvm_more && fake_kvm_more(fd, request, arg, &ret))
		return ret;
	if (fd != FAKE_VM_FD)
		return __real_ioctl(fd, request, arg);
	if (request == fake_kvm.refused) {
		errno = ENOSPC;
		return -1;
	}
	remember(request, arg);
	return 0;
}

void fake_kvm_reset(void)
{
	fake_kvm = (struct fake_kvm){ 0 };
}

uint64_t fake_kvm_edges(const struct irq_line *line)
{
	uint64_t edges = 0;

	if (read(line->fd, &edges, sizeof(edges)) < 0)
		assert_int_equal(errno, EAGAIN);
	return edges;
}

void fake_kvm_notify(uint64_t address, uint32_t value)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < fake_kvm.ioeventfds; i++) {
		const struct kvm_ioeventfd *e = &fake_kvm.ioeventfd[i];

		if (e->addr == address && e->datamatch == value)
			assert_int_equal(write(e->fd, &one, sizeof(one)), sizeof(one));
	}
}

/* A timer that is due stops the loop behind the watches of its first round. */
struct stopper {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct stopper, timer)->loop);
}

void fake_kvm_rounds(struct loop *loop, unsigned rounds)
{
	while (rounds-- > 0) {
		struct stopper stopper = { .loop = loop };

		loop_timer_set(loop, &stopper.timer, clock_now_ns(), stop);
		assert_int_equal(loop_run(loop), 0);
	}
}
