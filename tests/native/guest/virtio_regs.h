/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio_regs.h - registers and bits of virtio-mmio (virtio 1.2 §4.2.2, §2.1, §2.7), as a driver
 * sees them: written down from the standard, not shared with the device under test.
 */
#ifndef CLOCHE_TESTS_NATIVE_VIRTIO_REGS_H
#define CLOCHE_TESTS_NATIVE_VIRTIO_REGS_H

#define MAGIC 0x74726976u
#define REG_MAGIC 0x000u
#define REG_VERSION 0x004u
#define REG_DEVICE_ID 0x008u
#define REG_VENDOR_ID 0x00cu
#define REG_DEVICE_FEATURES 0x010u
#define REG_DEVICE_FEATURES_SEL 0x014u
#define REG_DRIVER_FEATURES 0x020u
#define REG_DRIVER_FEATURES_SEL 0x024u
#define REG_QUEUE_SEL 0x030u
#define REG_QUEUE_NUM_MAX 0x034u
#define REG_QUEUE_NUM 0x038u
#define REG_QUEUE_READY 0x044u
#define REG_QUEUE_NOTIFY 0x050u
#define REG_INTERRUPT_STATUS 0x060u
#define REG_INTERRUPT_ACK 0x064u
#define REG_STATUS 0x070u
#define REG_QUEUE_DESC 0x080u
#define REG_QUEUE_DRIVER 0x090u
#define REG_QUEUE_DEVICE 0x0a0u
#define REG_CONFIG_GENERATION 0x0fcu
#define REG_CONFIG 0x100u

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_DRIVER_OK 4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u
#define STATUS_FAILED 128u
/* A driver that is done with its set-up. */
#define STATUS_RUNNING (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK)

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define AVAIL_NO_INTERRUPT 1u

#define DEVICE_NET 1u
#define DEVICE_BLK 2u
#define DEVICE_RNG 4u
#define DEVICE_BALLOON 5u
#define DEVICE_VSOCK 19u
#define DEVICE_PMEM 27u

#endif
