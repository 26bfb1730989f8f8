/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial.c - output only: a guest's console is watched, not typed into.
 *
 * The transmitter is never busy, so THR is always empty. The one interrupt is "THR empty": it
 * becomes pending when its enable bit is set and after each byte, and reading IIR takes it away.
 */
#include "vmm/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define REG_DATA 0
#define REG_IER 1
#define REG_IIR_FCR 2
#define REG_LCR 3
#define REG_MCR 4
#define REG_LSR 5
#define REG_MSR 6
#define REG_SCR 7

#define IER_THRI 0x02
#define IER_WRITABLE 0x0f
#define IIR_NONE 0x01
#define IIR_THRI 0x02
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define LCR_DLAB 0x80
#define MCR_LOOPBACK 0x10
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define MSR_CTS_DSR_DCD 0xb0

#define DRAIN_TURN_MAX 32 /* writes */

static void wake(struct serial *serial)
{
	uint64_t one = 1;

	if (write(serial->wake_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

static void put(struct serial *serial, uint8_t byte)
{
	bool was_idle = serial->written == serial->drained;

	serial->ring[serial->written % SERIAL_RING_SIZE] = byte;
	serial->written++;
	if (serial->written - serial->drained > SERIAL_RING_SIZE) {
		serial->lost += serial->written - serial->drained - SERIAL_RING_SIZE;
		serial->drained = serial->written - SERIAL_RING_SIZE;
	}
	if (was_idle)
		wake(serial);
}

static void thr_became_empty(struct serial *serial)
{
	serial->thr_empty_pending = true;
	if (serial->ier & IER_THRI)
		irq_line_raise(serial->irq);
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t fifo = serial->fcr & FCR_ENABLE ? IIR_FIFO : 0;

	if (!(serial->ier & IER_THRI) || !serial->thr_empty_pending)
		return fifo | IIR_NONE;
	serial->thr_empty_pending = false;
	irq_line_clear(serial->irq);
	return fifo | IIR_THRI;
}

uint64_t serial_read(void *device, uint64_t offset, unsigned size)
{
	struct serial *serial = device;

	if (size != 1)
		return 0;
	switch (offset) {
	case REG_DATA:
		return serial->lcr & LCR_DLAB ? serial->dll : 0;
	case REG_IER:
		return serial->lcr & LCR_DLAB ? serial->dlm : serial->ier;
	case REG_IIR_FCR:
		return read_iir(serial);
	case REG_LCR:
		return serial->lcr;
	case REG_MCR:
		return serial->mcr;
	case REG_LSR:
		return LSR_THRE | LSR_TEMT;
	case REG_MSR:
		/* In loopback the modem lines follow MCR; drivers probe for that. */
		return serial->mcr & MCR_LOOPBACK ? (uint64_t)(serial->mcr & 0x0f) << 4
		                                  : MSR_CTS_DSR_DCD;
	case REG_SCR:
		return serial->scr;
	default:
		return 0;
	}
}

void serial_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct serial *serial = device;
	uint8_t byte = (uint8_t)value;

	if (size != 1)
		return;
	switch (offset) {
	case REG_DATA:
		if (serial->lcr & LCR_DLAB) {
			serial->dll = byte;
		} else {
			if (!(serial->mcr & MCR_LOOPBACK))
				put(serial, byte);
			thr_became_empty(serial);
		}
		break;
	case REG_IER:
		if (serial->lcr & LCR_DLAB) {
			serial->dlm = byte;
			break;
		}
		byte &= IER_WRITABLE;
		if ((byte & IER_THRI) && !(serial->ier & IER_THRI)) {
			serial->ier = byte;
			thr_became_empty(serial);
		}
		serial->ier = byte;
		break;
	case REG_IIR_FCR:
		serial->fcr = byte;
		break;
	case REG_LCR:
		serial->lcr = byte;
		break;
	case REG_MCR:
		serial->mcr = byte & 0x1f;
		break;
	case REG_SCR:
		serial->scr = byte;
		break;
	default:
		break;
	}
}

/* --- state ----------------------------------------------------------------------------------- */

#define REGISTERS(X) X(ier), X(lcr), X(mcr), X(scr), X(dll), X(dlm), X(fcr)

void serial_save(const struct serial *serial, struct wire_writer *out)
{
#define PUT(name) wire_put_u8(out, serial->name)
	REGISTERS(PUT);
#undef PUT
	wire_put_u8(out, serial->thr_empty_pending);
}

int serial_restore(struct serial *serial, struct wire_reader *in, struct error *err)
{
#define GET(name) serial->name = wire_get_u8(in)
	REGISTERS(GET);
#undef GET
	serial->thr_empty_pending = wire_get_u8(in);
	if (!wire_reader_ended(in))
		return error_set(err, -EINVAL, "serial: its state has not the length it should");
	serial->ier &= IER_WRITABLE;
	serial->mcr &= 0x1f;
	if (serial->thr_empty_pending && (serial->ier & IER_THRI))
		irq_line_raise(serial->irq);
	return 0;
}

/* --- the way out: I/O thread ----------------------------------------------------------------- */

/* A file that has grown too long starts anew; the ring keeps the context. */
static void bound_file(struct serial *serial, size_t more)
{
	if (!serial->out_is_file || serial->file_size + more <= SERIAL_FILE_MAX)
		return;
	if (ftruncate(serial->out_fd, 0) == 0 && lseek(serial->out_fd, 0, SEEK_SET) == 0)
		serial->file_size = 0;
}

/* Writes out up to what the ring holds. False: the reader takes no more now. */
static bool drain_once(struct serial *serial)
{
	uint8_t piece[4096];

	pthread_mutex_lock(&serial->lock);
	uint64_t from = serial->drained;
	size_t n = (size_t)(serial->written - from);
	if (n > sizeof(piece))
		n = sizeof(piece);
	for (size_t i = 0; i < n; i++)
		piece[i] = serial->ring[(from + i) % SERIAL_RING_SIZE];
	pthread_mutex_unlock(&serial->lock);
	if (n == 0)
		return false;

	bound_file(serial, n);
	ssize_t done = write(serial->out_fd, piece, n);
	if (done < 0 && errno == EINTR)
		return true;
	if (done < 0 && errno == EAGAIN)
		return false;
	/* A reader that is gone for good (EPIPE, ENOSPC) must not stop the guest: the bytes are dropped. */
	size_t taken = done < 0 ? n : (size_t)done;
	serial->file_size += taken;
	pthread_mutex_lock(&serial->lock);
	if (serial->drained < from + taken)
		serial->drained = from + taken;
	pthread_mutex_unlock(&serial->lock);
	return true;
}

/* A guest that prints as fast as we write would never let go of the I/O thread: a turn is bounded. */
static void drain(struct serial *serial)
{
	bool more = true;

	for (unsigned i = 0; more && i < DRAIN_TURN_MAX; i++)
		more = drain_once(serial);
	pthread_mutex_lock(&serial->lock);
	bool left = serial->written != serial->drained;
	pthread_mutex_unlock(&serial->lock);
	if (serial->out.active)
		loop_watch_change(serial->loop, &serial->out, left ? EPOLLOUT : 0);
	else if (more)
		wake(serial);
}

static void on_wake(struct loop_watch *watch, uint32_t events)
{
	struct serial *serial = container_of(watch, struct serial, wake);
	uint64_t count;

	(void)events;
	if (read(serial->wake_fd, &count, sizeof(count)) > 0)
		drain(serial);
}

static void on_out(struct loop_watch *watch, uint32_t events)
{
	struct serial *serial = container_of(watch, struct serial, out);

	if (events & (EPOLLERR | EPOLLHUP))
		loop_watch_remove(serial->loop, watch);
	drain(serial);
}

/* Sets *out_created to @path when the file wasn't there before. */
static int open_file(const char *path, const char **out_created)
{
	const int flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = open(path, flags | O_CREAT | O_EXCL, 0600);

	if (fd >= 0)
		*out_created = path;
	else if (errno == EEXIST)
		fd = open(path, flags);
	return fd;
}

static int open_out(struct serial *serial, const char *path, struct error *err)
{
	struct stat st;

	if (strcmp(path, "-") == 0) {
		serial->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (serial->out_fd < 0)
			return error_set(err, -errno, "cannot use stdout: %s", strerror(errno));
	} else {
		serial->out_fd = open_file(path, &serial->created);
		if (serial->out_fd < 0)
			return error_set(err, -errno, "cannot write console file %s: %s", path,
			                 strerror(errno));
	}
	if (fstat(serial->out_fd, &st))
		return error_set(err, -errno, "cannot examine the console: %s", strerror(errno));
	serial->out_is_file = S_ISREG(st.st_mode) && strcmp(path, "-") != 0;
	serial->file_size = serial->out_is_file ? (uint64_t)st.st_size : 0;
	return 0;
}

/* Pipes and terminals are made non-blocking through a description of their own where possible. */
static int watch_out(struct serial *serial, struct error *err)
{
	if (serial->out_is_file)
		return 0;
	int flags = fcntl(serial->out_fd, F_GETFL);
	if (flags < 0 || fcntl(serial->out_fd, F_SETFL, flags | O_NONBLOCK))
		return error_set(err, -errno, "cannot make stdout non-blocking: %s",
		                 strerror(errno));
	int ret = loop_watch_add(serial->loop, &serial->out, serial->out_fd, 0, on_out);
	/* EPERM: stdout is a regular file or /dev/null, which is always ready. */
	return ret == -EPERM ? 0 : ret;
}

int serial_init(struct serial *serial, struct loop *loop, struct irq_line *irq, const char *path,
                struct error *err)
{
	memset(serial, 0, offsetof(struct serial, ring));
	pthread_mutex_init(&serial->lock, NULL);
	serial->loop = loop;
	serial->irq = irq;
	serial->out_fd = -1;
	serial->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (serial->wake_fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	int ret = open_out(serial, path, err);
	if (ret == 0)
		ret = watch_out(serial, err);
	if (ret == 0)
		ret = loop_watch_add(loop, &serial->wake, serial->wake_fd, EPOLLIN, on_wake);
	if (ret) {
		serial_discard(serial);
		serial_finish(serial);
	}
	return ret;
}

void serial_discard(struct serial *serial)
{
	if (serial->created)
		unlink(serial->created);
	serial->created = NULL;
}

void serial_finish(struct serial *serial)
{
	if (!serial->loop)
		return;
	/* Nobody prints any more: what is there is all. */
	while (serial->out_fd >= 0 && drain_once(serial))
		;
	loop_watch_remove(serial->loop, &serial->out);
	loop_watch_remove(serial->loop, &serial->wake);
	close_fd(&serial->out_fd);
	close_fd(&serial->wake_fd);
	pthread_mutex_destroy(&serial->lock);
	serial->loop = NULL;
}

void serial_tail(struct serial *serial, unsigned lines, char *out, size_t size)
{
	pthread_mutex_lock(&serial->lock);
	uint64_t end = serial->written;
	uint64_t oldest = end > SERIAL_RING_SIZE ? end - SERIAL_RING_SIZE : 0;
	if (end - oldest > size - 1)
		oldest = end - (size - 1);
	uint64_t start = end;
	while (start > oldest) {
		uint8_t byte = serial->ring[(start - 1) % SERIAL_RING_SIZE];

		if (byte == '\n' && start != end && lines-- == 1)
			break;
		start--;
	}
	for (; start < end; start++) {
		uint8_t byte = serial->ring[start % SERIAL_RING_SIZE];

		if (byte == '\r')
			continue;
		*out++ = (byte >= ' ' && byte < 0x7f) || byte == '\n' || byte == '\t' ? (char)byte
		                                                                      : '?';
	}
	*out = '\0';
	pthread_mutex_unlock(&serial->lock);
}
