/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_page.c - see view_page.h. Assembled from the top of the tree, as make does.
 */
#include "supervisor/view_page.h"

#define EMBED(symbol, file)                                                                        \
	__asm__(".pushsection .rodata\n"                                                           \
	        ".global " #symbol ", " #symbol "_size\n"                                          \
	        ".hidden " #symbol ", " #symbol "_size\n" #symbol ":\n"                            \
	        ".incbin \"" file "\"\n"                                                           \
	        "1:\n"                                                                             \
	        ".balign 8\n" #symbol "_size: .quad 1b - " #symbol "\n"                            \
	        ".popsection\n")

EMBED(view_page_html, "supervisor/page/viewer.html");
EMBED(view_page_css, "supervisor/page/viewer.css");
EMBED(view_page_js, "supervisor/page/viewer.js");
