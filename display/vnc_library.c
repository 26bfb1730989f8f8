/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/vnc_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/vnc.h"
#include "lib/error.h"
#include "lib/log.h"

#define LIBRARY "libvncserver.so.1"

__attribute__((format(printf, 1, 2))) static void on_log(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	line[strcspn(line, "\n")] = '\0';
	log_debug("vnc: %s", line);
}

static int find_all(struct vnc_library *library, struct error *err)
{
	void *log = NULL, *errors = NULL;
	const struct {
		const char *name;
		void **place;
	} symbols[] = {
		{ "rfbGetScreen", (void **)&library->get_screen },
		{ "rfbScreenCleanup", (void **)&library->screen_cleanup },
		{ "rfbNewClientConnection", (void **)&library->new_client },
		{ "rfbClientConnectionGone", (void **)&library->client_gone },
		{ "rfbProcessClientMessage", (void **)&library->process_message },
		{ "rfbMarkRectAsModified", (void **)&library->mark_modified },
		{ "rfbUpdateClient", (void **)&library->update_client },
		{ "rfbStatGetSentBytes", (void **)&library->sent_bytes },
		{ "rfbResetStats", (void **)&library->reset_stats },
		{ "sraRgnEmpty", (void **)&library->region_is_empty },
		{ "rfbLog", &log },
		{ "rfbErr", &errors },
	};

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		*symbols[i].place = dlsym(library->handle, symbols[i].name);
		if (!*symbols[i].place)
			return error_set(err, -ENOENT, "%s has no %s", LIBRARY, symbols[i].name);
	}
	*(rfbLogProc *)log = *(rfbLogProc *)errors = on_log;
	return 0;
}

int vnc_library_load(struct vnc_library **out_library, struct error *err)
{
	struct vnc_library *library = calloc(1, sizeof(*library));
	int ret = 0;

	if (!library)
		return error_set(err, -ENOMEM, "no memory for viewers");
	pthread_mutex_init(&library->lock, NULL);
	/* Not all that it depends on could be unloaded. */
	library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library->handle)
		ret = error_set(err, -ENOENT,
		                "no viewers without " LIBRARY " (Debian: libvncserver1): %s",
		                dlerror());
	if (ret == 0)
		ret = find_all(library, err);
	if (ret) {
		vnc_library_release(library);
		return ret;
	}
	*out_library = library;
	return 0;
}

void vnc_library_release(struct vnc_library *library)
{
	if (!library)
		return;
	if (library->handle)
		dlclose(library->handle);
	pthread_mutex_destroy(&library->lock);
	free(library);
}

void vnc_library_hold(struct vnc_library *library)
{
	if (library)
		pthread_mutex_lock(&library->lock);
}

void vnc_library_go_on(struct vnc_library *library)
{
	if (library)
		pthread_mutex_unlock(&library->lock);
}
