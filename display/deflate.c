/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * deflate.c - see deflate.h.
 */
#include "display/deflate.h"

#include <isa-l/igzip_lib.h>

#include "lib/log.h"

/* Of 0 to 3: see the table in png.h. */
#define LEVEL 1

/* A stored block (RFC 1951, 3.2.4), and what RFC 1950 puts around all of them. */
#define STORED_MAX 65535u
#define STORED_HEAD 5u
#define ZLIB_AROUND 6u

struct work {
	struct isal_zstream stream;
	uint8_t tables[ISAL_DEF_LVL1_DEFAULT];
};

const size_t deflate_work_size = sizeof(struct work);

size_t deflate_bound(size_t size)
{
	return size + (size / STORED_MAX + 1) * STORED_HEAD + ZLIB_AROUND;
}

size_t deflate_pack(const void *data, size_t size, void *work, void *out)
{
	struct isal_zstream *stream = &((struct work *)work)->stream;
	size_t room = deflate_bound(size);

	ASSERT(room <= UINT32_MAX);
	isal_deflate_stateless_init(stream);
	stream->gzip_flag = IGZIP_ZLIB;
	stream->level = LEVEL;
	stream->level_buf = ((struct work *)work)->tables;
	stream->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	stream->end_of_stream = 1;
	stream->next_in = (uint8_t *)data; /* which it only reads */
	stream->avail_in = (uint32_t)size;
	stream->next_out = out;
	stream->avail_out = (uint32_t)room;
	/* What can't be packed is stored, and there is room for that. */
	int ret = isal_deflate_stateless(stream);
	ASSERT(ret == COMP_OK);
	return stream->total_out;
}
