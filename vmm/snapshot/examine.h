/* SPDX-License-Identifier: GPL-2.0-or-later */
/* examine.h - looks into a snapshot file without a guest: --inspect and --verify, processes of their own. */
#ifndef CLOCHE_VMM_SNAPSHOT_EXAMINE_H
#define CLOCHE_VMM_SNAPSHOT_EXAMINE_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/error.h"

/*
 * Prints one JSON object (cloche-snapshot(5), INSPECTION) to @out: what is in the snapshot at @path. With
 * @verify every chunk is read first, those of ancestors too. 0; on failure nothing is printed, and
 * @err is snapshot_file_open()'s or snapshot_file_verify()'s.
 */
int examine_snapshot(const char *path, bool verify, FILE *out, struct error *err);

#endif
