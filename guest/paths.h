/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paths.h - which paths the verb "file" may touch. Any process of the agent; no state.
 */
#ifndef CLOCHE_GUEST_PATHS_H
#define CLOCHE_GUEST_PATHS_H

#include <stddef.h>

#include "lib/error.h"

/*
 * Splits @path into one of the two folders that can be reached (@home or "/tmp"; *out_folder is
 * @home itself or a literal) and the rest below it (*out_rest points into @path, or is "." for the
 * folder itself). Relative paths start in @home. Says nothing about ".." and links: paths_open()
 * does. 0; -EACCES: outside of both; -EINVAL: empty or too long.
 */
int paths_split(const char *home, const char *path, const char **out_folder, const char **out_rest,
                struct error *err);

/*
 * Opens @rest below @folder by openat2(2): the kernel refuses every way out, be it "..", an
 * absolute link or a magic link. @flags and @mode as for open; O_CLOEXEC is added. The fd, or
 * -EACCES for a path that leads out, or another -errno.
 */
int paths_open(const char *folder, const char *rest, int flags, unsigned int mode,
               struct error *err);

/*
 * Opens the folder that holds the last name of @rest; that name goes to *out_name (at most @size
 * bytes with its NUL). The fd; -EINVAL when there is no such name (".", "..", the folder itself);
 * else as paths_open().
 */
int paths_open_parent(const char *folder, const char *rest, char *out_name, size_t size,
                      struct error *err);

#endif
