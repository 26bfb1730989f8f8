/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/pointer.h"

#include "lib/log.h"

#define ARROW_WIDTH 12u
#define ARROW_HEIGHT 19u

/* #: black, o: white, the rest is seen through. */
static const char arrow[ARROW_HEIGHT][ARROW_WIDTH + 1] = {
	"#           ", "##          ", "#o#         ", "#oo#        ", "#ooo#       ",
	"#oooo#      ", "#ooooo#     ", "#oooooo#    ", "#ooooooo#   ", "#oooooooo#  ",
	"#ooooooooo# ", "#oooooo#####", "#ooo#oo#    ", "#oo##oo#    ", "#o#  #oo#   ",
	"##   #oo#   ", "#     #oo#  ", "      #oo#  ", "       ##   ",
};

struct rectangle pointer_area(const struct grid *grid, unsigned x, unsigned y)
{
	ASSERT(x < grid->width && y < grid->height);
	return (struct rectangle){
		.x = x,
		.y = y,
		.width = grid->width - x < ARROW_WIDTH ? grid->width - x : ARROW_WIDTH,
		.height = grid->height - y < ARROW_HEIGHT ? grid->height - y : ARROW_HEIGHT,
	};
}

void pointer_draw(const struct grid *grid, unsigned x, unsigned y, uint32_t *pixels)
{
	struct rectangle area = pointer_area(grid, x, y);

	for (unsigned row = 0; row < area.height; row++) {
		uint32_t *at = pixels + (size_t)(y + row) * grid->width + x;

		for (unsigned column = 0; column < area.width; column++)
			if (arrow[row][column] != ' ')
				at[column] = arrow[row][column] == 'o' ? 0xffffff : 0;
	}
}
