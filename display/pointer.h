/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointer.h - the mouse pointer, for people who watch: the X server doesn't paint it into its framebuffer.
 * Any thread; no state.
 */
#ifndef CLOCHE_DISPLAY_POINTER_H
#define CLOCHE_DISPLAY_POINTER_H

#include <stdint.h>

#include "display/grid.h"

/* What pointer_draw() paints of an arrow whose tip is at @x, @y; both on the screen. */
struct rectangle pointer_area(const struct grid *grid, unsigned x, unsigned y);

/* Paints it into a screen's pixels: rows of 0x00RRGGBB. */
void pointer_draw(const struct grid *grid, unsigned x, unsigned y, uint32_t *pixels);

#endif
