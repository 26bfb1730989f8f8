/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording_describe.h - an action of a recording as a line for people. Pure; what it says is harmless for
 * a terminal, whatever the recording says.
 */
#ifndef CLOCHE_SUPERVISOR_RECORDING_DESCRIBE_H
#define CLOCHE_SUPERVISOR_RECORDING_DESCRIBE_H

#include <stddef.h>

#define ACTION_LINE_SIZE 256

/* "left click 90,175, key Return"; "?" for what can't be read. */
void recording_describe(const char *text, size_t size, char out_line[ACTION_LINE_SIZE]);

#endif
