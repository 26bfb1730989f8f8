/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_page.h - the page around noVNC, as the linker brings it in from supervisor/page/. Constants.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_PAGE_H
#define CLOCHE_SUPERVISOR_VIEW_PAGE_H

#include <stddef.h>

extern const char view_page_html[], view_page_css[], view_page_js[];
extern const size_t view_page_html_size, view_page_css_size, view_page_js_size; /* bytes */

#endif
