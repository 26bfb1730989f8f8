/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - the one codec of the house: JSON lines with announced binary blobs.
 *
 *	{"id":1,"verb":"file","op":"write","path":"a.txt","blob":5}\nhello
 *
 * A message is one JSON object (RFC 8259, UTF-8, duplicate names refused) on one line that ends in
 * LF. A member "blob" (integer, 1..blob_max) announces that many bytes right after the LF. On unix
 * sockets one file descriptor may travel with the first byte of a message (SCM_RIGHTS).
 *
 * Used by control, agent and CLI; each object belongs to one thread. The peer is not trusted: line
 * and blob sizes are bounded before memory is taken, nesting is bounded by jansson (2048), and a
 * parser that has failed stays failed.
 */
#ifndef CLOCHE_LIB_WIRE_H
#define CLOCHE_LIB_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define WIRE_LINE_MAX ((size_t)64 << 10)  /* bytes of a line, LF included */
#define WIRE_BLOB_MAX ((size_t)1 << 20)   /* bytes of a blob */
#define WIRE_QUEUE_MAX ((size_t)8 << 20)  /* bytes a slow reader may leave unsent */
#define WIRE_READ_MAX ((size_t)256 << 10) /* bytes that one wire_conn_read() takes at most */

/* A received message. Owned by whoever holds it; wire_message_finish() frees it. */
struct wire_message {
	json_t *object; /* owned; a JSON object */
	uint8_t *blob;  /* owned; NULL when there is none */
	size_t blob_size;
	int fd; /* owned; -1 when none came along */
};

#define WIRE_MESSAGE_INIT                                                                          \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Frees what the message holds and makes it empty again; takes an empty one. */
void wire_message_finish(struct wire_message *message);

/* --- bytes to messages: no file descriptors, so it can be tested and fuzzed alone --- */

struct wire_parser {
	uint8_t *buffer;      /* owned: a line or a blob in the making */
	size_t start, used;   /* buffer[start..used) is stream not yet made into messages */
	size_t size;          /* bytes allocated */
	size_t scanned;       /* bytes from start on already searched for LF */
	uint64_t consumed;    /* bytes of stream made into messages so far */
	size_t blob_expected; /* > 0: the line is parsed, this many blob bytes complete it */
	json_t *object;       /* owned: the parsed line that waits for its blob */
	int failed;           /* negative errno once the stream is beyond repair */
};

/* A push may leave at most this much undrained: a message in the making and one read's worth. */
#define WIRE_PENDING_MAX (WIRE_LINE_MAX + WIRE_BLOB_MAX + WIRE_READ_MAX)

void wire_parser_init(struct wire_parser *parser);
void wire_parser_finish(struct wire_parser *parser);

/*
 * Takes @size bytes of stream. All of @data is taken or, on failure, the stream is dead.
 * 0; -EMSGSIZE when a line grows beyond WIRE_LINE_MAX and no message is pending before it, or when
 * more than WIRE_PENDING_MAX bytes are pending; -ENOMEM. Callers push at most what one read returned and then drain wire_parser_next().
 */
int wire_parser_push(struct wire_parser *parser, const void *data, size_t size, struct error *err);

/*
 * Takes the next complete message out. 1: *out_message is filled (its fd is -1) and owned by the
 * caller; 0: more bytes are needed; -EPROTO: no JSON object, or a blob that is no integer in
 * 1..WIRE_BLOB_MAX; -EMSGSIZE: a line beyond WIRE_LINE_MAX behind the last message; -ENOMEM. After
 * an error the stream is dead, and every later call says the same.
 */
int wire_parser_next(struct wire_parser *parser, struct wire_message *out_message,
                     struct error *err);

/*
 * Encodes @object (borrowed; must be an object; its "blob" member is set here from @blob_size) as a
 * malloc'ed buffer of line + blob. 0, -EMSGSIZE beyond the limits above, -ENOMEM.
 */
int wire_encode(json_t *object, const void *blob, size_t blob_size, uint8_t **out_data,
                size_t *out_size);

/* --- a connection: parser, send queue, and a non-blocking stream fd --- */

struct wire_conn {
	int fd; /* owned */
	struct wire_parser parser;
	struct wire_chunk *head, *tail; /* owned: the send queue */
	size_t queued;                  /* bytes in it, at most WIRE_QUEUE_MAX */
	uint64_t received;              /* bytes of stream read so far */
	struct wire_arrival {
		int fd;       /* owned */
		uint64_t end; /* "received" right after the read that brought it */
	} arrivals[2]; /* fds whose messages aren't taken yet: the open one's, the next one's */
	unsigned int arrival_count;
	bool eof;
};

/* Takes ownership of the stream @fd, on failure too, and makes it non-blocking. 0 or -errno. */
int wire_conn_init(struct wire_conn *conn, int fd);

/* Closes the fd and frees both queues; takes one that was only zeroed with fd = -1. */
void wire_conn_finish(struct wire_conn *conn);

/*
 * Reads what the socket holds now (bounded to WIRE_READ_MAX a call, so one peer can't hold the loop;
 * a read also ends where an fd comes in). Drain wire_conn_next() after each call.
 * > 0: something was read; 0: nothing there now; -ECONNRESET: the peer has closed; other -errno.
 */
int wire_conn_read(struct wire_conn *conn, struct error *err);

/* Like wire_parser_next(), with the fd that came along; two with one message are -EPROTO. */
int wire_conn_next(struct wire_conn *conn, struct wire_message *out_message, struct error *err);

/*
 * Queues a message and tries to send it. @object and @blob are borrowed; @fd (or -1) is duplicated.
 * 0; -ENOBUFS when the peer leaves more than WIRE_QUEUE_MAX unread (close it); -EMSGSIZE; -errno.
 */
int wire_conn_send(struct wire_conn *conn, json_t *object, const void *blob, size_t blob_size,
                   int fd);

/* Sends what the socket takes. 0 or -errno; wire_conn_wants_write() says whether some is left. */
int wire_conn_flush(struct wire_conn *conn);
bool wire_conn_wants_write(const struct wire_conn *conn);

/*
 * For clients without a loop: sends @object, then blocks until the message whose "id" equals that
 * of @object has come, or @timeout_ms have passed (-ETIMEDOUT). Events and other ids are passed to
 * @other (may be NULL; borrowed). 0, or -errno with @err filled. The reply may be an error reply.
 */
int wire_conn_call(struct wire_conn *conn, json_t *object, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, void (*other)(const struct wire_message *, void *),
                   void *other_arg, struct wire_message *out_reply, struct error *err);

/* --- replies --- */

/* {"id":@id,"ok":true}; the caller adds members. NULL without memory. */
json_t *wire_reply_ok(json_int_t id);

/* {"id":@id,"ok":false,"error":{"code":@code,"message":…}}. NULL without memory. */
json_t *wire_reply_error(json_int_t id, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
