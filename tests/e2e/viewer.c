/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viewer.c - a VNC viewer that is libvncclient's, for test_vnc.py to tell what to do.
 *
 * usage: viewer SOCKET [ENCODINGS]
 *
 * Commands are lines of stdin, answered by a line each once they are done:
 *
 *	look FILE           all of the screen as it is now, as rows of R, G, B bytes
 *	wait X Y RRGGBB     until that pixel has that colour
 *	key KEYSYM DOWN     numbers; DOWN is 0 or 1
 *	point X Y BUTTONS
 *
 * At the end of stdin it leaves. Status: 0, or 1 when the connection broke.
 */
#include <rfb/rfbclient.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_US 1000000

static struct look {
	bool wanted;
	bool done;
} look;

static void finish_update(rfbClient *client)
{
	(void)client;
	look.done = look.wanted;
}

static uint32_t color_at(const rfbClient *client, int x, int y)
{
	const rfbPixelFormat *format = &client->format;
	uint32_t pixel;

	memcpy(&pixel, client->frameBuffer + 4 * ((size_t)y * (size_t)client->width + (size_t)x),
	       sizeof(pixel));
	return (pixel >> format->redShift & 0xff) << 16 |
	       (pixel >> format->greenShift & 0xff) << 8 | (pixel >> format->blueShift & 0xff);
}

static bool take(rfbClient *client)
{
	int ready = WaitForMessage(client, WAIT_US);

	return ready == 0 || (ready > 0 && HandleRFBServerMessage(client));
}

static bool write_file(const rfbClient *client, const char *path)
{
	FILE *file = fopen(path, "wb");

	if (!file)
		return false;
	for (int y = 0; y < client->height; y++)
		for (int x = 0; x < client->width; x++) {
			uint32_t color = color_at(client, x, y);

			fputc((int)(color >> 16), file);
			fputc((int)(color >> 8 & 0xff), file);
			fputc((int)(color & 0xff), file);
		}
	return fclose(file) == 0;
}

/* What was under way before may come first; what comes after it has all in it. */
static bool do_look(rfbClient *client, const char *path)
{
	for (int i = 0; i < 2; i++) {
		look = (struct look){ .wanted = true };
		if (!SendFramebufferUpdateRequest(client, 0, 0, client->width, client->height,
		                                  FALSE))
			return false;
		while (!look.done)
			if (!take(client))
				return false;
	}
	return write_file(client, path);
}

static bool do_wait(rfbClient *client, int x, int y, uint32_t color)
{
	if (x < 0 || y < 0 || x >= client->width || y >= client->height)
		return false;
	while (color_at(client, x, y) != color)
		if (!take(client))
			return false;
	return true;
}

static bool obey(rfbClient *client, const char *line)
{
	char path[256];
	unsigned a, b, c;

	if (sscanf(line, "look %255s", path) == 1)
		return do_look(client, path);
	if (sscanf(line, "wait %u %u %x", &a, &b, &c) == 3)
		return do_wait(client, (int)a, (int)b, c);
	if (sscanf(line, "key %u %u", &a, &b) == 2)
		return SendKeyEvent(client, a, b != 0);
	if (sscanf(line, "point %u %u %u", &a, &b, &c) == 3)
		return SendPointerEvent(client, (int)a, (int)b, (int)c);
	return false;
}

int main(int argc, char *argv[])
{
	rfbClient *client = rfbGetClient(8, 3, 4);
	char line[512];

	if (argc < 2 || !client)
		return 1;
	free(client->serverHost);
	client->serverHost = strdup(argv[1]);
	client->FinishedFrameBufferUpdate = finish_update;
	client->appData.useRemoteCursor = FALSE;
	/* None that loses anything, unless asked for. */
	client->appData.encodingsString = argc > 2 ? argv[2] : "zrle hextile raw";
	if (!rfbInitClient(client, NULL, NULL))
		return 1;
	printf("%d %d %s\n", client->width, client->height, client->desktopName);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!obey(client, line))
			return 1;
		puts("done");
		fflush(stdout);
	}
	free(client->frameBuffer);
	rfbClientCleanup(client);
	return 0;
}
