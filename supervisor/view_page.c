/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_page.c - see view_page.h. Assembled from the top of the tree, as make does.
 */
#include "supervisor/view_page.h"

#define EMBED(symbol, file)                                                                        \
	__asm__(".pushsection .rodata\n"                                                           \
	        ".global " #symbol "\n" #symbol ":\n"                                              \
	        ".incbin \"" file "\"\n"                                                           \
	        ".global " #symbol "_end\n" #symbol "_end:\n"                                      \
	        ".popsection\n")

EMBED(view_page_html, "supervisor/page/viewer.html");
EMBED(view_page_css, "supervisor/page/viewer.css");
EMBED(view_page_js, "supervisor/page/viewer.js");
