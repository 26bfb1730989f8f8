/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/thread.h"

#include <signal.h>
#include <string.h>

int thread_start(pthread_t *out_thread, const char *name, int signal, void *(*run)(void *),
                 void *arg)
{
	char short_name[THREAD_NAME_MAX + 1] = { 0 };
	pthread_attr_t attributes;
	sigset_t all, before;

	int ret = -pthread_attr_init(&attributes);
	if (ret)
		return ret;
	ret = -pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
	/* A new thread inherits the mask. */
	sigfillset(&all);
	if (signal)
		sigdelset(&all, signal);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (ret == 0)
		ret = -pthread_create(out_thread, &attributes, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (ret)
		return ret;
	strncpy(short_name, name, THREAD_NAME_MAX);
	pthread_setname_np(*out_thread, short_name);
	return 0;
}
