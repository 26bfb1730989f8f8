/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * picture.c - see picture.h. A job belongs to the I/O thread, but to the display thread while that works on it.
 */
#include "vmm/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/compare.h"
#include "display/tiles.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/proto.h"
#include "lib/wire.h"
#include "vmm/frame_ids.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

struct picture {
	struct screen_job job;
	struct vm *vm; /* borrowed */
	picture_done *done;
	void *arg;
	json_t *reply; /* owned */
	int fd;        /* owned */
	/* A screenshot. */
	struct screenshot_wish wish;
	/* A comparison. */
	struct rectangle area;
	bool draws, unnamed;
	struct grid old_grid;
	uint64_t *old_hashes; /* owned */
};

static void finished(struct screen_job *job)
{
	struct picture *picture = container_of(job, struct picture, job);

	picture->done(picture->arg, picture->reply, picture->fd);
	close_fd(&picture->fd);
	free(picture->old_hashes);
	free(picture);
}

static void refuse(picture_done *done, void *arg, const char *code, const char *message)
{
	done(arg, wire_reply_error(0, code, "%s", message), -1);
}

/* Hands @picture over to the display thread, or ends it. */
static void begin(struct picture *picture)
{
	int ret = screen_run(picture->vm->screen, &picture->job);

	if (ret == 0)
		return;
	if (ret == -ENODATA)
		picture->reply =
			wire_reply_error(0, PROTO_ERR_NOT_READY, "%s",
		                         "the guest has no screen (yet): wait for display");
	else if (ret == -EBUSY)
		picture->reply = wire_reply_error(0, PROTO_ERR_BUSY, "%s",
		                                  "too many screenshots are under way");
	else
		picture->reply = wire_reply_error(
			0, PROTO_ERR_FAILED, "cannot start the display thread: %s", strerror(-ret));
	finished(&picture->job);
}

static struct picture *picture_create(struct vm *vm, picture_done *done, void *arg)
{
	struct picture *picture = calloc(1, sizeof(*picture));

	if (!picture) {
		refuse(done, arg, PROTO_ERR_FAILED, "no memory");
		return NULL;
	}
	picture->vm = vm;
	picture->done = done;
	picture->arg = arg;
	picture->fd = -1;
	picture->job.finished = finished;
	return picture;
}

json_t *picture_list(const struct rectangle *areas, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("[i,i,i,i]", (int)areas[i].x, (int)areas[i].y,
		                                      (int)areas[i].width, (int)areas[i].height));
	return list;
}

/* --- screenshots ----------------------------------------------------------------------------- */

static json_t *describe(const struct screenshot *shot, const char *frame)
{
	json_t *reply = wire_reply_ok(0);
	double scale = (double)shot->width / shot->region.width;
	char hash[20];

	snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)shot->hash);
	json_object_set_new(reply, "width", json_integer(shot->width));
	json_object_set_new(reply, "height", json_integer(shot->height));
	json_object_set_new(reply, "region",
	                    json_pack("[i,i,i,i]", (int)shot->region.x, (int)shot->region.y,
	                              (int)shot->region.width, (int)shot->region.height));
	json_object_set_new(reply, "scale", json_real(scale));
	json_object_set_new(reply, "frame", json_string(frame));
	json_object_set_new(reply, "size", json_integer((json_int_t)shot->size));
	json_object_set_new(reply, "hash", json_string(hash));
	json_object_set_new(reply, "read_us", json_integer((json_int_t)shot->read_us));
	json_object_set_new(reply, "encode_us", json_integer((json_int_t)shot->encode_us));
	return reply;
}

static void shoot(struct screen_job *job, const struct framebuffer *fb)
{
	struct picture *picture = container_of(job, struct picture, job);
	struct screenshot shot = { .fd = -1 };
	struct error err = { 0 };
	char frame[FRAME_ID_SIZE];

	int ret = screenshot_take(fb, &picture->wish, &shot, &err);
	if (ret == 0 && frame_ids_give(picture->vm->frame_ids, &shot.grid, shot.hashes, frame))
		ret = error_set(&err, -ENOMEM, "no memory for a frame's name");
	if (ret) {
		picture->reply =
			wire_reply_error(0,
		                         ret == -ERANGE ? PROTO_ERR_BAD_REQUEST : PROTO_ERR_FAILED,
		                         "%s", err.msg);
	} else {
		picture->reply = describe(&shot, frame);
		picture->fd = steal_fd(&shot.fd);
	}
	screenshot_finish(&shot);
}

void picture_shoot(struct vm *vm, const struct screenshot_wish *wish, picture_done *done, void *arg)
{
	struct picture *picture = picture_create(vm, done, arg);

	if (!picture)
		return;
	picture->wish = *wish;
	picture->job.work = shoot;
	begin(picture);
}

/* --- comparisons ----------------------------------------------------------------------------- */

/* In which tiles of @grid, if they are asked about, the old screen differs from the one with @hashes. */
static int compare(struct picture *picture, const struct grid *grid, const uint64_t *hashes,
                   uint8_t **out_marked, struct error *err)
{
	struct rectangle all = { .width = grid->width, .height = grid->height };
	const struct rectangle *area = picture->area.width ? &picture->area : &all;
	unsigned count = grid_count(grid);
	cleanup_free uint8_t *marked = calloc(2, count); /* what differs, what is asked about */

	if (!rectangle_is_within(area, grid->width, grid->height))
		return error_set(err, -ERANGE,
		                 "what is asked about is not within the screen of %ux%u",
		                 grid->width, grid->height);
	if (!marked)
		return error_set(err, -ENOMEM, "no memory to compare");
	compare_hashes(&picture->old_grid, picture->old_hashes, grid, hashes, marked);
	grid_mark(grid, area, marked + count);
	for (unsigned i = 0; i < count; i++)
		marked[i] &= marked[count + i];
	*out_marked = steal_pointer(&marked);
	return 0;
}

/* Wears @marked; @frame may be NULL. */
static json_t *describe_comparison(const struct grid *grid, uint8_t *marked, const char *frame)
{
	struct rectangle areas[PICTURE_RECTANGLES_MAX];
	size_t count = grid_rectangles(grid, marked, areas, PICTURE_RECTANGLES_MAX);
	json_t *reply = wire_reply_ok(0);

	json_object_set_new(reply, "changed", json_boolean(count > 0));
	json_object_set_new(reply, "rects", picture_list(areas, count));
	if (frame)
		json_object_set_new(reply, "frame", json_string(frame));
	return reply;
}

static void set_error(struct picture *picture, const struct error *err)
{
	picture->reply = wire_reply_error(
		0, err->code == -ERANGE ? PROTO_ERR_BAD_REQUEST : PROTO_ERR_FAILED, "%s", err->msg);
}

static int compare_now(struct picture *picture, const struct framebuffer *fb, struct tiles *tiles,
                       struct error *err)
{
	const struct grid *grid = tiles_grid(tiles);
	cleanup_free uint8_t *marked = NULL;
	char frame[FRAME_ID_SIZE];
	size_t size = 0;

	tiles_scan(tiles, fb);
	int ret = compare(picture, grid, tiles_hashes(tiles), &marked, err);
	if (ret == 0 && !picture->unnamed &&
	    frame_ids_give(picture->vm->frame_ids, grid, tiles_hashes(tiles), frame))
		ret = error_set(err, -ENOMEM, "no memory for a frame's name");
	if (ret == 0 && picture->draws)
		ret = compare_picture(tiles, marked, &picture->fd, &size, err);
	if (ret)
		return ret;
	picture->reply = describe_comparison(grid, marked, picture->unnamed ? NULL : frame);
	if (picture->draws)
		json_object_set_new(picture->reply, "size", json_integer((json_int_t)size));
	return 0;
}

static void compare_work(struct screen_job *job, const struct framebuffer *fb)
{
	struct picture *picture = container_of(job, struct picture, job);
	struct tiles *tiles = NULL;
	struct error err = { 0 };

	if (tiles_create(framebuffer_width(fb), framebuffer_height(fb), &tiles))
		error_set(&err, -ENOMEM, "no memory to look at the screen");
	else
		compare_now(picture, fb, tiles, &err);
	if (err.code)
		set_error(picture, &err);
	tiles_destroy(tiles);
}

/* Both are known by name: nothing is read. */
static void compare_known(struct picture *picture, const char *against)
{
	cleanup_free uint64_t *hashes = NULL;
	cleanup_free uint8_t *marked = NULL;
	struct error err = { 0 };
	struct grid grid;

	int ret = frame_ids_find(picture->vm->frame_ids, against, &grid, &hashes);
	if (ret == -ENOENT) {
		picture->reply = wire_reply_error(0, PROTO_ERR_STALE_FRAME,
		                                  "'against' is unknown or forgotten");
		return;
	}
	if (ret)
		error_set(&err, ret, "no memory to compare");
	else if (compare(picture, &grid, hashes, &marked, &err) == 0)
		picture->reply = describe_comparison(&grid, marked, against);
	if (err.code)
		set_error(picture, &err);
}

void picture_compare(struct vm *vm, const struct comparison_wish *wish, picture_done *done,
                     void *arg)
{
	struct picture *picture = picture_create(vm, done, arg);

	if (!picture)
		return;
	picture->area = wish->area;
	picture->draws = wish->picture;
	picture->unnamed = wish->unnamed;
	picture->job.work = compare_work;
	int ret = frame_ids_find(vm->frame_ids, wish->frame, &picture->old_grid,
	                         &picture->old_hashes);
	if (ret == 0 && !wish->against) {
		begin(picture);
		return;
	}
	if (ret == -ENOENT)
		picture->reply = wire_reply_error(0, PROTO_ERR_STALE_FRAME,
		                                  "'frame' is unknown or forgotten");
	else if (ret)
		picture->reply = wire_reply_error(0, PROTO_ERR_FAILED, "no memory to compare");
	else
		compare_known(picture, wish->against);
	finished(&picture->job);
}
