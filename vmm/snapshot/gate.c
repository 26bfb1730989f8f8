/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/gate.h"

#include <stdio.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "vmm/virtio/vsock.h"
#include "vmm/vm.h"

void gate_shut(struct vm *vm)
{
	vm->acknowledged = false;
	virtio_vsock_shut(vm->vsock);
	if (vm->net)
		virtio_net_shut(vm->net);
}

void gate_open(struct vm *vm)
{
	vm->acknowledged = true;
	virtio_vsock_open(vm->vsock);
	if (vm->net)
		virtio_net_open(vm->net);
}

json_t *gate_greeting(struct vm *vm)
{
	const uint8_t *mac = vm->config->net.mac;
	char generation[2 * VMGENID_SIZE + 1], address[18];
	struct timespec now;

	if (vm->acknowledged)
		return NULL;
	platform_generation(&vm->platform, generation);
	clock_gettime(CLOCK_REALTIME, &now);
	json_t *greeting = json_pack("{s:s,s:s,s:I,s:s}", "verb", "generation", "generation",
	                             generation, "realtime_ns",
	                             (json_int_t)now.tv_sec * (json_int_t)NS_PER_S + now.tv_nsec,
	                             "session", vm->config->name);
	ASSERT(greeting);
	if (vm->net) {
		snprintf(address, sizeof(address), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		         mac[2], mac[3], mac[4], mac[5]);
		json_object_set_new(greeting, "mac", json_string(address));
	}
	return greeting;
}
