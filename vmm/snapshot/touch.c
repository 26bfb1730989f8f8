/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/touch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"

#define VERSION 1u
#define HEAD_SIZE 44u
#define HASH_SIZE 8u

static const uint8_t magic[8] = { 'C', 'L', 'O', 'C', 'H', 'E', 'O', 0x1a };

void touch_order_finish(struct touch_order *order)
{
	free(order->chunks);
	*order = (struct touch_order){ 0 };
}

void touch_encode(const struct snapshot_id *id, uint64_t chunk_count,
                  const struct touch_order *order, struct wire_writer *out)
{
	wire_put_bytes(out, magic, sizeof(magic));
	wire_put_u32(out, VERSION);
	wire_put_u32(out, SNAPSHOT_CHUNK_SIZE);
	wire_put_bytes(out, id->bytes, sizeof(id->bytes));
	wire_put_u64(out, chunk_count);
	wire_put_u32(out, (uint32_t)order->count);
	for (size_t i = 0; i < order->count; i++)
		wire_put_u32(out, order->chunks[i]);
	if (!out->failed)
		wire_put_u64(out, XXH3_64bits(out->data, out->size));
}

/* Each chunk at most once, and one that there is. */
static int get_chunks(struct wire_reader *in, uint64_t chunk_count, struct touch_order *order,
                      struct error *err)
{
	cleanup_free uint8_t *seen = calloc((chunk_count + 7) / 8, 1);

	if (!seen)
		return error_set(err, -ENOMEM, "no memory for it");
	for (size_t i = 0; i < order->count; i++) {
		uint32_t chunk = wire_get_u32(in);
		uint8_t bit = (uint8_t)(1u << chunk % 8);

		if (chunk >= chunk_count || seen[chunk / 8] & bit)
			return error_set(err, -EBADMSG,
			                 "it names a chunk twice, or one that isn't");
		seen[chunk / 8] |= bit;
		order->chunks[i] = chunk;
	}
	return 0;
}

int touch_decode(const uint8_t *bytes, size_t size, const struct snapshot_id *id,
                 uint64_t chunk_count, struct touch_order *out_order, struct error *err)
{
	struct wire_reader in = wire_reader_over(bytes, size);
	struct touch_order order = { 0 };
	struct snapshot_id its_id;
	uint8_t its_magic[sizeof(magic)];

	wire_get_bytes(&in, its_magic, sizeof(its_magic));
	if (memcmp(its_magic, magic, sizeof(magic)) != 0 || wire_get_u32(&in) != VERSION)
		return error_set(err, -EBADMSG, "it is no first-touch order of this version");
	bool chunk_size_fits = wire_get_u32(&in) == SNAPSHOT_CHUNK_SIZE;
	wire_get_bytes(&in, its_id.bytes, sizeof(its_id.bytes));
	bool count_fits = wire_get_u64(&in) == chunk_count;
	if (!snapshot_id_equal(&its_id, id) || !chunk_size_fits || !count_fits)
		return error_set(err, -EBADMSG, "it is the order of another snapshot");
	order.count = wire_get_u32(&in);
	if (order.count > chunk_count || size != HEAD_SIZE + order.count * 4 + HASH_SIZE)
		return error_set(err, -EBADMSG, "its size is wrong");

	order.chunks = order.count ? malloc(order.count * sizeof(*order.chunks)) : NULL;
	if (order.count && !order.chunks)
		return error_set(err, -ENOMEM, "no memory for it");
	int ret = get_chunks(&in, chunk_count, &order, err);
	if (ret == 0 &&
	    (wire_get_u64(&in) != XXH3_64bits(bytes, size - HASH_SIZE) || !wire_reader_ended(&in)))
		ret = error_set(err, -EBADMSG, "it is damaged");
	if (ret) {
		touch_order_finish(&order);
		return ret;
	}
	*out_order = order;
	return 0;
}

static int load(int fd, const struct snapshot_id *id, uint64_t chunk_count,
                struct touch_order *out_order, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "it is no regular file");
	if (st.st_size <= 0 || (uint64_t)st.st_size > HEAD_SIZE + chunk_count * 4 + HASH_SIZE)
		return error_set(err, -EBADMSG, "its size is wrong");
	size_t size = (size_t)st.st_size;
	cleanup_free uint8_t *bytes = malloc(size);
	if (!bytes)
		return error_set(err, -ENOMEM, "no memory for it");
	ssize_t n = read_full(fd, bytes, size);
	if (n < 0)
		return error_set(err, (int)n, "%s", strerror((int)-n));
	if ((size_t)n < size)
		return error_set(err, -EBADMSG, "it is cut off");
	return touch_decode(bytes, size, id, chunk_count, out_order, err);
}

int touch_read(const char *path, const struct snapshot_id *id, uint64_t chunk_count,
               struct touch_order *out_order, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	int ret = fd < 0 ? error_set(err, -errno, "%s", strerror(errno))
	                 : load(fd, id, chunk_count, out_order, err);
	return ret ? error_prefix(err, ret, "first-touch order %s", path) : 0;
}

static int store(const char *path, const uint8_t *bytes, size_t size)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : write_full(fd, bytes, size);
}

int touch_write(const char *path, const struct snapshot_id *id, uint64_t chunk_count,
                const struct touch_order *order, struct error *err)
{
	struct wire_writer out = WIRE_WRITER_INIT;
	char partial[PATH_MAX];

	/* Not synced: one that a power cut spoils doesn't have its hash. */
	int length = snprintf(partial, sizeof(partial), "%s.partial", path);
	int ret = length < 0 || (size_t)length >= sizeof(partial) ? -ENAMETOOLONG : 0;
	if (ret == 0)
		touch_encode(id, chunk_count, order, &out);
	if (ret == 0)
		ret = out.failed ? -ENOMEM : store(partial, out.data, out.size);
	if (ret == 0 && rename(partial, path))
		ret = -errno;
	if (ret && ret != -ENAMETOOLONG)
		unlink(partial);
	wire_writer_finish(&out);
	return ret ? error_set(err, ret, "cannot write the first-touch order %s: %s", path,
	                       strerror(-ret))
	           : 0;
}
