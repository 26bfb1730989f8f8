/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/virtio/vsock_packet.h"

#include <string.h>

#include "lib/little_endian.h"

void vsock_packet_encode(const struct vsock_packet *p, uint8_t out[VSOCK_HEADER_SIZE])
{
	put_le64(out, p->src_cid);
	put_le64(out + 8, p->dst_cid);
	put_le32(out + 16, p->src_port);
	put_le32(out + 20, p->dst_port);
	put_le32(out + 24, p->len);
	put_le32(out + 28, (uint32_t)p->type | (uint32_t)p->op << 16);
	put_le32(out + 32, p->flags);
	put_le32(out + 36, p->buf_alloc);
	put_le32(out + 40, p->fwd_cnt);
}

void vsock_packet_decode(const uint8_t in[VSOCK_HEADER_SIZE], struct vsock_packet *p)
{
	p->src_cid = get_le64(in);
	p->dst_cid = get_le64(in + 8);
	p->src_port = get_le32(in + 16);
	p->dst_port = get_le32(in + 20);
	p->len = get_le32(in + 24);
	p->type = (uint16_t)get_le32(in + 28);
	p->op = (uint16_t)(get_le32(in + 28) >> 16);
	p->flags = get_le32(in + 32);
	p->buf_alloc = get_le32(in + 36);
	p->fwd_cnt = get_le32(in + 40);
}

void vsock_packet_put(const struct virtqueue_buffer *buffers, unsigned count,
                      const struct vsock_packet *p)
{
	uint8_t header[VSOCK_HEADER_SIZE];
	size_t done = 0;

	vsock_packet_encode(p, header);
	for (unsigned i = 0; i < count && done < sizeof(header); i++) {
		size_t n = sizeof(header) - done;

		if (n > buffers[i].size)
			n = buffers[i].size;
		memcpy(buffers[i].data, header + done, n);
		done += n;
	}
}

int vsock_packet_data(const struct virtqueue_buffer *buffers, unsigned count, uint32_t size,
                      struct iovec *out_iov)
{
	uint32_t skip = VSOCK_HEADER_SIZE;
	int used = 0;

	for (unsigned i = 0; i < count && size > 0; i++) {
		const struct virtqueue_buffer *b = &buffers[i];
		uint32_t step = skip < b->size ? skip : b->size;
		uint32_t n = b->size - step < size ? b->size - step : size;

		skip -= step;
		size -= n;
		if (n)
			out_iov[used++] =
				(struct iovec){ .iov_base = b->data + step, .iov_len = n };
	}
	return used;
}
