/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse.h - the values that a command line holds: numbers, sizes, durations, geometries, names.
 *
 * Pure functions. Each returns 0, or -1 with a STATUS_USAGE failure that begins with @what (the
 * option's or argument's name) and shows how to write it; outs stay untouched then.
 */
#ifndef CLOCHE_SUPERVISOR_PARSE_H
#define CLOCHE_SUPERVISOR_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/failure.h"

/* A geometry in pixels. */
struct geometry {
	uint32_t width, height;
};

/* A piece of a screen, in pixels. */
struct region {
	uint32_t x, y, width, height;
};

/* Decimal digits only, in @min..@max. */
int parse_number(const char *what, const char *text, uint64_t min, uint64_t max,
                 uint64_t *out_number, struct failure *failure);

/* "512M", "2G", "2048" (MiB; K is refused): whole MiB in @min..@max. */
int parse_memory(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out_mib,
                 struct failure *failure);

/* "10485760", "512K", "20M", "2G": bytes. */
int parse_bytes(const char *what, const char *text, uint64_t max, uint64_t *out_bytes,
                struct failure *failure);

/* "90", "0.5", "90s", "250ms", "15m", "2h": milliseconds in @min..@max. */
int parse_duration(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out_ms,
                   struct failure *failure);

/* "1280x800", both sides within PROTO_DISPLAY_SIDE_MIN..MAX. */
int parse_geometry(const char *what, const char *text, struct geometry *out_geometry,
                   struct failure *failure);

/* "100,50,640,400": x, y, and sides of at least 1. Whether it lies on a screen is the VMM's to say. */
int parse_region(const char *what, const char *text, struct region *out_region,
                 struct failure *failure);

/* "PORT:SOCKET": *out_socket points behind the colon. */
int parse_relay(const char *text, uint16_t *out_port, const char **out_socket,
                struct failure *failure);

/* "FILE", "FILE,ro" or "FILE,rw": *out_file is the file's name alone, the caller's to free. */
int parse_disk(const char *text, char **out_file, bool *out_read_only, struct failure *failure);

/* What is wrong with a URL that a browser is to be sent to, or NULL. The agent has its own rules. */
const char *parse_url_problem(const char *url);

/* A session's name: a letter or digit, then up to 31 letters, digits, dots, dashes, underscores. */
bool parse_name_ok(const char *name);

/*
 * One side of cp: "NAME:PATH" is a guest's, anything else (and "./a:b") the host's. True for a
 * guest's: *out_name_size bytes of @text are the name, *out_path points behind the colon.
 */
bool parse_guest_path(const char *text, size_t *out_name_size, const char **out_path);

#endif
