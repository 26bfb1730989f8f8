/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shot.c - see shot.h. Single thread.
 *
 * The PNG comes as a memfd of the VMM. Its size is checked and its bytes are copied by pread(2),
 * never mapped: a VMM that shrinks it meanwhile makes a short read, not a SIGBUS.
 */
#include "supervisor/shot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/full_io.h"
#include "lib/proto.h"
#include "supervisor/hostfile.h"
#include "supervisor/output.h"

void shot_finish(struct shot *shot)
{
	free(shot->png);
	*shot = (struct shot){ 0 };
}

static int bad_shot(struct failure *failure)
{
	return failure_set(failure, STATUS_FAILED, CODE_BROKEN,
	                   "screenshot: the VMM sent no sound picture");
}

static bool hash_ok(const char *hash)
{
	return strlen(hash) == 16 && strspn(hash, "0123456789abcdef") == 16;
}

int shot_read(int fd, size_t size, uint8_t **out_png, struct failure *failure)
{
	struct stat st;

	if (fd < 0 || size == 0 || size > SHOT_SIZE_MAX || fstat(fd, &st) < 0 || st.st_size < 0 ||
	    (size_t)st.st_size < size)
		return bad_shot(failure);
	cleanup_free uint8_t *png = malloc(size);
	if (!png)
		return failure_set_nomem(failure);
	if (pread_full(fd, png, size, 0) != (ssize_t)size)
		return bad_shot(failure);
	*out_png = steal_pointer(&png);
	return 0;
}

static json_t *shot_request(const struct shot_wish *wish)
{
	json_t *request = json_pack("{s:s,s:s}", "verb", "screenshot", "format",
	                            wish->hash_only ? "hash" : "png");

	if (wish->width)
		json_object_set_new(request, "region",
		                    json_pack("[I,I,I,I]", (json_int_t)wish->x, (json_int_t)wish->y,
		                              (json_int_t)wish->width, (json_int_t)wish->height));
	if (wish->max_width)
		json_object_set_new(request, "max_width",
		                    json_integer((json_int_t)wish->max_width));
	if (wish->max_pixels)
		json_object_set_new(request, "max_pixels",
		                    json_integer((json_int_t)wish->max_pixels));
	return request;
}

bool shot_frame(const json_t *reply, char out_frame[SHOT_FRAME_MAX])
{
	const char *frame = client_string(reply, "frame");
	size_t size = strlen(frame);

	if (size == 0 || size >= SHOT_FRAME_MAX || strspn(frame, "0123456789abcdef-") != size)
		return false;
	memcpy(out_frame, frame, size + 1);
	return true;
}

bool shot_rectangle(const json_t *array, uint32_t out_rectangle[4])
{
	uint32_t rectangle[4];

	for (size_t i = 0; i < 4; i++) {
		const json_t *item = json_array_get(array, i);
		json_int_t value = json_integer_value(item);

		if (!json_is_integer(item) || value < (i < 2 ? 0 : 1) ||
		    value > PROTO_DISPLAY_SIDE_MAX)
			return false;
		rectangle[i] = (uint32_t)value;
	}
	memcpy(out_rectangle, rectangle, sizeof(rectangle));
	return json_array_size(array) == 4;
}

static bool read_reply(const json_t *reply, struct shot *shot)
{
	const char *hash = client_string(reply, "hash");

	shot->width = (uint32_t)client_integer(reply, "width", 1, PROTO_DISPLAY_SIDE_MAX, 0);
	shot->height = (uint32_t)client_integer(reply, "height", 1, PROTO_DISPLAY_SIDE_MAX, 0);
	shot->read_us = (uint64_t)client_integer(reply, "read_us", 0, 1ll << 40, 0);
	shot->encode_us = (uint64_t)client_integer(reply, "encode_us", 0, 1ll << 40, 0);
	if (shot->width == 0 || shot->height == 0 || !hash_ok(hash) ||
	    !shot_frame(reply, shot->frame) ||
	    !shot_rectangle(json_object_get(reply, "region"), shot->region))
		return false;
	memcpy(shot->hash, hash, sizeof(shot->hash));
	return true;
}

int shot_take(struct client *client, const struct shot_wish *wish, struct shot *out_shot,
              struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	cleanup_shot struct shot shot = { 0 };
	uint64_t begin = clock_now_ns();
	size_t size;

	if (client_call(client, shot_request(wish), NULL, 0, SHOT_TIMEOUT_MS, &reply, failure) < 0)
		return -1;
	if (!read_reply(reply.object, &shot))
		return bad_shot(failure);
	size = (size_t)client_integer(reply.object, "size", 1, (json_int_t)SHOT_SIZE_MAX, 0);
	if (!wish->hash_only && shot_read(reply.fd, size, &shot.png, failure) < 0)
		return -1;
	shot.png_size = wish->hash_only ? 0 : size;
	shot.taken_ms = (clock_now_ns() - begin) / NS_PER_MS;
	*out_shot = shot;
	shot = (struct shot){ 0 };
	return 0;
}

bool shot_describe(const struct shot *shot, json_t *answer)
{
	json_t *more = json_pack("{s:I,s:I,s:I,s:s,s:s,s:I,s:I,s:I}", "width",
	                         (json_int_t)shot->width, "height", (json_int_t)shot->height,
	                         "size", (json_int_t)shot->png_size, "hash", shot->hash, "frame",
	                         shot->frame, "read_us", (json_int_t)shot->read_us, "encode_us",
	                         (json_int_t)shot->encode_us, "ms", (json_int_t)shot->taken_ms);

	if (*shot->frame)
		json_object_set_new(more, "frame", json_string(shot->frame));
	json_object_set_new(more, "region",
	                    json_pack("[I,I,I,I]", (json_int_t)shot->region[0],
	                              (json_int_t)shot->region[1], (json_int_t)shot->region[2],
	                              (json_int_t)shot->region[3]));
	return json_object_update_new(answer, more) == 0;
}

int shot_save(struct client *client, const struct shot_wish *wish, const char *path,
              struct shot *out_shot, struct failure *failure)
{
	cleanup_shot struct shot shot = { 0 };
	cleanup_hostfile struct hostfile file = HOSTFILE_INIT;
	bool to_stdout = strcmp(path, "-") == 0;

	/* The place first: nothing is asked of the session for a file that can't be. */
	if ((!to_stdout && hostfile_begin(path, &file, failure) < 0) ||
	    shot_take(client, wish, &shot, failure) < 0 ||
	    output_write(to_stdout ? STDOUT_FILENO : file.fd, shot.png, shot.png_size, path,
	                 failure) < 0 ||
	    (!to_stdout && hostfile_commit(&file, hostfile_default_mode(), failure) < 0))
		return -1;
	*out_shot = shot;
	shot = (struct shot){ 0 };
	return 0;
}
