/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * images.h - where the guest's kernel, initramfs and root image are, and the VMM.
 *
 * Images: the option, else $CLOCHE_IMAGES, else beside this program: ../images in a build tree,
 * ../share/cloche/images when installed. The VMM: $CLOCHE_VMM, else beside this program, else in
 * ../libexec/cloche, else in $PATH. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_IMAGES_H
#define CLOCHE_SUPERVISOR_IMAGES_H

#include "supervisor/failure.h"

/* Absolute paths of readable regular files; owned. */
struct images {
	char *kernel, *initramfs, *image;
	char *folder; /* owned; where those without an option were found, for people */
};

void images_finish(struct images *images);
#define cleanup_images __attribute__((cleanup(images_finish)))

/* Finds all three; each argument is the option's value or NULL. -1 names the one that is missing. */
int images_find(const char *kernel, const char *initramfs, const char *image,
                struct images *out_images, struct failure *failure);

/* Finds the VMM: *out_path is absolute and owned by the caller. */
int images_find_vmm(char **out_path, struct failure *failure);

/* The same for cloche-view. */
int images_find_view(char **out_path, struct failure *failure);

#endif
