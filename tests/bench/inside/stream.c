/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.c - one end of byte streams, checked or timed; runs inside a guest and on the host.
 *
 *	stream listen|connect ADDRESS COUNT send|receive|pour|drain|exchange BYTES
 *	stream listen|connect ADDRESS COUNT echo
 *	stream connect ADDRESS 1 ping BYTES ROUNDS
 *
 * ADDRESS is vsock:CID:PORT, tcp:IP:PORT, unix:PATH, or through:PATH:PORT, which asks the socket PATH
 * of a VMM for the guest's PORT ("CONNECT PORT"). A connect that is refused is tried again for a
 * while: the other end may not be there yet.
 *
 * All COUNT connections are open before the first byte. send gives BYTES of a pattern on each, then
 * closes its half and waits for the other's end; receive checks every word of it. exchange does
 * both at once, against an echo. pour and drain are send and receive of nothing in particular, for
 * speed. Prints bytes received, the hash of all bytes (of those sent, if it only sends), and the
 * nanoseconds from the last open connection to the last end. ping prints rounds, 0 and nanoseconds.
 *
 * One thread, one epoll. A word of the pattern depends on its place and its stream; the first word
 * of a stream is its number, so that the receiver knows which one it has.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)
#define WORD sizeof(uint64_t)
#define NS_PER_S 1000000000ull
#define TRIES 600
#define TRY_NS 100000000
#define EVENTS 64

enum job { SEND = 1, RECEIVE = 2, CHECK = 4, ECHO = 8 };

static const struct {
	const char *name;
	unsigned job;
} jobs[] = {
	{ "send", SEND | CHECK },   { "receive", RECEIVE | CHECK },
	{ "pour", SEND },           { "drain", RECEIVE },
	{ "echo", RECEIVE | ECHO }, { "exchange", SEND | RECEIVE | CHECK },
};

struct stream {
	int fd;
	bool sent_all, ended; /* its own half is closed; the other's is */
	uint64_t number;      /* of the pattern; the receiver learns it */
	uint64_t generated, received, hash;
	uint8_t *out; /* owned, BLOCK */
	size_t out_start, out_used;
	uint8_t carry[WORD]; /* the begin of a word whose rest hasn't come yet */
};

struct run {
	unsigned job;
	uint64_t bytes; /* on each stream */
	int epoll_fd;
	struct stream *streams;
	unsigned count, open;
	uint8_t in[BLOCK + WORD];
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list arguments;

	fputs("stream: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (end == text || *end)
		fail("'%s' is no number", text);
	return value;
}

/* --- the pattern ----------------------------------------------------------------------------- */

static uint64_t word_at(uint64_t number, uint64_t place)
{
	uint64_t word = (place + (number << 40)) * 0x9e3779b97f4a7c15u;

	return place ? word ^ word >> 29 : number;
}

static uint64_t hash_word(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0xff51afd7ed558ccdu;
	return hash ^ hash >> 32;
}

static void generate(struct stream *s, uint8_t *out, size_t size)
{
	for (size_t i = 0; i < size; i += WORD) {
		uint64_t word = htole64(word_at(s->number, (s->generated + i) / WORD));

		s->hash = hash_word(s->hash, word);
		memcpy(out + i, &word, WORD);
	}
}

/* Takes @size bytes at @in, in front of which there is room for a carried part of a word. */
static void check(struct stream *s, uint8_t *in, size_t size, bool hashed)
{
	size_t carried = s->received % WORD, i;
	uint64_t place = s->received / WORD;

	in -= carried;
	memcpy(in, s->carry, carried);
	for (i = 0; i + WORD <= carried + size; i += WORD, place++) {
		uint64_t word;

		memcpy(&word, in + i, WORD);
		if (place == 0 && hashed)
			s->number = le64toh(word);
		if (le64toh(word) != word_at(s->number, place))
			fail("stream %llu, byte %llu: wrong data", (unsigned long long)s->number,
			     (unsigned long long)place * WORD);
		if (hashed)
			s->hash = hash_word(s->hash, word);
	}
	memcpy(s->carry, in + i, carried + size - i);
}

/* --- sockets --------------------------------------------------------------------------------- */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_vm vm;
		struct sockaddr_in in;
		struct sockaddr_un un;
	};
	socklen_t size;
	const char *through; /* the guest's port, or NULL */
};

static struct address parse_address(char *text)
{
	struct address address = { 0 };
	char *colon = strchr(text, ':'), *last = strrchr(text, ':');

	if (!colon)
		fail("'%s' is no address", text);
	*colon++ = '\0';
	if (strcmp(text, "vsock") == 0 && last >= colon) {
		*last++ = '\0';
		address.vm = (struct sockaddr_vm){ .svm_family = AF_VSOCK,
			                           .svm_cid = (unsigned)number_of(colon),
			                           .svm_port = (unsigned)number_of(last) };
		address.size = sizeof(address.vm);
		return address;
	}
	if (strcmp(text, "tcp") == 0 && last >= colon) {
		*last++ = '\0';
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons((uint16_t)number_of(last));
		if (inet_pton(AF_INET, colon, &address.in.sin_addr) != 1)
			fail("'%s' is no IPv4 address", colon);
		address.size = sizeof(address.in);
		return address;
	}
	if (strcmp(text, "through") == 0 && last >= colon) {
		*last++ = '\0';
		address.through = last;
	} else if (strcmp(text, "unix") != 0) {
		fail("'%s' is no kind of address", text);
	}
	if (strlen(colon) >= sizeof(address.un.sun_path))
		fail("the path is too long: %s", colon);
	address.un.sun_family = AF_UNIX;
	strcpy(address.un.sun_path, colon);
	address.size = sizeof(address.un);
	return address;
}

/* The VMM's handshake, on a blocking socket. False: the guest doesn't take it. */
static bool ask_for_port(int fd, const char *port)
{
	char line[64], c = 0;
	int size = snprintf(line, sizeof(line), "CONNECT %s\n", port);
	unsigned used = 0;

	if (send(fd, line, (size_t)size, MSG_NOSIGNAL) != size)
		return false;
	while (c != '\n') {
		if (read(fd, &c, 1) != 1 || used == sizeof(line))
			return false;
		line[used++] = c;
	}
	return strncmp(line, "OK ", 3) == 0;
}

static int connect_once(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (connect(fd, &address->any, address->size) == 0 &&
	    (!address->through || ask_for_port(fd, address->through)))
		return fd;
	close(fd);
	return -1;
}

static int connect_patiently(const struct address *address)
{
	const struct timespec pause = { .tv_nsec = TRY_NS };

	for (unsigned i = 0; i < TRIES; i++) {
		int fd = connect_once(address);

		if (fd >= 0)
			return fd;
		nanosleep(&pause, NULL);
	}
	fail("nobody answers");
}

static void open_all(struct run *run, const struct address *address, bool listens)
{
	int listener = -1;

	if (listens) {
		listener = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (listener < 0 || bind(listener, &address->any, address->size) ||
		    listen(listener, 1024))
			fail("cannot listen: %s", strerror(errno));
	}
	for (unsigned i = 0; i < run->count; i++) {
		struct stream *s = &run->streams[i];

		s->number = i;
		s->fd = listens ? accept4(listener, NULL, NULL, SOCK_CLOEXEC)
		                : connect_patiently(address);
		if (s->fd < 0)
			fail("accept: %s", strerror(errno));
	}
	if (listens)
		close(listener);
}

/* --- the work -------------------------------------------------------------------------------- */

/* There is room for a block in .out. */
static void refill(struct run *run, struct stream *s)
{
	uint64_t left = run->bytes - s->generated;
	size_t size = left < BLOCK ? (size_t)left : BLOCK;

	if (run->job & CHECK)
		generate(s, s->out, size);
	s->out_start = 0;
	s->out_used = size;
	s->generated += size;
}

static void finish_sending(struct stream *s)
{
	if (!s->sent_all && shutdown(s->fd, SHUT_WR) && errno != ENOTCONN)
		fail("shutdown: %s", strerror(errno));
	s->sent_all = true;
}

static void write_some(struct run *run, struct stream *s)
{
	for (;;) {
		if (s->out_used == 0 && (run->job & SEND) && s->generated < run->bytes)
			refill(run, s);
		if (s->out_used == 0)
			break;
		ssize_t n = send(s->fd, s->out + s->out_start, s->out_used,
		                 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			fail("send: %s", strerror(errno));
		s->out_start += (size_t)n;
		s->out_used -= (size_t)n;
	}
	if (run->job & SEND ? s->generated == run->bytes : s->ended)
		finish_sending(s);
}

/* One piece, so that no stream keeps the others waiting. */
static void read_some(struct run *run, struct stream *s)
{
	uint8_t *in = run->in + WORD;
	ssize_t n;

	if (run->job & ECHO) {
		if (s->out_used > 0)
			return;
		in = s->out;
	}
	n = recv(s->fd, in, BLOCK, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		fail("receive: %s", strerror(errno));
	if (n == 0) {
		s->ended = true;
		return;
	}
	if (!(run->job & RECEIVE))
		fail("bytes from one that shouldn't send");
	if (run->job & CHECK)
		check(s, in, (size_t)n, !(run->job & SEND));
	s->received += (uint64_t)n;
	if (run->job & ECHO) {
		s->out_start = 0;
		s->out_used = (size_t)n;
	}
}

static void watch(struct run *run, struct stream *s, int operation)
{
	bool writes = s->out_used > 0 || ((run->job & SEND) && s->generated < run->bytes);
	bool reads = !s->ended && !((run->job & ECHO) && s->out_used > 0);
	struct epoll_event event = { .events = (writes ? EPOLLOUT : 0u) | (reads ? EPOLLIN : 0u),
		                     .data.ptr = s };

	if (epoll_ctl(run->epoll_fd, operation, s->fd, &event))
		fail("epoll_ctl: %s", strerror(errno));
}

static void on_event(struct run *run, struct stream *s, uint32_t events)
{
	size_t had = s->out_used;
	bool writing = had > 0 || ((run->job & SEND) && s->generated < run->bytes);

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_some(run, s);
	write_some(run, s);
	if (s->ended && s->sent_all) {
		close(s->fd);
		run->open--;
		return;
	}
	bool writes = s->out_used > 0 || ((run->job & SEND) && s->generated < run->bytes);
	if (writes != writing || s->ended)
		watch(run, s, EPOLL_CTL_MOD);
}

static void work(struct run *run)
{
	struct epoll_event events[EVENTS];

	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < run->count; i++)
		watch(run, &run->streams[i], EPOLL_CTL_ADD);
	run->open = run->count;
	while (run->open > 0) {
		int n = epoll_wait(run->epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			on_event(run, events[i].data.ptr, events[i].events);
	}
	close(run->epoll_fd);
}

static void report(uint64_t bytes, uint64_t hash, uint64_t started)
{
	printf("%llu %016llx %llu\n", (unsigned long long)bytes, (unsigned long long)hash,
	       (unsigned long long)(now_ns() - started));
}

static void ping(const struct stream *s, size_t size, uint64_t rounds)
{
	static uint8_t data[BLOCK];
	uint64_t started = now_ns();

	for (uint64_t i = 0; i < rounds; i++) {
		if (send(s->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size ||
		    recv(s->fd, data, size, MSG_WAITALL) != (ssize_t)size)
			fail("round %llu: %s", (unsigned long long)i, strerror(errno));
	}
	report(rounds, 0, started);
}

static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned job_of(const char *name)
{
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		if (strcmp(jobs[i].name, name) == 0)
			return jobs[i].job;
	fail("'%s' is no job", name);
}

int main(int argc, char *argv[])
{
	static struct run run;
	uint64_t bytes = 0, hash = 0, started;

	if (argc < 5 || (strcmp(argv[4], "echo") != 0 && argc < 6)) {
		fputs("usage: see the head of stream.c\n", stderr);
		return 2;
	}
	struct address address = parse_address(argv[2]);
	bool pings = strcmp(argv[4], "ping") == 0 && argc == 7;
	run.count = (unsigned)number_of(argv[3]);
	run.job = pings ? 0 : job_of(argv[4]);
	run.bytes = argc > 5 ? number_of(argv[5]) : 0;
	if (run.count < 1 || run.bytes % WORD || (pings && (run.count > 1 || run.bytes > BLOCK)))
		fail("a number is out of range");
	run.streams = calloc(run.count, sizeof(*run.streams));
	for (unsigned i = 0; run.streams && i < run.count; i++)
		if (run.job & (SEND | ECHO) && !(run.streams[i].out = calloc(1, BLOCK)))
			fail("no memory");
	allow_files();
	open_all(&run, &address, strcmp(argv[1], "listen") == 0);
	started = now_ns();
	if (pings) {
		ping(run.streams, (size_t)run.bytes, number_of(argv[6]));
		return 0;
	}
	work(&run);
	for (unsigned i = 0; i < run.count; i++) {
		const struct stream *s = &run.streams[i];

		if ((run.job & RECEIVE) && !(run.job & ECHO) && s->received != run.bytes)
			fail("stream %u: %llu bytes came", i, (unsigned long long)s->received);
		bytes += s->received;
		hash ^= s->hash * (2 * s->number + 1);
	}
	report(bytes, hash, started);
	return 0;
}
