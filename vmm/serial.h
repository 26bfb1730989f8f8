/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial.h - the guest's console: a 16550A without an input side, and where its output goes.
 *
 * vCPU threads write registers under the serial's lock; what the guest prints goes into a bounded
 * ring and never waits for anybody. The I/O thread moves the ring to the console file or to stdout.
 */
#ifndef CLOCHE_VMM_SERIAL_H
#define CLOCHE_VMM_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "lib/wire_fields.h"
#include "vmm/irq.h"

#define SERIAL_SIZE 8
#define SERIAL_RING_SIZE (64u << 10)        /* bytes kept for the reader and for reports */
#define SERIAL_FILE_MAX ((uint64_t)4 << 20) /* the console file starts anew beyond this */

struct serial {
	pthread_mutex_t lock;
	struct irq_line *irq; /* borrowed */
	uint8_t ier, lcr, mcr, scr, dll, dlm, fcr;
	bool thr_empty_pending;

	uint64_t written; /* bytes ever printed; the ring holds the last of them */
	uint64_t drained; /* bytes ever moved out */
	uint64_t lost;    /* bytes that the reader was too slow for */

	struct loop *loop; /* borrowed */
	struct loop_watch wake, out;
	int wake_fd; /* owned eventfd */
	int out_fd;  /* owned */
	bool out_is_file;
	const char *created; /* borrowed: path of the console file if serial_init() made it */
	uint64_t file_size;

	uint8_t ring[SERIAL_RING_SIZE]; /* last: only what was printed to is ever touched */
};

/*
 * Prepares the device; output goes to @path (borrowed), a new or empty regular file, or to stdout
 * for "-".
 * 0 or -errno with @err.
 */
int serial_init(struct serial *serial, struct loop *loop, struct irq_line *irq, const char *path,
                struct error *err);

/*
 * The registers, as a driver knows them; not what was printed. The vCPUs are parked or haven't started;
 * restoring sends the interrupt that is pending. 0 or -EINVAL.
 */
void serial_save(const struct serial *serial, struct wire_writer *out);
int serial_restore(struct serial *serial, struct wire_reader *in, struct error *err);

/* Takes back a console file that serial_init() made: for a start that fails later on. */
void serial_discard(struct serial *serial);

/* Moves out what can be moved without waiting, then closes. Takes a zeroed struct. */
void serial_finish(struct serial *serial);

/* Bus handlers (vmm/bus.h): registers of National Semiconductor's PC16550D. */
uint64_t serial_read(void *device, uint64_t offset, unsigned size);
void serial_write(void *device, uint64_t offset, unsigned size, uint64_t value);

/*
 * Copies the last lines printed, at most @lines of them and @size - 1 bytes, NUL-terminated.
 * Any thread. Bytes that are no printable ASCII, tab or newline come as '?'.
 */
void serial_tail(struct serial *serial, unsigned lines, char *out, size_t size);

#endif
